"""One line at the end of a run: which arrays were written, and which selections were compared."""

from typing import Any

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
    for mark in ("asyncio", "flaky", "network", "skip_if_param", "skip_with_dask_array", "slow"):
        config.addinivalue_line("markers", f"{mark}: of xarray's own tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [item for item in items if any(_is_left_out(item, mark.kwargs) for mark in item.iter_markers("skip_if_param"))]
    left += [item for item in items if isinstance(item, pytest.Function) and item.name.startswith(getattr(item.module, "LEFT_OUT", ()))]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def _is_left_out(item: pytest.Item, wanted: dict[str, Any]) -> bool:
    """Whether xarray's tests say that there is no test with these parameters. What does that for them is not in their wheel."""
    given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    parameters = {name: value for name, value in wanted.items() if name not in ("reason", "condition")}
    return wanted.get("condition", True) and all(given.get(name) == value for name, value in parameters.items())
