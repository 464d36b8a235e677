"""Metadata of an array that holds the same elements as another, stored otherwise: other chunks, shards, codecs, another format. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np

from azarr import metadata as v3
from azarr import v2
from azarr.codecs.registry import build
from azarr.document import JSON, Document
from azarr.layout import Layout
from azarr.metadata import ArrayMetadata, CodecSpec
from azarr.tools.creation import SHUFFLES, V3_DEFAULTS, array_metadata

Changed: TypeAlias = "Any | EllipsisType"
"""An option of `create_array`, or `...` for what the source has."""
BOTH = ("blosc", "zstd", "gzip")
"""Compressors that v2 and v3 have, with the same bytes."""
NAMES = {number: name for name, number in SHUFFLES.items()}
AUTO_SHUFFLE = -1  # of v2's Blosc: by bits for items of one byte, else by bytes


def converted(
    metadata: ArrayMetadata, layout: Layout, *, chunks: Changed = ..., shards: Changed = ..., filters: Changed = ...,
    serializer: Changed = ..., compressors: Changed = ..., chunk_key_encoding: Changed = ..., zarr_format: int | None = None,
) -> ArrayMetadata:  # fmt: skip
    """An array, whose `layout` this is, with what is given changed, and all else as it is, or what comes next to it in another format.

    Errors: `MetadataError` and those below it.
    """
    source, kept = metadata._replace(codecs=layout.metadata.codecs), chunks is ... and shards is ...
    whole = zarr_format or source.zarr_format
    if kept and whole == source.zarr_format and all(each is ... for each in (filters, serializer, compressors, chunk_key_encoding)):
        return source
    inner = layout.inner or source.grid
    outer = source.grid.chunks if layout.inner is not None and whole == 3 else None
    old = _codecs(source, whole, kept=kept)
    options: dict[str, Any] = {
        "chunks": (inner.chunks or (1,) * source.ndim) if chunks is ... else chunks,  # of an irregular grid: put right below
        "shards": outer if shards is ... else shards,
        "filters": old["filters"] if filters is ... else filters,
        "serializer": old["serializer"] if serializer is ... else serializer,
        "compressors": old["compressors"] if compressors is ... else compressors,
        "chunk_key_encoding": chunk_key_encoding,
    }
    if chunk_key_encoding is ...:
        encoding = {"name": source.key_encoding.name, "configuration": {"separator": source.key_encoding.separator}}
        options["chunk_key_encoding"] = encoding if whole == source.zarr_format else None
    attributes, names = dict(source.attributes), source.dimension_names
    if source.zarr_format == 2:
        names = names if whole == 3 else None  # else they are an attribute, and stay one
        attributes = {key: value for key, value in attributes.items() if key != v2.DIMENSIONS or names is None}
    made = array_metadata(
        shape=source.shape, dtype=_dtype(source, whole), fill_value=source.fill[()], dimension_names=names, attributes=attributes,
        zarr_format=whole, order=old["order"], **options,
    )  # fmt: skip
    if whole != source.zarr_format:
        return made
    if whole == 2:
        return v2.array_from_json({**made.document, "fill_value": source.document["fill_value"]}, attributes)
    document = {**source.document, **made.document, "fill_value": source.document["fill_value"]}
    if kept and source.grid.chunks is None:
        document["chunk_grid"] = source.document["chunk_grid"]
    return v3.array_from_json(document)


def alike(source: ArrayMetadata, target: ArrayMetadata) -> bool:
    """Whether each chunk or shard of the one, byte for byte, is that of the other."""
    itemsize = source.dtype.numpy.itemsize
    one, other = ([_plain(codec, itemsize) for codec in each.codecs] for each in (source, target))
    same = source.grid == target.grid and source.dtype.numpy == target.dtype.numpy and source.dtype.kind == target.dtype.kind
    fixed = source.dtype.fixed
    return same and one == other and (source.fill.tobytes() == target.fill.tobytes() if fixed else bool(np.all(source.fill == target.fill)))


def _dtype(source: ArrayMetadata, zarr_format: int) -> Any:
    if zarr_format == 3 or not source.dtype.fixed:  # of a struct, v2 has other words
        return source.dtype.numpy if source.zarr_format == 2 and source.dtype.name == "struct" else source.dtype
    return v2.dtype_from_json(source.document["dtype"]) if source.zarr_format == 2 else source.dtype.numpy


def _codecs(source: ArrayMetadata, zarr_format: int, *, kept: bool) -> dict[str, Any]:
    """What `create_array` would be given for the codecs that chunks, or inner chunks, go through; `kept`: which stay as they are."""
    if source.zarr_format == zarr_format == 2:
        held = source.document
        return {"filters": held["filters"], "serializer": "auto", "compressors": held["compressor"], "order": held["order"]}
    specs = source.codecs
    sharding = _sharding(specs)
    while sharding is not None:
        specs = v3.codecs_from_json(sharding.configuration["codecs"], "codecs")
        sharding = None if kept and zarr_format == 3 else _sharding(specs)  # inner chunks may be shards themselves, of other chunks
    by_kind: dict[str, list[CodecSpec]] = {"array-array": [], "array-bytes": [], "bytes-bytes": []}
    for spec in specs:
        by_kind[build(spec).kind].append(_plain(spec, source.dtype.numpy.itemsize))
    filters, compressors = by_kind["array-array"], by_kind["bytes-bytes"]
    if source.zarr_format == zarr_format:
        found = {"filters": _json(filters), "serializer": by_kind["array-bytes"][0].to_json(), "compressors": _json(compressors)}
        return {**found, "order": "C"}
    both = all(codec.name in BOTH or codec.name == "crc32c" for codec in compressors)
    if zarr_format == 3:
        serializer = by_kind["array-bytes"][0]
        known = serializer.name in ("bytes", "vlen-utf8", "vlen-bytes") and "dtype" not in serializer.configuration
        found = {"filters": _json(filters), "serializer": serializer.to_json() if known else "auto"}
        return {**found, "compressors": _json(compressors) if both else "auto", "order": "C"}
    old = [(codec.name, {key: value for key, value in codec.configuration.items() if key != "checksum"}) for codec in compressors]
    pressed = [CodecSpec(name, configuration) for name, configuration in old if name in BOTH]
    usual = both and len(pressed) <= 1
    reverse = any(codec.name == "transpose" for codec in filters)
    return {"filters": None, "serializer": "auto", "compressors": _json(pressed) if usual else "auto", "order": "F" if reverse else "C"}


def _sharding(specs: Sequence[CodecSpec]) -> CodecSpec | None:
    return next((spec for spec in specs if spec.name == "sharding_indexed"), None)


def _json(codecs: list[CodecSpec]) -> list[JSON]:
    return [codec.to_json() for codec in codecs]


def _plain(codec: CodecSpec, itemsize: int) -> CodecSpec:
    """The same codec, as v3 calls it and with what it leaves out."""
    name = codec.name.removeprefix("numcodecs.")
    if name == "bytes" and itemsize == 1 and "dtype" not in codec.configuration:
        return CodecSpec(name)
    if name not in BOTH:
        return codec
    configuration: Document = {**V3_DEFAULTS[name], "typesize": itemsize, **codec.configuration}
    if name != "blosc":
        configuration.pop("typesize")
    elif isinstance(number := configuration["shuffle"], int):
        configuration["shuffle"] = NAMES.get((2 if itemsize == 1 else 1) if number == AUTO_SHUFFLE else number, "shuffle")
    return CodecSpec(name, configuration)
