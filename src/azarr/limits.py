"""Sizes above which azarr refuses before it allocates. Knows numbers only."""

from dataclasses import dataclass
from typing import Any

from azarr.errors import LimitExceeded


def positive(what: str, **numbers: Any) -> None:
    """Refuse what is no number above 0. Errors: `TypeError`, `ValueError`."""
    for name, value in numbers.items():
        if not (number := hasattr(value, "__float__")) or not value > 0:
            raise (ValueError if number else TypeError)(f"{what}.{name} is a number above 0, not {value!r}")


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds in bytes; a document or a chunk that asks for more raises `LimitExceeded`."""

    metadata: int = 256 << 20
    """One metadata document."""
    chunk: int = 4 << 30
    """One decoded chunk (an inner chunk, where there are shards)."""
    index: int = 512 << 20
    """The index of one shard."""
    result: int = 1 << 44
    """The result of one read."""

    def __post_init__(self) -> None:
        positive("Limits", **{name: getattr(self, name) for name in self.__slots__})

    def check(self, name: str, nbytes: int, what: str) -> None:
        """Raise `LimitExceeded` where `nbytes` is above the limit called `name`."""
        bound: int = getattr(self, name)
        if nbytes > bound:
            raise LimitExceeded(f"{what} would take {nbytes:,} bytes; Limits.{name} allows {bound:,}")


DEFAULT_LIMITS = Limits()
