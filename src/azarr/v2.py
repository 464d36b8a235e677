"""Zarr v2 documents, turned into the one (v3) model at the door. Nothing else knows that v2 exists.

A v2 chunk is: order (a transpose), bytes, filters, compressor. All that numcodecs calls a filter works on bytes, so the chain of a v2
array is `[transpose] bytes filter... compressor`: codecs `numcodecs.<id>` where azarr has a file for them, else `v2:<id>`.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from azarr import dtypes, fill_values
from azarr.document import JSON, Document, integers, is_list, is_object, one_of
from azarr.dtypes import BYTES, OBJECT, STRING, DataType, NumPyDType
from azarr.errors import MetadataError, UnknownCodec, UnknownDataType
from azarr.grid import Grid, KeyEncoding
from azarr.metadata import ArrayMetadata, CodecSpec, GroupMetadata, shape_from_json

MANDATORY = ("zarr_format", "shape", "chunks", "dtype", "compressor", "fill_value", "order", "filters")
OBJECT_CODECS = {"vlen-utf8": STRING, "vlen-bytes": BYTES, "vlen-array": OBJECT, "json2": OBJECT, "msgpack2": OBJECT, "categorize": OBJECT}
"""Filters that make bytes of Python objects, and the data type they make of it. `pickle` is not here, and never will be."""
PLAIN = ("blosc", "zstd", "gzip", "zlib", "bz2", "lzma")  # azarr has files for these
TYPED = ("bitround", "pcodec", "zfpy")  # they take elements, and not bytes
TYPE_STRING = r"[<>|=]?[A-Za-z]\w*(\[\w+\])?"
DIMENSIONS = "_ARRAY_DIMENSIONS"  # where xarray keeps dimension names


def array_from_json(document: Document, attributes: Mapping[str, Any], *, lenient: bool = False) -> ArrayMetadata:
    """The array that `.zarray` and `.zattrs` describe. The spec: other keys "should be ignored"."""
    one_of(document.get("zarr_format"), "zarr_format", 2)
    if absent := [name for name in MANDATORY if name not in document]:
        raise MetadataError("the field is mandatory", field=absent[0], value="absent")
    shape = shape_from_json(document["shape"])
    chunks = integers(document["chunks"], "chunks", least=1, length=len(shape))
    order = one_of(document["order"], "order", "C", "F")
    separator = one_of(document.get("dimension_separator", "."), "dimension_separator", ".", "/")
    filters: JSON = [] if document["filters"] is None else document["filters"]  # an empty list stands in the wild, and means null
    if not is_list(filters):
        raise MetadataError("filters are a list, or null", field="filters", value=filters)
    ids = [_id(codec, f"filters[{position}]") for position, codec in enumerate(filters)]
    serializer = next((name for name in ids if name in OBJECT_CODECS), None) if document["dtype"] == "|O" else None
    dtype, stored = _dtypes(document["dtype"], serializer)
    codecs = [_codec(name, codec, stored, serializer) for name, codec in zip(ids, filters, strict=True)]
    if (compressor := document["compressor"]) is not None:
        codecs.append(_codec(_id(compressor, "compressor"), compressor, stored))
    if dtype.fixed:
        endian = {"endian": "big" if stored.byteorder == ">" else "little"}
        codecs.insert(0, CodecSpec("bytes", endian if stored.names is None else {"dtype": document["dtype"]}))
    if order == "F" and len(shape) > 1:
        codecs.insert(0, CodecSpec("transpose", {"order": list(range(len(shape)))[::-1]}))
    # Base64 of a struct is its stored bytes, so it is read in stored order, and then made native.
    spelled = dtype if stored.names is None else DataType(dtype.spec, stored)
    fill = fill_values.from_json(document["fill_value"], spelled, lenient=lenient, v2=True).astype(dtype.numpy, copy=False)
    names = attributes.get(DIMENSIONS)
    named = tuple(names) if is_list(names) and len(names) == len(shape) and all(isinstance(name, str | None) for name in names) else None
    grid, encoding = Grid.regular(shape, chunks), KeyEncoding("v2", separator)
    return ArrayMetadata(document, shape, dtype, grid, encoding, fill, tuple(codecs), attributes, named, zarr_format=2, order=order)


def array_to_json(metadata: ArrayMetadata) -> Document:
    """The `.zarray` document of `metadata`, which was made for v2."""
    return dict(metadata.document)


def group_from_json(document: Document, attributes: Mapping[str, Any]) -> GroupMetadata:
    """The group that `.zgroup` and `.zattrs` describe."""
    return GroupMetadata(attributes, one_of(document.get("zarr_format"), "zarr_format", 2))


def consolidated_members(document: Document) -> Mapping[str, JSON]:
    """The documents of `.zmetadata` by node path: each an object with `.zarray` or `.zgroup`, and maybe `.zattrs`."""
    one_of(document.get("zarr_consolidated_format"), "zarr_consolidated_format", 1)
    if not is_object(document.get("metadata")):
        raise MetadataError("an object is needed", field="metadata", value=document.get("metadata"))
    members: dict[str, Document] = {}
    for key, value in document["metadata"].items():
        path, _, name = key.rpartition("/")
        if name in (".zarray", ".zgroup", ".zattrs"):
            members.setdefault(path, {})[name] = value
    return members


def dtype_from_json(value: JSON) -> NumPyDType:
    """The NumPy dtype, in stored byte orders, of a type string, or of a list of `[name, dtype]` and `[name, dtype, shape]`, nested."""
    try:
        if is_list(value) and all(map(is_list, value)):
            found: NumPyDType = np.dtype([(name, dtype_from_json(inner), *map(tuple, shape)) for name, inner, *shape in value])
        else:
            found = np.dtype(value if isinstance(value, str) and re.fullmatch(TYPE_STRING, value) else object)
        if found.hasobject or not 0 < found.itemsize <= dtypes.MAX_ITEMSIZE:
            raise TypeError(f"a type string or a list of fields, of a fixed size, at most {dtypes.MAX_ITEMSIZE} bytes")
    except UnknownDataType:  # of a field
        raise
    except (TypeError, ValueError) as error:
        raise UnknownDataType(f"a data type of Zarr v2 is needed ({error})", field="dtype", value=value) from error
    return found


def _id(codec: JSON, field: str) -> str:
    if not is_object(codec) or not isinstance(codec.get("id"), str):
        raise MetadataError("a codec is an object with an id", field=field, value=codec)
    if codec["id"] == "pickle":
        raise UnknownCodec("azarr never decodes pickle, which runs code that the data brings along", field=field, value=codec)
    return codec["id"]


def _codec(name: str, codec: Document, stored: NumPyDType, serializer: str | None = None) -> CodecSpec:
    if name == serializer and name in ("vlen-utf8", "vlen-bytes"):
        return CodecSpec(name)
    told = {"typesize": stored.itemsize} if name == "blosc" else {"dtype": stored.str} if name in TYPED else {}
    configuration = {key: value for key, value in codec.items() if key != "id"} | told
    return CodecSpec(f"numcodecs.{name}" if name == serializer or name in PLAIN else f"v2:{name}", configuration)


def _dtypes(value: JSON, serializer: str | None) -> tuple[DataType, NumPyDType]:
    """The data type, and the NumPy dtype with the byte orders in which it is stored."""
    if serializer is not None:
        return OBJECT_CODECS[serializer], OBJECT_CODECS[serializer].numpy
    if value == "|O":
        raise MetadataError("'|O' needs an object codec as a filter, such as vlen-utf8", field="dtype", value=value)
    stored = dtype_from_json(value)
    if stored.names is None:
        return dtypes.from_numpy(stored), stored
    return DataType({"name": "struct", "configuration": {"fields": value}}, dtypes.native(stored)), stored
