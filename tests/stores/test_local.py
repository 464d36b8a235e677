"""A folder on a local disk: what only such a store can do wrong. The rest is the contract."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import pickle
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.errors import PartialWrite, StoreError
from azarr.scratch import Scratch
from azarr.stores import LocalStore
from azarr.stores.local import STAGED
from documents import as_bytes, sharded, v2_array, v2_store, v3_array, v3_store


def place(root: Path, objects: dict[str, bytes]) -> None:
    for key, data in objects.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(data)


def folder_there(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)


def link_to_itself(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path)


def file_above(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        path.parent.rmdir()
    path.parent.write_bytes(b"")


SHARD = bytes(range(4)) + np.array([[0, 2], [2, 2]], "<u8").tobytes()
LAYOUTS = {
    "v3 chunk": (v3_store(v3_array(fill_value=7)), "c/0"),
    "v3 compressed chunk": (v3_store(v3_array(fill_value=7, codecs=["bytes", "zstd"])), "c/0"),
    "v2 chunk": (v2_store(v2_array(fill_value=7, dimension_separator="/", shape=[4, 4], chunks=[4, 4])), "0/0"),
    "shard": (v3_store(v3_array(fill_value=7, codecs=sharded(2))), "c/0"),
}


@pytest.mark.parametrize("break_it", [folder_there, link_to_itself, file_above])
@pytest.mark.parametrize("layout", LAYOUTS)
async def test_what_cannot_be_opened_at_a_chunk_key_is_an_error_not_missing(layout: str, break_it: Callable[[Path], None], tmp_path: Path):
    objects, key = LAYOUTS[layout]
    place(tmp_path, objects)
    array = await azarr.open_array(tmp_path)
    assert (await array[0]).flat[0] == 7
    break_it(tmp_path / key)
    array = await azarr.open_array(tmp_path)
    for selection in (array[...], array[:1], array[3]):
        with pytest.raises(StoreError) as caught:
            await selection
        assert caught.value.key == key
        assert str(tmp_path) in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("document", ["zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"])
@pytest.mark.parametrize("break_it", [folder_there, link_to_itself])
async def test_what_cannot_be_opened_at_a_document_is_an_error_not_missing(document: str, break_it: Callable[[Path], None], tmp_path: Path):
    place(tmp_path, {".zgroup": as_bytes({"zarr_format": 2}), ".zattrs": b"{}"})
    break_it(tmp_path / document)
    with pytest.raises(StoreError) as caught:
        await azarr.open(tmp_path)
    assert caught.value.key == document


@pytest.mark.parametrize("name", ["EACCES", "EPERM", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ESTALE", "ENAMETOOLONG"])
async def test_errors_of_the_system_are_errors_not_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = getattr(errno, name)
    place(tmp_path, LAYOUTS["v3 chunk"][0] | {"c/0": b"\1\2\3\4"})
    monkeypatch.setattr("azarr.integrations.beneath.can_openat2", lambda: False)
    array = await azarr.open_array(tmp_path)
    really_open = os.open

    def open_or_fail(path: str, *arguments: int, **options: Any) -> int:
        if os.fsdecode(path).endswith((os.path.join("c", "0"), "0")):
            raise OSError(code, os.strerror(code), path)
        return really_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", open_or_fail)
    monkeypatch.setattr("azarr.integrations.page_cache.open_cached", open_or_fail)
    with pytest.raises(StoreError) as caught:
        await array[...]
    assert caught.value.key == "c/0"
    assert os.strerror(code) in str(caught.value)


async def test_key_too_long_for_the_system_is_an_error_not_missing(tmp_path: Path):
    with pytest.raises(StoreError, match="x" * 300):
        await LocalStore(tmp_path).get("x" * 300)
    with pytest.raises(StoreError):
        await azarr.open(tmp_path, "x" * 300)


async def test_short_reads_of_the_system_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = np.arange(300_000, dtype="u1").tobytes()
    place(
        tmp_path,
        {"key": data}
        | v3_store(v3_array(shape=[300_000], chunk_grid={"name": "regular", "configuration": {"chunk_shape": [300_000]}}), {"c/0": data}),
    )
    readv = os.readv
    monkeypatch.setattr(os, "readv", lambda file, buffers: readv(file, [memoryview(buffers[0])[:65_536]]))
    store = LocalStore(tmp_path)
    assert bytes((await store.get("key")).data) == data
    assert bytes((await store.get("key", (5, 200_005))).data) == data[5:200_005]
    assert (await azarr.open_array(store)[...]).tobytes() == data


async def test_listing_a_file_is_an_error(tmp_path: Path):
    place(tmp_path, {"a": b""})
    with pytest.raises(StoreError):
        [name async for name in LocalStore(tmp_path).list_dir("a")]


async def test_staged_files_are_never_listed_and_never_nodes(tmp_path: Path):
    store = LocalStore(tmp_path)
    await azarr.create_group(store, "g")
    before = sorted([key async for key in store.list("")])
    staged: list[Path] = []
    really_replace = os.replace

    def spy(source: str, target: str, **folders: int) -> None:
        staged.append(Path(os.readlink(f"/proc/self/fd/{folders['src_dir_fd']}")) / source)
        really_replace(source, target, **folders)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "replace", spy)
        await store.set("g/x", b"1")
    assert len(staged) == 1
    assert not staged[0].parent.parent.exists()
    staged[0].parent.mkdir(parents=True)
    staged[0].write_bytes(b"half")  # as a process that was killed leaves it
    assert sorted([key async for key in store.list("")]) == sorted([*before, "g/x"])
    assert [name async for name in store.list_dir("")] == ["g/", "zarr.json"]
    assert await (await azarr.open_group(store)).keys() == ["g"]


async def test_what_dead_writers_left_is_gone_once_a_node_is_opened_to_be_written_to(tmp_path: Path):
    await azarr.create_group(tmp_path)
    folder = tmp_path / STAGED
    for name in ("dead", "alive"):
        (folder / name).mkdir(parents=True)
        (folder / name / "object").write_bytes(b"half")
    alive = os.open(folder / "alive", os.O_RDONLY)
    fcntl.flock(alive, fcntl.LOCK_EX)
    await azarr.open_group(tmp_path)
    assert sorted(os.listdir(folder)) == ["alive", "dead"]
    await azarr.open_group(tmp_path, mode="r+")
    assert os.listdir(folder) == ["alive"]
    assert os.listdir(folder / "alive") == ["object"]
    os.close(alive)
    await azarr.open_group(tmp_path, mode="r+")
    assert not folder.exists()


@pytest.mark.parametrize("durability", ["rename", "full"])
async def test_what_is_written_is_flushed_before_and_after_it_is_renamed_if_it_shall_last(tmp_path: Path, durability: str):
    calls: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        for name in ("fsync", "replace", "unlink"):
            really = getattr(os, name)

            def spy(*arguments: Any, name: str = name, really: Any = really, **folders: int) -> None:
                is_folder = name == "fsync" and stat.S_ISDIR(os.fstat(*arguments).st_mode)
                really(*arguments, **folders)
                calls.append(f"{name} folder" if is_folder else name)

            patched.setattr(os, name, spy)
        store = LocalStore(tmp_path, durability=durability)
        await store.set("a/x", b"1")
        await store.delete("a/x")
    flushed = ["fsync", "fsync folder", "replace", "fsync folder", "unlink", "fsync folder"]  # of which the first is that of the new folder's name
    assert calls == (flushed if durability == "full" else ["replace", "unlink"])
    with pytest.raises(ValueError, match="durability is 'rename' or 'full', not 'none'"):
        LocalStore(tmp_path, durability="none")


async def test_what_may_not_last_is_told_as_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = LocalStore(tmp_path, durability="full")
    array = await azarr.create_array(store, shape=(4,), dtype="u1", chunks=(2,), compressors=None, context=azarr.Context(workers=1))
    await array[...].write(1)
    really, flushed = os.fsync, list[int]()

    def fsync(file: int) -> None:
        really(file)
        if stat.S_ISDIR(os.fstat(file).st_mode):
            flushed.append(file)
            if len(flushed) == 2:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(PartialWrite, match=f"{os.strerror(errno.EIO)}, after it was changed: it may come back if the machine ends") as caught:
        await array[...].write(2)
    assert (caught.value.done, caught.value.failed, caught.value.unknown) == (("c/0",), (), ("c/1",))
    assert (await array[...]).tolist() == [2, 2, 2, 2]
    assert not (tmp_path / STAGED).exists()


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EACCES], ids=["another disk", "not permitted"])  # the numbers are the platform's
async def test_where_objects_are_staged_is_told_where_that_may_be_why_they_are_not_put(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: Any, **folders: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StoreError, match=rf"{os.strerror(code)} \(it is staged in '{tmp_path}/{STAGED}', which must be on the same disk"):
        await LocalStore(tmp_path).set("x", b"")
    assert os.listdir(tmp_path) == []


async def test_an_object_is_replaced_only_if_it_is_of_the_version_that_was_read(tmp_path: Path):
    store = LocalStore(tmp_path)
    assert not await store.replace("a/x", b"1", "1-2-3")
    assert not await store.replace("a/x", None, "1-2-3")
    assert await store.replace("a/x", None, None)
    assert await store.replace("a/x", b"1", None)
    assert not await store.replace("a/x", b"2", None)
    first = await store.get("a/x", (0, None))
    assert first is not None
    assert await store.replace("a/x", b"3", first.version)
    assert not await store.replace("a/x", b"4", first.version)
    assert (tmp_path / "a" / "x").read_bytes() == b"3"
    again = await store.get("a/x", (0, None))
    assert again is not None
    assert await store.replace("a/x", None, again.version)
    assert [key async for key in store.list("")] == []


async def test_two_versions_of_one_size_differ_however_quickly_they_follow(tmp_path: Path):
    store, seen = LocalStore(tmp_path), set[str | None]()
    for _ in range(300):
        await store.set("x", b"1")
        value = await store.get("x", (0, None))
        assert value is not None
        seen.add(value.version)
    assert len(seen) == 300


@contextlib.contextmanager
def files_limited_to(nbytes: int) -> Iterator[None]:
    """The system refuses to make any file longer than that, as a full disk would."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_write_that_fails_half_way_leaves_the_old_object_and_nothing_else(tmp_path: Path):
    store = LocalStore(tmp_path)
    await store.set("a/key", b"old")
    with files_limited_to(1 << 20), pytest.raises(StoreError, match="File too large") as caught:
        await store.set("a/key", bytes(2 << 20))
    assert caught.value.key == "a/key"
    assert bytes((await store.get("a/key")).data) == b"old"
    assert os.listdir(tmp_path / "a") == ["key"]


