"""Small arrays in every layout, each in two versions that share no value: what reads over a bad network are checked against.

An array has three objects side by side; the third does not exist, and so reads as fill values. No other value is the fill value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

import azarr
from conftest import run
from documents import as_bytes, regular, sharded, v2_array, v3_array
from hierarchies import GROUP, consolidated

SHAPE, OBJECT, INNER = (8, 48), (8, 16), (4, 8)
FILL = -(2**31)
SEED = 20240229
SELECTIONS: dict[str, Any] = {
    "whole": np.s_[...],
    "part": np.s_[3:6, 9:22],
    "element": np.s_[7, 20],
    "steps": np.s_[::2, 44:8:-5],
    "rows": np.s_[4:, :],
}
"""Whole objects; some inner chunks of both; one; parts of all but the first, from the end; half of the inner chunks of each."""
CRC = {"name": "crc32c"}
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
Objects = dict[str, bytes]
Opener = Callable[..., Any]


def numbers(version: str) -> npt.NDArray[np.int32]:
    """Random numbers, above 0 in the old version and below in the new one; and the fill value where no object is."""
    values = np.random.default_rng(SEED).integers(1, 2**20, SHAPE, dtype="i4") * (1 if version == "old" else -1)
    values[:, 2 * OBJECT[1] :] = FILL
    return values.astype("i4")


@dataclass(frozen=True)
class Layout:
    """An array as objects, in both versions. `guards`: what a reader notices by what is inside an object: other "bytes", an early "end"."""

    name: str
    old: Objects
    new: Objects
    prefix: str
    open: Opener = field(repr=False)
    guards: tuple[str, ...] = ()

    @property
    def objects(self) -> list[str]:
        """The keys of the three objects with values."""
        dot = any(key.endswith(".zarray") for key in self.old)
        return [f"{self.prefix}0.{column}" if dot else f"{self.prefix}c/0/{column}" for column in range(3)]

    @property
    def documents(self) -> list[str]:
        return [key for key in self.old if key not in self.objects]

    @property
    def sharded(self) -> bool:
        """Whether parts of objects are asked for."""
        return any(b"sharding_indexed" in self.old[key] for key in self.documents)

    def wrong(self, selection: str, found: Any, states: Callable[[str], list[bytes | None]]) -> str:
        """What is wrong about `found`, given all that stood under a key while it was read; "" if each object is of one version, and right."""
        want = EXPECTED[selection]
        got = np.asarray(found)
        if got.shape != want["old"].shape or got.dtype != want["old"].dtype:
            return f"{got.dtype} {got.shape}"
        for column, key in enumerate(self.objects):
            where = want["column"] == column
            versions = {self.version(key, state) for state in states(key)}
            if not any(np.array_equal(got[where], want[version][where]) for version in versions):
                return f"{key} holds {got[where].tolist()}, neither of {sorted(versions)}"
        return ""

    def version(self, key: str, data: bytes | None) -> str:
        return "missing" if data is None else "old" if data == self.old[key] else "new"


def _expected() -> dict[str, dict[str, npt.NDArray[Any]]]:
    columns = np.broadcast_to(np.arange(SHAPE[1]) // OBJECT[1], SHAPE)
    whole = {"old": numbers("old"), "new": numbers("new"), "missing": np.full(SHAPE, FILL, "i4"), "column": columns}
    return {name: {version: np.asarray(values[selection]) for version, values in whole.items()} for name, selection in SELECTIONS.items()}


EXPECTED = _expected()
"""For each selection, what is right in the two versions and where nothing is; and which object an element is of."""


def v3(*codecs: Any, **changes: Any) -> dict[str, Any]:
    return v3_array(shape=SHAPE, chunk_grid=regular(*OBJECT), data_type="int32", fill_value=FILL, codecs=list(codecs), **changes)


def v2(**changes: Any) -> dict[str, Any]:
    return v2_array(shape=SHAPE, chunks=OBJECT, dtype="<i4", fill_value=FILL, **changes)


def shards(*inner: Any, location: str = "end", crc: bool = True) -> dict[str, Any]:
    index = [LITTLE, CRC] if crc else [LITTLE]
    return v3(*sharded(*INNER, codecs=list(inner), index_codecs=index, location=location))


BLOSC = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
NESTED = sharded(2, 8, codecs=[LITTLE], index_codecs=[LITTLE, CRC])
BOTH, END, NONE = ("bytes", "end"), ("end",), ()
DOCUMENTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "v2 chunks": (v2(), END),
    "v2 chunks of blosc": (v2(compressor=BLOSC), BOTH),
    "chunks": (v3(LITTLE), END),
    "chunks of zstd": (v3(LITTLE, ZSTD), BOTH),
    "chunks with checksums": (v3(LITTLE, CRC), BOTH),
    "shards": (shards(LITTLE), END),
    "shards without checksums": (shards(LITTLE, crc=False), NONE),
    "shards of zstd, index first": (shards(LITTLE, ZSTD, location="start"), BOTH),
    "shards with checksums": (shards(LITTLE, CRC), BOTH),
    "nested shards": (shards(*NESTED), BOTH),
}
"""The document of an array, and what it guards. The last bytes of a shard are its index: if they are cut, and have no checksum, others are."""


def _open(path: str = "", **options: Any) -> Opener:
    """How an array is opened: with the format known, and through its group, where there is one."""

    async def opened(source: Any, context: Any) -> azarr.Array:
        if not path:
            return await azarr.open_array(source, context=context, **options)
        group = await azarr.open_group(source, context=context, **options)
        return await group[path]

    return opened


async def _written(document: Mapping[str, Any], prefix: str, version: str) -> Objects:
    """The objects of an array that says in its attributes which version it is."""
    attributes = {"version": version}
    is_v2 = document["zarr_format"] == 2
    if is_v2:
        objects = {prefix + ".zarray": as_bytes(document), prefix + ".zattrs": as_bytes(attributes)}
    else:
        objects = {prefix + "zarr.json": as_bytes({**document, "attributes": attributes})}
    array = await azarr.open_array(objects, prefix.rstrip("/"), mode="r+")
    await array[:, : 2 * OBJECT[1]].write(numbers(version)[:, : 2 * OBJECT[1]])
    return objects


async def _layouts() -> dict[str, Layout]:
    made: dict[str, Layout] = {}
    for name, (document, guards) in DOCUMENTS.items():
        old, new = await _written(document, "", "old"), await _written(document, "", "new")
        made[name] = Layout(name, old, new, "", _open(zarr_format=document["zarr_format"]), guards)
    any_format = made["v2 chunks of blosc"]
    made["v2 chunks, format not known"] = Layout("v2 chunks, format not known", any_format.old, any_format.new, "", _open(), BOTH)
    for name, of, root in (
        ("consolidated group", "shards of zstd, index first", {"zarr.json": as_bytes(GROUP)}),
        ("consolidated group of v2", "v2 chunks", {".zgroup": as_bytes({"zarr_format": 2})}),
    ):
        document, guards = DOCUMENTS[of]
        old, new = [consolidated({**root, **await _written(document, "rain/", version)}) for version in ("old", "new")]
        made[name] = Layout(name, old, new, "rain/", _open("rain", zarr_format=document["zarr_format"]), guards)
    return made


LAYOUTS: dict[str, Layout] = run(_layouts())


def told_version(array: Any) -> str | None:
    """Which version the attributes of an array say that it is; None if they say nothing."""
    return array.attrs.get("version")
