"""A read over HTTP that is cancelled leaves nothing behind: no request at the server, no connection, no task. The server's requests are the clock."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

import azarr
from azarr import Context, Retries
from documents import as_bytes, regular, sharded, v3_array
from fakes import turns
from faults import FAULTS, TRANSIENT, Request, Server, Site, always, at, misbehaving, sometimes
from layouts import LAYOUTS, SELECTIONS

SOON = 0.1
"""Seconds within which the server must have heard that a connection was closed."""
CHUNKS = 24
OBJECTS = {"zarr.json": as_bytes(v3_array(shape=[CHUNKS], chunk_grid=regular(1)))} | {f"c/{k}": bytes([k]) for k in range(CHUNKS)}
SHARDS = {"zarr.json": as_bytes(v3_array(shape=[CHUNKS], chunk_grid=regular(4), codecs=sharded(1)))} | {
    f"c/{k}": bytes(range(4 * k, 4 * k + 4)) + np.array([[j, 1] for j in range(4)], "<u8").tobytes() for k in range(CHUNKS // 4)
}
STALLS = [fault for name, fault in FAULTS.items() if name.startswith("stalled")]
NUMBERS = list(range(CHUNKS))


def only_this_task() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


def seen(site: Site, count: int) -> Callable[[], bool]:
    return lambda: len(site.requests) >= count


def stalled(site: Site) -> bool:
    """Whether some request will never be answered, so that others may never come."""
    return any(name.startswith("stalled") for name in site.met)


async def cancelled(task: asyncio.Task[Any]) -> bool:
    """Cancel `task`; whether that ended it, and not its end or an error just before."""
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        return True
    assert task.exception() is None
    return False


@pytest.mark.parametrize("seed", range(4))
async def test_reads_cancelled_at_any_time_leave_no_request_no_task_and_no_connection(seed: int):
    """200 reads in all. Before each cancel, the server has seen some requests, and the event loop has made some turns since.

    Every other time the server begins with an answer in chunks, which the plain client leaves to another one, with all that comes after it.
    """
    random, ended = Random(seed), 0
    async with misbehaving() as server:
        async with Context(requests=random.choice([1, 4, 128]), retries=Retries(first=0)) as context:
            for _ in range(50):
                site = server.site(random.choice([OBJECTS, SHARDS]), random=random)
                if seed % 2:
                    site.schedule = at(FAULTS["chunked"], 0)
                array = await azarr.open_array(site.url, zarr_format=3, context=context)
                site.turns = lambda request: random.randrange(8)
                some = sometimes(STALLS, 0.1, random)
                passing = sometimes([fault for fault in FAULTS.values() if fault.kind == TRANSIENT], 0.1, random)
                site.schedule = lambda request, some=some, passing=passing: some(request) or passing(request)
                task = asyncio.create_task(array[random.randrange(4) :].read())
                task.add_done_callback(lambda _: server.changed())
                count = 1 + random.randrange(CHUNKS)
                await server.until(lambda site=site, count=count, task=task: seen(site, count)() or stalled(site) or task.done())
                await turns(random.randrange(30))
                ended += await cancelled(task)
                assert only_this_task()
                assert await server.at_rest(SOON)
                asked = len(site.requests)
                await turns(20)
                assert len(site.requests) == asked
                site.schedule, site.turns = lambda request: None, lambda request: 0
                assert (await array[...]).tolist() == NUMBERS
        assert await server.within(SOON, lambda: not server.connections)
        assert only_this_task()
    assert ended > 25  # the others had come to their end just before
    gc.collect()  # what was left open would warn now


async def test_read_cancelled_while_it_waits_to_ask_again_asks_no_more():
    async with misbehaving() as server, Context(retries=Retries(first=1000, longest=1000)) as context:
        site = server.site(OBJECTS)
        array = await azarr.open_array(site.url, zarr_format=3, context=context)
        site.schedule = always(FAULTS["status 503"])
        task = asyncio.create_task(array[3].read())
        await server.until(seen(site, 2))
        await turns(20)
        assert await cancelled(task)
        assert only_this_task()
        assert len(site.requests) == 2
        assert await server.at_rest(SOON)


@pytest.mark.parametrize("requests", [1, 2, 5, 30])
async def test_read_cancelled_while_connections_are_being_made(requests: int):
    """The first requests of a context come with the first connections; the loop has made few turns by then."""
    for count in range(12):
        async with misbehaving() as server:
            async with Context(requests=requests) as context:
                site = server.site(OBJECTS)
                array = await azarr.open_array(site.url, zarr_format=3, context=context)
                task = asyncio.create_task(array[...].read())
                await turns(count)
                await cancelled(task)
                assert only_this_task()
                assert await server.at_rest(SOON)
            assert await server.within(SOON, lambda: not server.connections)
    gc.collect()


@pytest.mark.parametrize("fault", STALLS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("objects", [OBJECTS, SHARDS], ids=["chunks", "shards"])
async def test_timeout_around_a_stalled_read_closes_its_connections(objects: dict[str, bytes], fault: Any):
    async with misbehaving() as server, Context() as context:
        site = server.site(objects)
        array = await azarr.open_array(site.url, zarr_format=3, context=context)
        site.schedule = always(fault)
        before = set(server.connections)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await array[...]
        assert only_this_task()
        assert await server.at_rest(SOON)
        assert site.busy == 0
        assert not before & server.connections  # the connection that the array was opened over was used again, and so is closed, too
        site.schedule = lambda request: None
        assert (await array[...]).tolist() == NUMBERS


async def test_cancelling_one_of_two_who_wait_for_the_same_answer_leaves_it_to_the_other():
    async with misbehaving() as server, Context() as context:
        site = server.site(OBJECTS)
        array = await azarr.open_array(site.url, zarr_format=3, context=context)
        for first in (True, False):
            server.close_gate()
            tasks = [asyncio.create_task(array[5].read()) for _ in range(2)]
            await server.until(lambda: server.busy >= 1)
            await turns(20)
            assert await cancelled(tasks[0 if first else 1])
            await turns(20)
            server.open_gate()
            async with asyncio.timeout(5):
                assert await tasks[1 if first else 0] == 5
            assert only_this_task()
            assert await server.at_rest(SOON)


async def test_an_error_of_one_request_ends_the_others():
    async with misbehaving() as server, Context(retries=Retries(attempts=1)) as context:
        site = server.site(OBJECTS)
        array = await azarr.open_array(site.url, zarr_format=3, context=context)
        stall, fail = FAULTS["stalled before the answer"], FAULTS["status 403"]
        site.schedule = lambda request: fail if request.key == "c/23" else stall
        with pytest.raises(azarr.errors.TransportError) as caught:
            await array[...]
        assert caught.value.key == "c/23"
        assert only_this_task()
        assert await server.at_rest(SOON)


async def test_twenty_arrays_read_at_once_never_make_more_requests_than_their_context_has():
    """Reads gathered inside of gathered functions, as programs have them; all that counts is the context that they share."""
    names = [name for name in LAYOUTS if not name.startswith("consolidated")]
    async with misbehaving() as server, Context(requests=8) as context:
        sites = [server.site(LAYOUTS[names[number % len(names)]].old) for number in range(20)]

        async def both(number: int) -> None:
            site, layout = sites[number], LAYOUTS[names[number % len(names)]]
            array = await layout.open(site.url, context)
            selections = ["whole", "part", "steps"]
            found = await asyncio.gather(*(array[SELECTIONS[each]].read() for each in selections))
            assert [layout.wrong(name, each, site.states) for name, each in zip(selections, found, strict=True)] == [""] * 3

        async def four(first: int) -> None:
            await asyncio.gather(*(both(number) for number in range(first, first + 4)))

        server.close_gate()
        task = asyncio.create_task(reads(four))
        async with asyncio.timeout(5):
            await server.until(lambda: server.busy == 8)
        await turns(200)
        assert server.busy == server.most == 8
        for site in sites:
            site.turns = lambda request: request.number % 5
        server.open_gate()
        await task
        assert server.most == 8
        assert only_this_task()
        assert context.counters.requests == server.count
    assert await closed(server)


async def reads(four: Callable[[int], Any]) -> None:
    await asyncio.gather(*(four(first) for first in range(0, 20, 4)))


async def closed(server: Server) -> bool:
    return await server.within(SOON, lambda: not server.connections)


async def test_connections_are_closed_at_the_end_of_a_context_even_after_an_error():
    async with misbehaving() as server:
        site = server.site(OBJECTS)
        with contextlib.suppress(ZeroDivisionError):
            async with Context() as context:
                array = await azarr.open_array(site.url, zarr_format=3, context=context)
                assert (await array[...]).tolist() == NUMBERS
                assert server.connections
                raise ZeroDivisionError
        assert await closed(server)


async def test_a_context_that_was_closed_opens_connections_again():
    async with misbehaving() as server:
        site = server.site(OBJECTS)
        context = Context()
        for _ in range(3):
            async with context:
                array = await azarr.open_array(site.url, zarr_format=3, context=context)
                assert (await array[...]).tolist() == NUMBERS
                assert server.connections
            assert await closed(server)


def test_connections_are_closed_at_the_end_of_the_loop_without_a_context():
    counts: list[int] = []

    async def read(url: str) -> None:
        array = await azarr.open_array(url, zarr_format=3)
        assert (await array[...]).tolist() == NUMBERS

    async def main() -> None:
        async with misbehaving() as server:
            site = server.site(OBJECTS)
            await asyncio.to_thread(asyncio.run, read(site.url))
            assert server.accepted
            assert await server.within(5, lambda: not server.connections)
            counts.append(len(server.connections))

    asyncio.run(main())
    gc.collect()
    assert counts == [0]


async def test_requests_are_of_one_site_each():
    """The server that these tests trust counts right."""
    async with misbehaving() as server, Context() as context:
        sites = [server.site(OBJECTS) for _ in range(3)]
        asked = list[Request]()
        for site in sites:
            site.schedule = asked.append
            assert (await (await azarr.open_array(site.url, zarr_format=3, context=context))[...]).tolist() == NUMBERS
        assert [len(site.requests) for site in sites] == [1 + CHUNKS] * 3
        assert server.count == len(asked) == 3 * (1 + CHUNKS)
        assert server.busy == 0 < server.most
        assert all(site.asked["c/7"] == 1 for site in sites)