async def test_write_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path):
    store = LocalStore(tmp_path)
    await store.set("a/key/below", b"old")
    with pytest.raises(StoreError) as caught:
        await store.set("a/key", b"new")  # a folder stands there
    assert caught.value.key == "a/key"
    assert os.listdir(tmp_path / "a") == ["key"]
    assert bytes((await store.get("a/key/below")).data) == b"old"


async def test_nothing_is_made_until_something_is_written(tmp_path: Path):
    root = tmp_path / "new"
    store = LocalStore(root)
    assert await store.get("a") is None
    assert [key async for key in store.list("")] == []
    await store.delete("a")
    assert not root.exists()


async def test_folders_go_with_the_last_object_in_them(tmp_path: Path):
    store = LocalStore(tmp_path)
    await store.set("b/c/5/1", b"1")
    await store.set("b/zarr.json", b"{}")
    await store.delete("b/c/5/1")
    assert sorted(os.listdir(tmp_path / "b")) == ["zarr.json"]
    await store.delete("b/zarr.json")
    assert os.listdir(tmp_path) == []


async def test_array_of_fewer_dimensions_can_take_the_place_of_a_deleted_one(tmp_path: Path):
    two = await azarr.create_array(tmp_path / "b", shape=[6, 2], chunks=[1, 1], dtype="u1")
    await two[:].write(1)
    await azarr.delete(tmp_path / "b")
    one = await azarr.create_array(tmp_path / "b", shape=[6], chunks=[1], dtype="u1")
    await one[:].write(2)  # its chunk c/5 is a file, where the other's c/5/0 needed a folder
    assert (await one[:]).tolist() == [2] * 6


