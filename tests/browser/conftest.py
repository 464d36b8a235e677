"""The browser tests' fixtures: what they run on, a web server, Chromium, and the places where Python runs. They are plain functions.

Without Chromium, Node, or the environment of the peers, the tests that need it do not run, which is said at the end; where CI is set,
or AZARR_BROWSER is `required`, that is a failure. Firefox may be missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distribution as fetched
import pytest
from hosting import Serving, Site
from places import Here, InFirefox, InNode, InPage
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
PEERS = PROJECT / ".venv-peers/bin/python"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
NEEDS = {
    "browser": ("Chromium", fetched.chromium), "node": ("Node", fetched.node), "pyscript": ("npm", fetched.pyscript),
    "firefox": ("Firefox", fetched.firefox), "netcdf": (".venv-peers", lambda: PEERS if PEERS.exists() else None),
}  # fmt: skip
REQUIRED = bool(os.environ.get("CI")) or os.environ.get("AZARR_BROWSER") == "required"
NOT_RUN = pytest.StashKey[dict[str, int]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    not_run = config.stash[NOT_RUN] = {}
    for fixture, (program, find) in NEEDS.items():
        left = [item for item in items if fixture in getattr(item, "fixturenames", ())]
        if left and find() is None:
            if REQUIRED and fixture != "firefox":  # not every system has a package of it
                raise pytest.UsageError(f"there is no {program} here, which {len(left)} tests need")
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if item not in left]
            not_run[program] = len(left)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for program, count in config.stash.get(NOT_RUN, {}).items():
        terminalreporter.section(f"NOT RUN: {count} tests, as there is no {program} here", sep="!", red=True, bold=True)


@pytest.fixture(scope="session")
def distribution() -> Path:
    """The folder of Pyodide."""
    return fetched.pyodide()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """azarr as it stands in the tree, as a wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(PROJECT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def netcdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a NetCDF4 file, the references to it, and what xarray reads of it, as the peers make them."""
    folder = tmp_path_factory.mktemp("netcdf")
    subprocess.run([PEERS, PROJECT / "tests/netcdf.py", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def site(distribution: Path, wheel: Path) -> Iterator[Site]:
    """The server. Between two tests it becomes good again, and forgets what it was asked for."""
    folders = {
        "pyodide": distribution, "pages": HERE / "pages",
        "viewer": PROJECT / "src/azarr/viewer", "examples": PROJECT / "examples", "wheels": wheel.parent,
        "wheels/azarr": wheel.parent, "wheels/blosc2": fetched.blosc2().parent, "wheels/suite": fetched.wheels(), "wheels/servers": fetched.servers(),
    }  # fmt: skip
    with Serving(folders) as serving:
        yield serving


@pytest.fixture(scope="session")
def pyscript(site: Site) -> str:
    """The URL of the folder with PyScript."""
    found = fetched.pyscript()
    assert found is not None
    site.folders["npm"] = found.parent
    return f"{site.url}/npm/dist"


@pytest.fixture(autouse=True)
def good_site(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "site" in request.fixturenames:
        request.getfixturevalue("site").reset()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium. Each page that is asked for below has a profile of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=fetched.chromium(), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def lax(browser: Browser) -> Iterator[Browser]:
    """Chromium that lets pages read from any server: the tests' own are not of the page's origin, and some do what permits nothing."""
    opened = browser.browser_type.launch(executable_path=fetched.chromium(), args=[*FLAGS, "--disable-web-security"])
    yield opened
    opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page. An error that nothing in it catches fails the test."""
    errors: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def in_page(browser: Browser, site: Site, *, worker: bool = False) -> Iterator[InPage]:
    context = browser.new_context()
    yield InPage(context.new_page(), site, worker=worker)
    context.close()


@pytest.fixture(scope="session")
def python(browser: Browser, site: Site) -> Iterator[InPage]:
    """Python in a page, the same one for all tests."""
    yield from in_page(browser, site)


@pytest.fixture
def fresh(browser: Browser, site: Site) -> Iterator[InPage]:
    """Python in a page of its own."""
    yield from in_page(browser, site)


@pytest.fixture(scope="session")
def worker(browser: Browser, site: Site) -> Iterator[InPage]:
    """Python in a web worker, the same one for all tests."""
    yield from in_page(browser, site, worker=True)


@pytest.fixture(scope="session")
def node(distribution: Path, site: Site) -> Iterator[InNode]:
    """Python in Node, the same process for all tests."""
    program = fetched.node()
    assert program is not None
    place = InNode(program, distribution, site)
    yield place
    place.close()


@pytest.fixture(scope="session")
def firefox(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InFirefox]:
    """Python in a page of Firefox, the same one for all tests."""
    program = fetched.firefox()
    assert program is not None
    place = InFirefox(program, tmp_path_factory.mktemp("firefox"), site)
    yield place
    place.close()


@pytest.fixture(scope="session")
def here(site: Site) -> Here:
    """This Python."""
    return Here(site)
