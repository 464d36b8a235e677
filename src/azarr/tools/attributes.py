"""Attributes as they were read: a dictionary that says how they are changed. Knows no node."""

from __future__ import annotations

from typing import Any, NoReturn

CHANGING = "setitem delitem ior"
METHODS = "clear pop popitem setdefault update"


class Attributes(dict[str, Any]):
    """What stood in a document. It is not changed: a node with other attributes is what `update_attrs` gives."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return Attributes, (dict(self),)


def _refused(self: Attributes, *args: object, **kwargs: object) -> NoReturn:
    raise TypeError("attributes are as they were read; writing waits, so it is awaited: node = await node.update_attrs({...})")


for _name in [*(f"__{name}__" for name in CHANGING.split()), *METHODS.split()]:
    setattr(Attributes, _name, _refused)
