"""Metadata of arrays to be created, from the arguments that people give. Pure; the documents are checked like any that are read."""

import math
import operator
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, SupportsIndex, cast

import numpy as np

from azarr import dtypes, fill_values, v2
from azarr import metadata as v3
from azarr._open import Codecs, Lengths
from azarr.codecs.registry import build
from azarr.document import JSON, Document, is_object, named, one_of
from azarr.dtypes import DataType, NumPyDType
from azarr.errors import MetadataError, MissingPackage
from azarr.fill_values import Fill
from azarr.grid import KeyEncoding
from azarr.integrations.numcodecs import DECODED, ENCODED, Foreign
from azarr.metadata import ArrayMetadata, CodecSpec

CHUNK_BYTES = 1 << 20
"""Bytes that `chunks="auto"` aims at."""
LEAST_PART = 64
"""An inner chunk has at least this part of that: an axis of prime length would be cut to pieces of 1."""
SERIALIZERS = {"string": "vlen-utf8", "bytes": "vlen-bytes"}
SHUFFLES: Document = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
BLOSC: Document = {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "blocksize": 0}
V2_DEFAULTS: dict[str, Document] = {"zstd": {"level": 3}, "gzip": {"level": 5}, "blosc": BLOSC}
V3_DEFAULTS: dict[str, Document] = {
    **V2_DEFAULTS, "zstd": {"level": 3, "checksum": False}, "bytes": {"endian": "little"}, "scale_offset": {"offset": 0, "scale": 1},
}  # fmt: skip
"""What is stored of a codec where it was not given: the specification demands it, and some readers do."""


