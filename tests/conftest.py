"""The hook that runs `async def` tests: on a fresh loop in CPython, on the page's loop in Pyodide. And what many tests share."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import cpython
import relay

BROWSER = sys.platform == "emscripten"
if BROWSER and relay.RELAY in os.environ:
    relay.install()


settings.register_profile("azarr", deadline=None)  # a machine that is busy is no error
settings.load_profile("azarr")


def only_this_task() -> bool:
    """Whether no task is left on this loop but the one that asks; in the browser, where the loop is the page's, none of azarr's."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    return not (left if not BROWSER else [task for task in left if "/azarr/" in task.get_coro().cr_code.co_filename])


def run(coroutine: Any) -> Any:
    """The result of `coroutine`, wherever this runs."""
    if BROWSER:
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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if BROWSER and cpython.reason(collection_path.relative_to(config.rootpath).as_posix()) else None


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # what is collected stays: no collection of garbage has to look through thousands of tests again


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if BROWSER and (left := [item for item in items if cpython.reason(item.nodeid)]):
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
