"""The project's own tests, run in Pyodide: what is sent there, what runs there, and what comes back."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent.parent
SENT = ("*.md", "LICENSE", "pyproject.toml", "src/**/*", "tests/**/*", "docs/**/*", "bench/**/*", "examples/**/*")
ELSEWHERE = ("--ignore=tests/interop", "--ignore=tests/browser")
"""Tests that are not of the suite: these need other packages, and run by themselves."""
PACK = "suite/packed.zip"
RUN = """
import io, os, zipfile
from contextlib import redirect_stderr, redirect_stdout
from time import perf_counter

import micropip
from js import console, fetch

await micropip.install(["pytest", "hypothesis", "anyio", "aiohttp", "opentelemetry-sdk", "rich"])
await micropip.install("blosc2", deps=False)
packed = (await (await fetch(f"{site}/data/{pack}")).arrayBuffer()).to_bytes()
zipfile.ZipFile(io.BytesIO(packed)).extractall("/project")
os.chdir("/project")
os.environ["AZARR_TEST_RELAY"] = site.replace("http", "ws", 1) + "/relay"
os.environ["AZARR_STATE_MACHINE"] = "5,20"  # it takes minutes otherwise
import pytest


class Tally:
    def __init__(self):
        self.passed, self.failed = {}, {}

    def pytest_runtest_logstart(self, nodeid):
        if trace:
            console.error(nodeid)

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr)

    def pytest_runtest_logreport(self, report):
        if not report.passed:
            self.failed[report.nodeid] = f"{report.longrepr}{report.capstdout}{report.capstderr}"
            if trace:
                console.error(self.failed[report.nodeid])
        elif report.when == "call":
            self.passed[report.nodeid] = report.duration


tally, printed, began = Tally(), io.StringIO(), perf_counter()
with redirect_stdout(printed), redirect_stderr(printed):
    code = pytest.main(["-q", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0", *arguments], plugins=[tally])
{"code": int(code), "passed": tally.passed, "failed": tally.failed, "printed": printed.getvalue(), "seconds": perf_counter() - began}
"""


def packed() -> bytes:
    """The tree, as far as tests look at it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for pattern in SENT:
            for file in sorted(PROJECT.glob(pattern)):
                if file.is_file() and "__pycache__" not in file.parts:
                    target.write(file, file.relative_to(PROJECT))
    return archive.getvalue()


def collected() -> list[str]:
    """The ids of all tests of the suite, as CPython has them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *ELSEWHERE]
    found = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if "::" in line]


def run(place: Any, site: Any, *arguments: str, trace: bool = False) -> dict[str, Any]:
    """What pytest told in `place`: its exit code, seconds by the ids of tests that passed, texts by those of others, what it printed.

    `trace` tells each test when it begins, and what fails at once: on standard error, or in the page's console.
    """
    site.objects[PACK] = packed()
    return place(RUN, site=site.url, pack=PACK, arguments=[*ELSEWHERE, *arguments], trace=trace)
