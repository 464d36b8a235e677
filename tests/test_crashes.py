"""A writer that ends at any moment, killed or cancelled: every chunk is old or new, metadata parse, no row is missing, nothing is left running."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.errors import NodeNotFound
from azarr.stores import LocalStore, MemoryStore
from conftest import only_this_task
from fakes import Conditional, turns

Operation = Callable[[Any], Awaitable[Any]]


class CrashError(BaseException):
    """The process ends here; nothing that would tidy up runs against the store any more."""


class Crashing(Conditional):
    """A store in which the process ends before the nth call that changes something."""

    def __init__(self, mapping: dict[str, bytes], nth: int) -> None:
        super().__init__(mapping)
        self.left, self.crashed = nth, False

    def step(self) -> None:
        if self.crashed or self.left == 0:
            self.crashed = True
            raise CrashError
        self.left -= 1

    async def set(self, key: str, data: Any) -> None:
        self.step()
        await super().set(key, data)

    async def delete(self, key: str) -> None:
        self.step()
        await super().delete(key)

    async def replace(self, key: str, data: Any, version: str | None) -> bool:
        self.step()
        return await super().replace(key, data, version)


async def opened(store: Any) -> azarr.Array:
    return await azarr.open_array(store, "x", mode="r+", context=azarr.Context(requests=2))


async def write_all(store: Any) -> None:
    await (await opened(store))[...].write(2)


async def write_parts(store: Any) -> None:
    await (await opened(store))[1:7].write(2)


async def write_points(store: Any) -> None:
    await (await opened(store)).vindex[[0, 3, 7]].write(2)


async def write_the_fill_value(store: Any) -> None:
    await (await opened(store))[...].write(0)


async def append_rows(store: Any) -> None:
    await (await opened(store)).append([2] * 5)


async def grow(store: Any) -> None:
    await (await opened(store)).resize((11,), clear=True)


async def shrink(store: Any) -> None:
    await (await opened(store)).resize((3,))


async def change_attributes(store: Any) -> None:
    await (await opened(store)).update_attrs({"name": "new"})


async def create(store: Any) -> None:
    zarr_format = (await opened(store)).zarr_format
    await azarr.create_array(store, "a/b/y", shape=(3,), dtype="u1", zarr_format=zarr_format)


async def create_over(store: Any) -> None:
    zarr_format = (await opened(store)).zarr_format
    over: dict[str, Any] = {"chunks": (8,), "attributes": {"name": "over"}, "zarr_format": zarr_format}
    await azarr.create_array(store, "x", shape=(8,), dtype="u1", overwrite=True, **over)


OPERATIONS = [write_all, write_parts, write_points, write_the_fill_value, append_rows, grow, shrink, change_attributes, create, create_over]
LAYOUTS: dict[str, dict[str, Any]] = {
    "chunks": {"chunks": (2,)},
    "shards": {"chunks": (1,), "shards": (4,)},
    "v2": {"chunks": (3,), "zarr_format": 2},
}
operations = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
layouts = pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)


async def prepared(store: Any, options: dict[str, Any]) -> None:
    await azarr.create_array(store, "x", shape=(8,), dtype="u1", compressors=None, attributes={"name": "old"}, **options)
    await (await opened(store))[...].write(1)


async def check(store: Any, operation: Operation) -> None:
    """What holds whenever a process ends."""
    try:
        array = await azarr.open_array(store, "x")
    except NodeNotFound:
        assert operation is create_over
        return
    values = await array[...]
    if operation is create_over:  # the old one, none, or the new one
        assert (array.attrs["name"], values.tolist()) in (("old", [1] * 8), ("over", [0] * 8))
        return
    assert array.attrs["name"] in (("old", "new") if operation is change_attributes else ("old",))
    if operation is append_rows:
        assert values[:8].tolist() == [1] * 8
        assert values[8:].tolist() in ([], [2] * 5), "a row that is seen was stored"
    elif operation in (grow, shrink):
        assert values.tolist() in ([1] * 8, [1] * 8 + [0] * 3, [1] * 3)
    elif operation in (change_attributes, create):
        assert values.tolist() == [1] * 8
    else:
        assert set(values.tolist()) <= {0, 1, 2}
        assert 0 not in values.tolist() or operation is write_the_fill_value, "a hole"


@layouts
@operations
async def test_a_process_that_ends_before_any_call_leaves_old_or_new(operation: Operation, options: dict[str, Any]):
    nth, done = 0, False
    while not done:
        mapping: dict[str, bytes] = {}
        await prepared(mapping, options)
        store = Crashing(mapping, nth)
        try:
            if operation is append_rows:  # rows of a store that cannot hold others back are reserved before they are stored
                await operation(HoldingCrash(mapping, nth))
            else:
                await operation(store)
            done = True
        except CrashError:
            nth += 1
        await check(mapping, operation)
    assert nth >= 1


class HoldingCrash(Crashing):
    @contextlib.asynccontextmanager
    async def hold(self, key: str) -> AsyncGenerator[None]:
        yield


@layouts
@operations
async def test_a_write_that_is_cancelled_at_any_await_leaves_old_or_new_and_nothing_running(operation: Operation, options: dict[str, Any]):
    after, ended = 0, False
    while not ended:
        mapping: dict[str, bytes] = {}
        await prepared(mapping, options)
        task = asyncio.ensure_future(operation(Conditional(mapping) if operation is not append_rows else Holding(mapping)))
        await turns(after)
        ended = task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        frozen = dict(mapping)
        await turns(20)
        assert mapping == frozen
        assert only_this_task()
        await check(mapping, operation)
        after += 1


class Holding(Conditional):
    @contextlib.asynccontextmanager
    async def hold(self, key: str) -> AsyncGenerator[None]:
        yield


@layouts
@operations
async def test_a_write_to_local_disk_that_is_cancelled_leaves_no_file_open_and_none_behind(
    operation: Operation, options: dict[str, Any], tmp_path: Path
):
    for after in range(0, 60, 3):
        path = tmp_path / str(after)
        await prepared(path, options)
        before = open_files()
        task = asyncio.ensure_future(operation(LocalStore(path)))
        await turns(after)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert only_this_task()
        assert open_files() == before
        assert [name for name in os.listdir(path) if name.startswith(".")] in ([], [".zgroup"])
        await check(path, operation)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class Recording(MemoryStore):
    """A store that fails at every attempt to change it."""

    def put(self, key: str, data: Any, version: str | None = "*") -> bool:
        raise AssertionError(f"{key} was written to")


@layouts
async def test_reading_changes_nothing(options: dict[str, Any]):
    mapping: dict[str, bytes] = {}
    await prepared(mapping, options)
    store = Recording(mapping)
    for node in (await azarr.open_group(store), await azarr.open(store, consolidated=False)):
        assert await node.keys() == ["x"]
        await node.tree()
        array = await node["x"]
        await array[...]
        array[2:].plan()
        async for _ in array[1:].blocks():
            pass
        await array.vindex[[1, 2]].read(np.zeros(2, "u1"))
    with pytest.raises(AssertionError, match="was written to"):
        await (await azarr.open_array(store, "x", mode="r+"))[0].write(1)
