"""Many small files read by one call: they are what they are when they are read one by one, whatever they are and whatever the kernel does.

Where the system has no rings, or forbids them, the same is read, one by one; what the kernel does then is nothing, which is said.
"""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_local import place

import azarr
from azarr.codecs import native
from azarr.codecs.blosc import Blosc
from azarr.errors import ChunkDecodeError, InvalidKey, StoreError
from azarr.integrations import rings
from azarr.scratch import Bytes
from azarr.stores import LocalStore
from azarr.stores.local import FolderReader

HERE = rings.has_rings()
"""Whether this system has io_uring as new as it must be. Where it has not, or forbids it, all the same is read, but one by one."""
WIDTH = 100
FILES = {f"c/{number}": os.urandom(number) for number in range(1, 80)}


def rows(count: int) -> Bytes:
    return np.full((count, WIDTH), 255, np.uint8)


def read(root: Path, keys: list[str], **options: Any) -> list[bytes | None]:
    """What is found by one call; None for what is missing."""
    reader, memory = rings.RingReader(LocalStore(root, **options)), rows(len(keys))
    sizes = reader.into_many(keys, memory)
    alone = [reader.into(key, np.empty(WIDTH, np.uint8)) for key in keys]
    assert sizes == alone
    return [None if size is None else row[:size].tobytes() for size, row in zip(sizes, memory, strict=True)]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys that are read one by one."""
    asked: list[str] = []
    into = FolderReader.into

    def counted(self: FolderReader, key: str, out: Bytes) -> int | None:
        asked.append(key)
        return into(self, key, out)

    monkeypatch.setattr(FolderReader, "into", counted)
    return asked


def test_files_are_read_and_missing_ones_are_none(tmp_path: Path, calls: list[str]):
    place(tmp_path, FILES | {"empty": b""})
    reader, keys = rings.RingReader(LocalStore(tmp_path)), [*FILES, "nine", "empty", "no/folder", "ä"]
    memory = rows(len(keys))
    sizes = reader.into_many(keys, memory)
    assert calls == ([] if HERE else keys)
    assert sizes == [*map(len, FILES.values()), None, 0, None, None]
    assert [row[:size].tobytes() for size, row in zip(sizes, memory, strict=False) if size] == list(FILES.values())
    assert all(set(row[size:]) <= {255} for size, row in zip(sizes, memory, strict=True) if size is not None)


def test_the_order_does_not_matter_and_the_same_rows_are_used_again(tmp_path: Path, calls: list[str]):
    place(tmp_path, FILES)
    reader, memory, keys = rings.RingReader(LocalStore(tmp_path)), rows(7), list(FILES)
    for first in range(70):
        some = [*keys[first + 3 : first + 7], *keys[first : first + 3]]
        sizes = reader.into_many(some, memory)
        assert [row[:size].tobytes() for size, row in zip(sizes, memory, strict=True)] == [FILES[key] for key in some]
    assert len(calls) == (0 if HERE else 490)


def test_what_fills_its_row_or_more_is_asked_for_by_itself(tmp_path: Path):
    place(tmp_path, {"full": bytes(WIDTH), "more": bytes(WIDTH + 1), "much": bytes(3 * WIDTH)})
    reader = rings.RingReader(LocalStore(tmp_path))
    assert reader.into_many(["full", "more", "much"], rows(3)) == [WIDTH, WIDTH + 1, WIDTH + 1]


@pytest.mark.parametrize("kind", ["folder", "file above"])
def test_what_is_no_file_is_an_error_that_names_it(tmp_path: Path, kind: str):
    place(tmp_path, {"fine": b"1"})
    key = "folder/x" if kind == "file above" else "folder"
    place(tmp_path, {"folder": b""} if kind == "file above" else {"folder/x": b""})
    with pytest.raises(StoreError, match=f"'{key}' of"):
        rings.RingReader(LocalStore(tmp_path)).into_many(["fine", key], rows(2))


def test_links_are_followed_as_far_as_the_store_allows(tmp_path: Path):
    root = tmp_path / "root"
    place(tmp_path, {"root/c/0": b"inside", "out": b"outside"})
    (root / "link").symlink_to("c/0")
    (root / "folder").symlink_to("c")
    assert read(root, ["c/0", "link", "folder/0"]) == [b"inside"] * 3
    (root / "leads out").symlink_to(tmp_path / "out")
    with pytest.raises(StoreError, match="a symbolic link leads out"):
        read(root, ["c/0", "leads out"])
    assert read(root, ["c/0", "leads out"], follow_symlinks="anywhere") == [b"inside", b"outside"]


def test_long_and_odd_names(tmp_path: Path):
    names = ["x" * 250 + "/" + "y" * 50, "z" * 255, "w" * 254, "ö" * 120, "a b", "-"]
    place(tmp_path, dict.fromkeys(names, b"here"))
    assert read(tmp_path, [*names, "v" * 255]) == [*[b"here"] * len(names), None]
    for bad in ("../out", "a//b", "a\0b", "/etc/passwd"):
        with pytest.raises(InvalidKey):
            rings.RingReader(LocalStore(tmp_path)).into_many([names[0], bad], rows(2))


def test_where_there_is_no_folder_all_is_missing(tmp_path: Path):
    assert read(tmp_path / "no", ["a", "b"]) == [None, None]


# What the kernel may do


@pytest.mark.parametrize("taken", [0, 1, 4, 100, 192])
def test_if_the_kernel_takes_some_and_then_fails_they_are_waited_for_and_read_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[str], taken: int
):
    """It writes into memory that is used again right after."""
    place(tmp_path, FILES)
    keys, called, broken = list(FILES)[:64], rings.called, list[object]()
    reader, memory = rings.RingReader(LocalStore(tmp_path)), rows(64)

    def failing(*arguments: Any) -> int:
        if arguments[0] != rings.ENTER or arguments[2] == 0:
            return called(*arguments)
        if not broken and taken:
            broken.append(arguments[1])
            return called(*arguments[:2], taken, 0, 0, None, 0)
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(rings, "called", failing)
    sizes = reader.into_many(keys, memory)
    assert sizes == [len(FILES[key]) for key in keys]
    assert [row[:size].tobytes() for size, row in zip(sizes, memory, strict=True)] == [FILES[key] for key in keys]
    assert len(calls) == (0 if HERE and taken == 192 else 64)
    monkeypatch.undo()
    assert reader.into_many(keys, memory) == sizes


def test_a_signal_interrupts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[str]):
    place(tmp_path, FILES)
    called, times = rings.called, iter([InterruptedError(), None, InterruptedError(), None])

    def interrupted(*arguments: Any) -> int:
        if arguments[0] != rings.ENTER:
            return called(*arguments)
        if (error := next(times, None)) is not None:
            raise error
        return called(*arguments[:2], min(6, arguments[2]), 1, *arguments[4:])

    monkeypatch.setattr(rings, "called", interrupted)
    reader, memory = rings.RingReader(LocalStore(tmp_path)), rows(len(FILES))
    assert reader.into_many(list(FILES), memory) == list(map(len, FILES.values()))
    assert [row[: number + 1].tobytes() for number, row in enumerate(memory)] == list(FILES.values())
    assert (next(times, "used up"), calls) == ("used up", []) or not HERE


@pytest.mark.parametrize("forbidden", [errno.ENOSYS, errno.EPERM])
def test_where_it_is_forbidden_files_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forbidden: int):
    def refused(*_: Any) -> int:
        raise OSError(forbidden, os.strerror(forbidden))

    place(tmp_path, FILES)
    monkeypatch.setattr(rings, "called", refused)
    rings.has_rings.cache_clear()
    try:
        assert type(rings.reader_of(LocalStore(tmp_path))) is FolderReader
    finally:
        monkeypatch.undo()
        rings.has_rings.cache_clear()
    assert isinstance(rings.reader_of(LocalStore(tmp_path)), FolderReader)


def test_a_forked_process_has_a_ring_of_its_own(tmp_path: Path, calls: list[str]):
    place(tmp_path, FILES)
    reader, memory, keys = rings.RingReader(LocalStore(tmp_path)), rows(len(FILES)), list(FILES)
    right = list(map(len, FILES.values()))
    assert reader.into_many(keys, memory) == right
    if not (child := os.fork()):
        found = rings.RingReader(LocalStore(tmp_path)).into_many(keys, memory) == right and (not calls or not HERE)
        os._exit(0 if found else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert reader.into_many(keys, memory) == right


def test_no_descriptor_is_left_open(tmp_path: Path):
    place(tmp_path, FILES)
    rings.RingReader(LocalStore(tmp_path)).into_many(list(FILES), rows(len(FILES)))
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        rings.RingReader(LocalStore(tmp_path)).into_many(list(FILES), rows(len(FILES)))
        if HERE:
            rings.Ring()
    assert os.listdir("/proc/self/fd") == before


# Arrays


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "has_rings", lambda: False)


def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch


ways = pytest.mark.parametrize("way", [as_it_is, one_by_one])
CODECS = [None, "zstd", "gzip", {"name": "blosc", "configuration": {"cname": "lz4", "shuffle": "shuffle", "typesize": 4}}]


@ways
@pytest.mark.parametrize("codec", CODECS, ids=["none", "zstd", "gzip", "blosc"])
@pytest.mark.parametrize("shape", [(40, 50), (200, 3), (3, 200), (700,)], ids=str)
async def test_arrays_of_many_small_chunks_read_as_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[Any], None], codec: Any, shape: tuple[int, ...]
):
    way(monkeypatch)
    chunks = tuple(max(1, length // 8) for length in shape)
    values = np.random.default_rng(1).integers(0, 99, shape, "i4")
    values.reshape(-1)[: values.size // 3] = 7
    array = await azarr.create_array(tmp_path, shape=shape, chunks=chunks, dtype="i4", compressors=codec, fill_value=7)
    await array[...].write(values)
    assert 0 < (await array.presence()).sum() < array.nchunks
    for key in (..., slice(3, -2), slice(None, None, 3), (..., slice(-60, -1))):
        assert np.array_equal(await array[key], values[key])
    out = np.zeros(shape[::-1], "i4").T
    await array[...].read(out)
    assert np.array_equal(out, values)


@ways
@pytest.mark.parametrize("codec", CODECS, ids=["none", "zstd", "gzip", "blosc"])
@pytest.mark.parametrize("damage", ["cut", "longer", "much longer", "empty"])
async def test_a_damaged_chunk_among_many_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[Any], None], codec: Any, damage: str
):
    way(monkeypatch)
    array = await azarr.create_array(tmp_path, shape=(32, 64), chunks=(8, 8), dtype="i4", compressors=codec)
    await array[...].write(np.arange(2048, dtype="i4").reshape(32, 64))
    chunk = tmp_path / "c/2/3"
    data = chunk.read_bytes()
    chunk.write_bytes({"cut": data[:-1], "longer": data + b"x", "much longer": data + bytes(100_000), "empty": b""}[damage])
    with pytest.raises(ChunkDecodeError, match="'c/2/3' of LocalStore"):
        await array[...]
    assert (await array[24:, :] == np.arange(1536, 2048).reshape(8, 64)).all()


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many chunks were decoded by each call that decodes several."""
    counts, decode_many = list[int](), Blosc.decode_many

    def counted(self: Blosc, memory: Bytes, starts: list[int], sizes: list[int], out: Bytes, scratch: Any) -> bool:
        found = decode_many(self, memory, starts, sizes, out, scratch)
        counts.append(len(sizes) if found else 0)
        return found

    monkeypatch.setattr(Blosc, "decode_many", counted)
    return counts


