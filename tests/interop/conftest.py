"""One line at the end of a run: which arrays were written, and which selections were compared."""

import pytest
from tally import Tally

TALLY = pytest.StashKey[Tally]()


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    return request.config.stash.setdefault(TALLY, Tally())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash.get(TALLY, None)
    if tally is not None and tally.arrays:
        terminalreporter.write_line(tally.line())


def pytest_configure(config: pytest.Config) -> None:
    for mark in ("asyncio", "flaky", "network", "skip_if_param", "slow"):  # of xarray's own tests
        config.addinivalue_line("markers", f"{mark}: xarray's")
