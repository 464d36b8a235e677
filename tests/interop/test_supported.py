"""The table of docs/supported.md is so: an array of each data type and codec is opened and read by each library, or is not.

azarr writes a chunk of zeros, or else tensorstore; where neither can, there is no chunk, and the fill value is read.
"""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tensorstore
import zarr
import zarrista
import zarrista.store

import azarr

TABLE = Path(__file__).parents[2] / "docs" / "supported.md"
ZIP = {"name": "numcodecs.zlib", "configuration": {"level": 1}}
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
BLOSC = {"cname": "lz4", "clevel": 1, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}
SHARDS = {"chunk_shape": [2], "codecs": [BYTES], "index_codecs": [BYTES, {"name": "crc32c"}], "index_location": "start"}
STRUCT = {"name": "struct", "configuration": {"fields": [{"name": "a", "data_type": "int16"}]}}


def of_type(data_type: Any, fill_value: Any = 0, codec: Any = BYTES) -> dict[str, Any]:
    return {"data_type": data_type, "fill_value": fill_value, "codecs": [codec]}


def after_bytes(name: str, configuration: Any = None) -> dict[str, Any]:
    return {"codecs": [BYTES, {"name": name, "configuration": configuration or {}}]}


def before_bytes(name: str, configuration: Any = None, data_type: str = "float32") -> dict[str, Any]:
    return {"data_type": data_type, "codecs": [{"name": name, "configuration": configuration or {}}, BYTES]}


ROWS: dict[str, list[dict[str, Any]]] = {
    "`bool`, integers, `float32`, `float64`": [of_type("bool", False), of_type("uint8"), of_type("int64"), of_type("float64")],
    "`float16`": [of_type("float16")],
    "`complex64`, `complex128`": [of_type("complex64", [0, 0]), of_type("complex128", [0, 0])],
    "`complex_float32`, `complex_float64`": [of_type("complex_float32", [0, 0]), of_type("complex_float64", [0, 0])],
    "raw bits `r8`, `r16`, ...": [of_type("r8", [0]), of_type("r16", [0, 0])],
    "`raw_bytes`": [of_type({"name": "raw_bytes", "configuration": {"length_bytes": 2}}, "AAA=")],
    "`string`": [of_type("string", "", {"name": "vlen-utf8"})],
    "`bytes`": [of_type("bytes", "", {"name": "vlen-bytes"})],
    "`fixed_length_utf32`": [of_type({"name": "fixed_length_utf32", "configuration": {"length_bytes": 8}}, "")],
    "`numpy.datetime64`, `numpy.timedelta64`": [
        of_type({"name": f"numpy.{kind}", "configuration": {"unit": "s", "scale_factor": 1}}) for kind in ("datetime64", "timedelta64")
    ],
    "`struct`": [of_type(STRUCT, {"a": 0})],
    "`bfloat16`": [of_type("bfloat16")],
    "`int2`, `int4`": [of_type("int2"), of_type("int4")],
    "`uint2`, `uint4`": [of_type("uint2"), of_type("uint4")],
    "`float8_e5m2`, `float4_e2m1fn`": [of_type("float8_e5m2"), of_type("float4_e2m1fn")],
    "`transpose`": [before_bytes("transpose", {"order": [0]})],
    "`gzip`, `zstd`, `crc32c`": [
        after_bytes("gzip", {"level": 1}), after_bytes("zstd", {"level": 1, "checksum": False}), after_bytes("crc32c"),
    ],
    "`blosc`": [after_bytes("blosc", BLOSC)],
    "`sharding_indexed`": [{"codecs": [{"name": "sharding_indexed", "configuration": SHARDS}]}],
    "`bitround`": [before_bytes("bitround", {"keepbits": 4})],
    "`scale_offset`": [before_bytes("scale_offset", {"offset": 1.0, "scale": 2.0})],
    "`cast_value`": [before_bytes("cast_value", {"data_type": "int16"})],
    "`packbits`": [{"data_type": "bool", "fill_value": False, "codecs": [{"name": "packbits", "configuration": {}}]}],
    "`reshape`": [before_bytes("reshape", {"shape": [2, 2]})],
    "`numcodecs.zlib`": [{"codecs": [BYTES, ZIP]}],
    "`numcodecs.delta`": [before_bytes("numcodecs.delta", {"dtype": "<i4", "astype": "<i4"}, "int32")],
    "`numcodecs.fixedscaleoffset`": [
        before_bytes("numcodecs.fixedscaleoffset", {"offset": 0, "scale": 1, "dtype": "<f4", "astype": "<i2"})
    ],
    "`numcodecs.bz2`, `numcodecs.lz4`": [after_bytes("numcodecs.bz2", {"level": 1}), after_bytes("numcodecs.lz4", {"acceleration": 1})],
    "`numcodecs.shuffle`": [after_bytes("numcodecs.shuffle", {"elementsize": 4})],
    "a codec that need not be understood": [
        {"codecs": [BYTES, {"name": "unheard-of", "configuration": {}, "must_understand": False}]}
    ],
    "a codec named by a bare string (3.1)": [{"data_type": "uint8", "codecs": ["bytes"]}],
    "rectilinear grids": [{"chunk_grid": {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[1, 3]]}}}],
    "keys of v2": [{"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}}}],
}  # fmt: skip
"""The first cells of the table, and what stands in the documents."""


def document(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float32", "fill_value": 0, "codecs": [BYTES], "attributes": {},
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}}, "chunk_key_encoding": {"name": "default"}, **row,
    }  # fmt: skip