@pytest.mark.parametrize("kind", ["folder", "zip", "memory"])
async def test_chunks_that_are_larger_encoded_than_decoded_do_not_disturb_the_others(tmp_path: Path, kind: str):
    values = np.zeros((8, 40_000), "u1")
    values[::3] = np.random.default_rng(3).integers(0, 255, (3, 40_000), "u1")  # a third larger in base64, the others far smaller
    values[1::3] = np.arange(40_000) % 7
    objects: dict[str, bytes] = {}
    options: dict[str, Any] = {"filters": [{"id": "zlib", "level": 1}], "compressors": {"id": "base64"}, "zarr_format": 2}
    array = await azarr.create_array(objects, shape=(8, 40_000), chunks=(1, 40_000), dtype="u1", fill_value=9, **options)
    await array[...].write(values)
    assert max(map(len, objects.values())) > 50_000
    store: Any = objects
    if kind == "folder":
        place(store := tmp_path, objects)
    elif kind == "zip":
        with zipfile.ZipFile(store := tmp_path / "a.zip", "w") as archive:
            for key, data in objects.items():
                archive.writestr(key, data)
    assert np.array_equal(await (await azarr.open_array(store))[...], values)


BLOSC = {"name": "blosc", "configuration": {"cname": "zstd", "shuffle": "shuffle", "typesize": 4}}