@pytest.mark.parametrize("durability", ["rename", "full"])
async def test_folders_that_come_and_go_while_others_write_lose_nothing(tmp_path: Path, durability: str):
    store, others = LocalStore(tmp_path, durability=durability), LocalStore(tmp_path, durability=durability)

    async def come_and_go(store: LocalStore, name: str) -> int:
        created = 0
        for _ in range(200):
            created += await store.replace("a/b/shared", name.encode(), None)
            await store.set(f"a/b/{name}", b"mine")
            assert bytes((await store.get(f"a/b/{name}")).data) == b"mine"
            await store.delete(f"a/b/{name}")
            if (held := await store.get("a/b/shared", (0, 1))) is not None:
                await store.replace("a/b/shared", None, held.version)
        return created

    created = await asyncio.gather(*(come_and_go(one, name) for one, name in zip((store, others) * 2, "wxyz", strict=True)))
    assert sum(created) > 0
    await store.delete("a/b/shared")
    assert os.listdir(tmp_path) == []


def links_out_of(tmp_path: Path) -> Path:
    """A root with links that lead out of it, and with some that do not."""
    place(tmp_path, {"out/secret": b"secret", "out/deep/secret": b"deep", "root/a/x": b"inside"})
    root = tmp_path / "root"
    for link, target in {
        "relative": "../out/secret",
        "absolute": tmp_path / "out" / "secret",
        "folder": "../out",
        "a/up": "../../out/secret",
        "twice": "relative",
        "above": "..",
        "nowhere": "../out/nothing",
        "to a": "a",
        "to x": root / "a" / "x",
        "back": "../root/a",
        "missing": "a/nothing",
    }.items():
        (root / link).symlink_to(target)
    return root


