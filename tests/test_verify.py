"""Verifying: everything that is damaged is found and named, nothing that is well is, and nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.errors import (
    ChecksumError,
    ChunkDecodeError,
    MetadataError,
    NodeNotFound,
    ShardIndexError,
    StoreError,
    TransportError,
    UnknownCodec,
)
from azarr.stores import MemoryStore
from documents import waiting

VALUES = np.arange(1, 101, dtype="u2").reshape(10, 10)
FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


async def tree(zarr_format: int = 3, source: Any = None) -> dict[str, bytes]:
    """A group with a plain array, one with checksums, one in shards where the format has them, and an empty one."""
    store: Any = {} if source is None else source
    options: dict[str, Any] = {"chunks": (4, 4), "zarr_format": zarr_format}
    await azarr.create_group(store, attributes={"title": "all"}, zarr_format=zarr_format)
    await azarr.save(store, "a/plain", VALUES, compressors=None, **options)
    checked = {"zstd": {"id": "zstd"}, "crc32c": {"id": "crc32"}} if zarr_format == 2 else {"zstd": "zstd", "crc32c": "crc32c"}
    await azarr.save(store, "a/checked", VALUES, **options, **({"filters": checked["crc32c"]} if zarr_format == 2 else {"compressors": [*checked.values()]}))
    if zarr_format == 3:
        await azarr.save(store, "sharded", VALUES, chunks=(2, 2), shards=(4, 4), compressors=["zstd", "crc32c"])
    await azarr.create_array(store, "empty", shape=(10,), dtype="u1", zarr_format=zarr_format)
    return store


@FORMATS
async def test_what_is_well_is_found_well(zarr_format: int, tmp_path: Path):
    store = await tree(zarr_format)
    await tree(zarr_format, tmp_path)
    for source in (store, tmp_path, MemoryStore(store)):
        before = dict(store)
        report = await azarr.verify(source)
        assert report.ok, str(report)
        objects, chunks = (27, 18 + 25) if zarr_format == 3 else (18, 18)
        assert (report.nodes, report.objects, report.chunks) == (6 if zarr_format == 3 else 5, objects, chunks)
        assert report.nbytes == sum(len(data) for key, data in store.items() if not key.endswith(("zarr.json", ".zarray", ".zgroup", ".zattrs")))
        assert not report.damaged
        assert not report.unknown
        assert store == before
    one = await azarr.verify(store, "a/plain")
    assert (one.nodes, one.objects) == (1, 9)


@FORMATS
async def test_each_chunk_that_is_cut_short_or_too_long_is_found(zarr_format: int):
    store = await tree(zarr_format)
    keys = [key for key in store if not key.rpartition("/")[2].startswith((".z", "zarr"))]
    for key in keys:
        for damage in (store[key][:-1], store[key] + b"?", b""):
            report = await azarr.verify({**store, key: damage})
            assert list(report.damaged) == [key]
            assert isinstance(report.damaged[key], StoreError)
            assert not report.ok
            assert f"damaged: {key}: " in str(report)


async def test_each_flipped_bit_of_what_has_a_checksum_is_found():
    store = await tree()
    for key in ("a/checked/c/0/0", "sharded/c/1/1"):
        for position in range(8 * len(store[key])):
            flipped = bytearray(store[key])
            flipped[position // 8] ^= 1 << position % 8
            report = await azarr.verify({**store, key: bytes(flipped)})
            assert list(report.damaged) == [key]
            assert isinstance(report.damaged[key], ChecksumError | ShardIndexError | ChunkDecodeError)


async def test_a_damaged_inner_chunk_is_named():
    store = await tree()
    flipped = bytearray(store["sharded/c/0/0"])
    flipped[0] ^= 1
    report = await azarr.verify({**store, "sharded/c/0/0": bytes(flipped)})
    assert "its inner chunk (0, 0): " in str(report.damaged["sharded/c/0/0"])


@FORMATS
async def test_a_damaged_document_is_found_and_the_rest_is_checked(zarr_format: int):
    store = await tree(zarr_format)
    name = "zarr.json" if zarr_format == 3 else ".zarray"
    bad = {**store, f"a/plain/{name}": b"{", f"a/checked/{'c/' if zarr_format == 3 else ''}0{'/' if zarr_format == 3 else '.'}0": b""}
    report = await azarr.verify(bad)
    assert len(report.damaged) == 2
    assert isinstance(report.damaged[f"a/plain/{name}"], MetadataError)
    assert {key.rpartition("/")[0].split("/")[1] for key in report.unknown} == {"plain"}  # nobody knows what its chunks are


async def test_an_array_that_nobody_can_decode_is_found():
    store = await tree()
    document = json.loads(store["a/plain/zarr.json"])
    document["codecs"].append({"name": "rot13"})
    report = await azarr.verify({**store, "a/plain/zarr.json": json.dumps(document).encode()})
    assert isinstance(report.damaged["a/plain/zarr.json"], UnknownCodec)


@FORMATS
async def test_keys_that_no_node_has_are_told_but_are_no_damage(zarr_format: int):
    store = await tree(zarr_format)
    others = ["notes.txt", "a/plain/c/9/9", "a/plain/c/00/0", "a/plain/.azarr-copy", "b/c/0", "a/plain/3.0", "a/plain/02.0"]
    report = await azarr.verify({**store, **dict.fromkeys(others, b"?")})
    assert report.ok
    assert sorted(report.unknown) == sorted(others)
    assert "unknown: notes.txt" in str(report)


@FORMATS
async def test_stale_consolidated_metadata_are_damage(zarr_format: int):
    store = await tree(zarr_format)
    await azarr.consolidate(store)
    assert (await azarr.verify(store)).ok
    document = "zarr.json" if zarr_format == 3 else ".zmetadata"
    changed = {**store}
    await azarr.create_array(changed, "a/plain", shape=(11,), dtype="u1", overwrite=True, zarr_format=zarr_format)
    gone = {key: data for key, data in store.items() if not key.startswith("a/plain/")}
    more = {**store}
    await azarr.save(more, "new", [1], zarr_format=zarr_format)
    for stale, path in ((changed, "a/plain"), (gone, "a/plain"), (more, "new")):
        stale |= {document: store[document]}
        report = await azarr.verify(stale)
        assert list(report.damaged) == [document]
        assert path in str(report.damaged[document])


@FORMATS
async def test_a_store_that_cannot_list_is_verified_by_its_consolidated_metadata(zarr_format: int):
    store = await tree(zarr_format)
    with pytest.raises(StoreError, match="cannot list, and the group has no consolidated metadata"):
        await azarr.verify(waiting(store))
    array = await azarr.verify(waiting(store), "a/plain")
    assert (array.ok, array.objects, array.listed) == (True, 9, False)
    await azarr.consolidate(store)
    expected = await azarr.verify(store)
    report = await azarr.verify(waiting(store))
    assert report.ok, str(report)
    assert (report.nodes, report.objects, report.nbytes) == (expected.nodes, expected.objects, expected.nbytes)
    assert "unknown keys not looked for, as the store cannot list" in str(report)
    key = next(key for key in store if key.startswith("a/checked") and key.endswith(("0/0", "0.0")))
    assert list((await azarr.verify(waiting({**store, key: b"?"}))).damaged) == [key]


async def test_overlapping_inner_chunks_are_told_but_are_no_damage():
    store: dict[str, bytes] = {}
    index = np.array([[0, 2], [1, 2]], "<u8")
    await azarr.create_array(store, shape=(4,), chunks=(2,), shards=(4,), dtype="u1", compressors=None)
    document = json.loads(store["zarr.json"])
    document["codecs"][0]["configuration"]["index_codecs"] = [{"name": "bytes", "configuration": {"endian": "little"}}]
    store |= {"zarr.json": json.dumps(document).encode(), "c/0": b"abc" + index.tobytes()}
    report = await azarr.verify(store)
    assert (report.ok, report.overlapping) == (True, ("c/0",))
    assert "overlapping: c/0" in str(report)


async def test_a_store_that_cannot_be_reached_is_an_error_not_damage():
    store = await tree()

    class Broken(MemoryStore):
        def part(self, key: str, byte_range: Any, scratch: Any) -> Any:
            if key == "a/checked/c/0/0":
                raise TransportError("no answer", store="far away", key=key)
            return super().part(key, byte_range, scratch)

    with pytest.raises(TransportError, match="no answer"):
        await azarr.verify(Broken(store))


async def test_an_object_that_cannot_be_read_is_damage(tmp_path: Path):
    await tree(source=tmp_path)
    (tmp_path / "a/plain/c/0/0").unlink()
    (tmp_path / "a/plain/c/0/0").mkdir()
    (tmp_path / "a/plain/c/0/0/file").touch()
    assert (await azarr.verify(tmp_path)).unknown == ("a/plain/c/0/0/file",)
    (tmp_path / "a/checked/c/0/1").unlink()
    (tmp_path / "a/checked/c/0/1").symlink_to(tmp_path / "a/checked/c/0/1")
    assert list((await azarr.verify(tmp_path)).damaged) == ["a/checked/c/0/1"]


async def test_nothing_there_is_an_error():
    for source in ({}, waiting({})):
        with pytest.raises(NodeNotFound):
            await azarr.verify(source, "x")


async def test_progress_counts_every_object():
    for make in (dict, waiting):
        store = await tree()
        await azarr.consolidate(store)
        told: list[tuple[int, int]] = []
        report = await azarr.verify(make(store), progress=lambda *both, told=told: told.append(both))
        total = report.objects if make is dict else 9 + 9 + 9 + 1
        assert told == [(done, total) for done in range(1, total + 1)]
