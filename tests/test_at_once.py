"""Small reads of local files are answered on the event loop as far as that needs no disk; for all else a worker is asked, with the same result.

The kernel's page cache is a fake here, so that what is in it is known on every system; the last tests ask the real one.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr._engine import blocking, documents
from azarr.errors import ChunkDecodeError, StoreError
from azarr.integrations import page_cache
from azarr.stores import LocalStore, MemoryStore
from fakes import turns

VALUES = np.arange(4096, dtype="int32").reshape(64, 64)


class Kernel:
    """What a page cache has. `cold`: ends of paths of which it has nothing; `partly`: it has half of each file. `hops` counts calls in threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cold, self.hops = set[str](), 0
        self.partly = False
        monkeypatch.setattr(blocking, "offload_steps", self.counted(blocking.offload_steps))
        monkeypatch.setattr(documents, "offload", self.counted(documents.offload))
        monkeypatch.setattr("azarr.integrations.page_cache.is_quick", lambda file: True)
        monkeypatch.setattr("azarr.integrations.page_cache.open_cached", self.open)
        monkeypatch.setattr("azarr.integrations.page_cache.read_cached", self.read)

    def counted(self, offload: Callable[..., Any]) -> Callable[..., Any]:
        def hop(*arguments: Any, **options: Any) -> Any:
            self.hops += 1
            return offload(*arguments, **options)

        return hop

    def open(self, path: bytes) -> int | None:
        if any(os.fsdecode(path).endswith(end) for end in self.cold):
            raise BlockingIOError
        try:
            return os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None

    def read(self, file: int, start: int, *buffers: Any) -> int:
        if self.partly:
            buffers = tuple(buffer[: len(buffer) // 2] for buffer in buffers)
        return os.preadv(file, buffers, start)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


async def warm(path: Path, **options: Any) -> azarr.Array:
    """An array of which something was read: so codecs are loaded, and a worker has seen that the file system can be asked."""
    options = {"chunks": (16, 16), "compressors": "zstd", **options}
    made = await azarr.create_array(path, "t", shape=(64, 64), dtype="int32", **options)
    await made[...].write(VALUES)
    array = await azarr.open_array(path, "t")
    await array[0, 0]
    return array


LAYOUTS = pytest.mark.parametrize("layout", [{}, {"compressors": None}, {"shards": (32, 32)}], ids=["chunks", "raw", "shards"])


@LAYOUTS
async def test_a_small_read_of_what_is_in_memory_takes_no_thread(layout: dict[str, Any], kernel: Kernel, tmp_path: Path):
    array = await warm(tmp_path, **layout)
    kernel.hops = 0
    assert (await array[16:32, 3:7] == VALUES[16:32, 3:7]).all()
    assert (await array[40, 40]) == VALUES[40, 40]
    assert (await array[32:48, 32:48] == VALUES[32:48, 32:48]).all()
    assert kernel.hops == 0


@LAYOUTS
@pytest.mark.parametrize("partly", [False, True])
async def test_what_is_not_in_memory_or_only_in_part_is_read_by_a_worker(
    layout: dict[str, Any], partly: bool, kernel: Kernel, tmp_path: Path
):
    array = await warm(tmp_path, **layout)
    kernel.hops, kernel.partly, kernel.cold = 0, partly, set() if partly else {"c/1/1", "c/2/2"}
    assert (await array[32:48, 32:48] == VALUES[32:48, 32:48]).all()
    assert kernel.hops == 1


async def test_what_was_read_at_once_is_not_read_again_by_the_worker(kernel: Kernel, tmp_path: Path):
    array, told = await warm(tmp_path, shards=(32, 32)), list[tuple[int, int]]()
    kernel.cold, kernel.hops = {"c/1/0"}, 0
    part = await array[16:48, :16].read(progress=lambda done, total: told.append((done, total)))
    assert (part == VALUES[16:48, :16]).all()
    assert kernel.hops == 1
    assert told[-1] == (2, 2)


async def test_large_reads_and_codecs_that_are_not_loaded_yet_go_to_workers(kernel: Kernel, tmp_path: Path):
    await warm(tmp_path)
    zstd = {"name": "zstd", "configuration": {"level": 7}}  # which no other array has
    await azarr.save(LocalStore(tmp_path), "u", VALUES, chunks=(16, 16), compressors=zstd)
    array = await azarr.open_array(LocalStore(tmp_path), "u")
    kernel.hops = 0
    await array[0, 0]
    assert kernel.hops == 1
    await array[0, 0]
    assert kernel.hops == 1
    assert (await array[...] == VALUES).all()
    assert kernel.hops > 1


async def test_a_missing_chunk_is_the_fill_value_at_once(kernel: Kernel, tmp_path: Path):
    array = await warm(tmp_path, fill_value=7)
    (tmp_path / "t/c/1/1").unlink()
    kernel.hops = 0
    assert await array[20, 20] == 7
    assert kernel.hops == 0


async def test_a_damaged_chunk_is_the_same_error(kernel: Kernel, tmp_path: Path):
    array = await warm(tmp_path)
    (tmp_path / "t/c/1/1").write_bytes(b"nothing that zstd knows")
    kernel.hops = 0
    with pytest.raises(ChunkDecodeError, match="c/1/1"):
        await array[20, 20]
    assert kernel.hops == 0


async def test_what_is_no_file_is_an_error_by_a_worker_and_hangs_nobody(kernel: Kernel, tmp_path: Path):
    array = await warm(tmp_path)
    (tmp_path / "t/c/1/1").unlink()
    (tmp_path / "t/c/1/1").mkdir()
    with pytest.raises(StoreError, match="IsADirectory"):
        await array[20, 20]


async def test_a_shard_that_was_replaced_is_read_anew_at_once(kernel: Kernel, tmp_path: Path):
    array = await warm(tmp_path, shards=(32, 32))
    other = await azarr.open_array(tmp_path, "t", mode="r+")
    await other[:32, :32].write(VALUES[:32, :32] + 1)
    kernel.hops = 0
    assert await array[3, 3] == VALUES[3, 3] + 1
    assert kernel.hops == 0


async def test_nodes_whose_documents_are_in_memory_open_at_once(kernel: Kernel, tmp_path: Path):
    await warm(tmp_path)
    group = await azarr.open_group(tmp_path)
    kernel.hops = 0
    assert (await group["t"]).shape == (64, 64)
    assert kernel.hops == 0
    kernel.cold = {"t/zarr.json"}
    assert (await group["t"]).shape == (64, 64)
    assert kernel.hops == 1


async def test_a_dictionary_is_read_at_once_and_other_mappings_by_a_worker(kernel: Kernel):
    class Slow(dict[str, bytes]):
        pass

    for mapping, hops in (({}, 0), (Slow(), 1)):
        made = await azarr.create_array(mapping, shape=(64, 64), dtype="int32", chunks=(16, 16), shards=(32, 32))
        await made[...].write(VALUES)
        array = await azarr.open_array(MemoryStore(mapping))
        await array[0, 0]
        kernel.hops = 0
        assert await array[40, 40] == VALUES[40, 40]
        assert kernel.hops == hops


async def test_a_task_that_reads_at_once_without_a_pause_lets_others_run(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blocking, "TURN", 0.0)
    array, seen = await warm(tmp_path), list[int]()

    async def reads() -> None:
        for _ in range(20):
            await array[0, 0]
        seen.append(ticks)

    ticks, reader = 0, asyncio.ensure_future(reads())
    while not reader.done():
        ticks += 1
        await turns(1)
    assert seen[0] >= 19


# The real page cache


def test_every_call_refuses_to_wait():
    flags, mode, resolve = struct.unpack("=QQQ", page_cache.HOW)
    assert (mode, resolve) == (0, 0x20 | 0x04)
    assert flags & os.O_NONBLOCK


def test_the_page_cache_gives_what_the_file_holds_or_refuses(tmp_path: Path):
    path, data = tmp_path / "a", os.urandom(100_000)
    path.write_bytes(data)
    with path.open("rb") as file:
        quick = page_cache.is_quick(file.fileno())
        os.fsync(file.fileno())
        for advice in ("POSIX_FADV_WILLNEED", "POSIX_FADV_DONTNEED"):
            os.posix_fadvise(file.fileno(), 0, 0, getattr(os, advice))
            buffer = bytearray(len(data))
            try:
                opened = page_cache.open_cached(os.fsencode(path)) if quick else None
                got = page_cache.read_cached(opened, 0, buffer) if opened is not None else 0
            except OSError:
                got = 0
            assert buffer[:got] == data[:got]


async def test_a_file_system_that_cannot_be_asked_is_read_by_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("azarr.integrations.page_cache.is_quick", lambda file: False)
    array = await warm(tmp_path)
    assert array.store.at_once() is None
    assert (await array[:2] == VALUES[:2]).all()
