"""The hook that runs `async def` tests: on a fresh loop in CPython, on the page's loop in Pyodide. And what many tests share."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any

import pytest


def run(coroutine: Any) -> Any:
    """The result of `coroutine`, wherever this runs."""
    if sys.platform == "emscripten":
        from pyodide.ffi import run_sync

        return run_sync(coroutine)
    return asyncio.run(coroutine)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    run(pyfuncitem.obj(**arguments))
    return True
