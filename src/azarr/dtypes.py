"""Data types: Zarr's names to NumPy's, both ways. Knows tables; never values, never bytes.

Arrays are presented in the machine's own byte order; the order in which they are stored belongs to the `bytes` codec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from azarr.document import JSON, Document, is_list, is_object
from azarr.errors import MetadataError, UnknownDataType

__all__ = ["BYTES", "OBJECT", "STRING", "DataType", "NumPyDType", "from_json", "from_numpy", "native"]

NumPyDType: TypeAlias = np.dtype[Any]

NUMBERS: dict[str, NumPyDType] = {
    "bool": np.dtype("?"),
    **{f"{kind}{bits}": np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    **{f"complex{bits}": np.dtype(f"complex{bits}") for bits in (64, 128)},
}
"""Core data types of the v3 specification. EXTENSION_POINT: names of registered extensions join here."""
ALIASES = {"complex_float32": "complex64", "complex_float64": "complex128"}
LENGTHS = {"fixed_length_utf32": ("U", 4), "null_terminated_bytes": ("S", 1), "raw_bytes": ("V", 1)}
"""Extension name -> NumPy kind and bytes a unit of it takes; all have the configuration `length_bytes`."""
TIMES = {"numpy.datetime64": "M", "numpy.timedelta64": "m"}
UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "μs", "ns", "ps", "fs", "as", "generic")
MAX_ITEMSIZE = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class DataType:
    """A Zarr data type: how the document spells it, and what NumPy makes of it.

    `fixed`: every value takes `numpy.itemsize` bytes; strings, bytes and objects vary.
    """

    spec: JSON
    numpy: NumPyDType
    kind: Literal["fixed", "string", "bytes", "object"] = "fixed"

    @property
    def name(self) -> str:
        return self.spec if isinstance(self.spec, str) else self.spec["name"]

    @property
    def fixed(self) -> bool:
        return self.kind == "fixed"


STRING = DataType("string", np.dtypes.StringDType(), "string")
BYTES = DataType("variable_length_bytes", np.dtype(object), "bytes")
OBJECT = DataType("object", np.dtype(object), "object")
"""Python objects of a v2 array, made by an object codec such as `json2`; v3 has no such type."""
VARIABLE = {"string": STRING, "variable_length_bytes": BYTES, "bytes": DataType("bytes", np.dtype(object), "bytes")}


def native(dtype: NumPyDType) -> NumPyDType:
    """`dtype` in the machine's byte order, fields included."""
    return dtype.newbyteorder("=")


def from_json(spec: JSON, field: str = "data_type") -> DataType:
    """The data type that a v3 document spells as `spec`: a name, or an object with `name` and `configuration`."""
    name, configuration = _named(spec, field)
    if name in NUMBERS or name in ALIASES:
        return DataType(spec, NUMBERS[ALIASES.get(name, name)])
    if name in VARIABLE:
        return VARIABLE[name]
    if bits := re.fullmatch(r"r([1-9]\d{0,8})", name):
        if int(bits[1]) % 8:
            raise MetadataError("raw bits come in multiples of 8", field=field, value=spec)
        return DataType(spec, np.dtype(f"V{int(bits[1]) // 8}"))
    if name in LENGTHS:
        return DataType(spec, _sized(name, configuration.get("length_bytes"), field))
    if name in TIMES:
        return DataType(spec, _time(name, configuration, field))
    if name in ("struct", "structured"):
        return DataType(spec, _struct(configuration.get("fields"), field))
    raise UnknownDataType("azarr does not know this data type", field=field, value=spec)


def _named(spec: JSON, field: str) -> tuple[str, Document]:
    if isinstance(spec, str):
        return spec, {}
    if is_object(spec) and isinstance(spec.get("name"), str) and not set(spec) - {"name", "configuration"}:
        configuration = spec.get("configuration", {})
        if is_object(configuration):
            return spec["name"], configuration
    raise MetadataError("a data type is a name, or an object with a name and a configuration", field=field, value=spec)


def from_numpy(dtype: Any) -> DataType:
    """The data type for what NumPy takes as a dtype, for arrays to be created; also v3 names and `DataType` itself."""
    if isinstance(dtype, DataType):
        return dtype
    if is_object(dtype) or (isinstance(dtype, str) and (dtype in VARIABLE or dtype in NUMBERS or re.fullmatch(r"r\d+", dtype))):
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
        fields = [{"name": name, "data_type": _spec(dtype[name])} for name in dtype.names]
        return {"name": "struct", "configuration": {"fields": fields}}
    if dtype.kind in "Mm":
        unit, scale = np.datetime_data(dtype)
        name = {kind: name for name, kind in TIMES.items()}[dtype.kind]
        return {"name": name, "configuration": {"unit": unit, "scale_factor": scale}}
    for name, (kind, _) in LENGTHS.items():
        if dtype.kind == kind:
            return {"name": name, "configuration": {"length_bytes": dtype.itemsize}}
    if dtype.name not in NUMBERS:
        raise UnknownDataType("no Zarr data type for this NumPy dtype", field="data_type", value=str(dtype))
    return dtype.name


def _sized(name: str, length: JSON, field: str) -> NumPyDType:
    kind, unit = LENGTHS[name]
    if type(length) is not int or not 0 <= length <= MAX_ITEMSIZE or length % unit:
        raise MetadataError(f"length_bytes of {name} is a multiple of {unit}", field=f"{field}.length_bytes", value=length)
    return np.dtype(f"{kind}{length // unit}")


def _time(name: str, configuration: dict[str, Any], field: str) -> NumPyDType:
    unit, scale = configuration.get("unit"), configuration.get("scale_factor", 1)
    if unit not in UNITS:
        raise MetadataError(f"the unit is one of {', '.join(UNITS)}", field=f"{field}.unit", value=unit)
    if type(scale) is not int or not 0 < scale <= MAX_ITEMSIZE:
        raise MetadataError("scale_factor is a positive 31-bit integer", field=f"{field}.scale_factor", value=scale)
    return np.dtype(TIMES[name] + "8" + ("" if unit == "generic" else f"[{scale}{unit}]"))


def _struct(fields: JSON, field: str) -> NumPyDType:
    """Fields are objects (`struct`) or pairs (`structured`, as zarr-python wrote before the registry had `struct`)."""
    if not is_list(fields) or not fields:
        raise MetadataError("a struct has a list of fields, at least one", field=f"{field}.fields", value=fields)
    parts: list[tuple[str, NumPyDType]] = []
    for entry in fields:
        if is_object(entry):
            name, spec = entry.get("name"), entry.get("data_type")
        elif is_list(entry) and len(entry) == 2:
            name, spec = entry
        else:
            raise MetadataError("a field is an object, or a pair of name and data type", field=f"{field}.fields", value=entry)
        if not isinstance(name, str) or not name:
            raise MetadataError("a field has a name", field=f"{field}.fields", value=entry)
        inner = from_json(spec, f"{field}.{name}")
        if not inner.fixed:
            raise MetadataError("fields of a struct have a fixed size", field=f"{field}.{name}", value=spec)
        parts.append((name, inner.numpy))
    if len({name for name, _ in parts}) != len(parts):
        raise MetadataError("field names differ from each other", field=f"{field}.fields", value=[name for name, _ in parts])
    return np.dtype(parts)
