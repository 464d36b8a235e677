"""Chromium, its page, and the servers beside it. Knows playwright; no figures."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from bench.browser import assets

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--js-flags=--expose-gc")  # fmt: skip


@contextmanager
def servers(data: Path, folders: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Both servers, while it lasts: the URLs of the site and of the data."""
    command = [sys.executable, "-m", "bench.browser.server", str(data), *(f"{name}={folder}" for name, folder in folders.items())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        site, of_data = int(process.stdout.readline()), int(process.stdout.readline())
        try:
            yield f"http://localhost:{site}", f"http://127.0.0.1:{of_data}"
        finally:
            process.stdin.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser with a fresh profile, while it lasts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=assets.distribution.chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page(browser: Browser, site: str) -> Iterator[Any]:
    """A page of a fresh profile, with the script of `page/bench.js` loaded. Its errors are printed."""
    context = browser.new_context()
    try:
        found = context.new_page()
        found.on("pageerror", lambda error: print(f"  error: {error}", file=sys.stderr))
        found.set_default_timeout(120_000)
        found.goto(f"{site}/page/index.html")
        found.wait_for_function("window.ready")
        yield found
    finally:
        context.close()


def fresh(data: str, delay: int, name: str) -> str:
    """A URL of an array that nobody has asked for yet."""
    return f"{data}/{delay}/{uuid.uuid4().hex}/{name}"
