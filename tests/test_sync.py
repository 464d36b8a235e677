"""The bridge for those who cannot await."""

from __future__ import annotations

import asyncio
import sys
import threading
from importlib import import_module

import numpy as np
import pytest

import azarr
from azarr.integrations import sync

VALUES = np.arange(12, dtype="int16").reshape(3, 4)


async def stored() -> azarr.Array:
    return await azarr.save({}, "", VALUES, chunks=(2, 2))


def test_what_is_awaited_is_given_where_nothing_awaits():
    array = sync.run(stored())
    assert sync.run(array[1:]).tolist() == VALUES[1:].tolist()


async def test_it_works_while_a_loop_is_running():
    assert sync.run((await stored())[0]).tolist() == [0, 1, 2, 3]


def test_errors_come_through():
    with pytest.raises(azarr.errors.NodeNotFound, match="no Zarr node at path 'x'"):
        sync.run(azarr.open({}, "x").open())


async def test_calls_at_the_same_time_share_one_loop():
    if sys.platform == "emscripten":
        loops = {sync.run(running_loop()) for _ in range(4)}
    else:
        loops = set(await asyncio.gather(*[asyncio.to_thread(sync.run, running_loop()) for _ in range(4)]))
    assert len(loops) == 1


async def test_of_threads_that_are_the_first_all_have_the_same_loop(monkeypatch: pytest.MonkeyPatch):
    if sys.platform == "emscripten":  # it has no threads, and the page's loop
        assert sync.run(running_loop()) is asyncio.get_running_loop()
        return
    cpython, new = import_module("azarr._platform.cpython"), asyncio.new_event_loop
    before = set(threading.enumerate())
    together, loops = threading.Barrier(4), list[asyncio.AbstractEventLoop]()

    def made() -> asyncio.AbstractEventLoop:
        loop = new()
        loops.append(loop)
        together.wait()
        return loop

    monkeypatch.setattr(cpython, "_bridges", {})
    monkeypatch.setattr(asyncio, "new_event_loop", made)
    given = await asyncio.gather(*[asyncio.to_thread(sync.run, running_loop()) for _ in range(4)])
    assert len(set(given)) == 1
    assert [loop.is_closed() for loop in loops if loop is not given[0]] == [True] * 3
    given[0].call_soon_threadsafe(given[0].stop)
    for bridge in {each for each in threading.enumerate() if each.name == "azarr bridge"} - before:
        bridge.join()
    given[0].close()


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
