"""Fill values: their JSON to NumPy, both ways, to the last bit. Knows values of one data type; never chunks.

A fill value is held as a zero-dimensional array of the data type, because assigning such an array keeps NaN payloads.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from azarr.document import JSON, is_list, is_object
from azarr.dtypes import DataType, NumPyDType
from azarr.errors import LegacyWarning, MetadataError

__all__ = ["Fill", "default", "from_json", "from_value", "to_json"]

Fill: TypeAlias = npt.NDArray[Any]

SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
FIELD = "fill_value"


def default(dtype: DataType) -> Fill:
    """The zero of `dtype`: 0, false, the empty string, NaT for times."""
    if dtype.kind == "bytes":
        return _scalar(b"", dtype.numpy)
    if dtype.kind == "object":
        return _scalar(0, dtype.numpy)
    return np.zeros((), dtype.numpy)


def from_json(value: JSON, dtype: DataType, *, lenient: bool = False, v2: bool = False) -> Fill:
    """The fill value that a document spells as `value`.

    `v2` adds the forms of that format (base64 for fixed bytes and structured types, `null` for undefined contents) and,
    with a `LegacyWarning` unless `lenient`, the forms that old writers left behind. `lenient` also takes `1.0` for integers.
    """
    if v2 and value is None:
        return default(dtype)
    if dtype.kind == "string":
        if isinstance(value, str):
            return np.array(value, dtype.numpy)
    elif dtype.kind == "bytes":
        if isinstance(value, str):
            return _scalar(_base64(value), dtype.numpy)
        if is_list(value) and all(type(item) is int and 0 <= item < 256 for item in value):
            return _scalar(bytes(value), dtype.numpy)
    elif dtype.kind == "object":
        return _scalar(value, dtype.numpy)
    else:
        return _fixed(value, dtype.numpy, lenient=lenient, v2=v2)
    if v2 and _legacy(value in (0, False) and value is not True, "0 as the fill value of strings", lenient):
        return default(dtype)
    raise MetadataError(f"not a fill value of {dtype.name}", field=FIELD, value=value)


def from_value(value: Any, dtype: DataType) -> Fill:
    """The fill value that `value`, of Python or NumPy, means; NaN payloads of NumPy scalars of this data type are kept."""
    if dtype.kind == "string":
        return np.array(str(value), dtype.numpy)
    if not dtype.fixed:
        return _scalar(value, dtype.numpy)
    try:
        found = np.array(value).astype(dtype.numpy, casting="same_kind") if isinstance(value, np.generic) else np.array(value, dtype.numpy)
        return found.reshape(())
    except (TypeError, ValueError, OverflowError) as error:
        raise MetadataError(f"not a fill value of {dtype.name} ({error})", field=FIELD, value=value) from error


def to_json(fill: Fill, dtype: DataType, *, v2: bool = False) -> JSON:
    """The strict JSON form of `fill`."""
    if dtype.kind == "bytes":
        return base64.b64encode(fill[()]).decode()
    if not dtype.fixed:
        return fill[()]
    if not v2 and re.fullmatch(r"r\d+", dtype.name):
        return list(fill.tobytes())
    return _WRITERS[dtype.numpy.kind](fill, v2)


def _fixed(value: JSON, dtype: NumPyDType, *, lenient: bool, v2: bool) -> Fill:
    if v2 and dtype.kind in "SUV" and _legacy(type(value) is int and value == 0, "0 as the fill value of strings or structs", lenient):
        return np.zeros((), dtype)
    found = _READERS[dtype.kind](value, dtype, lenient, v2)
    if found is None:
        raise MetadataError(f"not a fill value of {dtype}", field=FIELD, value=value)
    return found


def _bool(value: JSON, dtype: NumPyDType, lenient: bool, v2: bool) -> Fill | None:
    if isinstance(value, bool) or (v2 and value in (0, 1) and _legacy(True, "a number as the fill value of bool", lenient)):
        return np.array(bool(value), dtype)
    return None


def _integer(value: JSON, dtype: NumPyDType, lenient: bool, v2: bool) -> Fill | None:
    """The spec: "an integer JSON number with no fraction or exponent part", in range."""
    if isinstance(value, float) and value.is_integer() and (lenient or (v2 and _legacy(True, f"{value} for an integer", lenient))):
        value = int(value)
    if v2 and isinstance(value, bool) and _legacy(True, f"{value} for an integer", lenient):
        value = int(value)
    bounds = np.iinfo(dtype)
    return np.array(value, dtype) if type(value) is int and bounds.min <= value <= bounds.max else None


def _float(value: JSON, dtype: NumPyDType, lenient: bool, v2: bool) -> Fill | None:
    if isinstance(value, str):
        if re.fullmatch(rf"0x[0-9a-fA-F]{{{dtype.itemsize * 2}}}", value):
            return _bits(value, dtype)
        if value in SPECIAL:
            return np.array(SPECIAL[value], dtype)
        try:
            return np.array(float(value), dtype) if v2 and _legacy(True, f"the string {value!r} for a float", lenient) else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    with np.errstate(over="ignore"):
        return np.array(float(value), dtype)


def _bits(value: str, dtype: NumPyDType) -> Fill:
    """Any bit pattern: "0x..." with the most significant digit first. Swapping bytes, not converting, keeps payloads."""
    unsigned = np.array(int(value, 16), f"u{dtype.itemsize}")
    return unsigned.view(dtype)


def _complex(value: JSON, dtype: NumPyDType, lenient: bool, v2: bool) -> Fill | None:
    part = np.dtype(f"f{dtype.itemsize // 2}")
    if v2 and not is_list(value):
        value = [value, 0]
    if not is_list(value) or len(value) != 2:
        return None
    real, imaginary = (_float(item, part, lenient, v2) for item in value)
    if real is None or imaginary is None:
        return None
    return np.array([real, imaginary], part).view(dtype).reshape(())


def _time(value: JSON, dtype: NumPyDType, lenient: bool, v2: bool) -> Fill | None:
    if value == "NaT":
        return np.array("NaT", dtype)
    found = _integer(value, np.dtype("i8"), lenient, v2)
    return None if found is None else found.view(dtype)


def _text(value: JSON, dtype: NumPyDType, lenient: bool, v2: bool) -> Fill | None:
    return np.array(value, dtype) if isinstance(value, str) and len(value) * 4 <= dtype.itemsize else None


def _bytes(value: JSON, dtype: NumPyDType, lenient: bool, v2: bool) -> Fill | None:
    """Base64 (v2, and zarr-python's v3 types), or an array of byte values (`r*`); a struct field by field."""
    if dtype.names is not None and is_object(value):
        return _struct(value, dtype, lenient)
    if isinstance(value, str):
        raw = _base64(value)
    elif is_list(value) and all(type(item) is int and 0 <= item < 256 for item in value):
        raw = bytes(value)
    else:
        return None
    if len(raw) != dtype.itemsize and (dtype.kind == "V" or len(raw) > dtype.itemsize):
        return None
    return np.frombuffer(raw.ljust(dtype.itemsize, b"\0"), dtype).reshape(()) if dtype.itemsize else np.zeros((), dtype)


def _struct(value: dict[str, Any], dtype: NumPyDType, lenient: bool) -> Fill | None:
    names = dtype.names or ()
    if set(value) != set(names):
        return None
    found = np.zeros((), dtype)
    for name in names:
        found[name] = _fixed(value[name], dtype[name], lenient=lenient, v2=False)
    return found


_READERS: dict[str, Callable[[JSON, NumPyDType, bool, bool], Fill | None]] = {
    "b": _bool,
    "i": _integer,
    "u": _integer,
    "f": _float,
    "c": _complex,
    "M": _time,
    "m": _time,
    "U": _text,
    "S": _bytes,
    "V": _bytes,
}


def _float_json(fill: Fill, v2: bool) -> JSON:
    value = float(fill)
    if math.isnan(value):
        bits, quiet = fill.tobytes(), np.array(math.nan, fill.dtype).tobytes()
        return "NaN" if v2 or bits == quiet else f"0x{int(fill.view(f'u{fill.dtype.itemsize}')):0{fill.dtype.itemsize * 2}x}"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _complex_json(fill: Fill, v2: bool) -> JSON:
    part = fill.reshape(1).view(f"f{fill.dtype.itemsize // 2}")
    return [_float_json(part[i : i + 1].reshape(()), v2) for i in (0, 1)]


def _void_json(fill: Fill, v2: bool) -> JSON:
    if fill.dtype.names is not None and not v2:
        return {name: _WRITERS[fill.dtype[name].kind](np.asarray(fill[name]), v2) for name in fill.dtype.names}
    return base64.b64encode(fill.tobytes()).decode()


def _bytes_json(fill: Fill, v2: bool) -> JSON:
    return base64.b64encode(fill[()]).decode()


_WRITERS: dict[str, Callable[[Fill, bool], JSON]] = {
    "b": lambda fill, v2: bool(fill),
    "i": lambda fill, v2: int(fill),
    "u": lambda fill, v2: int(fill),
    "f": _float_json,
    "c": _complex_json,
    "M": lambda fill, v2: int(fill.view("i8")),
    "m": lambda fill, v2: int(fill.view("i8")),
    "U": lambda fill, v2: str(fill),
    "S": _bytes_json,
    "V": _void_json,
}


def _base64(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise MetadataError("not valid base64", field=FIELD, value=value) from None


def _scalar(value: Any, dtype: NumPyDType) -> Fill:
    found = np.empty((), dtype)
    found[()] = value
    return found


def _legacy(applies: bool, what: str, lenient: bool) -> bool:
    if applies and not lenient:
        warnings.warn(f"{what}: a form that old writers left behind, read as they meant it", LegacyWarning, stacklevel=2)
    return applies
