"""Metadata of arrays to be created, from the arguments that people give. Pure; the documents are checked like any that are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from azarr import dtypes, fill_values, v2
from azarr import metadata as v3
from azarr.document import JSON, Document, is_object
from azarr.dtypes import DataType
from azarr.errors import MetadataError
from azarr.metadata import ArrayMetadata

__all__ = ["Codecs", "array_metadata", "auto_chunks"]

Codecs: TypeAlias = "str | Document | Sequence[str | Document] | None"
CHUNK_BYTES = 1 << 20
"""Bytes that `chunks="auto"` aims at."""


def array_metadata(
    *,
    shape: tuple[int, ...],
    dtype: Any,
    chunks: Any,
    shards: tuple[int, ...] | None,
    filters: Codecs,
    serializer: Codecs,
    compressors: Codecs,
    fill_value: Any,
    dimension_names: Any,
    attributes: dict[str, JSON],
    zarr_format: int,
    order: str,
    chunk_key_encoding: Any,
) -> ArrayMetadata:
    """What `create_array` stores. Errors: `MetadataError` and those below it."""
    data_type = dtypes.from_numpy(dtype) if zarr_format == 3 else _v2_type(dtype)
    sizes = auto_chunks(shape, data_type.numpy.itemsize) if chunks == "auto" else (chunks,) if isinstance(chunks, int) else tuple(chunks)
    fill = fill_values.default(data_type) if fill_value is None else fill_values.from_value(fill_value, data_type)
    if order not in ("C", "F"):
        raise MetadataError("must be 'C' or 'F'", field="order", value=order)
    names = list(dimension_names) if dimension_names is not None else None
    if zarr_format == 2:
        if shards is not None:
            raise MetadataError("Zarr v2 has no shards", field="shards", value=shards)
        return _v2(shape, sizes, data_type, dtype, filters, compressors, fill, names, attributes, order, chunk_key_encoding)
    if zarr_format != 3:
        raise MetadataError("must be 2 or 3", field="zarr_format", value=zarr_format)
    chain = [*_listed(filters), _serializer(serializer, data_type), *([_zstd()] if compressors == "auto" else _listed(compressors))]
    if order == "F":
        chain.insert(0, {"name": "transpose", "configuration": {"order": list(range(len(shape)))[::-1]}})
    if shards is not None:
        index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        inner = {"chunk_shape": list(sizes), "codecs": chain, "index_codecs": index, "index_location": "end"}
        chain = [{"name": "sharding_indexed", "configuration": inner}]
    document: Document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": data_type.spec,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shards or sizes)}},
        "chunk_key_encoding": _key_encoding(chunk_key_encoding, "default"),
        "fill_value": fill_values.to_json(fill, data_type),
        "codecs": chain,
        "attributes": attributes,
    }
    return v3.array_from_json(document if names is None else {**document, "dimension_names": names})


def auto_chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Chunks of about 1 MiB: the longest axis is halved until they are that small."""
    sizes = [max(1, length) for length in shape]
    while math.prod(sizes) * max(1, itemsize) > CHUNK_BYTES and max(sizes) > 1:
        longest = sizes.index(max(sizes))
        sizes[longest] = -(-sizes[longest] // 2)
    return tuple(sizes)


def _v2(
    shape: tuple[int, ...],
    sizes: tuple[int, ...],
    data_type: DataType,
    dtype: Any,
    filters: Codecs,
    compressors: Codecs,
    fill: fill_values.Fill,
    names: list[Any] | None,
    attributes: dict[str, JSON],
    order: str,
    chunk_key_encoding: Any,
) -> ArrayMetadata:
    stored = np.dtype(dtype) if data_type.fixed else None
    chain = [_v2_codec(codec) for codec in _listed(filters)]
    if not data_type.fixed and not any(codec["id"] in v2.OBJECT_CODECS for codec in chain):
        chain.insert(0, {"id": "vlen-utf8" if data_type.kind == "string" else "vlen-bytes"})
    pressed = [{"id": "zstd", "level": 3}] if compressors == "auto" else [_v2_codec(codec) for codec in _listed(compressors)]
    if len(pressed) > 1:
        raise MetadataError("Zarr v2 has one compressor; the others are filters", field="compressors", value=pressed)
    encoding = _key_encoding(chunk_key_encoding, "v2")
    if encoding["name"] != "v2":
        raise MetadataError("Zarr v2 has only the encoding 'v2'", field="chunk_key_encoding", value=encoding)
    document: Document = {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(sizes),
        "dtype": "|O" if stored is None else v2.dtype_to_json(stored),
        "compressor": pressed[0] if pressed else None,
        "fill_value": fill_values.to_json(fill if stored is None else fill.astype(stored), data_type, v2=True),
        "order": order,
        "filters": chain or None,
        "dimension_separator": encoding.get("configuration", {}).get("separator", "."),
    }
    return v2.array_from_json(document, attributes if names is None else {**attributes, v2.DIMENSIONS: names})


def _v2_type(dtype: Any) -> DataType:
    if dtype in (str, bytes) or isinstance(dtype, (DataType, np.dtypes.StringDType)) or dtype in ("string", "bytes"):
        return dtypes.from_numpy(dtype)
    found = np.dtype(dtype)
    return DataType({"name": "struct", "configuration": {}}, dtypes.native(found)) if found.names is not None else dtypes.from_numpy(found)


def _listed(codecs: Codecs) -> list[Any]:
    if codecs is None:
        return []
    return [codecs] if isinstance(codecs, str) or is_object(codecs) else list(codecs)


def _zstd() -> Document:
    return {"name": "zstd", "configuration": {"level": 3, "checksum": False}}


def _serializer(serializer: Codecs, data_type: DataType) -> Any:
    if serializer != "auto":
        return serializer
    if data_type.kind == "string":
        return {"name": "vlen-utf8"}
    if data_type.kind == "bytes":
        return {"name": "vlen-bytes"}
    return {"name": "bytes", "configuration": {"endian": "little"}}


def _v2_codec(codec: Any) -> Document:
    """By id, as numcodecs has it, or as in a v3 document."""
    if isinstance(codec, str):
        return {"id": codec}
    if "id" in codec:
        return dict(codec)
    return {"id": codec["name"].removeprefix("numcodecs."), **codec.get("configuration", {})}


def _key_encoding(given: Any, name: str) -> Document:
    if given is None:
        return {"name": name, "configuration": {"separator": "/" if name == "default" else "."}}
    if given in ("/", "."):
        return {"name": name, "configuration": {"separator": given}}
    return {"name": given} if isinstance(given, str) else given