@pytest.mark.parametrize("order", ["C", "F"])
async def test_inner_chunks_of_a_shard_are_decoded_together_and_read_as_they_were_written(tmp_path: Path, together: list[int], order: str):
    values = np.random.default_rng(2).integers(0, 9, (48, 70), "i4")
    values[8:16, 20:40] = 0
    array = await azarr.create_array(tmp_path, shape=(48, 70), chunks=(4, 10), shards=(16, 40), dtype="i4", compressors=BLOSC, order=order)
    await array[...].write(values)
    assert not (await array.presence()).all()
    for key in (..., slice(3, -2), slice(None, None, -3), (slice(0, 4), slice(5, 65)), 17, (slice(None), [3, 60, 4])):
        assert np.array_equal(await array.oindex[key], values[key])
    fortran = np.zeros((70, 48), "i4").T
    assert np.array_equal(await array[...].read(fortran), values)
    assert native.library() is None or order == "F" or max(together) >= 8  # what is transposed is decoded one by one


async def test_a_damaged_inner_chunk_among_many_is_an_error_that_names_its_shard(tmp_path: Path, together: list[int]):
    values = np.arange(16 * 40, dtype="i4").reshape(16, 40)
    array = await azarr.create_array(tmp_path, shape=(16, 40), chunks=(4, 10), shards=(16, 40), dtype="i4", compressors=BLOSC)
    await array[...].write(values)
    shard = tmp_path / "c/0/0"
    data = bytearray(shard.read_bytes())
    second = data.index(data[:12], 12)  # headers are alike
    data[second + 16 : second + 20] = bytes(4)  # where its only block begins
    shard.write_bytes(data)
    with pytest.raises(ChunkDecodeError, match="'c/0/0' of LocalStore"):
        await array[...]
    assert (await array[8:, :] == values[8:]).all()
    assert native.library() is None or 0 in together
