"""Reference documents of Kerchunk, versions 0 and 1: keys, and where their bytes are. Knows JSON; reads nothing.

Templates are text that is put in for `{{name}}`. What a template language would have to compute is refused.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from base64 import b64decode
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from azarr.document import JSON, MAX_INTEGER, Document, is_list, is_object
from azarr.errors import MetadataError

GENERATED = 1_000_000
"""Keys that the ranges of one document may make, at most."""
_FIELD = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


class Part(NamedTuple):
    """Bytes from `start` to `stop` of a target; `stop` None: up to its end."""

    target: str
    start: int = 0
    stop: int | None = None


Entry: TypeAlias = bytes | Part
"""What stands under a key: the bytes themselves, or where they are."""


class Index:
    """The keys of a document. An entry is looked at when it is asked for."""

    def __init__(self, document: Mapping[str, JSON], name: str) -> None:
        self.name, self.refs = name, document
        self.templates: Mapping[str, str] | None = None
        self._sorted: list[str] | None = None
        if "version" not in document:
            return
        if type(version := document["version"]) is not int or version not in (0, 1):
            raise MetadataError("references have version 0 or 1", field="version", value=version, document=name)
        if not isinstance(refs := document.get("refs"), Mapping):
            raise MetadataError("an object of keys is needed", field="refs", value=type(refs).__name__, document=name)
        self.refs, templates = cast("Mapping[str, JSON]", refs), cast("JSON", document.get("templates") or {})
        if not is_object(templates) or not all(isinstance(text, str) and "{{" not in text for text in templates.values()):
            raise self._error("templates", "templates are plain text; none is computed", templates)
        self.templates = templates if version else None
        if gen := document.get("gen"):
            self.refs = {**self._generated(gen), **self.refs}

    def find(self, key: str) -> Entry | None:
        """What stands under `key`; None if it does not."""
        if key not in self.refs and key.endswith("/0"):
            key = key[:-1]  # VirtualiZarr puts the one chunk of an array without axes there
        return self._entry(key, self.refs[key]) if key in self.refs else None

    async def keys(self, prefix: str) -> Sequence[str]:
        """All keys that begin with `prefix`, sorted."""
        if self._sorted is None:
            self._sorted = sorted({f"{key}0" if key.endswith("/") else key for key in self.refs})
        return self._sorted[bisect_left(self._sorted, prefix) : bisect_left(self._sorted, prefix + chr(0x10FFFF))]

    def _entry(self, key: str, value: JSON) -> Entry:
        if isinstance(value, str):
            return self._inline(key, value)
        if isinstance(value, (bytes, bytearray)):
            return bytes(value)
        if is_object(value):  # a document that was not made text
            return json.dumps(value).encode()
        if isinstance(value, Sequence) and len(cast("Sequence[Any]", value)) in (1, 3):
            target, *place = cast("Sequence[JSON]", value)
            if isinstance(target, str) and target and all(type(number) is int and 0 <= number <= MAX_INTEGER for number in place):
                target = self._filled(key, target, self.templates) if self.templates is not None else target
                return Part(target, place[0], place[0] + place[1]) if place else Part(target)
        raise self._error(key, "text, [target] or [target, offset, length] is needed", value)

    def _inline(self, key: str, text: str) -> bytes:
        try:
            return b64decode(text[7:], validate=True) if text.startswith("base64:") else text.encode()
        except ValueError as error:
            raise self._error(key, f"not to be decoded ({error})", text) from error

    def _filled(self, key: str, text: str, names: Mapping[str, Any]) -> str:
        """`text` with what `names` has put in."""

        def value_of(found: re.Match[str]) -> str:
            if found[1] not in names:
                raise self._error(key, "no template has this name", found[1])
            return str(names[found[1]])

        filled = _FIELD.sub(value_of, text)
        if re.search(r"\{\{|\{%|\{#", _FIELD.sub("", text) + filled):
            raise self._error(key, "only {{name}} is put in; expressions and functions are not computed", text)
        return filled

    def _generated(self, gen: JSON) -> dict[str, JSON]:
        """The entries of ranges."""
        made, count, rules = dict[str, JSON](), 0, list[tuple[str, Document, Any, Any]]()
        for position, rule in enumerate(gen if is_list(gen) else [gen]):
            field = f"gen[{position}]"
            if not is_object(rule) or not is_object(dimensions := rule.get("dimensions")) or not dimensions:
                raise self._error(field, "key, url and dimensions are needed", rule)
            ranges = [self._range(f"{field}.dimensions.{name}", values) for name, values in dimensions.items()]
            if (count := count + math.prod(map(len, ranges))) > GENERATED:  # before any is made
                raise self._error(field, f"at most {GENERATED:,} keys are made", count)
            rules.append((field, rule, dimensions, ranges))
        for field, rule, dimensions, ranges in rules:
            for combined in itertools.product(*ranges):
                names = {**(self.templates or {}), **dict(zip(dimensions, combined, strict=True))}
                key, url = (self._text(field, rule.get(name), names) for name in ("key", "url"))
                numbers = [self._number(field, rule[name], names) for name in ("offset", "length") if name in rule]
                made[key] = [url, *numbers]
        return made

    def _range(self, field: str, values: JSON) -> Sequence[int]:
        if is_object(values):
            values = [values.get("start", 0), values.get("stop"), values.get("step", 1)]
            if all(type(number) is int and abs(number) < 1 << 29 for number in values) and values[2]:
                return range(*values)
        elif is_list(values) and all(type(number) is int for number in values):
            return values
        raise self._error(field, "integers, or start, stop and step are needed", values)

    def _text(self, field: str, text: JSON, names: Mapping[str, Any]) -> str:
        if not isinstance(text, str):
            raise self._error(field, "text is needed", text)
        return self._filled(field, text, names)

    def _number(self, field: str, number: JSON, names: Mapping[str, Any]) -> int:
        if type(number) is int:
            return number
        filled = self._text(field, number, names)
        if not re.fullmatch(r"[0-9]{1,19}", filled):
            raise self._error(field, "an integer is needed; expressions are not computed", number)
        return int(filled)

    def _error(self, field: str, reason: str, value: JSON) -> MetadataError:
        return MetadataError(reason, field=field, value=value, document=self.name)
