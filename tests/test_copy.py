"""Copying: the copy holds the same elements however it is stored, is seen once it is whole, and goes on where it was ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import azarr
from azarr.errors import MetadataError, NodeExists, NotAGroup, PartialWrite, ReadOnly, StoreError
from azarr.grid import Grid
from azarr.stores import LocalStore, MemoryStore
from azarr.tools import copying
from azarr.tools.copying import NOTE, region_shape
from conftest import only_this_task
from documents import waiting
from drawing import examples
from fakes import Conditional

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])
VALUES = np.arange(1, 601, dtype="u2").reshape(20, 30)


async def tree(zarr_format: int = 3, source: Any = None) -> Any:
    """A consolidated group with arrays of many kinds below it."""
    store: Any = {} if source is None else source
    options: dict[str, Any] = {"zarr_format": zarr_format}
    await azarr.create_group(store, attributes={"title": "all"}, **options)
    await azarr.save(store, "plain", VALUES, chunks=(7, 8), attributes={"units": "K"}, dimension_names=["y", "x"], **options)
    await azarr.save(store, "a/blosc", VALUES.astype("f8"), chunks=(10, 30), compressors="blosc", fill_value=np.nan, **options)
    await azarr.save(store, "a/words", np.array(["", "b", "cc", "ddd"]), dtype=str, chunks=(3,), compressors="gzip", **options)
    await azarr.save(store, "a/times", np.array(["2000-01-01", "NaT"], "M8[s]"), chunks=(1,), **options)
    await azarr.save(store, "b/scalar", np.float32(3), **options)
    await azarr.create_array(store, "b/nothing", shape=(0, 3), chunks=(1, 3), dtype="i1", **options)
    sparse = await azarr.create_array(store, "b/sparse", shape=(100,), chunks=(10,), dtype=">i4", fill_value=-1, order="F", **options)
    await sparse[30:35].write(range(5))
    if zarr_format == 3:
        await azarr.save(store, "b/sharded", VALUES, chunks=(2, 5), shards=(10, 10), **options)
    await azarr.consolidate(store)
    return store


async def same_elements(one: Any, other: Any, path: str = "") -> None:
    """Both have the same nodes, attributes and elements."""
    mine, theirs = [dict([item async for item in (await azarr.open_group(store, path)).walk()]) for store in (one, other)]
    assert mine.keys() == theirs.keys()
    for name, node in mine.items():
        copied = theirs[name]
        assert dict(node.attrs) == dict(copied.attrs)
        if isinstance(node, azarr.Array):
            assert (node.shape, node.dtype, node.dimension_names) == (copied.shape, copied.dtype, copied.dimension_names)
            np.testing.assert_array_equal(await node[...], await copied[...])
            np.testing.assert_array_equal(node.fill_value, copied.fill_value)


# As it is


@FORMATS
async def test_a_tree_is_copied_byte_for_byte(zarr_format: int, tmp_path: Path):
    store = await tree(zarr_format)
    held: dict[str, bytes] = {}
    for source, target in ((store, held), (MemoryStore(held), tmp_path), (tmp_path, other := Conditional()), (other, again := {}), (waiting(again), last := {})):
        copied = await azarr.copy(source, target)
        assert isinstance(copied, azarr.Group)
        assert await copied.keys() == ["a", "b", "plain"]
    for copy in (held, other.mapping, again, last):
        assert copy == store
    assert {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == store


async def test_one_array_is_copied_to_another_path_with_the_groups_above_it():
    store = await tree()
    target: dict[str, bytes] = {}
    copied = await azarr.copy(azarr.open(store)["a/blosc"], target, "x/y")
    assert copied.path == "x/y"
    assert {key.removeprefix("x/y/"): data for key, data in target.items() if key.startswith("x/y/")} == {
        key.removeprefix("a/blosc/"): data for key, data in store.items() if key.startswith("a/blosc/")
    }
    assert isinstance(await azarr.open(target, "x"), azarr.Group)


async def test_a_node_is_copied_beside_itself():
    store = await tree()
    await azarr.copy(await azarr.open(store, "a"), store, "c")
    np.testing.assert_array_equal(await azarr.load(store, "c/blosc"), await azarr.load(store, "a/blosc"))


async def test_what_a_document_says_beside_is_kept():
    store: dict[str, bytes] = {}
    await azarr.save(store, "", VALUES, chunks=(7, 8))
    document = {**json.loads(store["zarr.json"]), "note": {"must_understand": False, "by": "somebody"}}
    store["zarr.json"] = json.dumps(document).encode()
    for options in ({}, {"chunks": (5, 5)}):
        copied = await azarr.copy(store, target := {}, **options)
        assert json.loads(target["zarr.json"])["note"] == document["note"]
        np.testing.assert_array_equal(await copied[...], VALUES)


async def test_renaming_the_chunks_copies_them_as_they_are():
    store: dict[str, bytes] = {}
    await azarr.save(store, "", VALUES, chunks=(7, 8))
    copied = await azarr.copy(store, target := {}, chunk_key_encoding={"name": "v2", "configuration": {"separator": "."}})
    assert {key.replace(".", "/"): data for key, data in target.items() if key != "zarr.json"} == {
        key.removeprefix("c/"): data for key, data in store.items() if key != "zarr.json"
    }
    np.testing.assert_array_equal(await copied[...], VALUES)


# Otherwise


OPTIONS = [
    {"chunks": "auto"},
    {"compressors": None},
    {"compressors": ["blosc", "crc32c"]},
    {"compressors": {"name": "zstd", "configuration": {"level": 9}}},
    {"chunks": "auto", "shards": None, "compressors": "gzip"},
    {"serializer": "auto", "filters": None},
]


@FORMATS
@pytest.mark.parametrize("options", OPTIONS, ids=str)
async def test_a_tree_is_copied_with_other_codecs(options: dict[str, Any], zarr_format: int):
    store = await tree(zarr_format)
    target: dict[str, bytes] = {}
    chosen = {key: value if zarr_format == 3 or not isinstance(value, list) else "blosc" for key, value in options.items()}
    chosen = {key: value for key, value in chosen.items() if key != "filters" or zarr_format == 3}
    copied = await azarr.copy(store, target, **chosen)
    await same_elements(store, target)
    assert copied.zarr_format == zarr_format
    assert (await azarr.verify(target)).ok
    assert (await azarr.open(target, "")).metadata.consolidated is not None
    if "chunks" not in options:
        assert [key.rpartition("/")[2] for key in target if key.startswith("b/sparse/") and key[-1].isdigit()] == ["3"]  # still sparse


@pytest.mark.parametrize("chunks", ["auto", ...])
async def test_a_tree_of_v2_becomes_one_of_v3_and_the_way_back(chunks: Any):
    store = await tree(2)
    third: dict[str, bytes] = {}
    copied = await azarr.copy(store, third, zarr_format=3, chunks=chunks)
    assert (copied.zarr_format, {key.rpartition("/")[2] for key in third} & {".zarray", ".zgroup", ".zattrs", ".zmetadata"}) == (3, set())
    await same_elements_apart_from_dimensions(store, third)
    plain = await azarr.open_array(third, "plain")
    assert (plain.dimension_names, dict(plain.attrs)) == (("y", "x"), {"units": "K"})
    assert [codec.name for codec in (await azarr.open_array(third, "a/blosc")).codecs] == ["bytes", "blosc"]
    second: dict[str, bytes] = {}
    await azarr.copy(third, second, zarr_format=2, chunks=chunks)
    await same_elements(store, second)
    assert (await azarr.verify(third)).ok
    assert (await azarr.verify(second)).ok


async def same_elements_apart_from_dimensions(second: Any, third: Any) -> None:
    async for path, node in (await azarr.open_group(second)).walk():
        if isinstance(node, azarr.Array):
            np.testing.assert_array_equal(await azarr.load(third, path), await node[...])


async def test_chunks_that_both_formats_write_alike_are_copied_as_they_are():
    store = await tree(2)
    third: dict[str, bytes] = {}
    await azarr.copy(store, third, zarr_format=3)
    for path, (key, coords) in {"plain": ("1.2", "c/1/2"), "a/blosc": ("0.0", "c/0/0"), "b/sparse": ("3", "c/3")}.items():
        assert third[f"{path}/{coords}"] == store[f"{path}/{key}"]


@FORMATS
async def test_codecs_that_the_other_format_has_not_become_zstd(zarr_format: int):
    store: dict[str, bytes] = {}
    odd = {"filters": {"id": "delta", "dtype": "<u2"}, "compressors": {"id": "zlib"}} if zarr_format == 2 else {"compressors": ["zstd", "gzip"]}
    await azarr.save(store, "", VALUES, chunks=(7, 8), zarr_format=zarr_format, **odd)
    copied = await azarr.copy(store, {}, zarr_format=5 - zarr_format)
    assert [codec.name.removeprefix("numcodecs.") for codec in copied.codecs] == ["bytes", "zstd"]
    np.testing.assert_array_equal(await copied[...], VALUES)


@pytest.mark.parametrize("shuffle", [-1, 0, 1, 2])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">i8"])
async def test_blosc_of_v2_keeps_its_settings(shuffle: int, dtype: str):
    store: dict[str, bytes] = {}
    blosc = {"id": "blosc", "cname": "zstd", "clevel": 4, "shuffle": shuffle, "blocksize": 0}
    await azarr.save(store, "", VALUES.astype(dtype), dtype=dtype, chunks=(7, 8), zarr_format=2, compressors=blosc)
    copied = await azarr.copy(store, target := {}, zarr_format=3)
    bits = "bitshuffle" if dtype == "u1" else "shuffle"
    expected = {"cname": "zstd", "clevel": 4, "shuffle": {-1: bits, 0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}[shuffle], "blocksize": 0}
    configuration = dict(copied.codecs[-1].configuration)
    assert configuration == {**expected, "typesize": np.dtype(dtype).itemsize}
    assert target["c/0/0"] == store["0.0"]
    np.testing.assert_array_equal(await copied[...], VALUES.astype(dtype))


async def test_an_irregular_grid_is_kept_where_only_codecs_change():
    store: dict[str, bytes] = {}
    await azarr.create_array(store, shape=(10, 6), chunks=(5, 3), dtype="u2")
    document = json.loads(store["zarr.json"])
    document["chunk_grid"] = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[1, 2, [3, 3]], 4]}}
    store["zarr.json"] = json.dumps(document).encode()
    array = await azarr.open_array(store, mode="r+")
    await array[...].write(VALUES[:10, :6])
    for options, chunks in (({"compressors": "gzip"}, None), ({"chunks": (4, 4)}, (4, 4)), ({}, None)):
        copied = await azarr.copy(array, {}, **options, memory=64)
        assert copied.chunks == chunks
        np.testing.assert_array_equal(await copied[...], VALUES[:10, :6])


lengths = st.integers(1, 5)


@st.composite
def layouts(draw: st.DrawFn, shape: tuple[int, ...]) -> dict[str, Any]:
    chunks = [draw(st.integers(1, max(1, length + 1))) for length in shape]
    shards = [size * draw(st.integers(1, 3)) for size in chunks] if draw(st.booleans()) else None
    compressors = draw(st.sampled_from([None, "zstd", "gzip", ["zstd", "crc32c"]]))
    order = draw(st.sampled_from("CF"))
    return {"chunks": chunks, "shards": shards, "compressors": compressors, "order": order}


@examples(200)
@given(data=st.data(), shape=st.lists(st.integers(0, 9), max_size=3).map(tuple), memory=st.integers(1, 300))
def test_the_copy_has_the_same_elements_whatever_the_layouts(data: st.DataObject, shape: tuple[int, ...], memory: int):
    async def run() -> None:
        one, other = data.draw(layouts(shape)), data.draw(layouts(shape))
        other.pop("order")
        values = np.arange(np.prod(shape, dtype=int), dtype="u2").reshape(shape) % data.draw(st.integers(1, 40))
        source: Any = {}
        await azarr.save(source, "", values, **one)
        target: Any = data.draw(st.sampled_from([dict, Conditional]))()
        copied = await azarr.copy(data.draw(st.sampled_from([dict, waiting]))(source), target, **other, memory=memory)
        assert (copied.chunks, copied.shards) == (tuple(other["chunks"]), None if other["shards"] is None else tuple(other["shards"]))
        np.testing.assert_array_equal(await copied[...], values)
        assert (await azarr.verify(target)).ok
        assert not (await azarr.verify(target)).unknown

    asyncio.run(run())


async def test_structs_of_v2_are_copied_to_v3():
    values = np.array([(1, b"ab"), (2, b"c")], [("number", ">i4"), ("name", "S2")])
    copied = await azarr.copy(await azarr.save({}, "", values, zarr_format=2), {}, zarr_format=3)
    assert isinstance(copied, azarr.Array)
    assert [field["name"] for field in copied.metadata.document["data_type"]["configuration"]["fields"]] == ["number", "name"]
    assert (await copied[...]).tolist() == values.tolist()


async def test_shards_in_shards_are_unwrapped_where_chunks_are_changed():
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    inner = {"name": "sharding_indexed", "configuration": {"chunk_shape": [2], "codecs": [little, "zstd"], "index_codecs": [little]}}
    array = await azarr.save({}, "", np.arange(16), chunks=4, shards=8, serializer=inner, compressors=None)
    for options, chunks, shards in (({"chunks": 8, "shards": None}, (8,), None), ({"compressors": "gzip"}, (4,), (8,)), ({}, (4,), (8,))):
        copied = await azarr.copy(array, {}, **options)
        assert isinstance(copied, azarr.Array)
        assert (copied.chunks, copied.shards, next(codec.name for codec in copied.codecs)) == (chunks, shards, "sharding_indexed" if shards else "bytes")
        assert (await copied[...]).tolist() == list(range(16))


# How it is cut


@pytest.mark.parametrize(
    ("shape", "new", "old", "most", "expected"),
    [
        ((16, 4096, 4096), (1, 512, 1024), (1, 512, 1024), 1 << 30, (16, 512, 1024)),  # enough elements, not all
        ((16, 4096, 4096), (16, 128, 128), (1, 512, 1024), 1 << 30, (16, 512, 1024)),  # old chunks are decoded once
        ((100, 100), (7, 7), (3, 3), 1 << 30, (100, 100)),
        ((512, 512), (512, 16), (1, 512), 512 * 64, (512, 64)),  # what fits
        ((512, 512), (512, 16), (1, 512), 1, (512, 16)),  # one chunk at least
        ((0, 5), (1, 5), (1, 5), 100, (1, 5)),
        ((), (), (), 100, ()),
    ],
)
def test_regions_are_aligned_so_that_old_chunks_are_decoded_seldom(shape: Any, new: Any, old: Any, most: int, expected: Any):
    assert tuple(region_shape(Grid.regular(shape, new), Grid.regular(shape, old), most, min(most, 1 << 23))) == expected


@given(data=st.data(), shape=st.lists(st.integers(1, 100), min_size=1, max_size=3).map(tuple))
def test_regions_are_of_whole_chunks_and_not_above_the_bound(data: st.DataObject, shape: tuple[int, ...]):
    new, old = (tuple(data.draw(st.integers(1, 30)) for _ in shape) for _ in range(2))
    most = data.draw(st.integers(1, 10_000))
    found = region_shape(Grid.regular(shape, new), Grid.regular(shape, old), most, data.draw(st.integers(1, most)))
    for size, chunk, length in zip(found, new, shape, strict=True):
        assert size % chunk == 0 or size == length
    least = [min(chunk, length) for chunk, length in zip(new, shape, strict=True)]
    assert found == least or np.prod(found) <= most


async def test_progress_ends_at_the_total():
    store = await tree()
    total = sum([node.nbytes async for _, node in (await azarr.open_group(store)).walk() if isinstance(node, azarr.Array)])
    for options in ({}, {"chunks": "auto", "shards": None}):
        told: list[tuple[int, int]] = []
        await azarr.copy(store, {}, progress=lambda *both, told=told: told.append(both), **options)
        assert told == sorted(told)
        assert told[-1] == (total, total)


# What is refused


@pytest.mark.parametrize(("source", "target"), [("", ""), ("a", "a"), ("a", ""), ("a/blosc", "a"), ("a", "a/blosc"), ("", "b/nothing")])
async def test_what_is_to_be_copied_is_not_overwritten_by_its_copy_whatever_it_is_called(source: str, target: str):
    held = await tree()
    before = dict(held)
    with pytest.raises(ValueError, match="has, or is part of, what is to be copied: copy elsewhere"):
        await azarr.copy(azarr.open(Conditional(held), source), Conditional(held), target, overwrite=True)
    assert held == before
    held["other/zarr.json"] = held["a/zarr.json"]
    await azarr.copy(azarr.open(Conditional(held), "a"), Conditional(held), "other", overwrite=True)
    assert held["other/blosc/zarr.json"] == held["a/blosc/zarr.json"]


async def test_nothing_is_deleted_unless_it_is_asked_for():
    store = await tree()
    target = {**await tree(2)}
    for there in (target, {"stray": b"?"}, {"c/0/0": b"?"}):
        before = dict(there)
        with pytest.raises(NodeExists, match=r"something stands at / of .*; overwrite=True replaces it"):
            await azarr.copy(store, there)
        assert there == before
        await azarr.copy(store, there, overwrite=True)
        assert there == store


@pytest.mark.parametrize(("one", "other"), [("", ""), ("", "new"), ("a", ""), ("a", "a"), ("a/x", "a"), ("a", "a/x/new")])
async def test_a_node_is_never_copied_onto_into_or_around_itself(one: str, other: str, tmp_path: Path):
    for store in ({}, tmp_path):
        await azarr.save(store, "a/x", [1])
        with pytest.raises(ValueError, match="is, has, or is part of what is to be copied"):
            await azarr.copy(await azarr.open(store, one), store, other, overwrite=True)
        assert (await azarr.load(store, "a/x")).tolist() == [1]
    with pytest.raises(ValueError, match="is, has, or is part of"):
        await azarr.copy(tmp_path / "a", LocalStore(tmp_path), overwrite=True)


async def test_what_cannot_be_is_an_error_before_anything_is_written():
    store, target = await tree(), {}
    for options, error in (
        ({"chunks": (1, 2, 3)}, MetadataError),
        ({"chunks": (3, 3), "shards": (10, 10)}, MetadataError),
        ({"compressors": "rot13"}, MetadataError),
        ({"zarr_format": 4}, MetadataError),
        ({"zarr_format": 2, "shards": (10, 10), "chunks": (5, 5)}, MetadataError),
    ):
        with pytest.raises(error):
            await azarr.copy(azarr.open(store)["plain"], target, **options)
        assert not target
    with pytest.raises(ReadOnly):
        await azarr.copy(store, waiting({}))
    await azarr.save(target, "x", [1])
    before = dict(target)
    with pytest.raises(NotAGroup, match="an array stands at x"):
        await azarr.copy(store, target, "x/y")
    with pytest.raises(NodeExists, match=r"the group at / .* is Zarr v3"):
        await azarr.copy(store, target, "y", zarr_format=2)
    assert target == before


# Ended before its end


class Breaking(MemoryStore):
    """Fails at the object that is put after `free` others."""

    def __init__(self, mapping: Any, free: int) -> None:
        super().__init__(mapping)
        self.free, self.puts = free, list[str]()

    def put(self, key: str, data: Any, version: str | None = "*") -> bool:
        if data is not None and len(self.puts) >= self.free:
            raise StoreError("the disk is full", store="a disk", key=key)
        self.puts.append(key)
        return super().put(key, data, version)


@pytest.mark.parametrize("options", [{}, {"chunks": "auto", "shards": None, "compressors": "gzip"}], ids=str)
async def test_a_copy_that_was_ended_anywhere_goes_on_where_it_was(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copying, "REGION", 64)
    store = await tree()
    whole: dict[str, bytes] = {}
    await azarr.copy(store, whole, **options)
    free = 0
    while True:
        target: dict[str, bytes] = {}
        broken = Breaking(target, free)
        try:
            await azarr.copy(store, broken, **options)
            break
        except (StoreError, PartialWrite):
            assert "zarr.json" not in target or NOTE in target
            with contextlib.suppress(azarr.errors.NodeNotFound):
                await same_elements(target, store)  # if the root is seen, all is there
        done, second = set(target), Breaking(target, 1 << 30)
        await azarr.copy(store, second, **options)
        assert target == whole
        if not options:  # else whole regions are written again
            assert not {key for key in second.puts if "/c/" in key} & done
        free += 1
    assert free > len([key for key in whole if "/c/" in key])


async def test_a_copy_of_something_else_is_not_gone_on_with():
    store = await tree()
    target: dict[str, bytes] = {}
    with pytest.raises(StoreError):
        await azarr.copy(store, Breaking(target, 5))
    before = dict(target)
    other = await tree()
    await azarr.save(other, "more", [1])
    for source, options in ((store, {"compressors": None}), (other, {})):
        with pytest.raises(NodeExists, match="an unfinished copy of something else stands at /"):
            await azarr.copy(source, target, **options)
        assert target == before
    await azarr.copy(other, target, overwrite=True)
    assert target == other


KILLED = """
import asyncio, sys, azarr
asyncio.run(azarr.copy(sys.argv[1], sys.argv[2], chunks=(64, 16), compressors="blosc", memory="1 MiB", progress=lambda done, total: print(done, flush=True)))
"""


async def test_a_killed_copy_run_again_finishes_and_verifies(tmp_path: Path):
    values = np.random.default_rng(1).integers(0, 1000, (1024, 1024), "u2")
    source, target = tmp_path / "source", tmp_path / "target"
    await azarr.save(source, "", values, chunks=(16, 64))
    for _ in range(5):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, source, target, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        assert all([await process.stdout.readline() for _ in range(2)])
        process.kill()
        await process.wait()
        with pytest.raises(azarr.errors.NodeNotFound):
            await azarr.open(target)
    again: list[int] = []
    copied = await azarr.copy(source, target, chunks=(64, 16), compressors="blosc", memory="1 MiB", progress=lambda done, _: again.append(done))
    assert again[0] > 0
    np.testing.assert_array_equal(await copied[...], values)
    report = await azarr.verify(target)
    assert report.ok
    assert not report.unknown
    assert report.objects == 16 * 64
    assert not (target / ".azarr-staged").exists()


MAKE = """
import asyncio, sys, azarr, numpy

