"""Shards on a local disk that are written in part: what stays is copied by the operating system, and nothing of it is read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.codecs import Pipeline
from azarr.errors import StoreError
from azarr.integrations import kept
from azarr.scratch import Scratch
from azarr.stores import LocalStore
from azarr.stores.local import FolderReader

SHAPE, CHUNKS, SHARDS = (32, 64), (8, 64), (32, 64)
INNER = {"first": np.s_[:8], "in the middle": np.s_[8:16], "last": np.s_[24:], "two": np.s_[8:24], "a part": np.s_[3:5], "across": np.s_[5:18, 3]}


async def made(root: Path, **options: Any) -> tuple[azarr.Array, np.ndarray[Any, Any]]:
    values = np.random.default_rng(5).integers(0, 99, SHAPE, dtype="i4")
    array = await azarr.create_array(root, "a", shape=SHAPE, dtype="i4", chunks=CHUNKS, shards=SHARDS, **options)
    await array[...].write(values)
    return array, values


@pytest.mark.parametrize("index_location", ["start", "end"])
@pytest.mark.parametrize("part", INNER)
async def test_what_is_written_is_there_and_the_rest_is_as_it_was(part: str, index_location: str, tmp_path: Path):
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    inner = {"chunk_shape": [*CHUNKS], "codecs": [little, "zstd"], "index_codecs": [little, "crc32c"], "index_location": index_location}
    values = np.random.default_rng(5).integers(0, 99, SHAPE, dtype="i4")
    serializer = {"name": "sharding_indexed", "configuration": inner}
    array = await azarr.create_array(tmp_path, "a", shape=SHAPE, dtype="i4", chunks=SHARDS, serializer=serializer, compressors=None)
    await array[...].write(values)
    for number in range(3):
        values[INNER[part]] = -number
        await array[INNER[part]].write(-number)
        np.testing.assert_array_equal(await array[...], values)
    assert (await azarr.verify(tmp_path)).damaged == {}


async def test_of_the_shard_only_the_index_is_read_and_what_is_changed_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    array, _ = await made(tmp_path, compressors=None)
    part, got = FolderReader.part, list[int]()

    def noted(self: FolderReader, key: str, byte_range: Any, scratch: Scratch) -> Any:
        value = part(self, key, byte_range, scratch)
        got.append(len(value.data) if value else 0)
        return value

    monkeypatch.setattr(FolderReader, "part", noted)
    await array[8:16].write(1)
    assert got == [4 * 16 + 4]
    got.clear()
    await array[9].write(1)
    assert got == [4 * 16 + 4, 8 * 64 * 4]


def refused(*args: Any) -> int:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


@pytest.mark.parametrize("call", [refused, None, lambda *_: 0], ids=["refused", "not there", "does nothing"])
async def test_where_the_system_does_not_copy_bytes_are_read_and_written(
    call: Callable[..., int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    array, values = await made(tmp_path)
    if call is None:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    else:
        monkeypatch.setattr(os, "copy_file_range", call, raising=False)
    monkeypatch.setattr(kept, "COPIED", 100)
    values[8:16] = 7
    await array[8:16].write(7)
    np.testing.assert_array_equal(await array[...], values)


async def test_a_file_that_is_cut_off_meanwhile_is_an_error_and_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    array, _ = await made(tmp_path)
    path = tmp_path / "a" / "c" / "0" / "0"

    def cut(*args: Any) -> int:
        os.truncate(path, 10)
        return 0

    monkeypatch.setattr(os, "copy_file_range", cut, raising=False)
    with pytest.raises(StoreError, match="the file is shorter than it was") as caught:
        await array[24:].write(7)
    assert caught.value.key == "a/c/0/0"
    assert os.listdir(path.parent) == ["0"]
    assert path.stat().st_size == 10


@pytest.mark.parametrize("when", ["before the index", "before the inner chunk", "before it is copied"])
async def test_a_shard_that_others_replace_meanwhile_is_read_again(when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    array, values = await made(tmp_path)
    values += 100
    await (await made(tmp_path / "other"))[0][...].write(values)
    theirs, calls = (tmp_path / "other" / "a" / "c" / "0" / "0").read_bytes(), 0

    def replaced_at(nth: int, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth:
                LocalStore(tmp_path).put("a/c/0/0", theirs)
            return call(*args)

        return called

    if when == "before it is copied":
        monkeypatch.setattr(kept, "write", replaced_at(1, kept.write))
    else:
        monkeypatch.setattr(FolderReader, "part", replaced_at(1 if when == "before the index" else 2, FolderReader.part))
    await array[3:5].write(-1)
    assert calls == {"before the index": 2, "before the inner chunk": 4, "before it is copied": 2}[when]
    monkeypatch.undo()
    values[3:5] = -1
    np.testing.assert_array_equal(await array[...], values)


async def test_a_shard_that_others_delete_meanwhile_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    array, values = await made(tmp_path)
    write, calls = kept.write, list[int]()

    def copied(*args: Any) -> bool:
        calls.append(1)
        LocalStore(tmp_path).put("a/c/0/0", None)
        return write(*args)

    monkeypatch.setattr(kept, "write", copied)
    await array[8:16].write(7)
    values[...] = 0
    values[8:16] = 7
    np.testing.assert_array_equal(await array[...], values)
    assert calls == [1]


async def test_what_cannot_be_encoded_is_that_error_and_the_shard_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    array, values = await made(tmp_path)

    def fails(*_: Any) -> bytes:
        raise StoreError("no room for it")

    monkeypatch.setattr(Pipeline, "encode", fails)
    with pytest.raises(StoreError, match="no room for it"):
        await array[8:16].write(7)
    monkeypatch.undo()
    np.testing.assert_array_equal(await array[...], values)
    assert sorted(os.listdir(tmp_path)) == ["a", "zarr.json"]