OUTWARD = ("relative", "absolute", "folder/secret", "folder/deep/secret", "a/up", "twice", "above/out/secret", "nowhere", "folder/new/x")
INWARD = ("to a/x", "to x", "back/x", "above/root/a/x")


@pytest.fixture(params=["openat2", "part by part"])
def opening(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to open files, where the system has both."""
    if request.param != "openat2":
        monkeypatch.setattr("azarr.integrations.beneath.can_openat2", lambda: False)


def state_of(folder: Path) -> list[tuple[Path, bytes | None]]:
    return [(path, path.read_bytes() if path.is_file() else None) for path in sorted(folder.rglob("*"))]


@pytest.mark.usefixtures("opening")
@pytest.mark.parametrize("follow", ["inside", "anywhere"])
async def test_what_links_lead_to_is_not_deleted(follow: str, tmp_path: Path):
    store = LocalStore(tmp_path / "root", follow_symlinks=follow)
    for path in ("g/x", "other/y"):
        await azarr.save(store, path, np.ones(2))
    await azarr.save(tmp_path / "out", "z", np.ones(2))
    (tmp_path / "root/g/inside").symlink_to("../other")
    (tmp_path / "root/g/outside").symlink_to(tmp_path / "out")
    (tmp_path / "root/g/file").symlink_to("../other/y/zarr.json")
    (tmp_path / "root/linked").symlink_to("other/y")
    before = state_of(tmp_path / "root/other"), state_of(tmp_path / "out")
    await azarr.delete(store, "g")
    await azarr.delete(store, "linked")
    assert sorted(os.listdir(tmp_path / "root")) == ["other", "zarr.json"]
    (tmp_path / "root/linked").symlink_to("other")
    await azarr.create_group(store, overwrite=True)
    assert sorted(os.listdir(tmp_path / "root")) == ["zarr.json"]
    assert (state_of(tmp_path / "out"), before[0][-1][0].exists()) == (before[1], False)


@pytest.mark.usefixtures("opening")
async def test_a_link_to_a_folder_that_it_is_in_is_listed_once(tmp_path: Path):
    place(tmp_path, {"a/b/x": b"", "y": b""})
    (tmp_path / "a/b/up").symlink_to("..")
    (tmp_path / "a/beside").symlink_to("b")
    assert [key async for key in LocalStore(tmp_path).list("a")] == ["a/b/x", "a/beside/x"]
    assert [key async for key in LocalStore(tmp_path).list("")] == ["a/b/x", "a/beside/x", "y"]


@pytest.mark.usefixtures("opening")
async def test_a_folder_that_is_made_again_is_read(tmp_path: Path):
    place(tmp_path, {f"a/{number}": b"old" for number in range(3)})
    reader: Any = LocalStore(tmp_path).reader()
    scratch = Scratch()
    assert [bytes(reader.whole(f"a/{number}", scratch)) for number in range(3)] == [b"old"] * 3
    shutil.rmtree(tmp_path / "a")
    assert reader.whole("a/0", scratch) is None
    place(tmp_path, {"a/0": b"new"})
    assert bytes(reader.whole("a/0", scratch)) == b"new"
    assert reader.whole("a/1", scratch) is None


async def test_a_lock_ends_with_its_block_in_forked_processes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inherited, really = list[int](), fcntl.flock

    def fork(file: int, operation: int) -> None:
        really(file, operation)
        if operation & fcntl.LOCK_EX:
            inherited.append(os.dup(file))  # as a process has it that is forked meanwhile

    store = LocalStore(tmp_path)
    await store.set("x", b"")
    monkeypatch.setattr(fcntl, "flock", fork)
    try:
        async with store.hold("x"):
            pass
        assert inherited
        async with asyncio.timeout(10), LocalStore(tmp_path).hold("x"):
            pass
    finally:
        for file in inherited:
            os.close(file)


@pytest.mark.usefixtures("opening")
async def test_links_lead_to_what_is_below_the_root_and_nowhere_else(tmp_path: Path):
    store = LocalStore(links_out_of(tmp_path))
    before = state_of(tmp_path / "out")
    for key in OUTWARD:
        for byte_range in (None, (0, 1), (-1, None)):
            with pytest.raises(StoreError, match="a symbolic link leads out of the folder"):
                await store.get(key, byte_range)
        if "/" in key and key != "a/up":
            for change in (store.set(key, b"evil"), store.delete(key), store.replace(key, b"evil", None)):
                with pytest.raises(StoreError, match="a symbolic link leads out of the folder"):
                    await change
        with pytest.raises(StoreError):
            async with store.hold(key):
                pass
    for prefix in ("folder", "above", "above/out"):
        for listed in (store.list_dir, store.list):
            with pytest.raises(StoreError, match="a symbolic link leads out of the folder"):
                [name async for name in listed(prefix)]
    for key in INWARD:
        assert bytes((await store.get(key)).data) == b"inside"
        assert bytes((await store.get(key, (2, 4))).data) == b"si"
    assert await store.get("missing") is None
    assert [name async for name in store.list_dir("to a")] == ["up", "x"]
    await store.set("to a/y", b"new")
    assert (tmp_path / "root" / "a" / "y").read_bytes() == b"new"
    await store.set("relative", b"in its place")  # of the link
    assert state_of(tmp_path / "out") == before


async def test_links_lead_anywhere_if_that_is_asked_for_and_the_root_may_be_one(tmp_path: Path):
    root = links_out_of(tmp_path)
    anywhere = LocalStore(root, follow_symlinks="anywhere")
    assert bytes((await anywhere.get("folder/secret")).data) == b"secret"
    (tmp_path / "link").symlink_to(root)
    linked = LocalStore(tmp_path / "link")
    assert bytes((await linked.get("a/x")).data) == b"inside"
    await linked.set("a/y", b"1")
    assert bytes((await LocalStore(root).get("a/y")).data) == b"1"
    assert linked.place("a/x") == LocalStore(root).place("a/x")
    with pytest.raises(ValueError, match="follow_symlinks is 'inside' or 'anywhere', not 'never'"):
        LocalStore(root, follow_symlinks="never")


@pytest.mark.usefixtures("opening")
@pytest.mark.parametrize("swapped", ["a/x", "a"])
async def test_a_link_that_is_made_between_check_and_use_is_not_followed(swapped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place(tmp_path, {"root/a/x": b"inside", "out/x": b"secret"})
    (tmp_path / "root" / "to a").symlink_to("a")
    really, store = os.path.realpath, LocalStore(tmp_path / "root")
    there, hidden = tmp_path / "root" / swapped, tmp_path / "root" / "hidden"

    def swap_then(path: str) -> str:
        found = really(path)
        if os.fspath(path).endswith("to a/x"):
            there.rename(hidden)
            there.symlink_to(tmp_path / "out" / swapped.removeprefix("a").removeprefix("/"))
        return found

    monkeypatch.setattr(os.path, "realpath", swap_then)
    with pytest.raises(StoreError):
        await store.get("to a/x")
    monkeypatch.undo()
    with pytest.raises(StoreError, match="a symbolic link leads out"):
        await store.get("a/x")
    there.unlink()
    hidden.rename(there)
    assert bytes((await store.get("to a/x")).data) == b"inside"


async def test_links_in_the_place_of_what_is_staged_are_not_followed(tmp_path: Path):
    place(tmp_path, {"victim/documents/letter": b"dear", "root/zarr.json": as_bytes({"zarr_format": 3, "node_type": "group"})})
    for target in (tmp_path / "victim", tmp_path / "nothing"):
        (tmp_path / "root" / STAGED).symlink_to(target)
        before = state_of(tmp_path / "victim")
        await azarr.open_group(tmp_path / "root", mode="r+")  # which deletes what dead writers left
        with pytest.raises(StoreError):
            await LocalStore(tmp_path / "root").set("x", b"1")
        assert state_of(tmp_path / "victim") == before
        assert not (tmp_path / "nothing").exists()
        (tmp_path / "root" / STAGED).unlink()
    (tmp_path / "root" / STAGED).mkdir()
    (tmp_path / "root" / STAGED / "dead").symlink_to(tmp_path / "victim" / "documents")
    await azarr.open_group(tmp_path / "root", mode="r+")
    assert state_of(tmp_path / "victim") == before


async def test_files_whose_names_are_no_keys_are_not_listed(tmp_path: Path):
    place(tmp_path, {"a": b"", "b\\c": b"", "d/e": b""})
    with contextlib.suppress(OSError):  # where names of files are text
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9")).write_bytes(b"")
    store = LocalStore(tmp_path)
    assert [name async for name in store.list_dir("") if name.isascii()] == ["a", "d/"]
    keys = [key async for key in store.list("")]
    assert [key for key in keys if key.isascii()] == ["a", "d/e"]
    assert all([await store.get(key) is not None for key in keys])  # none is refused


async def test_name_of_the_store_is_its_folder(tmp_path: Path):
    assert repr(LocalStore(tmp_path)) == f"LocalStore({str(tmp_path)!r})"


@pytest.mark.usefixtures("opening")
@pytest.mark.parametrize("follow_symlinks", ["inside", "anywhere"])
async def test_a_pickled_store_reads_as_before(follow_symlinks: str, tmp_path: Path):
    (tmp_path / "x").write_bytes(b"data")
    again = pickle.loads(pickle.dumps(LocalStore(tmp_path, follow_symlinks=follow_symlinks)))
    assert bytes((await again.get("x")).data) == b"data"
