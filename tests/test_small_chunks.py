"""Small chunks that are written several at a time: what is stored is what NumPy would hold, and each object is told of by itself."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
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
from azarr.integrations.rings import has_rings
from azarr.integrations.staging_rings import MOST, RingWriter, WriteRing
from azarr.stores import LocalStore, MemoryStore
from azarr.stores.staging import Writer, version_of
from azarr.tools import small_chunks
from conftest import run
from drawing import examples

HERE = has_rings()
"""Whether this system has io_uring as new as it must be. Where it has not, or forbids it, all the same is written, but one by one."""


@pytest.fixture(autouse=True)
def writers_by_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local folders are written by the writer that uses rings, whether there are some or not."""
    monkeypatch.setattr(staging_rings, "has_rings", lambda: True)


@pytest.fixture(params=["memory", "local", "rings"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One store of each kind that takes several at a time."""
    if request.param == "local":
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


@pytest.mark.parametrize("kind", ["memory", "local", "rings"])
@given(layout=layouts(), data=st.data())
@examples(60)
def test_what_is_stored_is_what_numpy_would_hold(
    kind: str, tmp_path_factory: pytest.TempPathFactory, layout: dict[str, Any], data: st.DataObject
):
    folder = tmp_path_factory.mktemp("store")

    async def go() -> None:
        array = await azarr.create_array(MemoryStore() if kind == "memory" else folder, **layout)
        expected = np.full(array.shape, array.fill_value, array.dtype)
        for number in range(2):
            key = data.draw(keys.basic_keys(array.shape))
            where = (*key, ...) if ... not in key else key
            values = (np.arange(expected[where].size) // 3 * number).astype("i8").astype(expected.dtype).reshape(expected[where].shape)
            expected[where] = values
            await array[key].write(values, write_empty=data.draw(st.booleans()))
            np.testing.assert_array_equal(await array[...], expected)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_chunks, "SHARE", 2)
        patch.setattr(staging_rings, "has_rings", lambda: kind == "rings")
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


@pytest.mark.parametrize("answer", [lambda *_: False, None], ids=["not all of them", "no ring"])
async def test_what_the_kernel_does_not_write_is_written_one_by_one(
    answer: Callable[..., bool] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: Any) -> bool:
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr(WriteRing, "write", answer or broken)
    array = await azarr.create_array(tmp_path, shape=(64,), dtype="u1", chunks=(1,), compressors=None)
    await array[...].write(np.arange(64))
    np.testing.assert_array_equal(await array[...], np.arange(64))
    assert sorted(os.listdir(tmp_path)) == ["c", "zarr.json"]


async def test_files_that_have_no_room_are_an_error_that_names_the_key(tmp_path: Path):
    import resource

    array = await azarr.create_array(tmp_path, shape=(16, 1 << 16), dtype="u1", chunks=(1, 1 << 15), compressors=None)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, before[1]))
    try:
        with pytest.raises(PartialWrite, match=r"'c/\d+/\d' of .*: File too large") as caught:
            await array[...].write(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.done == ()
    assert os.listdir(tmp_path) == ["zarr.json"]


def test_several_objects_are_put_in_several_folders_some_deleted_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = LocalStore(tmp_path)
    commit, done = Writer._commit, list[str]()

    def deleted_after(self: Writer, above: str, name: str, version: Any, *, staged: str) -> bool:
        answer = commit(self, above, name, version, staged=staged)
        if name == "0" and staged == "0":
            shutil.rmtree(above)
        return answer

    monkeypatch.setattr(Writer, "_commit", deleted_after)
    names = [f"{folder}/{number}" for folder in ("a/b", "a/c", "d") for number in range(10)]
    with store.writer() as writer:
        assert isinstance(writer, RingWriter)
        writer.put_many(names, [name.encode() for name in names], done.append)
    assert sorted(done) == sorted(names)
    there = {name: (tmp_path / name).read_bytes() for name in names if (tmp_path / name).exists()}
    assert there == {name: name.encode() for name in names if name != "a/b/0"}  # deleted with its folder
    assert sorted(os.listdir(tmp_path)) == ["a", "d"]


def test_each_version_differs_and_files_are_made_as_others_are(tmp_path: Path):
    store, names = LocalStore(tmp_path), [str(number) for number in range(8)]
    seen = set[Any]()
    with store.writer() as writer:
        assert isinstance(writer, RingWriter)
        for _ in range(50):
            writer.put_many(names, [b"1"] * 8, lambda _: None)
            seen |= {version_of((tmp_path / name).stat()) for name in names}
    store.put("alone", b"1")
    assert len(seen) == 50 * 8
    assert {(tmp_path / name).stat().st_mode for name in names} == {(tmp_path / "alone").stat().st_mode}


def test_a_forked_process_has_a_ring_of_its_own(tmp_path: Path):
    store, names = LocalStore(tmp_path), [str(number) for number in range(8)]
    with store.writer() as writer:
        assert isinstance(writer, RingWriter)
        writer.put_many(names, [b"1"] * 8, lambda _: None)
    assert HERE is (staging_rings._own.ring is not None)
    ring: Any = staging_rings._own.ring or LocalStore(tmp_path)
    ring.process = -1  # as it is in a forked one
    with store.writer() as writer:
        assert isinstance(writer, RingWriter)
        writer.put_many(names, [b"2"] * 8, lambda _: None)
    assert staging_rings._own.ring is not ring
    assert {(tmp_path / name).read_bytes() for name in names} == {b"2"}


def test_threads_that_write_side_by_side_disturb_nobody(tmp_path: Path):
    store, failed = LocalStore(tmp_path), list[BaseException]()

    def work(thread: int) -> None:
        try:
            for turn in range(30):
                names = [f"{turn % 3}/{number}" for number in range(16)]
                with store.writer() as writer:
                    assert isinstance(writer, RingWriter)
                    writer.put_many(names, [bytes([thread]) * 1000] * 16, lambda _: None)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for name in (f"{folder}/{number}" for folder in range(3) for number in range(16)):
        data = (tmp_path / name).read_bytes()
        assert len(data) == 1000
        assert len(set(data)) == 1
    assert not (tmp_path / ".azarr-staged").exists()
