"""Metadata documents as JSON, and the forms that their fields share. Knows JSON; never Zarr's meaning of it.

The standard parser accepts what the specification does not, and what others read otherwise: duplicate keys, `NaN`
tokens, a byte-order mark, lone surrogates, any depth. Here each is a `MetadataError` that names the document.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from azarr.errors import MetadataError
from azarr.limits import DEFAULT_LIMITS, Limits

JSON: TypeAlias = Any  # every use checks the form that it needs
Document: TypeAlias = dict[str, Any]

MAX_DEPTH, MAX_ATTRIBUTE_DEPTH = 64, 512  # the specification needs about ten
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels ({MAX_ATTRIBUTE_DEPTH} in attributes)"
REASONS: dict[type, str] = {RecursionError: TOO_DEEP, UnicodeEncodeError: "a string holds half of a surrogate pair, so it is no text"}
OPAQUE = ("attributes", "metadata")  # they have a depth of their own: what users put there, and the members of consolidated metadata
MAX_INTEGER = (1 << 63) - 1
PARSED = 2000  # levels that the parser can follow everywhere: Pyodide does not survive the end of its stack
_STRING, _NO_MARK = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL), bytes(set(range(256)) - set(b'[]{}":'))
_STEPS = np.zeros(128, np.int8)  # what a mark does to the depth
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_NESTS: tuple[type, ...] = (dict, list)


def is_object(value: JSON) -> TypeGuard[Document]:
    """Whether `value` is a JSON object."""
    return isinstance(value, dict)


def is_list(value: JSON) -> TypeGuard[list[Any]]:
    """Whether `value` is a JSON array."""
    return isinstance(value, list)


def parse(data: bytes | bytearray | memoryview, key: str, *, lenient: bool = False, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The JSON object in `data`, or a `MetadataError` that names `key`.

    `lenient` accepts the bare tokens `NaN`, `Infinity` and `-Infinity`, which some releases of zarr-python wrote.
    """
    limits.check("metadata", len(data), f"the document {key!r}")
    try:
        # Marks in strings count too, so these are the most that there may be: mostly what there are.
        raw, reader = bytes(data), _spare.pop(lenient, None) or _Reader(lenient=lenient)
        keys, depth = raw.count(b":"), raw.count(b"[") + raw.count(b"{")
        if depth > MAX_DEPTH:
            keys, depth = _survey(raw)
        if depth > PARSED:
            raise RecursionError
        value = reader.decode(text := raw.decode())
        if keys != (left := sum(reader.counts)) and _survey(raw)[0] != left:  # of a key that stood twice, one is left
            json.loads(text, object_pairs_hook=_unique)
        if "\\" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except MetadataError as error:
        raise error.within(key) from None
    except (RecursionError, ValueError) as error:
        raise import_module("azarr.tools.mistakes").no_text(bytes(data), key, REASONS.get(type(error)) or error) from error
    if not is_object(value):
        raise MetadataError("the document must be a JSON object", document=key, field="document", value=type(value).__name__)
    if depth > MAX_DEPTH:
        _check_depth(value, key)
    if reader.bare:
        place, token = _place(value, reader.bare[0]), reader.bare[0][0]
        raise MetadataError(f"the bare token {token!r} is not JSON; lenient=True accepts it", document=key, field=place, value=token)
    reader.counts.clear()
    _spare[lenient] = reader
    return value


def dump(document: Mapping[str, JSON], key: str = "", *, lenient: bool = False) -> bytes:
    """`document` as UTF-8 JSON, indented, with the strict forms only; with the `key` that it is for, nothing that `parse` would refuse.

    `lenient`: with bare tokens where it had some.
    """
    try:
        data = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=lenient).encode()
    except RecursionError as error:
        raise MetadataError(f"not to be written as JSON ({TOO_DEEP})") from error
    except (TypeError, ValueError) as error:
        raise MetadataError(import_module("azarr.tools.mistakes").no_json(document, error)) from error
    if key:  # 1 and "1" are two keys for Python, and one for JSON
        parse(data, key, lenient=lenient, limits=Limits(metadata=len(data)))
    return data


