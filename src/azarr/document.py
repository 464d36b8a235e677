"""Metadata documents as JSON. Knows JSON; never Zarr's meaning of it.

The standard parser accepts what the specification does not, and what others read otherwise: duplicate keys, `NaN`
tokens, a byte-order mark, lone surrogates, any depth. Here each is a `MetadataError` that names the document.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeGuard

from azarr.errors import MetadataError
from azarr.limits import DEFAULT_LIMITS, Limits

__all__ = ["JSON", "Document", "check_depth", "dump", "is_list", "is_object", "parse"]

JSON: TypeAlias = Any
"""A JSON value; `Any` because every use checks the form it needs."""
Document: TypeAlias = dict[str, Any]

MAX_DEPTH = 64
"""Nesting allowed outside attributes; the specification needs about ten."""
MAX_ATTRIBUTE_DEPTH = 512
OPAQUE = ("attributes", "metadata")
"""Values with a depth of their own: user attributes, and the members of consolidated metadata."""


def is_object(value: JSON) -> TypeGuard[Document]:
    return isinstance(value, dict)


def is_list(value: JSON) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def parse(data: bytes | bytearray | memoryview, key: str, *, lenient: bool = False, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The JSON object in `data`, or a `MetadataError` that names `key`.

    `lenient` accepts the bare tokens `NaN`, `Infinity` and `-Infinity`, which some releases of zarr-python wrote.
    """
    limits.check("metadata", len(data), f"the document {key!r}")
    try:
        text = str(data, "utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant if lenient else _refuse_constant)
        if "\\u" in text:
            _refuse_surrogates(value)
    except MetadataError as error:
        raise error.within(key) from None
    except RecursionError:
        raise MetadataError(f"nested too deeply; {MAX_DEPTH} levels are allowed", document=key) from None
    except ValueError as error:
        raise MetadataError(f"not valid JSON ({error})", document=key) from error
    if not is_object(value):
        raise MetadataError("the document must be a JSON object", document=key, field="document", value=type(value).__name__)
    check_depth(value, key)
    return value


def dump(document: Mapping[str, JSON]) -> bytes:
    """`document` as UTF-8 JSON, indented, with the strict forms only."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode()


def check_depth(value: JSON, key: str, *, opaque: Iterable[str] = OPAQUE) -> None:
    """Refuse nesting above `MAX_DEPTH`; attributes may have `MAX_ATTRIBUTE_DEPTH` of their own."""
    level: list[tuple[JSON, int]] = [(value, MAX_DEPTH)]
    while level:
        below: list[tuple[JSON, int]] = []
        for node, allowed in level:
            if not allowed:
                raise MetadataError(f"nested deeper than {MAX_DEPTH} levels ({MAX_ATTRIBUTE_DEPTH} in attributes)", document=key)
            if is_object(node):
                for name, child in node.items():
                    if isinstance(child, (dict, list)):
                        below.append((child, MAX_ATTRIBUTE_DEPTH if name in opaque and allowed <= MAX_DEPTH else allowed - 1))
            else:
                below.extend((child, allowed - 1) for child in node if isinstance(child, (dict, list)))
        level = below


def _unique(pairs: list[tuple[str, JSON]]) -> Document:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise MetadataError("each key may stand once in an object", field=repeated, value=f"{names.count(repeated)} times")
    return found


def _refuse_constant(token: str) -> float:
    raise MetadataError(f"the bare token {token} is not JSON; open with lenient=True to accept it")


def _constant(token: str) -> float:
    return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[token]


def _refuse_surrogates(value: JSON) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MetadataError("a string holds half of a surrogate pair, which is not Unicode text") from None