def write(root: Path) -> None:
    async def by_azarr() -> None:
        array = await azarr.open_array(root, mode="r+")
        await array[...].write(await array[...], write_empty=True)

    with suppress(azarr.errors.AzarrError):
        asyncio.run(by_azarr())
        return
    with suppress(ValueError):
        array = tensorstore.open(in_tensorstore(root), open=True).result()
        array.write(array.read().result()).result()


def by_azarr(root: Path) -> None:
    async def run() -> None:
        await azarr.open_array(root)[...]

    asyncio.run(run())


def by_zarr_python(root: Path) -> None:
    with zarr.config.set({"array.rectilinear_chunks": False}):  # as it is by itself; other tests make it write them
        zarr.open_array(root, mode="r")[...]


def in_tensorstore(root: Path) -> dict[str, Any]:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{root}/"}, "store_data_equal_to_fill_value": True}


def by_tensorstore(root: Path) -> None:
    tensorstore.open(in_tensorstore(root), open=True).result().read().result()


def by_zarrista(root: Path) -> None:
    array = zarrista.Array.open(zarrista.store.FilesystemStore(root), "/")
    array.retrieve_array_subset(array.subset_all)


LIBRARIES: dict[str, Callable[[Path], None]] = {
    "azarr": by_azarr, "zarr-python": by_zarr_python, "tensorstore": by_tensorstore, "zarrs": by_zarrista,
}  # fmt: skip


def table() -> dict[str, dict[str, str]]:
    lines = TABLE.read_text(encoding="utf-8").split("<!-- checked -->")[1].strip().splitlines()
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cells[0]: dict(zip(heads, cells, strict=True)) for cells in rows}


def test_the_table_has_these_rows() -> None:
    assert list(table()) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_what_is_supported_is_what_the_table_says(name: str, tmp_path: Path) -> None:
    found = dict.fromkeys(LIBRARIES, "yes")
    for number, row in enumerate(ROWS[name]):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "zarr.json").write_text(json.dumps(document(row)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some say that others may not be able to read it
            write(root)
            for library, read in LIBRARIES.items():
                try:
                    read(root)
                except Exception:
                    found[library] = "no"
    said = table()[name]
    assert {library: re.split(r"\W", said[library])[0] for library in LIBRARIES} == found
