"""What all who use one context share: requests in flight, fewer of them where a server has too many, and a bound on what is sent again."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import azarr
from azarr import Context, Retries
from azarr._engine import requests as requests_module
from azarr._engine.budget import Budget, Slots, budget_of
from azarr._engine.requests import Requests
from azarr.errors import StoreError, TimedOut, TransportError
from azarr.stores import ByteRange, MemoryStore, Value
from azarr.testing import CountingStore
from fakes import Conditional, Held, turns
from faults import Answer, Fault, always, misbehaving

# Slots


async def waiting(*takes: Awaitable[None]) -> list[asyncio.Task[None]]:
    """Tasks that wait for slots, begun in this order."""

    async def take(each: Awaitable[None]) -> None:
        await each

    tasks = [asyncio.create_task(take(each)) for each in takes]
    await turns()
    return tasks


def done(tasks: list[asyncio.Task[None]]) -> list[int]:
    return [number for number, task in enumerate(tasks) if task.done() and not task.cancelled()]


async def test_slots_are_given_in_the_order_in_which_they_were_asked_for():
    slots = Slots(3)
    await slots.take(3)
    tasks = await waiting(slots.take(2), slots.take(1), slots.take(3))
    for given, expected in ((1, []), (1, [0]), (1, [0, 1]), (2, [0, 1]), (1, [0, 1, 2])):
        slots.give(given)
        await turns()
        assert done(tasks) == expected
    assert slots.free == 0


async def test_who_wants_few_does_not_overtake_who_wants_many():
    slots = Slots(3)
    await slots.take(2)
    tasks = await waiting(slots.take(3), slots.take(1))
    assert done(tasks) == []
    slots.give(2)
    await turns()
    assert done(tasks) == [0]
    slots.give(3)
    await turns()
    assert done(tasks) == [0, 1]


async def test_who_is_cancelled_while_waiting_lets_the_next_pass():
    slots = Slots(2)
    await slots.take(1)
    tasks = await waiting(slots.take(2), slots.take(1))
    tasks[0].cancel()
    await turns()
    assert done(tasks) == [1]
    assert slots.free == 0


async def test_who_is_cancelled_just_when_it_is_their_turn_hands_it_on():
    slots = Slots(1)
    await slots.take()
    tasks = await waiting(slots.take(), slots.take())
    slots.give()
    tasks[0].cancel()
    await turns()
    assert done(tasks) == [1]
    slots.give()
    assert slots.free == 1


async def test_nothing_is_lost_whoever_is_cancelled_whenever():
    for number in range(64):
        slots = Slots(2)
        tasks = await waiting(*(slots.take(1 + each % 2) for each in range(6)))
        for each, task in enumerate(tasks):
            if number >> each & 1:
                task.cancel()
            if each % 2:
                await asyncio.sleep(0)
        await turns()
        held = sum(1 + each % 2 for each in done(tasks))
        assert slots.free == 2 - held
        for task in tasks:
            task.cancel()
        await turns()
        slots.give(held)
        assert slots.free == 2


# Fewer requests where there are too many


def test_half_as_many_requests_are_allowed_each_time_and_one_at_least():
    budget = Budget(Context(requests=100))
    limits = list[int]()
    for began in range(10):
        budget.overloaded(1e12 + began)  # later than any time that is noted
        limits.append(budget.limit)
    assert limits == [50, 25, 12, 6, 3, 1, 1, 1, 1, 1]
    assert budget.requests.free == 1


def test_requests_that_were_sent_before_the_last_time_say_nothing_new():
    budget = Budget(Context(requests=100))
    budget.overloaded(began=1.0)
    for _ in range(50):
        budget.overloaded(began=1.0)
    assert budget.limit == 50


def test_one_more_is_allowed_for_each_round_that_goes_well_and_never_more_than_the_context_has():
    budget = Budget(Context(requests=8))
    budget.overloaded(1e12)
    budget.overloaded(1e13)
    limits = list[int]()
    for _ in range(2 + 3 + 4 + 5 + 6 + 7):
        budget.went_well()
        limits.append(budget.limit)
    assert limits == [2] + [3] * 3 + [4] * 4 + [5] * 5 + [6] * 6 + [7] * 7 + [8]
    for _ in range(1000):
        budget.went_well()
    assert (budget.limit, budget.requests.free) == (8, 8)


async def stored(count: int, size: int = 1) -> dict[str, bytes]:
    """An array of `count` chunks of `size` elements, 1, 2, 3 and so on."""
    store: dict[str, bytes] = {}
    values = np.arange(count * size, dtype="u2") + 1
    await azarr.save(store, "", values, chunks=(size,), compressors=None)
    return store


def answering(status: int, **headers: str) -> Fault:
    return Fault(
        str(status), lambda request, random: Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}), ""
    )


@pytest.mark.parametrize(("status", "limit"), [(429, 8), (503, 8), (500, 16), (502, 16), (408, 16)])
async def test_429_and_503_halve_what_is_sent_at_once_and_other_statuses_do_not(status: int, limit: int):
    async with misbehaving() as server, Context(requests=16, retries=Retries(first=0)) as context:
        site = server.site(await stored(64))
        array = await azarr.open_array(site.url, zarr_format=3, context=context)
        site.schedule = lambda request: answering(status) if request.number == 1 else None
        server.close_gate()
        reading = asyncio.create_task(array[:16].read())
        await server.until(lambda: server.busy == 16)
        server.open_gate()
        assert (await reading).tolist() == list(range(1, 17))
        assert limit <= budget_of(context).limit <= limit + 2


async def test_a_server_that_is_overloaded_gets_fewer_requests_until_it_goes_well_again():
    async with misbehaving() as server, Context(requests=16, retries=Retries(attempts=100, first=0)) as context:
        site = server.site(await stored(2000))
        array = await azarr.open_array(site.url, zarr_format=3, context=context)
        site.turns = lambda request: 3
        site.schedule = lambda request: answering(503) if server.busy > 4 else None
        assert (await array[...]).tolist() == list(range(1, 2001))
        assert 1 <= budget_of(context).limit <= 6
        refused = site.met.count("503")
        assert refused < 600
        site.schedule = lambda request: None
        await array[...]
        assert budget_of(context).limit == 16
        server.most = 0
        await array[...]
        assert server.most == 16


async def test_timeouts_halve_it_too():
    class Slow(CountingStore):
        async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
            value = await super().get(key, byte_range)
            if self.requests.count((key, byte_range)) == 1 and key.startswith("c/"):
                raise TimedOut("not a byte", transient=True)
            return value

    context = Context(requests=16, retries=Retries(first=0))
    array = await azarr.open_array(Slow(MemoryStore(await stored(1))), zarr_format=3, context=context)
    assert (await array[...]).tolist() == [1]
    assert budget_of(context).limit == 8


@pytest.mark.parametrize("most", [1, 3, 16])
async def test_no_more_requests_are_in_flight_than_the_context_says_however_reads_are_gathered(most: int):
    store = Held(await stored(100))
    context = Context(requests=most)
    arrays = [await azarr.open_array(store, zarr_format=3, context=context) for _ in range(3)]
    reads = [asyncio.create_task(array[number : number + 30].read()) for number, array in enumerate(arrays)]
    await turns(100)
    assert store.open == most
    store.gate.set()
    assert [found.tolist() for found in await asyncio.gather(*reads)] == [list(range(first, first + 30)) for first in (1, 2, 3)]
    assert store.most == most


class Counted(Conditional):
    """How many changes are in flight, at most; the first deletion of each key fails."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = self.most = 0
        self.failed = set[str]()

    async def changing(self) -> None:
        self.busy += 1
        self.most = max(self.most, self.busy)
        await turns()
        self.busy -= 1

    async def replace(self, key: str, data: Any, version: str | None) -> bool:
        await self.changing()
        return await super().replace(key, data, version)

    async def delete(self, key: str) -> None:
        await self.changing()
        if self.armed and key not in self.failed:
            self.failed.add(key)
            raise TransportError("the server answered 503", transient=True, status=503)
        await super().delete(key)


