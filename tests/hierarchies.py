"""Small hierarchies, with and without consolidated metadata: as azarr writes them, and written by hand."""

from __future__ import annotations

import json
from typing import Any

import azarr

Documents = dict[str, bytes]
GROUP = {"zarr_format": 3, "node_type": "group", "attributes": {}}


async def weather(zarr_format: int = 3, store: Any = None) -> Any:
    """A root with an array `rain`, and a group `air` with an array `temperature` and an empty group `empty`."""
    store = {} if store is None else store
    await azarr.create_group(store, attributes={"title": "weather"}, zarr_format=zarr_format)
    rain = await azarr.create_array(store, "rain", shape=(4,), dtype="u1", chunks=(2,), zarr_format=zarr_format, dimension_names=("day",))
    await rain[...].write([1, 2, 3, 4])
    await azarr.create_group(store, "air", zarr_format=zarr_format)
    temperature = await azarr.create_array(store, "air/temperature", shape=(2, 3), dtype="i2", zarr_format=zarr_format, attributes={"units": "K"})
    await temperature[...].write([[1, 2, 3], [4, 5, 6]])
    await azarr.create_group(store, "air/empty", zarr_format=zarr_format)
    return store


def consolidated(store: Documents) -> Documents:
    """The same with consolidated metadata in the form of the store's format, written by hand."""
    if "zarr.json" not in store:
        members = {key: json.loads(data) for key, data in store.items() if key.rpartition("/")[2] in (".zarray", ".zgroup", ".zattrs")}
        return {**store, ".zmetadata": as_bytes({"zarr_consolidated_format": 1, "metadata": members})}
    members = {key.removesuffix("/zarr.json"): json.loads(data) for key, data in store.items() if key.endswith("/zarr.json")}
    return {**store, "zarr.json": as_bytes({**json.loads(store["zarr.json"]), "consolidated_metadata": inline(members)})}


def inline(members: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "inline", "must_understand": False, "metadata": members}


def as_bytes(document: Any) -> bytes:
    return json.dumps(document).encode()
