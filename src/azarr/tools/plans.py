"""What a read would do, counted beforehand: chunks, objects, bytes. Nothing is asked for, and millions of chunks cost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from azarr._engine.decoding import Target
from azarr.grid import RegularAxis
from azarr.plan import parts, touched
from azarr.selection import Region


@dataclass(frozen=True, slots=True)
class Plan:
    """What a read would do: `nbytes` of result, from `chunks` (inner chunks, where there are shards) that decode to `decoded` bytes.

    `objects` of the store are asked for: chunks, or shards.
    """

    shape: tuple[int, ...]
    dtype: str
    chunks: int
    objects: int
    nbytes: int
    decoded: int

    @property
    def requests(self) -> int:
        """Requests at least: one an object, and for a shard that is not read as a whole one more for its index."""
        return self.objects

    def __str__(self) -> str:
        share = f"{self.nbytes / self.decoded:.0%}" if self.decoded else "all"
        return (
            f"read {self.shape} {self.dtype}, {self.nbytes:,} bytes: {self.chunks:,} chunks in {self.objects:,} objects, "
            f"{self.decoded:,} bytes decoded, {share} of them used"
        )


def plan(target: Target, region: Region, dtype: np.dtype[Any]) -> Plan:
    """What reading `region` would do, for a result of `dtype`."""
    objects, chunks = count_chunks(region, target)
    return Plan(region.shape, str(dtype), chunks, objects, region.size * dtype.itemsize, chunks * target.layout.read_nbytes)


def count_chunks(region: Region, target: Target) -> tuple[int, int]:
    """Objects of the store and chunks (inner chunks) that `region` touches."""
    if not region.size:
        return 0, 0
    layout = target.layout
    objects = _count(region, layout.metadata.grid)
    return objects, objects if layout.inner is None else _count(region, layout.inner)


def _count(region: Region, grid: Any) -> int:
    total = 1
    if region.points:
        positions = [np.asarray(region.axes[axis]).tolist() for axis in region.points]
        columns = [[grid.axes[axis].locate(place) for place in found] for axis, found in zip(region.points, positions, strict=True)]
        total = len(np.unique(np.stack(columns), axis=1).T)
    for axis, selected in enumerate(region.axes):
        if axis in region.points or isinstance(selected, int):
            continue
        cuts = grid.axes[axis]
        if isinstance(selected, range) and (abs(selected.step) == 1 or isinstance(cuts, RegularAxis)):  # every chunk between, or one each
            total *= touched(selected, cuts)
        else:
            forward = selected[::-1] if isinstance(selected, range) and selected.step < 0 else selected
            total *= sum(1 for _ in parts(forward, cuts))
    return total
