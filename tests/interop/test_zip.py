"""Zip files: azarr reads what zarr-python's ZipStore writes, and the other way around."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import ZipStore as Peer

import azarr
from azarr.stores import ZipStore

pytestmark = pytest.mark.interop
VALUES = np.arange(600, dtype="float32").reshape(20, 30)
FORMS = pytest.mark.parametrize(("zarr_format", "shards"), [(2, None), (3, None), (3, (8, 14))])


@FORMS
def test_azarr_reads_what_zarr_python_packs(zarr_format: Any, shards: Any, tmp_path: Path) -> None:
    with Peer(tmp_path / "a.zip", mode="w") as store:
        group = zarr.create_group(store, zarr_format=zarr_format, attributes={"title": "t"})
        array = group.create_array("a", shape=VALUES.shape, dtype="float32", chunks=(4, 7), shards=shards)
        array[...] = VALUES

    async def read() -> tuple[Any, Any]:
        group = await azarr.open_group(tmp_path / "a.zip")
        assert await group.keys() == ["a"]
        assert dict(group.attrs) == {"title": "t"}
        return await group["a"][...], await group["a"][3, ::-2]

    whole, part = asyncio.run(read())
    assert np.array_equal(whole, VALUES)
    assert np.array_equal(part, VALUES[3, ::-2])


@FORMS
def test_zarr_python_reads_what_azarr_packs(zarr_format: Any, shards: Any, tmp_path: Path) -> None:
    async def write() -> None:
        async with ZipStore.create(tmp_path / "a.zip") as store:
            array = await azarr.create_array(
                store, "g/a", shape=VALUES.shape, dtype="float32", chunks=(4, 7), shards=shards, zarr_format=zarr_format
            )
            await array[:9].write(VALUES[:9])
            await array[9:].write(VALUES[9:])
            await array.update_attrs({"units": "m"})

    asyncio.run(write())
    with Peer(tmp_path / "a.zip", mode="r") as store:
        array = zarr.open_group(store, mode="r")["g/a"]
        assert isinstance(array, zarr.Array)
        assert dict(array.attrs) == {"units": "m"}
        assert np.array_equal(np.asarray(array[...]), VALUES)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_azarr_reads_the_last_of_what_zarr_python_wrote_again(zarr_format: Any, tmp_path: Path) -> None:
    with Peer(tmp_path / "a.zip", mode="w") as store:
        group = zarr.create_group(store, zarr_format=zarr_format, attributes={"title": "old"})
        array = group.create_array("a", shape=VALUES.shape, dtype="float32", chunks=(4, 7))
        array[...] = 0
        array[...] = VALUES
        array.attrs["units"] = "m"
        group.attrs["title"] = "new"

    async def read() -> tuple[Any, Any, Any]:
        group = await azarr.open_group(tmp_path / "a.zip")
        array = await group["a"]
        return dict(group.attrs), dict(array.attrs), await array[...]

    of_group, of_array, values = asyncio.run(read())
    assert (of_group, of_array) == ({"title": "new"}, {"units": "m"})
    assert np.array_equal(values, VALUES)
