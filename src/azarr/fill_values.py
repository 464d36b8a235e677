"""Fill values: their JSON to NumPy, both ways, to the last bit. Knows values of one data type; never chunks.

A fill value is held as a zero-dimensional array of the data type, because assigning such an array keeps NaN payloads.
"""

import base64
import json
import math
import re
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from azarr.document import JSON, is_list, is_object
from azarr.dtypes import DataType, NumPyDType, native
from azarr.errors import LegacyWarning, MetadataError

Fill: TypeAlias = npt.NDArray[Any]
NAT = np.iinfo(np.int64).min


def default(dtype: DataType) -> Fill:
    """The zero of `dtype`: 0, false, the empty string, NaT for times."""
    kind = kind_of(dtype)
    return _time("NaT", dtype.numpy) if kind in "Mm" else np.array(b"", object) if kind == "bytes" else np.zeros((), dtype.numpy)


def from_json(value: JSON, dtype: DataType, *, lenient: bool = False, v2: bool = False) -> Fill:
    """The fill value that a document spells as `value`.

    `v2` adds `null` for undefined contents and, with a `LegacyWarning`, the forms that old writers left behind, such as `1.0` for an
    integer; `lenient` adds those forms without a warning.
    """
    if v2 and value is None:
        return default(dtype)
    kind = kind_of(dtype)
    found = _read(kind, value, dtype.numpy)
    if found is None and (v2 or lenient):
        empty = kind in ("T", "U", "S", "V", "bytes") and value in (0, False)
        found = default(dtype) if empty else _read(kind, value, dtype.numpy, legacy=True)
        if found is not None and not lenient:
            warnings.warn(f"the fill value {value!r} of {dtype.name} is a form that old writers left behind", LegacyWarning, stacklevel=2)
    if found is None:
        raise MetadataError(f"a fill value of {dtype.name} is {FORMS[kind][2]}", field="fill_value", value=value)
    return found


def to_json(fill: Fill, dtype: DataType, *, v2: bool = False) -> JSON:
    """The strict JSON form of `fill`."""
    if not v2 and re.fullmatch(r"r\d+", dtype.name):
        return list(fill.tobytes())
    stored = fill if fill.dtype.names is not None else fill.astype(dtype.numpy, copy=False)  # v2: base64 of a struct is as stored
    return FORMS[kind_of(dtype)][1](stored, v2)


def kind_of(dtype: DataType) -> str:
    """NumPy's kind, or "bytes" for those of any length."""
    return "bytes" if dtype.kind == "bytes" else dtype.numpy.kind


def _read(kind: str, value: JSON, dtype: NumPyDType, *, legacy: bool = False) -> Fill | None:
    try:
        return FORMS[kind][0](_modern(value, dtype) if legacy else value, dtype)
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _modern(value: JSON, dtype: NumPyDType) -> JSON:
    """What old writers meant by `value`, in the form that the specification has."""
    if is_object(value):
        return {name: _modern(item, dtype[name]) for name, item in value.items()}
    if dtype.kind == "b" and value in (0, 1):
        return bool(value)
    if dtype.kind in "iuMm" and isinstance(value, float) and value.is_integer():
        return int(value)
    if dtype.kind == "f" and isinstance(value, str):
        return float(value)
    if dtype.kind == "c":
        return [_modern(part, np.dtype("f8")) for part in (value if is_list(value) else [value, 0])]
    return value


def exactly(value: JSON, *types: type) -> Any:
    """`value`, which has one of these types itself: `true` is not an integer."""
    if type(value) not in types:
        raise TypeError(value)
    return value


def _float(value: JSON, dtype: NumPyDType) -> Fill:
    """A number, its name, or any bit pattern: "0x..." with the most significant digit first."""
    if isinstance(value, str) and re.fullmatch(rf"0x[0-9a-fA-F]{{{dtype.itemsize * 2}}}", value):
        return np.array(int(value, 16), f"u{dtype.itemsize}").view(dtype)
    if value not in ("NaN", "Infinity", "-Infinity"):
        exactly(value, int, float)
    with np.errstate(over="ignore"):
        return np.array(float(value), dtype)


