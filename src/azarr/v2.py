"""Zarr v2 documents, turned into the one (v3) model at the door. Nothing else knows that v2 exists.

A v2 chunk is: order (a transpose), bytes, filters, compressor. All that numcodecs calls a filter works on bytes, so the chain
of a v2 array is `[transpose] bytes filter... compressor`, where filter and compressor are `numcodecs.<id>` codecs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from azarr import dtypes, fill_values
from azarr.document import JSON, Document, is_list, is_object
from azarr.dtypes import BYTES, OBJECT, STRING, DataType, NumPyDType
from azarr.errors import MetadataError, UnknownCodec, UnknownDataType
from azarr.grid import Grid, KeyEncoding, integers
from azarr.metadata import EMPTY, ArrayMetadata, CodecSpec, GroupMetadata

__all__ = ["DIMENSIONS", "OBJECT_CODECS", "array_from_json", "array_to_json", "consolidated_members", "dtype_to_json", "group_from_json", "stored_dtype"]

MANDATORY = ("zarr_format", "shape", "chunks", "dtype", "compressor", "fill_value", "order", "filters")
OBJECT_CODECS = {
    "vlen-utf8": STRING,
    "vlen-bytes": BYTES,
    "vlen-array": OBJECT,
    "json2": OBJECT,
    "msgpack2": OBJECT,
    "categorize": OBJECT,
}
"""Filters that make bytes of Python objects, and the data type they make of it. `pickle` is not here, and never will be."""
DIMENSIONS = "_ARRAY_DIMENSIONS"
"""The attribute in which xarray keeps dimension names in v2 arrays."""


def array_from_json(document: Document, attributes: Mapping[str, Any] = EMPTY, *, lenient: bool = False) -> ArrayMetadata:
    """The array that `.zarray` and `.zattrs` describe. The spec: other keys "should be ignored"."""
    if type(document.get("zarr_format")) is not int or document["zarr_format"] != 2:
        raise MetadataError("must be the integer 2", field="zarr_format", value=document.get("zarr_format"))
    for name in MANDATORY:
        if name not in document:
            raise MetadataError("the field is mandatory", field=name, value="absent")
    shape = integers(document["shape"], "shape", least=0)
    chunks = integers(document["chunks"], "chunks", least=1, length=len(shape))
    filters = _filters(document["filters"])
    object_codec = next((codec for codec in filters if codec["id"] in OBJECT_CODECS), None)
    dtype, stored = _dtype(document["dtype"], object_codec)
    if document["order"] not in ("C", "F"):
        raise MetadataError("must be 'C' or 'F'", field="order", value=document["order"])
    separator = document.get("dimension_separator", ".")
    if separator not in (".", "/"):
        raise MetadataError("must be '.' or '/'", field="dimension_separator", value=separator)
    codecs: list[CodecSpec] = []
    if document["order"] == "F" and len(shape) > 1:
        codecs.append(CodecSpec("transpose", {"order": list(range(len(shape)))[::-1]}))
    if dtype.fixed:
        codecs.append(CodecSpec("bytes", _bytes_configuration(stored)))
    for position, codec in enumerate(filters):
        codecs.append(_codec(codec, f"filters[{position}]", stored.itemsize, serializes=codec is object_codec and not dtype.fixed))
    if document["compressor"] is not None:
        codecs.append(_codec(document["compressor"], "compressor", stored.itemsize))
    return ArrayMetadata(
        shape=shape,
        dtype=dtype,
        grid=Grid.regular(shape, chunks),
        key_encoding=KeyEncoding("v2", separator),
        fill=_fill(document["fill_value"], dtype, stored, lenient),
        codecs=tuple(codecs),
        attributes=attributes,
        dimension_names=_dimension_names(attributes.get(DIMENSIONS), len(shape)),
        zarr_format=2,
        order=document["order"],
        extra={name: value for name, value in document.items() if name not in MANDATORY and name != "dimension_separator"},
        fill_defined=document["fill_value"] is not None,
    )


def array_to_json(metadata: ArrayMetadata) -> Document:
    """The `.zarray` document of `metadata`, which must have been made for v2."""
    codecs = [codec for codec in metadata.codecs if codec.name not in ("transpose", "bytes")]
    configured: list[Document] = [{"id": codec.name.removeprefix("numcodecs.").removeprefix("v2:"), **codec.configuration} for codec in codecs]
    for codec in configured:
        codec.pop("typesize", None)
    compressor = configured.pop() if configured and configured[-1]["id"] in COMPRESSORS else None
    fill = fill_values.to_json(metadata.fill, metadata.dtype, v2=True) if metadata.fill_defined else None
    return {
        "zarr_format": 2,
        "shape": list(metadata.shape),
        "chunks": list(metadata.grid.chunks or ()),
        "dtype": "|O" if not metadata.dtype.fixed else dtype_to_json(stored_dtype(metadata)),
        "compressor": compressor,
        "fill_value": fill,
        "order": metadata.order,
        "filters": configured or None,
        "dimension_separator": metadata.key_encoding.separator,
        **metadata.extra,
    }


def group_from_json(document: Document, attributes: Mapping[str, Any] = EMPTY) -> GroupMetadata:
    if type(document.get("zarr_format")) is not int or document["zarr_format"] != 2:
        raise MetadataError("must be the integer 2", field="zarr_format", value=document.get("zarr_format"))
    return GroupMetadata(attributes=attributes, zarr_format=2)


def consolidated_members(document: Document) -> Mapping[str, JSON]:
    """The documents of `.zmetadata` by node path: each an object with `.zarray` or `.zgroup`, and maybe `.zattrs`."""
    if document.get("zarr_consolidated_format") != 1 or not is_object(document.get("metadata")):
        raise MetadataError("must be 1, beside an object metadata", field="zarr_consolidated_format", value=document.get("zarr_consolidated_format"))
    members: dict[str, dict[str, JSON]] = {}
    for key, value in document["metadata"].items():
        path, _, name = key.rpartition("/")
        if name in (".zarray", ".zgroup", ".zattrs"):
            members.setdefault(path, {})[name] = value
    return members


def stored_dtype(metadata: ArrayMetadata) -> NumPyDType:
    """The NumPy dtype of the bytes of a chunk, byte orders as they are stored."""
    configuration = next(codec.configuration for codec in metadata.codecs if codec.name == "bytes")
    if "dtype" in configuration:
        return configuration["dtype"]
    return metadata.dtype.numpy.newbyteorder(">" if configuration.get("endian") == "big" else "<")


PLAIN = ("blosc", "zstd", "gzip", "zlib", "bz2", "lzma")
"""Compressors that azarr has files for; `v2:` marks what numcodecs does on bytes."""
COMPRESSORS = frozenset((*PLAIN, "lz4", "zfpy", "pcodec"))


def _filters(value: JSON) -> list[Document]:
    """A list, or null; an empty list stands in the wild, and means null."""
    if value is None:
        return []
    if not is_list(value):
        raise MetadataError("filters are a list, or null", field="filters", value=value)
    for item in value:
        if not is_object(item) or not isinstance(item.get("id"), str):
            raise MetadataError("a filter is an object with an id", field="filters", value=item)
    return value


def _codec(value: JSON, field: str, itemsize: int, *, serializes: bool = False) -> CodecSpec:
    if not is_object(value) or not isinstance(value.get("id"), str):
        raise MetadataError("a codec is an object with an id", field=field, value=value)
    if value["id"] == "pickle":
        raise UnknownCodec("azarr never decodes pickle, which runs code that the data brings along", field=field, value=value)
    name, configuration = value["id"], {key: item for key, item in value.items() if key != "id"}
    if serializes and name in ("vlen-utf8", "vlen-bytes"):
        return CodecSpec(name)
    if name == "blosc":
        configuration["typesize"] = itemsize
    return CodecSpec(f"numcodecs.{name}" if serializes or name in PLAIN else f"v2:{name}", configuration)


def _dtype(value: JSON, object_codec: Document | None) -> tuple[DataType, NumPyDType]:
    """The data type, and the NumPy dtype with the byte orders in which it is stored."""
    if value == "|O":
        if object_codec is None:
            raise MetadataError("'|O' needs an object codec as a filter, such as vlen-utf8", field="dtype", value=value)
        dtype = OBJECT_CODECS[object_codec["id"]]
        return dtype, dtype.numpy
    stored = _numpy_dtype(value)
    if stored.hasobject:
        raise UnknownDataType("objects inside a struct are not supported", field="dtype", value=value)
    if stored.names is None:
        return dtypes.from_numpy(stored), stored
    return DataType({"name": "struct", "configuration": {"fields": value}}, dtypes.native(stored)), stored


def _numpy_dtype(value: JSON) -> NumPyDType:
    """A type string, or a list of `[name, dtype]` and `[name, dtype, shape]`, nested."""
    try:
        if isinstance(value, str):
            found = np.dtype(value)
            if found.kind in "Mm" and np.datetime_data(found)[0] == "generic" and "[" in value:
                raise TypeError("generic")
            return found
        if is_list(value) and value:
            return np.dtype([(str(name), _numpy_dtype(inner), *map(tuple, shape)) for name, inner, *shape in value])
    except (TypeError, ValueError):
        pass
    raise UnknownDataType("not a data type of Zarr v2", field="dtype", value=value)


def dtype_to_json(dtype: NumPyDType) -> JSON:
    if dtype.names is None:
        return dtype.str
    entries: list[JSON] = []
    for name in dtype.names:
        inner = dtype[name]
        base, shape = inner.subdtype or (inner, ())
        entries.append([name, dtype_to_json(base), list(shape)] if shape else [name, dtype_to_json(base)])
    return entries


def _bytes_configuration(stored: NumPyDType) -> Document:
    if stored.names is not None:
        return {"dtype": stored}
    return {"endian": "big" if stored.byteorder == ">" else "little"}


def _fill(value: JSON, dtype: DataType, stored: NumPyDType, lenient: bool) -> fill_values.Fill:
    """Base64 of a struct is its stored bytes, so it is read in stored order and then made native."""
    if stored.names is None:
        return fill_values.from_json(value, dtype, lenient=lenient, v2=True)
    found = fill_values.from_json(value, DataType(dtype.spec, stored), lenient=lenient, v2=True)
    return found.astype(dtype.numpy)


def _dimension_names(value: JSON, ndim: int) -> tuple[str | None, ...] | None:
    if is_list(value) and len(value) == ndim and all(isinstance(name, str) for name in value):
        return tuple(value)
    return None
