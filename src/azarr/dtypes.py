"""Data types: Zarr's names to NumPy's, both ways. Knows tables; never values, never bytes.

Arrays are presented in the machine's own byte order; the order in which they are stored belongs to the `bytes` codec.
"""

import re
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from azarr.document import JSON, Document, is_list, is_object, named, one_of
from azarr.errors import MetadataError, UnknownDataType

NumPyDType: TypeAlias = np.dtype[Any]

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = ("bool", *INTEGERS, "float16", "float32", "float64", "complex64", "complex128")  # NumPy calls them the same
ALIASES = {"complex_float32": "complex64", "complex_float64": "complex128", "structured": "struct"}
LENGTHS = {"fixed_length_utf32": ("U", 4), "null_terminated_bytes": ("S", 1), "raw_bytes": ("V", 1)}  # NumPy's kind, and bytes of a unit
TIMES = {"numpy.datetime64": "M", "numpy.timedelta64": "m"}
NAMES = {kind: name for name, (kind, _) in LENGTHS.items()} | {kind: name for name, kind in TIMES.items()}
UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "μs", "ns", "ps", "fs", "as", "generic")
MAX_ITEMSIZE, MAX_SCALE = 1 << 26, (1 << 31) - 1  # a fill value takes as much before any chunk is asked for; NumPy's own bound


class DataType(NamedTuple):
    """A Zarr data type: how the document spells it, and what NumPy makes of it."""

    spec: JSON
    numpy: NumPyDType
    kind: Literal["fixed", "string", "bytes", "object"] = "fixed"

    @property
    def name(self) -> str:
        """The name alone, without a configuration."""
        return self.spec if isinstance(self.spec, str) else self.spec["name"]

    @property
    def fixed(self) -> bool:
        """Whether every value takes `numpy.itemsize` bytes; strings, bytes and objects vary."""
        return self.kind == "fixed"


STRING = DataType("string", np.dtype("T"), "string")
BYTES = DataType("variable_length_bytes", np.dtype(object), "bytes")
OBJECT = DataType("object", np.dtype(object), "object")  # of v2 alone, made by an object codec such as `json2`
VARIABLE = {"string": STRING, "variable_length_bytes": BYTES, "bytes": DataType("bytes", np.dtype(object), "bytes")}


def native(dtype: NumPyDType) -> NumPyDType:
    """`dtype` in the machine's byte order, fields included."""
    return dtype.newbyteorder("=")


def from_json(spec: JSON, field: str = "data_type") -> DataType:
    """The data type that a v3 document spells as `spec`. EXTENSION_POINT: registered data types."""
    given, configuration = named(spec, field)
    name = ALIASES.get(given, given)
    if name in VARIABLE:
        return VARIABLE[name]
    if name in NUMBERS:
        return DataType(spec, np.dtype(name))
    if re.fullmatch(r"r[1-9]\d{0,8}", name) and int(name[1:]) % 8 == 0 and int(name[1:]) <= 8 * MAX_ITEMSIZE:
        return DataType(spec, np.dtype(f"V{int(name[1:]) // 8}"))
    if name in LENGTHS:
        kind, unit = LENGTHS[name]
        return DataType(spec, np.dtype(f"{kind}{_positive(configuration, 'length_bytes', field, unit) // unit}"))
    if name in TIMES:
        unit = one_of(configuration.get("unit"), f"{field}.unit", *UNITS)
        scale = _positive({"scale_factor": 1, **configuration}, "scale_factor", field, most=MAX_SCALE)
        return DataType(spec, np.dtype(f"{TIMES[name]}8" if unit == "generic" else f"{TIMES[name]}8[{scale}{unit}]"))
    if name == "struct":
        return DataType(spec, _struct(configuration.get("fields"), field))
    raise UnknownDataType("a data type that azarr knows is needed (of raw bits, a multiple of 8)", field=field, value=spec)


def from_numpy(dtype: Any) -> DataType:
    """The data type for what NumPy takes as a dtype, for arrays to be created; also v3 names and `DataType` itself."""
    if isinstance(dtype, DataType):
        return dtype
    if is_object(dtype) or (isinstance(dtype, str) and (dtype in VARIABLE or re.fullmatch(r"r\d+", dtype))):
        return from_json(dtype)
    if dtype is str or isinstance(dtype, np.dtypes.StringDType):
        return STRING
    if dtype is bytes:
        return BYTES
    found = native(np.dtype(dtype))
    return DataType(_spec(found), found)


def _spec(dtype: NumPyDType) -> JSON:
    if dtype.subdtype is not None:
        raise MetadataError("Zarr v3 has no subarray fields; use zarr_format=2", field="data_type", value=str(dtype))
    if dtype.names is not None:
        return {"name": "struct", "configuration": {"fields": [{"name": name, "data_type": _spec(dtype[name])} for name in dtype.names]}}
    if not dtype.itemsize:
        raise MetadataError("a length is needed, such as 'U10'; str and bytes are of any length", field="data_type", value=str(dtype))
    if dtype.kind in "Mm":
        unit, scale = np.datetime_data(dtype)
        return {"name": NAMES[dtype.kind], "configuration": {"unit": unit, "scale_factor": scale}}
    if dtype.kind in NAMES:
        return {"name": NAMES[dtype.kind], "configuration": {"length_bytes": dtype.itemsize}}
    if dtype.name not in NUMBERS:
        raise UnknownDataType(f"no Zarr data type for the NumPy dtype {str(dtype)!r}", field="data_type", value=str(dtype))
    return dtype.name


def _positive(configuration: Document, name: str, field: str, unit: int = 1, *, most: int = MAX_ITEMSIZE) -> int:
    value = configuration.get(name)
    if type(value) is not int or not 0 < value <= most or value % unit:
        what = "integer" if unit == 1 else f"multiple of {unit}"
        raise MetadataError(f"a positive {what} is needed, at most {most}", field=f"{field}.{name}", value=value)
    return value


def _struct(fields: JSON, field: str) -> NumPyDType:
    """Fields are objects (`struct`) or pairs (`structured`, as zarr-python wrote before the registry had `struct`)."""
    if not is_list(fields) or not fields:
        raise MetadataError("a struct has a list of fields, at least one", field=f"{field}.fields", value=fields)
    parts: dict[str, NumPyDType] = {}
    for entry in fields:
        pair = [entry.get("name"), entry.get("data_type")] if is_object(entry) else entry
        if not is_list(pair) or len(pair) != 2 or not isinstance(pair[0], str) or not pair[0] or pair[0] in parts:
            raise MetadataError("a field has a name of its own, and a data type", field=f"{field}.fields", value=entry)
        inner = from_json(pair[1], f"{field}.{pair[0]}")
        if not inner.fixed:
            raise MetadataError("fields of a struct have a fixed size", field=f"{field}.{pair[0]}", value=pair[1])
        parts[pair[0]] = inner.numpy
    if (size := sum(part.itemsize for part in parts.values())) > MAX_ITEMSIZE:
        raise MetadataError(f"a struct has at most {MAX_ITEMSIZE} bytes", field=f"{field}.fields", value=size)
    return np.dtype(list(parts.items()))
