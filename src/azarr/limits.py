"""Sizes above which azarr refuses before it allocates. Knows numbers only."""

from dataclasses import dataclass

from azarr.errors import LimitExceeded


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

    def check(self, name: str, nbytes: int, what: str) -> None:
        """Raise `LimitExceeded` where `nbytes` is above the limit called `name`."""
        bound: int = getattr(self, name)
        if nbytes > bound:
            raise LimitExceeded(f"{what} would take {nbytes:,} bytes; Limits.{name} allows {bound:,}")


DEFAULT_LIMITS = Limits()
