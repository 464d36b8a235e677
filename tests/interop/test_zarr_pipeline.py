"""azarr as zarr-python's codec pipeline gives what zarr-python's own gives: selections, writes, layouts, and what is left to zarr-python."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
import zarr.storage

from azarr.errors import ChecksumError
from azarr.integrations import zarr as integration
from azarr.integrations.zarr_stores import AzarrStore
from azarr.stores import MemoryStore

pytestmark = pytest.mark.interop

PIPELINE = {"codec_pipeline.path": "azarr.integrations.zarr.CodecPipeline"}
DTYPES = ("int16", ">f8", "bool", "complex64", "M8[s]")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """For each read and write that came to the pipeline, whether azarr did it."""
    told: list[bool] = []
    part = integration.CodecPipeline._part

    def telling(self: Any, *args: Any, **more: Any) -> Any:
        found = part(self, *args, **more)
        if args[0]:  # of no element, there are no chunks
            told.append(found is not None)
        return found

    monkeypatch.setattr(integration.CodecPipeline, "_part", telling)
    with zarr.config.set(PIPELINE):
        yield told


def reopened(store: Any) -> Any:
    """The array in zarr-python's own pipeline."""
    with zarr.config.set({"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"}):
        return zarr.open_array(store, mode="r")


def drawn(draw: np.random.Generator, kind: str, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """A key of this kind, none of whose positions comes twice."""
    if kind == "vindex":
        points = draw.choice(int(np.prod(shape)), int(draw.integers(1, 1 + min(8, np.prod(shape)))), replace=False)
        return np.unravel_index(points, shape)
    key: list[Any] = []
    for length in shape:
        start, stop = sorted(draw.integers(0, length + 1, 2).tolist())
        ways: list[Any] = [int(draw.integers(-length, length)), slice(start, stop, int(draw.integers(1, 9))), slice(None)]
        if kind == "oindex":
            ways += [draw.permutation(length)[: draw.integers(1, length + 1)], draw.random(length) < 0.5]
        key.append(ways[draw.integers(len(ways))])
    return tuple(key)


def of_numpy(kind: str, key: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """What NumPy must be given for it; and the axes that are gone then."""
    if kind != "oindex":
        return key, ()
    return np.ix_(*[np.atleast_1d(np.arange(n)[item]) for item, n in zip(key, shape, strict=True)]), tuple(
        axis for axis, item in enumerate(key) if isinstance(item, int)
    )


@pytest.mark.parametrize("seed", range(14))
def test_reads_and_writes_are_those_of_numpy_and_of_the_default_pipeline(tmp_path: Path, served: list[bool], seed: int):
    draw = np.random.default_rng(seed)
    shape = tuple(draw.integers(1, 20, draw.integers(1, 4)).tolist())
    chunks = tuple(draw.integers(1, 6, len(shape)).tolist())
    shards = tuple(size * int(draw.integers(1, 4)) for size in chunks) if seed % 3 == 0 else None
    more: Any = {"zarr_format": 2, "order": "CF"[seed % 2]} if seed % 3 == 1 else {}
    array = zarr.create_array(tmp_path, shape=shape, chunks=chunks, shards=shards, dtype=DTYPES[seed % 5], fill_value=1, **more)
    if seed % 4 == 0:
        array = zarr.open_array(AzarrStore(str(tmp_path)), mode="r+")
    truth = np.full(shape, 1).astype(array.dtype)
    for _ in range(8):
        kind = ("basic", "oindex", "vindex")[draw.integers(3)]
        key = drawn(draw, kind, shape)
        numpys, gone = of_numpy(kind, key, shape)
        chosen = array if kind == "basic" else getattr(array, kind)
        expected = np.squeeze(truth[numpys], gone)
        assert np.array_equal(chosen[key], expected)
        values = draw.integers(0, 3, expected.shape).astype(array.dtype)
        truth[numpys] = values.reshape(truth[numpys].shape)
        chosen[key] = values
        assert np.array_equal(reopened(tmp_path)[...], truth)
    assert all(served)


def test_a_write_after_growth_keeps_what_another_wrote(tmp_path: Path, served: list[bool]):
    """The pipeline outlives the shape that it was made for: a chunk at the old edge is not covered any more."""
    array = zarr.create_array(tmp_path, shape=(5,), chunks=(4,), dtype="int16")
    array[:] = 1
    array.resize((8,))
    array[5:8] = 2
    array[:5] = 3
    assert array[:].tolist() == reopened(tmp_path)[:].tolist() == [3, 3, 3, 3, 3, 2, 2, 2]
    assert all(served)


def test_other_stores_and_data_types_and_strict_reads_are_left_to_zarr_python(tmp_path: Path, served: list[bool]):
    memory = zarr.create_array(zarr.storage.MemoryStore(), shape=(4,), chunks=(2,), dtype="int16")
    memory[:] = [1, 2, 3, 4]
    assert memory[:].tolist() == [1, 2, 3, 4]
    strings = zarr.create_array(tmp_path / "strings", shape=(2,), chunks=(2,), dtype=str)
    strings[:] = ["a", "bc"]
    assert strings[:].tolist() == ["a", "bc"]
    assert not any(served)
    zarr.create_array(tmp_path / "absent", shape=(4,), chunks=(2,), dtype="int16")
    with zarr.config.set({"array.read_missing_chunks": False}), pytest.raises(zarr.errors.ChunkNotFoundError):
        zarr.open_array(tmp_path / "absent")[:]


def test_an_array_that_is_read_only_is_not_written_to(tmp_path: Path, served: list[bool]):
    zarr.create_array(tmp_path, shape=(4,), chunks=(2,), dtype="int16")
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(tmp_path, mode="r")[:] = 1
    assert not any(served)


def test_damage_is_an_error_of_azarr_that_names_the_chunk(tmp_path: Path, served: list[bool]):
    array = zarr.create_array(tmp_path, shape=(4,), chunks=(4,), dtype="int16", compressors=[zarr.codecs.Crc32cCodec()])
    array[:] = 7
    (tmp_path / "c/0").write_bytes(b"\1" + (tmp_path / "c/0").read_bytes()[1:])
    with pytest.raises(ChecksumError, match="c/0"):
        array[:]


def test_an_array_is_pickled_with_its_pipeline(tmp_path: Path, served: list[bool]):
    array = zarr.create_array(tmp_path, shape=(4,), chunks=(2,), dtype="int16")
    array[:] = 5
    assert pickle.loads(pickle.dumps(array))[:].tolist() == [5, 5, 5, 5]
    assert all(served)


def test_chunks_at_the_edge_that_are_replaced_are_not_read(monkeypatch: pytest.MonkeyPatch, served: list[bool]):
    array = zarr.create_array(AzarrStore(MemoryStore()), shape=(5,), chunks=(2,), dtype="int16")
    with monkeypatch.context() as patched:
        patched.setattr(MemoryStore, "reader", lambda self: None)  # none reads
        array[:] = [1, 2, 3, 4, 5]
        with pytest.raises(AttributeError):
            array[3:] = 0
    assert array[:].tolist() == [1, 2, 3, 4, 5]
    assert all(served)
