"""Many small files written by one call: they are what they are when they are written one by one, whatever the kernel does.

Where the system has no rings, or forbids them, the same is written, one by one.
"""

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

import azarr
from azarr.errors import PartialWrite
from azarr.integrations import staging_rings
from azarr.integrations.rings import has_rings
from azarr.integrations.staging_rings import RingWriter, WriteRing
from azarr.stores import LocalStore
from azarr.stores.staging import Writer, version_of

HERE = has_rings()
"""Whether this system has io_uring as new as it must be. Where it has not, or forbids it, all the same is written, but one by one."""


@pytest.fixture(autouse=True)
def writers_by_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local folders are written by the writer that uses rings, whether there are some or not."""
    monkeypatch.setattr(staging_rings, "has_rings", lambda: True)


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
