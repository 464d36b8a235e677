"""A group of tasks, on whichever platform this is: its first error ends it and is raised bare, and nothing of it runs when it is over."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Coroutine
from typing import Any

import pytest

from azarr._platform import in_flight, together
from conftest import BROWSER


async def all_of(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    async with together() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


async def test_results_of_its_tasks_are_there_when_it_ends():
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert await all_of(*map(work, range(5))) == [0, 1, 2, 3, 4]


async def test_its_first_error_is_raised_bare_once_the_others_have_ended():
    ended = list[str]()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("first") from OSError("cause")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("waits")

    with pytest.raises(LookupError, match="first") as raised:
        await all_of(waits(), fails(), waits())
    assert ended == ["waits", "waits"]
    assert isinstance(raised.value.__cause__, OSError)


async def test_an_error_before_the_first_wait_ends_it_too():
    async def fails() -> None:
        raise LookupError("at once")

    async def waits() -> None:
        await asyncio.Event().wait()

    with pytest.raises(LookupError, match="at once"):
        await all_of(waits(), fails(), waits())


async def test_cancelled_it_ends_when_its_tasks_have_ended_however_often():
    begun, ended, free = asyncio.Event(), list[str](), asyncio.Event()

    async def stubborn() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await free.wait()
            ended.append("stubborn")

    task = asyncio.create_task(all_of(stubborn()))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["stubborn"]


async def test_a_cancelled_task_of_it_ends_nothing_else():
    async def waits() -> str:
        await asyncio.sleep(0)
        return "came"

    async with together() as group:
        first, second = group.create_task(waits()), group.create_task(waits())
        first.cancel()
    assert first.cancelled()
    assert second.result() == "came"


async def test_an_error_of_the_block_ends_its_tasks_and_is_raised():
    ended = list[str]()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    async def whole() -> None:
        async with together() as group:
            group.create_task(waits())
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await whole()
    assert ended == ["waits"]


async def test_what_was_not_begun_leaves_no_warning():
    async def fails() -> None:
        raise LookupError

    async def never() -> None:
        await asyncio.Event().wait()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(LookupError):
            await all_of(fails(), never())
        gc.collect()
    assert [str(warning.message) for warning in told] == []


def test_more_bytes_than_one_thread_decodes_in_time_are_not_in_flight_in_browsers():
    assert in_flight(1000) == 1000
    assert in_flight(1 << 30) == (64 << 20 if BROWSER else 1 << 30)
