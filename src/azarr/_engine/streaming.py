"""Reads beside one another, and the blocks that a stream is made of."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

import numpy.typing as npt

from azarr._platform import together


class Block(NamedTuple):
    """A part of a selection: `data` is what stands at `region`, one slice per axis of the selection."""

    region: tuple[slice, ...]
    data: npt.NDArray[Any]


async def all_of(reads: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What each of `reads` gives. The first error ends them all, and is raised when none is running any more."""
    async with together() as group:
        tasks = [group.create_task(read) for read in reads]
    return [task.result() for task in tasks]