def named(spec: JSON, field: str, *more: str) -> tuple[str, Document]:
    """Name and configuration of an extension point: an object, or since 3.1 a bare name. `more` are other keys it may have."""
    if isinstance(spec, str):
        return spec, {}
    if not is_object(spec) or not isinstance(spec.get("name"), str):
        raise MetadataError("a name is needed, or an object with a name", field=field, value=spec)
    allowed = ("name", "configuration", *more)  # and what is true where it is absent, the spec says
    if unknown := sorted(name for name in spec if name not in allowed and (name != "must_understand" or spec[name] is not True)):
        raise MetadataError(f"only {', '.join(allowed)} are allowed", field=field, value=unknown)
    configuration = spec.get("configuration", {})
    if not is_object(configuration):
        raise MetadataError("a configuration is an object", field=f"{field}.configuration", value=configuration)
    return spec["name"], configuration


def integers(value: JSON, field: str, *, least: int, length: int | None = None) -> tuple[int, ...]:
    """`value` as a tuple of integers of at least `least`; booleans and `4.0` are not integers."""
    if not is_list(value) or not all(type(item) is int and least <= item <= MAX_INTEGER for item in value):
        raise MetadataError(f"a list of integers from {least} to {MAX_INTEGER} is needed", field=field, value=value)
    if length is not None and len(value) != length:
        raise MetadataError(f"one entry per dimension is needed ({length})", field=field, value=value)
    return tuple(value)


def one_of(value: JSON, field: str, *allowed: JSON) -> Any:
    """`value`, which is one of `allowed`, type included: `3.0` is not 3, and 1 is not true."""
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        raise MetadataError(f"must be {' or '.join(map(repr, allowed))}", field=field, value=value)
    return value


def _survey(raw: bytes) -> tuple[int, int]:
    """How many keys the JSON text in `raw` has, and how deep it is nested (at most), by the marks outside of its strings."""
    if b"\\" in raw:
        raw = _STRING.sub(b"", raw)
    marks = np.frombuffer(raw.translate(None, _NO_MARK), np.int8)
    quoted = marks == ord('"')
    quoted |= np.bitwise_xor.accumulate(quoted)
    outside = marks[~quoted].tobytes()
    del marks, quoted  # documents that are all brackets may be large
    if (depth := outside.count(b"[") + outside.count(b"{")) > MAX_DEPTH:  # so many in all: perhaps not in one another
        depth = int(_STEPS[np.frombuffer(outside, np.int8)].cumsum(dtype=np.int32).max())
    return outside.count(b":"), depth


def _check_depth(document: Document, key: str) -> None:
    """Refuse nesting above `MAX_DEPTH`; attributes have `MAX_ATTRIBUTE_DEPTH` of their own."""
    waiting: list[tuple[JSON, int, int]] = [(document, 1, MAX_ATTRIBUTE_DEPTH if key.endswith(".zattrs") else MAX_DEPTH)]
    while waiting:
        node, depth, most = waiting.pop()
        if depth > most:
            raise MetadataError(TOO_DEEP, document=key)
        if is_object(node):
            for name, child in node.items():
                if isinstance(child, _NESTS):
                    opaque = name in OPAQUE and most == MAX_DEPTH
                    waiting.append((child, 1, MAX_ATTRIBUTE_DEPTH) if opaque else (child, depth + 1, most))
        else:
            waiting.extend([(child, depth + 1, most) for child in node if isinstance(child, _NESTS)])


def _unique(pairs: list[tuple[str, JSON]]) -> Document:
    found = dict(pairs)
    if len(found) != len(pairs):
        repeated, times = Counter(name for name, _ in pairs).most_common(1)[0]
        raise MetadataError("each key may stand once in an object", field=repeated, value=f"{times} times")
    return found


class _Reader(json.JSONDecoder):
    """The parser. It counts the keys of each object, and keeps bare tokens, each in a list of its own."""

    def __init__(self, *, lenient: bool) -> None:
        self.counts, self.bare = list[int](), list[JSON]()
        super().__init__(object_hook=self._count, parse_constant=float if lenient else self._keep)

    def _count(self, found: Document) -> Document:
        self.counts.append(len(found))
        return found

    def _keep(self, token: str) -> JSON:
        self.bare.append([token])
        return self.bare[-1]


_spare: dict[bool, _Reader] = {}
"""A parser that nobody uses, lenient or not: making one takes as long as reading a short document."""


def _place(document: Document, wanted: JSON) -> str:
    """Where the very object `wanted` stands in `document`, such as "attributes.range[0]"."""
    waiting: list[tuple[str, JSON]] = list(document.items())
    for place, node in waiting:
        if is_object(node):
            waiting.extend([(f"{place}.{name}", child) for name, child in node.items()])
        elif is_list(node) and node is not wanted:
            waiting.extend([(f"{place}[{position}]", child) for position, child in enumerate(node)])
    return next(place for place, node in waiting if node is wanted)
