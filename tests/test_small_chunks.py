"""Small chunks that are written several at a time: what is stored is what NumPy would hold, and each object is told of by itself."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import azarr
import keys
from azarr.errors import PartialWrite
from azarr.integrations import staging_rings
from azarr.integrations.staging_rings import MOST
from azarr.stores import LocalStore, MemoryStore
from azarr.tools import small_chunks
from conftest import run
from drawing import examples


@pytest.fixture(params=["memory", "local", "one by one"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One store of each kind; a local one that puts several at a time where the system can, and one that does not."""
    if request.param == "one by one":
        monkeypatch.setattr(staging_rings, "has_rings", lambda: False)
    return MemoryStore() if request.param == "memory" else LocalStore(tmp_path)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of `create_array`, with many chunks of few elements."""
    shape = tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=3)))
    chunks = tuple(draw(st.integers(1, 3)) for _ in shape)
    options: dict[str, Any] = {"shape": shape, "chunks": chunks, "dtype": draw(st.sampled_from(("i4", ">f4", "?", "M8[s]", "U2")))}
    options |= {"compressors": draw(st.sampled_from((None, "gzip"))), "order": draw(st.sampled_from("CF"))}
    return options | draw(st.sampled_from(({"zarr_format": 2}, {"zarr_format": 3}, {"chunk_key_encoding": {"name": "v2"}})))


@pytest.mark.parametrize("kind", ["memory", "local", "one by one"])
@given(layout=layouts(), data=st.data())
@examples(60)
def test_what_is_stored_is_what_numpy_would_hold(
    kind: str, tmp_path_factory: pytest.TempPathFactory, layout: dict[str, Any], data: st.DataObject
):
    folder, shape = tmp_path_factory.mktemp("store"), layout["shape"]
    drawn = [(data.draw(keys.basic_keys(shape)), data.draw(st.booleans())) for _ in range(2)]

    async def go() -> None:
        array = await azarr.create_array(MemoryStore() if kind == "memory" else folder, **layout)
        expected = np.full(array.shape, array.fill_value, array.dtype)
        for number, (key, write_empty) in enumerate(drawn):
            where = (*key, ...) if ... not in key else key
            values = (np.arange(expected[where].size) // 3 * number).astype("i8").astype(expected.dtype).reshape(expected[where].shape)
            expected[where] = values
            await array[key].write(values, write_empty=write_empty)
            np.testing.assert_array_equal(await array[...], expected)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_chunks, "SHARE", 2)
        if kind == "one by one":
            patch.setattr(staging_rings, "has_rings", lambda: False)
        run(go())
    assert not (folder / ".azarr-staged").exists()
    shutil.rmtree(folder)


async def test_chunks_are_encoded_and_stored_in_rows(store: Any, monkeypatch: pytest.MonkeyPatch):
    rows, write = list[int](), small_chunks.write

    def noted(work: Any, job: Any, *args: Any) -> None:
        rows.append(sum(piece.chunks for piece in job.pieces))
        write(work, job, *args)

    monkeypatch.setattr(small_chunks, "write", noted)
    told = list[int]()
    array = await azarr.create_array(store, shape=(20, 64), dtype="u2", chunks=(1, 1), compressors=None)
    values = np.arange(20 * 64, dtype="u2").reshape(20, 64)
    await array[...].write(values, progress=lambda done, total: told.append(done))
    assert rows == [MOST] * 20
    assert sorted(told)[-1] == 20 * 64
    np.testing.assert_array_equal(await array[...], values)
    assert len([key async for key in store.list("c")]) == 20 * 64 - 1  # one is the fill value


async def test_what_becomes_the_fill_value_is_deleted(store: Any):
    array = await azarr.create_array(store, shape=(64,), dtype="u1", chunks=(2,), compressors=None)
    await array[...].write(np.arange(1, 65, dtype="u1"))
    values = np.arange(64, dtype="u1")
    values[10:40] = 0
    await array[...].write(values)
    assert len([key async for key in store.list("c")]) == 32 - 15
    await array[...].write(0, write_empty=True)
    assert len([key async for key in store.list("c")]) == 32
    np.testing.assert_array_equal(await array[...], np.zeros(64))


async def test_chunks_that_fail_are_told_from_those_that_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    array = await azarr.create_array(tmp_path, shape=(64,), dtype="u1", chunks=(1,), compressors=None, context=azarr.Context(workers=1))
    await array[...].write(1)
    replace, calls = os.replace, 0

    def fails(*args: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 20:
            raise OSError(errno.EIO, "broken")
        replace(*args, **more)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(PartialWrite, match="broken; of the objects that were begun: 19 done") as caught:
        await array[...].write(2)
    monkeypatch.undo()
    values = (await array[...]).tolist()
    assert [f"c/{number}" for number, value in enumerate(values) if value == 2] == sorted(caught.value.done, key=lambda key: int(key[2:]))
    assert caught.value.failed
    assert not set(caught.value.failed) & set(caught.value.done)
    assert sorted(os.listdir(tmp_path)) == ["c", "zarr.json"]