def array_metadata(
    *, shape: Lengths, dtype: Any, chunks: Lengths, shards: Lengths | None, filters: Codecs, serializer: Codecs, compressors: Codecs,
    fill_value: Any, dimension_names: Iterable[str | None] | None, attributes: Document | None, zarr_format: int, order: str,
    chunk_key_encoding: JSON,
) -> ArrayMetadata:  # fmt: skip
    """What `create_array` stores. Errors: `MetadataError` and those below it."""
    shaped = lengths(shape, "shape")
    outer = None if shards is None else lengths(shards, "shards", len(shaped))
    data_type, stored = _types(dtype, zarr_format)
    if isinstance(chunks, str):
        one_of(chunks, "chunks", "auto")
        sizes = auto_chunks(shaped, stored.itemsize) if outer is None else divisors(outer, stored.itemsize)
    else:
        sizes = lengths(chunks, "chunks", len(shaped))
    fill = fill_values.default(data_type) if fill_value is None else fill_from_value(fill_value, data_type)
    if isinstance(dimension_names, str):
        raise TypeError(f"dimension_names are a list of names, one for each axis, not {dimension_names!r}")
    names = None if dimension_names is None else list(dimension_names)
    pressed = _listed("zstd" if compressors == "auto" else compressors, "compressors", zarr_format)
    one_of(order, "order", "C", "F")
    if chunk_key_encoding in (None, "/", "."):
        separator = {} if chunk_key_encoding is None else {"separator": chunk_key_encoding}
        chunk_key_encoding = {"name": "v2" if zarr_format == 2 else "default", "configuration": separator}
    encoding = KeyEncoding.from_json(chunk_key_encoding)
    if zarr_format == 2:
        if outer is not None or encoding.name != "v2" or len(pressed) > 1:
            reason = "3 is needed for shards, several compressors, and other key encodings than 'v2'"
            raise MetadataError(reason, field="zarr_format", value=2)
        before = _typed([_v2_codec(codec) for codec in _listed(filters, "filters", zarr_format)], stored)
        if not data_type.fixed and not any(codec["id"] in v2.OBJECT_CODECS for codec in before):
            before.insert(0, {"id": SERIALIZERS[data_type.kind]})
        document: Document = {"zarr_format": 2, "shape": shaped, "chunks": sizes}
        document |= {"dtype": v2_dtype_to_json(stored) if data_type.fixed else "|O", "filters": before or None, "order": order}
        document |= {"compressor": _v2_codec(pressed[0]) if pressed else None, "dimension_separator": encoding.separator}
        document |= {"fill_value": fill_values.to_json(fill.astype(stored, copy=False), data_type, v2=True)}
        found = v2.array_from_json(document, {**(attributes or {}), **({} if names is None else {v2.DIMENSIONS: names})})
        return _tried(found, found.codecs)
    coder = SERIALIZERS.get(data_type.kind, "bytes") if serializer == "auto" else serializer
    chain = [*_listed(filters, "filters", 3), *_listed(coder, "serializer", 3), *pressed]
    chain = [_v3_codec(codec, stored.itemsize if data_type.fixed else 1) for codec in chain]
    chain, specs = _typed(chain, stored), v3.codecs_from_json(chain, "codecs")
    if order == "F":
        chain.insert(0, {"name": "transpose", "configuration": {"order": list(range(len(shaped)))[::-1]}})
    if outer is not None:
        index = [_v3_codec("bytes", 8), {"name": "crc32c"}]
        shard = {"chunk_shape": sizes, "codecs": chain, "index_codecs": index, "index_location": "end"}
        chain = [{"name": "sharding_indexed", "configuration": shard}]
    document = {"zarr_format": 3, "node_type": "array", "shape": shaped, "data_type": data_type.spec, "dimension_names": names}
    document |= {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": outer or sizes}}}
    document |= {"chunk_key_encoding": {"name": encoding.name, "configuration": {"separator": encoding.separator}}}
    document |= {"fill_value": fill_values.to_json(fill, data_type), "codecs": chain, "attributes": attributes or {}}
    return _tried(v3.array_from_json(document), specs)


def auto_chunks(shape: Sequence[int], itemsize: int) -> list[int]:
    """Chunks of about 1 MiB: the longest axis is halved until they are that small."""
    sizes = [max(1, length) for length in shape]
    while math.prod(sizes) * max(1, itemsize) > CHUNK_BYTES and max(sizes) > 1:
        longest = sizes.index(max(sizes))
        sizes[longest] = -(-sizes[longest] // 2)
    return sizes


def divisors(shape: Sequence[int], itemsize: int) -> list[int]:
    """The same for inner chunks, which divide the shape of a shard: they may be larger where a length has few divisors."""
    sizes = list(shape)
    while (nbytes := math.prod(sizes) * itemsize) > CHUNK_BYTES:
        order = sorted(range(len(sizes)), key=lambda axis: -sizes[axis])
        parts = ((axis, _least_factor(sizes[axis])) for axis in order if sizes[axis] > 1)
        axis, factor = next(((axis, factor) for axis, factor in parts if nbytes // factor * LEAST_PART >= CHUNK_BYTES), (0, 1))
        if factor == 1:
            break
        sizes[axis] //= factor
    return sizes


def _least_factor(number: int) -> int:
    """The least divisor above 1."""
    return next((factor for factor in range(2, math.isqrt(number) + 1) if number % factor == 0), number)


def fill_from_value(value: Any, dtype: DataType) -> Fill:
    """The fill value that `value`, of Python or NumPy, means; NaN payloads of NumPy scalars of this data type are kept."""
    kind = fill_values.kind_of(dtype)
    wraps = not hasattr(value, "dtype") or value.dtype.kind in "iu"  # integers of NumPy wrap around, which is seen below
    try:
        if not dtype.fixed:
            kept = str(value) if kind == "T" else fill_values.exactly(value, bytes, np.bytes_) if kind == "bytes" else value
            return fill_values.of_object(kept, dtype.numpy)
        found = np.array(value, dtype.numpy) if wraps else np.asarray(value).astype(dtype.numpy, casting="same_kind")
        whole = np.asarray(value, kind) if kind in "SU" else value
        if found.ndim or (kind in "biuSU" and found != whole):
            raise ValueError(f"it would become {found}")
    except (TypeError, ValueError, OverflowError) as error:
        raise MetadataError(f"a fill value of {dtype.name} is needed ({error})", field="fill_value", value=value) from error
    return found


def v2_dtype_to_json(dtype: NumPyDType) -> JSON:
    """What `v2.dtype_from_json` reads."""
    if dtype.names is None:
        return dtype.str
    fields = {name: dtype[name] for name in dtype.names}
    return [[name, v2_dtype_to_json(inner.base), *([list(inner.shape)] if inner.shape else [])] for name, inner in fields.items()]


def lengths(given: Lengths, name: str, axes: int | None = None) -> list[int]:
    """The argument called `name`: a number, or one for each of `axes`. Errors: `TypeError`, `MetadataError`."""
    found = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(length, SupportsIndex) and not isinstance(length, bool) for length in found):
        raise TypeError(f"{name}: an integer, or one for each axis, is needed{', or auto' * (name == 'chunks')}, not {given!r}")
    if axes not in (None, len(found)):
        raise MetadataError(f"one length for each axis is needed ({axes})", field=name, value=given)
    return [operator.index(length) for length in found]


def _types(dtype: Any, zarr_format: int) -> tuple[DataType, NumPyDType]:
    """Zarr's data type, and NumPy's in the byte order to store, which a v2 document names; v2 has structs that v3 has no words for."""
    dtype = dtypes.ALIASES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    varies = isinstance(dtype, (DataType, np.dtypes.StringDType)) or is_object(dtype) or dtype in (str, bytes, "string", "bytes")
    if zarr_format == 3 or varies:
        found = dtypes.from_numpy(dtype)
        return found, found.numpy
    stored: NumPyDType = np.dtype(cast("Any", dtype))
    if stored.names is None:
        return dtypes.from_numpy(stored), stored
    packed = v2.dtype_from_json(v2_dtype_to_json(stored))  # a document has no words for the gaps of an aligned struct
    return DataType("struct", dtypes.native(packed)), packed


def _listed(codecs: Codecs, name: str, zarr_format: int) -> list[Any]:
    """The argument called `name` as a list. For objects of other libraries the error says what makes codecs of them, if anything does."""
    found: list[Any] = [] if codecs is None else list(codecs) if isinstance(codecs, Sequence) and not isinstance(codecs, str) else [codecs]
    for codec in found:
        if not isinstance(codec, str) and not is_object(codec):
            way = "to_dict" if hasattr(codec, "to_dict") else "get_config" if zarr_format == 2 and hasattr(codec, "get_config") else ""
            reason = "a codec is a name, or an object such as {'name': 'zstd', 'configuration': {'level': 3}}"
            raise MetadataError(f"{reason}{f' (here, what its {way}() gives)' * bool(way)}", field=name, value=codec)
    return found


def _typed(codecs: list[Document], stored: NumPyDType) -> list[Document]:
    """`codecs`, where numcodecs has them with the data types that other readers need: of what the codec before each gives."""
    dtype: Any = stored
    for codec in codecs:
        name, configuration = str(codec.get("id", codec.get("name"))), codec.get("configuration", codec)
        if "id" in codec or name.startswith("numcodecs."):
            name = name.removeprefix("numcodecs.")
            if name in DECODED:
                configuration.setdefault(DECODED[name], dtype.str)
            with suppress(TypeError):  # which is said where the codec is made
                dtype = np.dtype("u1" if name == "packbits" else configuration.get(ENCODED.get(name, "")) or dtype)
    return codecs


def _tried(metadata: ArrayMetadata, codecs: Iterable[CodecSpec]) -> ArrayMetadata:
    """`metadata`, once numcodecs has made those of `codecs` that are its own: it is the first to see what their configuration is."""
    for each in map(build, codecs):
        with suppress(MissingPackage):  # documents are made without it
            if isinstance(each, Foreign):
                each.codec()
    return metadata


def _v3_codec(codec: JSON, itemsize: int) -> Document:
    name, configuration = named(codec, "codecs")
    typesize = {"typesize": itemsize if itemsize < 256 else 1} if name == "blosc" else {}
    return {"name": name, "configuration": {**V3_DEFAULTS.get(name, {}), **typesize, **configuration}}


def _v2_codec(codec: JSON) -> Document:
    """By id, as numcodecs has it, or as in a v3 document."""
    name, given = (codec["id"], codec) if is_object(codec) and "id" in codec else named(codec, "codecs")
    name = name.removeprefix("numcodecs.")
    configuration: Document = {**V2_DEFAULTS.get(name, {}), **given, "id": name}
    configuration.pop("typesize", None)
    return {key: SHUFFLES.get(value, value) if key == "shuffle" else value for key, value in configuration.items()}
