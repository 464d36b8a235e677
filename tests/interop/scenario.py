"""Scenarios: kinds of codec chains, and which dtypes they take. Data and predicates, no codecs.

A scenario is a name and a maker; the maker sees the dtype and the chunk shapes, and draws what is left open.
A scenario whose filter loses bits says so: its truth is the peer's own read.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from recipe import Json, is_variable, stored_dtype

Shape = tuple[int, ...]
Random = np.random.Generator

CNAMES = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")  # What numcodecs is built with.
FIXED = "biufcSUVmMs"  # NumPy kinds; `s` is a structured dtype (`t` with a time in it), `v` one of variable length.


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chain is used: the dtype and the chunk shapes, from the smallest inner chunk to the chunk of the grid."""

    dtype: Json
    shapes: tuple[Shape, ...]

    @property
    def itemsize(self) -> int:
        return 1 if is_variable(self.dtype) else stored_dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Chain:
    """The codecs of one array, as metadata documents."""

    filters: tuple[Json, ...] = ()
    serializer: Json = None
    compressors: tuple[Json, ...] = ()
    options: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of chain: which dtypes it takes, how values must be drawn, how many chunk shapes nest, and the maker.

    `little` leaves out big-endian dtypes, `square` makes every inner chunk divide every axis of its shard.
    """

    name: str
    make: Callable[[Random, Place], Chain]
    kinds: str = FIXED + "v"
    sizes: tuple[int, ...] = ()
    values: str = "any"
    lossy: bool = False
    levels: int = 1
    rectilinear: bool = False
    little: bool = False
    square: bool = False
    weight: int = 1

    def takes(self, dtype: Json) -> bool:
        if kind_of(dtype) not in self.kinds or (self.little and stored_dtype(dtype).str[0] == ">"):
            return False
        return not self.sizes or stored_dtype(dtype).itemsize in self.sizes


def kind_of(dtype: Json) -> str:
    """The NumPy kind of a dtype, `s` if it has fields, `t` if a field is a time, `v` if of variable length."""
    if is_variable(dtype):
        return "v"
    if not isinstance(dtype, list):
        return stored_dtype(dtype).kind
    return "t" if any(isinstance(inner, str) and inner[1] in "mM" for _, inner, *_ in dtype) else "s"


Maker = Callable[[Random, Place], Json]


def constant(document: Json) -> Maker:
    """A maker that always gives this codec."""
    return lambda rng, place: document


def weighted(rng: Random, scenarios: list[Scenario]) -> Scenario:
    """A random scenario, by weight."""
    weights = np.array([scenario.weight for scenario in scenarios], float)
    return scenarios[int(rng.choice(len(scenarios), p=weights / weights.sum()))]


def pick(rng: Random, table: dict[str, Any]) -> Any:
    """A random value of a table."""
    return list(table.values())[int(rng.integers(len(table)))]
