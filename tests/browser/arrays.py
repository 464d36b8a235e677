"""The arrays that the browser tests read: groups with one array `var`, as azarr writes them in CPython."""

from __future__ import annotations

from typing import Any

import numpy as np

import azarr

VALUES = np.arange(12 * 34, dtype="float32").reshape(12, 34)
SHARDED = {"chunks": (2, 10), "shards": (12, 40)}
"""One shard of 24 inner chunks."""
OPTIONS: dict[str, dict[str, Any]] = {
    "v2 gzip": {"zarr_format": 2, "compressors": "gzip"},
    "v3 zstd": {"compressors": "zstd"},
    "v3 sharded": SHARDED,
    "blosc": {"compressors": "blosc"},
    "raw": {"compressors": None},
}


async def group(layout: str, values: Any = VALUES, **options: Any) -> dict[str, bytes]:
    """The objects of a group."""
    objects: dict[str, bytes] = {}
    kind = {"chunks": (5, 10), **OPTIONS[layout], **options}
    await azarr.create_group(objects, zarr_format=kind.get("zarr_format", 3))
    array = await azarr.create_array(objects, "var", shape=values.shape, dtype=values.dtype, **kind)
    await array[...].write(values)
    return objects