def _complex(value: JSON, dtype: NumPyDType) -> Fill:
    real, imaginary = exactly(value, list)
    part = np.dtype(f"f{dtype.itemsize // 2}")
    return np.array([_float(real, part), _float(imaginary, part)], part).view(dtype).reshape(())


def _time(value: JSON, dtype: NumPyDType) -> Fill:
    return np.array(NAT if value == "NaT" else exactly(value, int), "i8").view(dtype)  # as times without a unit are not made otherwise


def _text(value: JSON, dtype: NumPyDType) -> Fill:
    if dtype.kind == "U" and len(exactly(value, str)) * 4 > dtype.itemsize:
        raise ValueError(value)
    return np.array(exactly(value, str), dtype)


def _void(value: JSON, dtype: NumPyDType) -> Fill:
    """Base64 (v2, and zarr-python's v3 types), or a list of byte values (`r*`); a struct also field by field."""
    if is_object(value):
        found = np.zeros((), dtype)
        if dtype.names is None or set(value) != set(dtype.names):
            raise KeyError(*value)
        for name, inner in ((name, dtype[name]) for name in value):
            found[name] = FORMS[inner.kind][0](value[name], inner if inner.kind == "V" else native(inner))
        return found
    raw = base64.b64decode(value, validate=True) if isinstance(value, str) else bytes(exactly(item, int) for item in exactly(value, list))
    if (dtype.kind == "V" and len(raw) != dtype.itemsize) or (dtype.kind == "S" and len(raw) > dtype.itemsize):
        raise ValueError(value)
    return np.ndarray((), dtype, raw) if dtype.kind == "V" else np.array(raw, dtype)


def of_object(value: Any, dtype: NumPyDType) -> Fill:
    """`value` as it is, in an array without axes."""
    found = np.empty((), dtype)
    found[()] = value
    return found


def _float_json(fill: Fill, v2: bool) -> JSON:
    value, size = float(fill), fill.dtype.itemsize
    if math.isnan(value) and not v2 and fill.tobytes() != np.array(math.nan, fill.dtype).tobytes():
        return f"{int(fill.view(f'u{size}')):#0{size * 2 + 2}x}"
    return value if math.isfinite(value) else json.dumps(value)  # JSON in Python spells these three as Zarr does


def _void_json(fill: Fill, v2: bool) -> JSON:
    if fill.dtype.names is not None and not v2:
        return {name: FORMS[fill.dtype[name].kind][1](np.asarray(fill[name]), v2) for name in fill.dtype.names}
    return base64.b64encode(fill.item() if fill.dtype.kind in "SO" else fill.tobytes()).decode()


def _item(fill: Fill, v2: bool) -> JSON:
    return fill.item()


FORMS: dict[str, tuple[Callable[[JSON, NumPyDType], Fill], Callable[[Fill, bool], JSON], str]] = {
    "b": (lambda value, dtype: np.array(exactly(value, bool), dtype), _item, "true or false"),
    **dict.fromkeys("iu", (lambda value, dtype: np.array(exactly(value, int), dtype), _item, "an integer in its range")),
    "f": (_float, _float_json, 'a number, "NaN", "Infinity", "-Infinity", or "0x" and its bits'),
    "c": (_complex, lambda fill, v2: [_float_json(part, v2) for part in (np.real(fill), np.imag(fill))], "a list of two numbers"),
    **dict.fromkeys("Mm", (_time, lambda fill, v2: "NaT" if np.isnat(fill) else int(fill.view("i8")), 'an integer or "NaT"')),
    **dict.fromkeys("TU", (_text, _item, "text that fits")),
    **dict.fromkeys(("S", "V", "bytes"), (_void, _void_json, "its bytes in base64 or as a list, or the fields of a struct")),
    "O": (of_object, _item, "any JSON"),
}
"""By kind of data type: JSON to fill value (which raises where it is none), fill value to JSON (of v2, or not), and the form in words."""
