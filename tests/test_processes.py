"""Several processes, and processes that are killed: on local disk nothing that was stored is lost, and nothing is seen that was not stored."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr

COUNTERS, EACH = 4, 500
INCREMENT = """
import asyncio, sys
import azarr

async def main(path, cell, times):
    array = await azarr.open_array(path, mode="r+")
    for _ in range(times):
        await array[cell].write(await array[cell] + 1)

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""
APPEND = """
import asyncio, sys
import azarr

async def appender(path, number, times):
    array = await azarr.open_array(path, mode="r+")
    for each in range(times):
        array = await array.append([[number, each]])

async def main(path, first, count, times):
    await asyncio.gather(*(appender(path, first + number, times) for number in range(count)))

asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
"""
async def ended(code: str, *arguments: tuple[object, ...]) -> list[int]:
    """What processes that run `code`, one with each of `arguments`, exit with."""
    commands = [[sys.executable, "-c", code, *map(str, each)] for each in arguments]
    processes = [await asyncio.create_subprocess_exec(*command) for command in commands]
    return [await process.wait() for process in processes]


@pytest.mark.parametrize("options", [{"chunks": (8,)}, {"chunks": (2,), "shards": (8,)}], ids=["chunk", "shard"])
async def test_increments_by_four_processes_in_one_chunk_are_all_there(tmp_path: Path, options: dict[str, Any]):
    path = tmp_path / "counters"
    array = await azarr.create_array(path, shape=(8,), dtype="i4", **options)
    assert await ended(INCREMENT, *((path, 2 * number, EACH) for number in range(COUNTERS))) == [0] * COUNTERS
    assert (await array[...]).tolist() == [EACH, 0] * COUNTERS
    assert sorted(item.name for item in path.iterdir()) == ["c", "zarr.json"]


@pytest.mark.parametrize("options", [{"chunks": (7, 2)}, {"chunks": (3, 2), "shards": (9, 2)}, {"chunks": (5, 2), "zarr_format": 2}], ids=["chunk", "shard", "v2"])
async def test_rows_appended_by_eight_tasks_of_two_processes_are_each_there_once(tmp_path: Path, options: dict[str, Any]):
    path, times = tmp_path / "rows", 100 if "shards" in options else 25
    await azarr.create_array(path, shape=(0, 2), dtype="i4", fill_value=-1, **options)
    assert await ended(APPEND, (path, 0, 4, times), (path, 4, 4, times)) == [0, 0]
    rows = await (await azarr.open_array(path))[...]
    assert rows.shape == (8 * times, 2)
    assert sorted(map(tuple, rows.tolist())) == [(number, each) for number in range(8) for each in range(times)]
    for number in range(8):
        mine = rows[rows[:, 0] == number, 1]
        assert (np.diff(mine) == 1).all()  # an appender's rows are in its order


@pytest.mark.parametrize(
    "options",
    [{"shape": (8,), "chunks": (4,)}, {"shape": (8,), "chunks": (1,), "shards": (4,)}, {"shape": (256,), "chunks": (4,)}],
    ids=["chunk", "shard", "many chunks, several at a time"],
)
async def test_a_killed_writer_leaves_old_or_new_chunks_and_no_other_file(tmp_path: Path, options: dict[str, Any]):
    path = tmp_path / "killed"
    rng = np.random.default_rng(5)
    array = await azarr.create_array(path, dtype="u1", compressors=None, **options)
    keys = [f"c/{number}" for number in range(array.size // 4)]
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pytest", *(name for name in sys.modules if name.startswith("azarr."))])  # imported once, for all of them
    for _ in range(KILLS):
        process = processes.Process(target=rewrite, args=(path, int(rng.integers(250))))
        process.start()
        await wait_for_writes(path, int(rng.integers(1, 40)))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        array = await azarr.open_array(path, mode="r+")
        values = await array[...]
        for chunk in np.split(values, len(keys)):
            assert len(set(chunk.tolist())) <= 2  # of one write, or of one that one in part has followed
        assert sorted(str(item.relative_to(path)) for item in path.rglob("*")) == sorted(["c", "zarr.json", *keys])
        await array[...].write(1)


KILLS = 150


def rewrite(path: Path, first: int) -> None:
    """Write to the array at `path`, one number after the other, all of it and a part, until killed."""

    async def writing() -> None:
        array = await azarr.open_array(path, mode="r+")
        for number in itertools.count(first):
            await array[...].write(number % 250 + 1)
            await array[1:3].write(number % 250 + 1)

    asyncio.run(writing())


async def wait_for_writes(path: Path, count: int) -> None:
    """Until the first chunk has been replaced `count` times, as its version says."""
    seen: set[tuple[int, int]] = set()
    while len(seen) < count:
        try:
            status = os.stat(path / "c" / "0")
        except FileNotFoundError:
            pass
        else:
            seen.add((status.st_mtime_ns, status.st_ino))
        await asyncio.sleep(0)
