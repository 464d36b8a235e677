"""Sessions of Icechunk are stores: what azarr writes is committed by the session, and read back in another one; what conflicts is Icechunk's to say."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr

import azarr
from azarr.errors import NodeExists, NodeNotFound, ReadOnly, StoreError
from azarr.integrations.icechunk import IcechunkStore
from azarr.stores import store_from

pytestmark = pytest.mark.interop
VALUES = np.arange(48, dtype="i4").reshape(6, 8)


@pytest.fixture
def repo(tmp_path: Path) -> Any:
    return icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "repo")))


async def written(repo: Any, **options: Any) -> Any:
    """A session that has an array, which is not committed."""
    session = repo.writable_session("main")
    array = await azarr.create_array(session, "g/x", shape=VALUES.shape, dtype="i4", chunks=(2, 3), **options)
    await array[...].write(VALUES)
    return session


def committed(repo: Any, **options: Any) -> Any:
    asyncio.run(written(repo, **options)).commit("written")
    return repo.readonly_session("main")


async def keys_of(store: Any, prefix: str) -> list[str]:
    return sorted([key async for key in store.list(prefix)])


@pytest.mark.parametrize("options", [{}, {"shards": (4, 6)}, {"compressors": None}], ids=["chunks", "shards", "raw"])
async def test_what_is_written_is_there_once_it_is_committed(repo: Any, options: dict[str, Any]) -> None:
    session = await written(repo, **options)
    with pytest.raises(NodeNotFound):
        await azarr.open(repo.readonly_session("main"))
    session.commit("written")
    for source in (reading := repo.readonly_session("main"), reading.store):
        group = await azarr.open_group(source)
        assert await group.keys() == ["g"]
        assert np.array_equal(await group["g/x"][...], VALUES)
        assert (await group["g/x"][3:5, ::-3]).tolist() == VALUES[3:5, ::-3].tolist()  # warnings are errors: a snapshot is a version
    theirs = zarr.open_group(reading.store, mode="r")["g/x"]
    assert isinstance(theirs, zarr.Array)
    assert np.array_equal(np.asarray(theirs[...]), VALUES)
    assert (await azarr.verify(reading)).ok


async def test_parts_are_changed_and_arrays_resized_and_deleted(repo: Any) -> None:
    session = await written(repo, shards=(4, 6))
    array = await azarr.open_array(session.store, "g/x", mode="r+")
    await array[1:5, 2].write(-1)
    await array.append(VALUES[:1])
    await array.update_attrs({"units": "m"})
    await azarr.save(session, "other", VALUES)
    await azarr.delete(session, "other")
    session.commit("changed")
    expected = np.concatenate([VALUES, VALUES[:1]])
    expected[1:5, 2] = -1
    found = await azarr.open_array(repo.readonly_session("main"), "g/x")
    assert dict(found.attrs) == {"units": "m"}
    assert np.array_equal(await found[...], expected)
    assert await (await azarr.open_group(repo.readonly_session("main"))).keys() == ["g"]


async def test_a_tree_is_copied_into_a_session_and_out_of_it(repo: Any) -> None:
    session = await written(repo)
    await azarr.copy(session, objects := {})
    for chunks in (..., (4, 4)):
        await azarr.copy(objects, session, "again", chunks=chunks, overwrite=True)
        copied = await azarr.open_array(session, "again/g/x")
        assert copied.chunks == ((2, 3) if chunks is ... else chunks)
        assert np.array_equal(await copied[...], VALUES)
        with pytest.raises(NodeExists):
            await azarr.copy(objects, session, "again")
    await azarr.consolidate(objects)
    await azarr.copy(objects, azarr.Cached(session), "consolidated")
    assert await (await azarr.open_consolidated(session, "consolidated")).keys() == ["g"]
    await azarr.copy(azarr.open_array(objects, "g/x"), session, "one/two")
    assert np.array_equal(await azarr.open_array(session, "one/two")[...], VALUES)


def test_a_session_that_is_read_only_or_committed_is_not_written_to(repo: Any) -> None:
    session = asyncio.run(written(repo))
    array = asyncio.run(azarr.open_array(session, "g/x", mode="r+").open())
    session.commit("written")

    async def write(source: Any) -> None:
        with pytest.raises(ReadOnly, match="read only, as all are that were committed") as caught:
            await (await azarr.open_array(source, "g/x", mode="r+"))[0, 0].write(1)
        assert isinstance(caught.value, StoreError)
        with pytest.raises(ReadOnly):
            await azarr.create_group(source, "h")
        with pytest.raises(ReadOnly):
            await azarr.delete(source, "g")
        with pytest.raises(ReadOnly):
            await array[0, 0].write(1)

    for source in (session, repo.readonly_session("main")):
        asyncio.run(write(source))


async def test_a_conflict_is_found_by_the_commit(repo: Any) -> None:
    (await written(repo)).commit("written")
    sessions = [repo.writable_session("main") for _ in range(2)]
    for number, session in enumerate(sessions):
        array = await azarr.open_array(session, "g/x", mode="r+")
        await array[0, 0].write(100 + number)
    sessions[0].commit("first")
    with pytest.raises(icechunk.ConflictError):
        sessions[1].commit("second")
    sessions[1].rebase(icechunk.BasicConflictSolver(on_chunk_conflict=icechunk.VersionSelection.UseOurs))
    sessions[1].commit("second")
    assert await azarr.open_array(repo.readonly_session("main"), "g/x")[0, 0] == 101


async def test_ranges_go_as_far_as_the_object_whatever_is_asked_for(repo: Any) -> None:
    """Icechunk itself refuses some, and panics at others."""
    session = await written(repo, compressors=None)
    for store in (store_from(session), store_from(session.store)):
        for key in ("g/x/zarr.json", "g/x/c/0/0"):
            data = bytes((await store.get(key)).data)
            for start, stop in [(0, 2), (2, None), (-3, None), (0, 0), (3, 3), (1, 10**6), (10**5, 10**6), (10**5, None), (-(10**6), None)]:
                value = await store.get(key, (start, stop))
                assert (bytes(value.data), value.size) == (data[start:stop], len(data)) or start == stop
        for key in ("g/x/c/9/9", "g/y/zarr.json", "g/.zarray"):
            assert await store.get(key) is await store.get(key, (0, 5)) is await store.get(key, (-5, None)) is None
        with pytest.raises(StoreError, match="invalid zarr key") as caught:
            await store.get("something")
        assert "\n" not in str(caught.value)


def test_listings_have_what_is_below_any_prefix(repo: Any) -> None:
    store = store_from(committed(repo))
    chunks = [f"g/x/c/{row}/{column}" for row in range(3) for column in range(3)]

    async def check() -> None:
        assert await keys_of(store, "") == [*chunks, "g/x/zarr.json", "g/zarr.json", "zarr.json"]
        assert await keys_of(store, "g/x") == [*chunks, "g/x/zarr.json"]
        assert await keys_of(store, "g/x/c") == chunks
        assert await keys_of(store, "g/x/c/1") == chunks[3:6]
        assert await keys_of(store, "nothing") == await keys_of(store, "g/x/zarr.json") == []
        names = {prefix: [name async for name in store.list_dir(prefix)] for prefix in ("", "g/x", "g/x/c", "g/x/c/1", "nothing")}
        assert names == {
            "": ["g/", "zarr.json"], "g/x": ["c/", "zarr.json"], "g/x/c": ["0/", "1/", "2/"], "g/x/c/1": ["0", "1", "2"], "nothing": [],
        }  # fmt: skip

    asyncio.run(check())
    assert asyncio.run(keys_of(store_from(icechunk.Repository.create(icechunk.in_memory_storage()).writable_session("main")), "")) == []


def test_a_chunk_that_the_storage_lost_is_an_error_and_not_missing(repo: Any, tmp_path: Path) -> None:
    session = repo.writable_session("main")
    values = np.random.default_rng(0).integers(0, 255, 4096, "u1")  # more than Icechunk keeps in its manifests
    asyncio.run(azarr.save(session, "x", values))
    session.commit("written")
    for path in (tmp_path / "repo/chunks").iterdir():
        path.unlink()
    opened = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "repo")))

    async def read() -> None:
        with pytest.raises(StoreError, match="object not found") as caught:
            await azarr.open_array(opened.readonly_session("main"), "x")[...]
        assert caught.value.key == "x/c/0"

    asyncio.run(read())


def test_what_icechunk_does_not_keep_is_an_error(repo: Any) -> None:
    async def check() -> None:
        with pytest.raises(StoreError, match="V2"):
            await azarr.create_group(repo.writable_session("main"), zarr_format=2)
        array = await azarr.create_array(repo.writable_session("main"), "x", shape=4, dtype="i4", chunk_key_encoding={"name": "v2"})
        with pytest.raises(StoreError, match="invalid zarr key"):
            await array[...].write(1)
        with pytest.raises(StoreError, match="invalid zarr key"):
            await array[...]
        with pytest.raises(TypeError, match="opened by a session"):
            azarr.open(repo)

    asyncio.run(check())


def test_stores_are_told_apart_and_pickled_where_the_session_can_be(repo: Any) -> None:
    session = committed(repo)
    copied = pickle.loads(pickle.dumps(store_from(session)))
    assert repr(copied) == f"IcechunkStore('{session.snapshot_id}')"
    assert copied.identity == IcechunkStore(session).identity
    assert np.array_equal(asyncio.run(azarr.open_array(copied, "g/x")[...].read()), VALUES)
    writing = repo.writable_session("main")
    assert repr(store_from(writing)) == "IcechunkStore(branch='main')"
    assert store_from(writing).identity != store_from(writing.store).identity
    with pytest.raises(ValueError, match="fork"):
        pickle.dumps(store_from(writing))
    fork = writing.fork()
    sent = pickle.loads(pickle.dumps(store_from(fork.store)))

    async def write() -> None:
        await (await azarr.open_array(sent, "g/x", mode="r+"))[0].write(9)

    asyncio.run(write())
    writing.merge(sent.store.session)
    writing.commit("by another")
    assert asyncio.run(azarr.open_array(repo.readonly_session("main"), "g/x")[0].read()).tolist() == [9] * 8
