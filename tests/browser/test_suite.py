"""The project's own tests pass in Pyodide: in Node, and in Chromium. What needs CPython is told, one by one, in `tests/cpython.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import distribution as fetched
import pytest
import suite
from hosting import Site
from places import InNode, InPage
from playwright.sync_api import Browser

import cpython

LEAST = 0.70
"""The share of all tests that must run in Pyodide too."""
LONGEST = 1100
"""Seconds after which a run in Node has hung; one in a page ends with the time that a test has."""


class Patient(InNode):
    """Node, which may take as long as all tests do."""

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


@pytest.fixture(scope="module")
def told(lax: Browser, node: InNode, site: Site, distribution: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """What pytest told in Node and in a page, at the same time: each has a core for itself."""
    program = fetched.node()
    assert program is not None
    place, context = Patient(program, distribution, site), lax.new_context()
    hangs = threading.Timer(LONGEST, place.process.kill)
    hangs.start()
    with ThreadPoolExecutor(1) as other:
        in_node = other.submit(suite.run, place, site)
        in_page = suite.run(InPage(context.new_page(), site), site)
        yield {"Node": in_node.result(), "Chromium": in_page}
    hangs.cancel()
    place.close()
    context.close()


@pytest.fixture(scope="module")
def collected() -> list[str]:
    return suite.collected()


@pytest.mark.parametrize("where", ["Node", "Chromium"])
def test_the_suite_passes(told: dict[str, dict[str, Any]], collected: list[str], where: str, capsys: pytest.CaptureFixture[str]):
    outcome = told[where]
    wanted = {name for name in collected if cpython.reason(name) is None}
    passed = wanted & set(outcome["passed"])
    share = len(passed) / len(collected)
    with capsys.disabled():
        print(f"\n{where}: {len(passed):,} of {len(collected):,} tests ran, {share:.1%}, in {outcome['seconds']:.0f} s")
    assert outcome["failed"] == {}, outcome["printed"][-20_000:]
    assert outcome["code"] == 0, outcome["printed"][-20_000:]
    assert wanted - passed == set()
    assert share >= LEAST