async def test_deletes_and_writes_that_look_first_are_requests_like_others():
    store, context = Counted(), Context(requests=2, retries=Retries(first=0))
    for name in "abc":
        await azarr.save(store, name, np.arange(20), chunks=(2,))
    arrays = [await azarr.open_array(store, name, mode="r+", context=context) for name in "abc"]
    store.most, store.armed = 0, True
    await asyncio.gather(*(array[::2].write(1) for array in arrays))
    assert 0 < store.most <= 2
    store.most, sent = 0, context.counters.requests
    await asyncio.gather(*(azarr.delete(store, name, context=context) for name in "abc"))
    assert 0 < store.most <= 2
    assert set(store.mapping) == {"zarr.json"}  # of the root
    assert context.counters.requests - sent >= 2 * len(store.failed) >= 2 * 3 * 10


async def test_a_request_that_waits_to_be_sent_again_holds_up_nobody():
    class Fails(CountingStore):
        async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
            value = await super().get(key, byte_range)
            if key == "c/0":
                raise TransportError("busy", transient=True, retry_after=10)
            return value

    context = Context(requests=1)
    array = await azarr.open_array(Fails(MemoryStore(await stored(4))), zarr_format=3, context=context)
    waits = asyncio.create_task(array[0].read())
    await turns()
    assert (await array[1:]).tolist() == [2, 3, 4]
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits


