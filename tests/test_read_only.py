"""What is opened to read holds no way to write: over the whole API that reads, nothing is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.errors import ReadOnly
from azarr.stores import MemoryStore
from fakes import Conditional

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


class Watched(MemoryStore):
    """Notes whatever could change it, and that somebody asked for a way to do so."""

    def __init__(self, mapping: Any) -> None:
        super().__init__(mapping)
        self.changes = list[str]()

    def put(self, key: str, data: Any, version: str | None = "*") -> bool:
        self.changes.append(f"put {key}")
        return super().put(key, data, version)

    def writer(self) -> Any:
        self.changes.append("writer")
        return super().writer()

    async def clean(self) -> None:
        self.changes.append("clean")


class WatchedWaiting(Conditional):
    """The same of a store that waits."""

    def __init__(self, mapping: Any) -> None:
        super().__init__(mapping)
        self.changes = list[str]()

    async def set(self, key: str, data: Any) -> None:
        self.changes.append(f"set {key}")
        await super().set(key, data)

    async def delete(self, key: str) -> None:
        self.changes.append(f"delete {key}")
        await super().delete(key)

    async def replace(self, key: str, data: Any, version: str | None) -> bool:
        self.changes.append(f"replace {key}")
        return await super().replace(key, data, version)


async def data(store: Any, zarr_format: int) -> None:
    await azarr.create_group(store, zarr_format=zarr_format)
    await azarr.save(store, "a/x", np.arange(12).reshape(3, 4), chunks=(2, 2), zarr_format=zarr_format)
    await azarr.create_array(store, "a/empty", shape=(3,), dtype="u1", zarr_format=zarr_format)
    await azarr.consolidate(store)


async def read_everything(source: Any) -> None:
    """All that reads, on a hierarchy of `data`."""
    for node in (azarr.open(source), azarr.open_group(source), azarr.open_consolidated(source), azarr.open_group(source, consolidated=False)):
        group = await node
        assert await (await group["a"]).keys() in (["x", "empty"], ["empty", "x"])
        assert len([name async for name, _ in group.walk()]) == 3
        assert "empty" in str(await group.tree())
        array = await group["a/x"]
        everything = await array[...]
        for selection in (array[1:], array.oindex[[0, 2]], array.vindex[[0, 1], [2, 3]], array[everything > 3], node["a/x"][0]):
            await selection
            await selection.read()
        async for _ in array.blocks():
            pass
        array[1:].plan()
        assert (await array.presence()).all()
        assert await array.nbytes_stored() > 0
        assert not (await (await group["a/empty"])[...]).any()
    assert (await azarr.verify(source)).ok
    await azarr.read_many(azarr.open(source)["a/x"][0], array[1])
    await azarr.load(source, "a/x")
    await azarr.copy(source, {})


@FORMATS
@pytest.mark.parametrize("kind", [Watched, WatchedWaiting])
async def test_reading_asks_for_nothing_that_writes(zarr_format: int, kind: Any):
    store: dict[str, bytes] = {}
    await data(store, zarr_format)
    before = dict(store)
    watched = kind(store)
    await read_everything(watched)
    assert watched.changes == []
    assert store == before
    await (await azarr.open_array(watched, "a/x", mode="r+"))[0].write(1)
    assert watched.changes  # it would have told


@FORMATS
async def test_reading_a_folder_changes_no_file_of_it(zarr_format: int, tmp_path: Path):
    await data(tmp_path, zarr_format)

    def state() -> dict[str, tuple[int, int]]:
        paths = [tmp_path, *tmp_path.rglob("*")]
        return {str(path): (os.stat(path).st_mtime_ns, os.stat(path).st_ino) for path in paths}

    before = state()
    await read_everything(tmp_path)
    assert state() == before


@FORMATS
async def test_every_change_through_what_was_opened_to_read_is_refused(zarr_format: int):
    store: dict[str, bytes] = {}
    await data(store, zarr_format)
    before = dict(store)
    group, array = await azarr.open_group(store), await azarr.open_array(store, "a/x")
    changes = [
        lambda: array[...].write(1), lambda: array.vindex[[0], [0]].write(1), lambda: group["a/x"][0].write(1),
        lambda: array.update_attrs({"a": 1}), lambda: group.update_attrs({"a": 1}), lambda: array.resize((1, 1)),
        lambda: array.append([[1, 2, 3, 4]]), array.compact,
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(ReadOnly, match=r"was opened to read; open it with mode='r\+' to write"):
            await change()
    assert store == before
