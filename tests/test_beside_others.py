"""What others change meanwhile: behind a cache, by another path, without asking; and what those who were ended have left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr._engine.turns import turn
from azarr.errors import MetadataError, NodeExists, NodeNotFound, StoreError
from azarr.stores import LocalStore, MemoryStore
from fakes import Waiting


async def cached(place: Path) -> Any:
    return await azarr.open_array(azarr.Cached(LocalStore(place)), "x", mode="r+")


@pytest.mark.parametrize("below", ["", "g/"])
async def test_a_node_that_is_changed_by_its_own_path_is_not_shown_as_it_was(below: str, tmp_path: Path):
    async def delete(path: str) -> None:
        await azarr.delete(path)

    async def append(path: str) -> None:
        await (await azarr.open_array(path, mode="r+")).append([7.0])

    async def describe(path: str) -> None:
        await (await azarr.open_array(path, mode="r+")).update_attrs({"units": "K"})

    async def replace(path: str) -> None:
        await azarr.save(path, "", np.arange(3, dtype="i2"), overwrite=True)

    async def make(path: str) -> None:
        await azarr.create_array(f"{path}2", shape=2, dtype="f8")

    for number, change in enumerate((delete, append, describe, replace, make)):
        tree = tmp_path / f"{number}.zarr"
        await azarr.save(tree, f"{below}v", np.arange(6.0))
        await azarr.consolidate(tree)
        await change(f"{tree}/{below}v")
        shown = {path: node for path, node in [item async for item in (await azarr.open_group(tree)).walk()] if isinstance(node, azarr.Array)}
        assert set(shown) == {f"{below}v"} - {f"{below}v" * (change is delete)} | ({f"{below}v2"} if change is make else set())
        for path, node in shown.items():
            own = await azarr.open_array(f"{tree}/{path}")
            assert (node.shape, node.dtype, dict(node.attrs)) == (own.shape, own.dtype, dict(own.attrs))
            np.testing.assert_array_equal(await node[...], await own[...])


async def test_behind_a_cache_rows_that_others_appended_stay(tmp_path: Path):
    await azarr.save(tmp_path, "x", np.arange(1, 7), chunks=4)
    behind = await cached(tmp_path)
    await (await azarr.open_array(tmp_path, "x", mode="r+")).append([50] * 5)
    await behind.append([77] * 2)
    assert (await azarr.load(tmp_path, "x")).tolist() == [1, 2, 3, 4, 5, 6, *[50] * 5, 77, 77]


async def test_behind_a_cache_consolidated_metadata_that_others_made_go_too(tmp_path: Path):
    await azarr.save(tmp_path, "x", np.arange(4))
    store = azarr.Cached(LocalStore(tmp_path))
    array = await azarr.open_array(store, "x", mode="r+")
    for change in (lambda: array.append([5]), lambda: array.update_attrs({"a": 1}), lambda: azarr.create_array(store, "y", shape=3, dtype="i4")):
        await azarr.open_group(store)
        await azarr.consolidate(tmp_path)
        await change()
        assert (await azarr.open_group(tmp_path)).metadata.consolidated is None
        assert (await azarr.verify(tmp_path)).ok


class Meddled(LocalStore):
    """Somebody who asks for no lock gives the array another row, just before the first change of its document is put."""

    meddled = False

    async def replace(self, key: str, data: Any, version: str | None) -> bool:
        if key == "zarr.json" and not self.meddled:
            self.meddled, other = True, LocalStore(self.root)
            document = json.loads(bytes((await other.get(key)).data))  # pyright: ignore[reportOptionalMemberAccess]
            await other.set(key, json.dumps({**document, "shape": [document["shape"][0] + 1]}).encode())
        return await super().replace(key, data, version)


async def test_an_append_begins_again_where_the_array_is_no_longer_what_it_was(tmp_path: Path):
    await azarr.save(tmp_path, "", np.arange(1, 5), chunks=3)
    array = await (await azarr.open_array(Meddled(tmp_path), mode="r+")).append([7, 8])
    assert array.shape == (7,)
    rows = (await azarr.load(tmp_path)).tolist()
    assert (rows[:4], rows[5:]) == ([1, 2, 3, 4], [7, 8])


async def test_attributes_are_changed_while_nobody_appends(tmp_path: Path):
    class Held(LocalStore):
        held: list[str] = []  # noqa: RUF012  # of the one store

        @contextlib.asynccontextmanager
        async def hold(self, key: str) -> AsyncGenerator[None]:
            async with super().hold(key):
                self.held.append(key)
                yield

    await azarr.save(tmp_path, "x", np.arange(4))
    await (await azarr.open_array(Held(tmp_path), "x", mode="r+")).update_attrs({"a": 1})
    assert Held.held == ["x/zarr.json"]


async def test_rows_that_a_grid_has_no_chunks_for_are_refused_before_anything_is_stored():
    store = Waiting({})
    await azarr.save(store, "", np.arange(6), chunks=3)
    document = json.loads(store.inner.mapping["zarr.json"])
    document["chunk_grid"] = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[3, 4]]}}
    store.inner.mapping["zarr.json"] = json.dumps(document).encode()
    array = await azarr.open_array(store, mode="r+")
    with pytest.raises(MetadataError, match="chunk_shapes"):
        await array.append([1, 2, 3])
    assert (await azarr.open_array(store)).shape == (6,)


async def test_rows_of_an_append_that_failed_never_come_up():
    class Full(MemoryStore):
        full = False

        def put(self, key: str, data: Any, version: str | None = "*") -> bool:
            if self.full and key == "zarr.json":
                raise StoreError("no space", store="full", key=key)
            return super().put(key, data, version)

    store = Full()
    array = await azarr.save(store, "", np.arange(1, 5), chunks=3)
    store.full = True
    with pytest.raises(StoreError, match="no space"):
        await array.append([99] * 8)
    store.full = False
    array = await azarr.open_array(store, mode="r+")
    assert (await (await array.resize((12,), clear=True))[...]).tolist() == [1, 2, 3, 4, *[0] * 8]


async def test_a_copy_of_something_else_that_looks_the_same_does_not_go_on(tmp_path: Path):
    first, second = [await azarr.save({}, "", np.full(200, number), chunks=10) for number in (1, 2)]
    assert repr(first.store) == repr(second.store)
    copying = asyncio.ensure_future(azarr.copy(first, tmp_path, compressors=None, progress=lambda done, total: copying.cancel()))
    with pytest.raises(asyncio.CancelledError):
        await copying
    with pytest.raises(NodeExists, match="unfinished copy of something else"):
        await azarr.copy(second, tmp_path, compressors=None)
    await azarr.copy(first, tmp_path, compressors=None)
    assert set((await azarr.load(tmp_path)).tolist()) == {1}


async def test_of_two_copies_to_one_place_one_is_told_that_it_is_not(tmp_path: Path):
    sources = [await azarr.save({}, "", np.full(200, number), chunks=10) for number in (1, 2)]
    for turns in range(5):
        made = await asyncio.gather(*(azarr.copy(source, tmp_path / f"{turns}") for source in sources), return_exceptions=True)
        good = [number for number, each in enumerate(made, 1) if isinstance(each, azarr.Array)]
        assert [type(each) for each in made if isinstance(each, Exception)] == [NodeExists] * (2 - len(good))
        assert set((await azarr.load(tmp_path / f"{turns}")).tolist()) == set(good)


async def test_empty_folders_are_in_nobodys_way(tmp_path: Path):
    await azarr.save(tmp_path, "x", np.ones((4, 4)), chunks=(2, 2))
    for folder in ("x/c/2", "x/c/0/5"):  # who is killed between making a folder and renaming into it leaves them
        (tmp_path / folder).mkdir(parents=True)
    await azarr.delete(tmp_path, "x")
    assert [each.name for each in tmp_path.iterdir()] == ["zarr.json"]
    (tmp_path / "x/c/0/7").mkdir(parents=True)
    array = await azarr.create_array(tmp_path, "x", shape=6, dtype="i4", chunks=2)
    await array[...].write(1)
    assert (await array[...]).tolist() == [1] * 6


async def test_where_a_system_has_no_locks_opening_does_not_delete_what_is_about_to_be_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fcntl.flock", lambda *_: None)  # as it is in Pyodide
    store = LocalStore(tmp_path)
    await azarr.save(store, "x", np.arange(4))
    with store.writer() as writer:
        writer.put("x/c/7", b"1")
        (staged,) = (tmp_path / ".azarr-staged").iterdir()
        await azarr.open_array(tmp_path, "x", mode="r+")
        assert staged.is_dir()
        writer.put("x/c/8", b"2")
    assert not staged.exists()


async def test_an_array_is_not_made_inside_of_one_that_is_made_meanwhile(tmp_path: Path):
    for turns in range(10):
        tree = tmp_path / f"{turns}"
        await azarr.create_group(tree)
        shape: dict[str, Any] = {"shape": 3, "dtype": "i4"}
        await asyncio.gather(azarr.create_array(tree, "a", **shape), azarr.create_array(tree, "a/b", **shape), return_exceptions=True)
        node = await azarr.open(tree)["a"]
        if isinstance(node, azarr.Array):
            with pytest.raises(NodeNotFound):
                await azarr.open_array(tree / "a/b")
        else:
            assert list(await node.keys()) == ["b"]


async def test_what_overwriting_could_not_delete_is_not_shown_as_it_was():
    class Failing(MemoryStore):
        fails = False

        def put(self, key: str, data: Any, version: str | None = "*") -> bool:
            if self.fails and data is None and key == "a/c/2":
                raise StoreError("no", store="failing", key=key)
            return super().put(key, data, version)

    store = Failing()
    await azarr.save(store, "a", np.arange(1, 10), chunks=3)
    await azarr.consolidate(store)
    store.fails = True
    with pytest.raises(StoreError, match="no"):
        await azarr.create_array(store, "a", shape=9, dtype="i8", chunks=3, overwrite=True)
    with pytest.raises(NodeNotFound):
        await (await azarr.open_group(store))["a"]


async def test_who_waits_for_a_loop_that_was_closed_goes_on():
    other = asyncio.new_event_loop()
    writing = turn("a place", ())
    await asyncio.to_thread(other.run_until_complete, writing.__aenter__())

    async def wait() -> str:
        async with turn("a place", ()):
            return "done"

    waiting = asyncio.ensure_future(wait())
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    other.close()
    assert await asyncio.wait_for(waiting, 30) == "done"