async def test_a_context_that_nobody_uses_any_more_is_freed_with_all_that_it_kept():
    async with misbehaving() as server:
        url = server.site(await stored(100)).url

        async def use() -> weakref.ref[Context]:
            async with Context(cache="1 MiB") as context:
                array = await azarr.open_array(url, context=context)
                assert (await array[98:]).tolist() == [99, 100]
                return weakref.ref(context)

        gone = await use()
        gc.collect()
        assert gone() is None


# Sending again


class Dead:
    """A store that never answers well. `asked` are the keys it was asked for."""

    def __init__(self, documents: dict[str, bytes] | None = None, **facts: Any) -> None:
        self.documents, self.facts, self.asked = documents or {}, {"transient": True, **facts}, list[str]()

    def __repr__(self) -> str:
        return "Dead()"

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        if key in self.documents and not key.startswith("c/"):
            return Value(self.documents[key])
        self.asked.append(key)
        await asyncio.sleep(0)
        raise TransportError("nobody is there", **self.facts)


async def outcome(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except StoreError as error:
        return error


@pytest.mark.parametrize("attempts", [1, 2, 8])
async def test_one_request_is_sent_so_many_times_and_then_it_fails(attempts: int):
    store, context = Dead(), Context(retries=Retries(attempts=attempts, first=0))
    error = await outcome(Requests(store, context).get("key"))
    assert isinstance(error, TransportError)
    assert (error.attempts, len(store.asked)) == (attempts, attempts)
    plural = "s" if attempts > 1 else ""
    assert str(error) == f"'key' of Dead(): nobody is there (after {attempts} attempt{plural})"


async def test_what_does_not_pass_is_not_sent_again():
    store, context = Dead(transient=False), Context()
    assert isinstance(await outcome(Requests(store, context).get("key")), TransportError)
    assert store.asked == ["key"]


@pytest.mark.parametrize(
    ("raised", "count"),
    [(ConnectionResetError("reset"), 3), (BrokenPipeError(), 3), (TimeoutError(), 3), (PermissionError("no"), 1), (OSError(28, "full"), 1)],
    ids=lambda value: type(value).__name__,
)
async def test_of_errors_of_other_stores_those_of_connections_are_sent_again(raised: OSError, count: int):
    class Foreign(CountingStore):
        async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
            self.requests.append((key, byte_range))
            raise raised

    store = Foreign(MemoryStore())
    error = await outcome(Requests(store, Context(retries=Retries(attempts=3, first=0))).get("key"))
    assert isinstance(error, TransportError)
    assert error.__cause__ is raised
    assert isinstance(error, TimeoutError) == isinstance(raised, TimeoutError)
    assert len(store.requests) == count


async def test_errors_that_are_no_errors_of_a_store_are_raised_as_they_are():
    class Broken(CountingStore):
        async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Requests(Broken(MemoryStore()), Context()).get("key")


@pytest.mark.parametrize(("attempts", "share"), [(8, 0.5), (8, 0.0), (2, 0.5), (3, 0.25), (8, 0.9)])
async def test_one_operation_repeats_four_times_the_attempts_and_a_share_of_its_requests(attempts: int, share: float):
    store = Dead()
    requests = Requests(store, Context(retries=Retries(attempts=attempts, first=0, share=share)))
    for number in range(1000):
        assert isinstance(await outcome(requests.get(f"key{number}")), TransportError)
    repeated = len(store.asked) - 1000
    most = 4 * attempts + share * len(store.asked)
    at_most_of_each = 1000 * (attempts - 1)
    assert min(most, at_most_of_each) - 1 <= repeated <= min(most, at_most_of_each)


async def test_a_dead_server_is_not_asked_much_more_often_than_there_are_requests_at_once():
    documents = await stored(1000)
    for at_once in (1, 4, 16, 128):
        store = Dead(documents)
        context = Context(requests=at_once, retries=Retries(first=0))
        array = await azarr.open_array(store, zarr_format=3, context=context)
        with pytest.raises(TransportError, match="nobody is there"):
            await array[...]
        assert len(store.asked) <= (at_once + 4 * 8) / (1 - 0.5)
        assert max(store.asked.count(key) for key in store.asked) <= 8


async def test_a_real_dead_server_with_1000_chunks_gets_no_more_than_that():
    async with misbehaving() as server, Context(requests=16, retries=Retries(first=0)) as context:
        site = server.site(await stored(1000))
        array = await azarr.open_array(site.url, zarr_format=3, context=context)
        site.schedule = always(answering(500))
        with pytest.raises(TransportError, match="the server answered 500"):
            await array[...]
        assert len(site.requests) - 1 <= (16 + 4 * 8) / (1 - 0.5)
        assert await server.at_rest()


async def test_each_operation_has_repeats_of_its_own():
    async with misbehaving() as server, Context(retries=Retries(attempts=2, first=0, share=0)) as context:
        site = server.site(await stored(10))
        array = await azarr.open_array(site.url, zarr_format=3, context=context)
        site.schedule = lambda request: answering(500) if site.asked[request.key] % 2 else None  # every other time
        for _ in range(3):
            assert (await array[:8]).tolist() == list(range(1, 9))
        assert context.counters.retries == 24


# Waiting in between


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that are waited before something is sent again, which pass at once."""
    noted, sleep = list[float](), asyncio.sleep

    async def noting(seconds: float) -> None:
        noted.append(seconds)
        await sleep(0)

    class Clocked:
        sleep = staticmethod(noting)

        def __getattr__(self, name: str) -> Any:
            return getattr(asyncio, name)

    monkeypatch.setattr(requests_module, "asyncio", Clocked())
    return noted


async def failures(context: Context, **facts: Any) -> int:
    """How often a store was asked that never answers."""
    store = Dead(**facts)
    assert isinstance(await outcome(Requests(store, context).get("key")), TransportError)
    return len(store.asked)


async def test_waits_are_random_and_double_up_to_the_longest(waits: list[float]):
    rounds = list[list[float]]()
    for _ in range(200):
        assert await failures(Context(retries=Retries(attempts=8, first=0.1, longest=2))) == 8
        rounds.append(waits.copy())
        waits.clear()
    for position, most in enumerate([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]):
        those = [each[position] for each in rounds]
        assert all(0 <= wait <= most for wait in those)
        assert max(those) > 0.9 * most
        assert min(those) < 0.1 * most
        assert 0.35 * most < sum(those) / len(those) < 0.65 * most


async def test_what_the_server_says_is_waited(waits: list[float]):
    assert await failures(Context(retries=Retries(attempts=4, first=0.1, longest=15)), retry_after=15.0) == 4
    assert waits == [15.0, 15.0, 15.0]


async def test_a_server_that_wants_no_waiting_gets_none(waits: list[float]):
    assert await failures(Context(retries=Retries(attempts=4)), retry_after=0.0) == 4
    assert waits == [0.0, 0.0, 0.0]


async def test_a_server_that_wants_to_be_left_alone_for_longer_is(waits: list[float]):
    assert await failures(Context(retries=Retries(longest=15)), retry_after=15.1) == 1
    assert waits == []


@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ("0", [0.0]),
        ("7", [7.0]),
        (" 7 ", [7.0]),
        ("Thu, 01 Jan 1970 00:00:00 GMT", [0.0]),
        ("soon", None),
        ("-1", None),
        ("7.5", None),
        ("", None),
    ],
)
async def test_retry_after_is_read_as_seconds_or_a_date_or_not_at_all(said: str, waited: list[float] | None, waits: list[float]):
    async with misbehaving() as server, Context(retries=Retries(attempts=2, first=0.001)) as context:
        site = server.site(await stored(1))
        site.schedule = lambda request: answering(503, Retry_After=said) if request.number == 0 else None
        assert (await azarr.open_array(site.url, zarr_format=3, context=context)[...]).tolist() == [1]
        assert len(waits) == 1
        assert waits == waited if waited is not None else waits[0] <= 0.001


@pytest.mark.parametrize("said", ["16", "86400", "9" * 400, "Fri, 01 Jan 2100 00:00:00 GMT"])
async def test_a_retry_after_that_is_too_long_fails_at_once(said: str, waits: list[float]):
    async with misbehaving() as server, Context() as context:
        site = server.site(await stored(1), schedule=always(answering(503, Retry_After=said)))
        with pytest.raises(TransportError, match=r"the server answered 503 \(after 1 attempt\)"):
            await azarr.open_array(site.url, zarr_format=3, context=context)
        assert (len(site.requests), waits) == (1, [])


async def test_who_is_cancelled_while_waiting_to_send_again_sends_no_more():
    store = Dead(retry_after=10)
    task = asyncio.create_task(Requests(store, Context()).get("key"))
    await turns()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert store.asked == ["key"]


# Sharing


async def test_who_shares_a_request_shares_its_error_and_its_repeats():
    store, context = Dead(), Context(retries=Retries(attempts=3, first=0))
    found = await asyncio.gather(*(outcome(Requests(store, context).get("key")) for _ in range(5)))
    assert all(isinstance(each, TransportError) for each in found)
    assert len(store.asked) == 3
    assert context.counters.failures == 1


async def test_where_the_one_who_asks_is_cancelled_another_asks():
    store = Held({"c/0": b"abc"})
    context = Context()
    tasks = [asyncio.create_task(Requests(store, context).get("c/0")) for _ in range(4)]
    await turns()
    assert len(store.requests) == 1
    tasks[0].cancel()
    tasks[2].cancel()
    await turns()
    assert len(store.requests) == 2
    store.gate.set()
    assert [await tasks[number] for number in (1, 3)] == [(b"abc", None, 3)] * 2
    assert context.counters.shared == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda context: Requests(Held({"c/0": b"abc"}), context).get("c/0"),
        lambda context: Requests(Held({"c/0": b"abc"}), Context()).get("c/0"),
    ],
    ids=["another store", "another store and context"],
)
async def test_requests_of_others_are_not_shared(other: Callable[[Context], Awaitable[Any]]):
    store, context = Held({"c/0": b"xyz"}), Context()
    mine = asyncio.create_task(Requests(store, context).get("c/0"))
    theirs = asyncio.create_task(outcome(other(context)))
    await turns()
    store.gate.set()
    assert (await mine) == (b"xyz", None, 3)
    assert not theirs.done()
    theirs.cancel()
    with suppress(asyncio.CancelledError):
        await theirs


async def test_different_parts_of_an_object_are_different_requests():
    store, context = Held({"c/0": b"abcdef"}), Context()
    store.gate.set()
    asked = [None, (0, 2), (2, 4), (-2, None), (0, 2)]
    found = await asyncio.gather(*(Requests(store, context).get("c/0", each) for each in asked))
    assert [bytes(each.data) for each in found if each is not None] == [b"abcdef", b"ab", b"cd", b"ef", b"ab"]
