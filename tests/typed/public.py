# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""The types that users see, for pyright (`make types`); nothing here runs.

A line whose type changes is an error. So is a line that ends in `ignore` and stops being refused: then the check itself has gone blind.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import azarr
from azarr.ref import PendingSelection


async def opening() -> None:
    g = azarr.open_group("https://host/data.zarr", context=azarr.Context(memory="1 GiB"))
    assert_type(g, azarr.Ref[azarr.Group])
    assert_type(await g, azarr.Group)
    assert_type(g.var, azarr.Ref[Any])
    assert_type((await g).var, azarr.Ref[Any])
    assert_type(await azarr.open_array({}), azarr.Array)
    assert_type((await azarr.open_array({}))[0], azarr.Selection)
    assert_type(azarr.open({}), azarr.Ref[Any])
    assert_type(await azarr.create_group({}), azarr.Group)
    azarr.open_group({}, mode=1)  # pyright: ignore[reportArgumentType]
    azarr.open_group({}, "a", "r")  # pyright: ignore[reportCallIssue]


async def arrays() -> None:
    array = await azarr.create_array({}, shape=(4,), dtype="i4")
    assert_type(array, azarr.Array)
    assert_type(array.shape, tuple[int, ...])
    assert_type(array.shape, list[int])  # pyright: ignore[reportAssertTypeFailure]
    assert_type(array.dtype, np.dtype[Any])
    assert_type(array.chunks, tuple[int, ...] | None)
    assert_type(array.shards, tuple[int, ...] | None)
    assert_type(array.attrs, Mapping[str, Any])
    assert_type(array.dimension_names, tuple[str | None, ...] | None)
    assert_type(array.nbytes, int)
    assert_type(await array.append([1]), azarr.Array)
    assert_type(await array.resize([5]), azarr.Array)
    assert_type(await array.presence(), npt.NDArray[np.bool_])
    array.shape = (5,)  # pyright: ignore[reportAttributeAccessIssue]
    array.nothing  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018


async def selections(array: azarr.Array, group: azarr.Group) -> None:
    assert_type(array[5:], azarr.Selection)
    assert_type(array[5:][0], azarr.Selection)
    assert_type(array.oindex[[1, 2]], azarr.Selection)
    assert_type(array.vindex[[1, 2]], azarr.Selection)
    assert_type(array.isel(x=0), azarr.Selection)
    assert_type(array[5:].plan(), azarr.Plan)
    assert_type(array[5:].blocks(), AsyncGenerator[azarr.Block, None])
    assert_type(azarr.open_array({}).isel(x=0), PendingSelection)
    assert_type(await array[5:].write(1), None)
    assert_type(await array[5:], Any)  # its type is in the data
    assert_type(await group.members(), dict[str, azarr.Array | azarr.Group])
    async for block in array.blocks(ordered=True, memory="1 MiB"):
        assert_type(block, azarr.Block)
    await array[5:].write()  # pyright: ignore[reportCallIssue]


async def trees(context: azarr.Context) -> None:
    assert_type((await azarr.verify({})).ok, bool)
    assert_type(await azarr.verify({}), azarr.Report)
    assert_type(context.counters.requests, int)
    assert_type(azarr.errors.StoreError("").status, int | None)