async def main():
    array = await azarr.create_array(sys.argv[1], shape=(64, 4096, 4096), dtype="u2", chunks=(1, 512, 1024), compressors="blosc")
    values = (numpy.arange(1 << 24) >> 8).astype("u2").reshape(4096, 4096)
    for number in range(64):
        await array[number].write(values + number)

asyncio.run(main())
"""
PEAK = """
import asyncio, re, sys, azarr
asyncio.run(azarr.copy(sys.argv[1], sys.argv[2], chunks=eval(sys.argv[3])))
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""
"""Its own peak: what `getrusage` says counts the process that started it, too."""


@pytest.mark.parametrize("chunks", [(64, 128, 128), (64, 512, 512)], ids=str)  # of 2 and of 32 MiB
async def test_a_copy_of_2_gib_with_new_chunks_takes_less_than_300_mib(chunks: tuple[int, ...], tmp_path: Path):
    async def run(code: str, *arguments: str) -> bytes:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *arguments, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
        assert process.returncode == 0
        return told

    source, target = str(tmp_path / "source"), str(tmp_path / "target")
    await run(MAKE, source)
    kibibytes = int(await run(PEAK, source, target, str(chunks)))
    assert kibibytes < 300 << 10  # all that the process has, Python and NumPy included
    copied = await azarr.open_array(target)
    assert copied.chunks == chunks
    for where in ((0, 0, 0), (63, 4095, 4095), (17, 1234, 567)):
        assert await copied[where] == (where[0] + (where[1] * 4096 + where[2] >> 8)) % (1 << 16)


async def test_cancelled_a_copy_leaves_nothing_running(tmp_path: Path):
    store = await tree()
    for turns in range(0, 120, 7):
        target = tmp_path / str(turns)
        task = asyncio.ensure_future(azarr.copy(store, target, chunks="auto", shards=None))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert only_this_task()
        await azarr.copy(store, target, chunks="auto", shards=None, overwrite=task.done() and not task.cancelled())
        await same_elements(store, target)
