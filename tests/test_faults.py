"""Over a network that fails in every known way, a read gives exactly the right values or a typed error: never anything else.

What is "right": each object (chunk or shard) of one version that stood there during the read, and fill values only where no object was.
AZARR_FAULTED_READS sets how many reads meet faults, AZARR_SEED which.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

import azarr
from azarr import Context, Retries
from azarr._engine import waiting
from azarr.errors import AzarrError, MetadataError, StoreError, TransportError
from azarr.stores import HTTPStore
from azarr.transport import many
from faults import (
    FAULTS,
    HARMLESS,
    LASTING,
    TRANSIENT,
    Answer,
    Fault,
    Request,
    Schedule,
    Server,
    Site,
    always,
    at,
    misbehaving,
    never,
    sometimes,
)
from layouts import LAYOUTS, SELECTIONS, Layout, told_version

# A page for people that stands in for a shard tells no version of itself.
pytestmark = pytest.mark.filterwarnings("ignore::azarr.errors.UnversionedWarning")
READS = int(os.environ.get("AZARR_FAULTED_READS", "20000"))
SEED = os.environ.get("AZARR_SEED", "1")
AT_ONCE = 50
"""Visits in progress at the same time: what stalls holds up only one of them."""
Visits = Iterator[tuple[Site, Layout, Schedule | None]]
ATTEMPTS = 3
STALL = 0.4
"""Seconds after which a client takes a server to have stalled. One that is only slow may be taken so, too: then it is asked again."""


def context(**changes: Any) -> Context:
    """One that never waits before it asks again."""
    options: dict[str, Any] = {"retries": Retries(attempts=ATTEMPTS, first=0), "timeout": STALL}
    return Context(**(options | changes))


@dataclass
class Tally:
    """What came of operations (openings and reads), and of those that met faults."""

    reads: int = 0
    faulted: int = 0
    right: int = 0
    """Right values, of a read that met faults."""
    errors: Counter[str] = field(default_factory=Counter[str])
    """Typed errors of reads that met faults."""
    met: Counter[str] = field(default_factory=Counter[str])
    """Faults."""
    requests: int = 0
    cached: bool = False
    """Whether the sites are read through a cache: then what stood there since the array was opened is right, and bad answers are kept, too."""
    wrong: list[str] = field(default_factory=list[str])

    async def operation(self, name: str, site: Site, work: Callable[[], Awaitable[Any]], check: Callable[[Any], str]) -> Any:
        """The result of `work`, None if it failed; whatever it did is judged."""
        if name == "open" or not self.cached:
            site.forget()
        before, asked, began = len(site.met), len(site.requests), site.asked
        found, what = None, ""
        try:
            found = await work()
        except AzarrError as error:
            what = misnamed(error, site, site.asked if self.cached else site.asked - began)
            if not (site.met if self.cached else site.met[before:]):
                what = what or "an error without a fault"
            outcome = type(error).__name__
        except Exception as error:
            what, outcome = "an error that is not one of azarr's", type(error).__name__
            what += f": {error!r}"
        else:
            what, outcome = check(found), ""
        met = site.met[before:]
        self.met.update(met)
        self.requests += len(site.requests) - asked
        if name != "open":
            self.reads += 1
            self.faulted += bool(met)
            self.right += bool(met) and not outcome
        if met and outcome:
            self.errors[outcome] += 1
        if what:
            self.wrong.append(f"{site.name}, {name}, after {met}: {what} {outcome}".rstrip())
        return found

    async def visit(self, site: Site, layout: Layout, then: Schedule | None, context: Context, selections: Iterable[str]) -> None:
        """Open the array of a site, and read parts of it by the schedule `then`."""
        source = azarr.Cached(HTTPStore(site.url, context=context)) if self.cached else site.url
        array = await self.operation("open", site, lambda: layout.open(source, context), lambda found: misread(found, site, layout))
        if array is None:
            return
        site.schedule = then or site.schedule
        for name in selections:
            for key in [key for key in layout.objects[:2] if key not in site.objects]:
                site.put(key, layout.old[key])
                site.others[key] = layout.new[key]

            part = array[SELECTIONS[name]]
            found = await self.operation(name, site, part.read, lambda found, name=name: layout.wrong(name, found, site.states))
            if found is None and site.met[-1:] and site.met[-1].startswith("stalled"):  # the next read would wait as long
                return

    def show(self) -> str:
        return f"{self.reads:,} reads, {self.faulted:,} faulted, {self.right:,} of them right, else {dict(self.errors)}; {self.requests:,} requests"


def misnamed(error: AzarrError, site: Site, asked: Counter[str]) -> str:
    """What an error lacks: the place, the key, how often it was asked for, and why. "" if nothing."""
    text = str(error)
    if isinstance(error, MetadataError):
        return "" if error.document in {key for _, key, _ in site.requests} else f"a document that was not asked for: {text}"
    if isinstance(error, StoreError):
        if site.url not in error.store or site.url not in text:
            return f"no URL: {text}"
        if error.key not in asked or repr(error.key) not in text:
            return f"no key: {text}"
        if not error.reason.strip():
            return f"no cause: {text}"
    if isinstance(error, TransportError):
        attempts = f"after {error.attempts} attempt"
        # On a machine that is busy, an attempt may be given up before its request has come to the server.
        if not 1 <= error.attempts <= max(asked[error.key], ATTEMPTS) or attempts not in text:
            return f"asked {asked[error.key]} times, but said to be {error.attempts}: {text}"
    return ""


def misread(array: Any, site: Site, layout: Layout) -> str:
    """What is wrong about an array that was opened; attributes may be missing only if a document of theirs was deleted."""
    states = [state for key in layout.documents for state in site.states(key)]
    held = {layout.version(key, state) for key in layout.documents for state in site.states(key)}
    version = told_version(array)
    if version is None and None in states and any(key.endswith(".zattrs") for key in layout.documents):
        return ""
    return "" if version in held else f"attributes of version {version}"


Plan = Callable[[Site, Layout], Schedule]


def nothing(site: Site, layout: Layout) -> Schedule:
    return never


def visits(server: Server, layouts: Iterable[Layout], name: str, opening: Plan = nothing, reading: Plan | None = None) -> Visits:
    """A site for each of `layouts`, made when it is needed; the schedule `reading` takes over once the array is open."""
    for number, layout in enumerate(layouts):
        site = server.site(layout.old, re.sub(r"\W+", "-", f"{name} {number}"), random=Random(f"{SEED} {name} {number}"))
        site.others = {key: layout.new[key] for key in layout.old}
        site.schedule = opening(site, layout)
        yield site, layout, reading and reading(site, layout)


async def all_of(tally: Tally, work: Visits, server: Server, selections: Callable[[Site], Iterable[str]], **changes: Any) -> None:
    """Make all visits, some at a time, each with connections of its own, which are all closed in the end."""

    async def visitor() -> None:
        for site, layout, then in work:
            async with context(**changes) as own:
                await tally.visit(site, layout, then, own, selections(site))
            server.remove(site)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(visitor())
    assert await server.within(5, lambda: not server.connections)


def fitting(layout: Layout) -> list[Fault]:
    """The faults that requests of a layout can meet, and that a reader can notice there."""
    known = (fault for fault in FAULTS.values() if not fault.hides or fault.hides in layout.guards)
    return [fault for fault in known if layout.sharded or not of_range(fault)]


def of_range(fault: Fault) -> bool:
    """Whether only requests for parts of objects meet it."""
    return "range" in fault.name and "unasked" not in fault.name


def fitted(fault: Fault) -> list[Layout]:
    return [layout for layout in LAYOUTS.values() if fault in fitting(layout)]


async def test_without_faults_everything_is_right():
    tally = Tally()
    async with misbehaving() as server:
        await all_of(tally, visits(server, LAYOUTS.values(), "none"), server, lambda site: SELECTIONS)
        assert server.nbytes > 0
    assert tally.wrong == []
    assert tally.reads == len(LAYOUTS) * len(SELECTIONS)
    assert tally.errors == {}
    assert tally.faulted == 0


LAST = 7
"""The number of the last request of a visit that reads twice; that of the first is 0."""


@pytest.mark.parametrize("name", FAULTS)
async def test_one_fault_at_any_request(name: str):
    """What is transient, or harmless, does not show; what lasts is an error."""
    fault, tally = FAULTS[name], Tally()
    layouts = fitted(fault)
    async with misbehaving() as server:
        for number in range(LAST + 1):
            schedule = at(fault, number)
            work = visits(server, layouts, f"{name} at {number}", lambda site, layout, schedule=schedule: schedule)
            # What does not stall is waited for however busy the machine is: a client that gives up and asks again does not see the fault.
            await all_of(tally, work, server, lambda site: ("whole", "part"), timeout=STALL if name.startswith("stalled") else 60)
    assert tally.wrong == []
    assert tally.met[name] > 5
    if fault.kind in (TRANSIENT, HARMLESS):
        assert tally.errors == {}
    if fault.kind == LASTING:
        assert sum(tally.errors.values()) == tally.met[name]


@pytest.mark.parametrize("name", FAULTS)
async def test_one_fault_at_every_request(name: str):
    """What is harmless does not show even then; else reading ends with an error, and not with any number of requests."""
    fault, tally = FAULTS[name], Tally()
    layouts = fitted(fault)
    async with misbehaving() as server:
        of_reads = visits(server, layouts, f"{name} reading", reading=lambda site, layout: always(fault))
        await all_of(tally, of_reads, server, lambda site: ("whole", "part", "element"))
        of_all = visits(server, layouts, f"{name} always", lambda site, layout: always(fault))
        await all_of(tally, of_all, server, lambda site: ("whole", "part"))
    assert tally.wrong == []
    assert tally.met[name] > 5
    if fault.kind == HARMLESS:
        assert tally.errors == {}
    if fault.kind in (TRANSIENT, LASTING):
        assert tally.right == 0
        assert tally.errors


@pytest.mark.parametrize("attempts", [1, 3])
async def test_error_tells_after_how_many_attempts(attempts: int):
    async with misbehaving() as server, Context(retries=Retries(attempts=attempts, first=0)) as own:
        site = server.site({}, schedule=always(FAULTS["status 503"]))
        with pytest.raises(TransportError, match=f"after {attempts} attempt") as caught:
            await azarr.open_array(site.url, zarr_format=3, context=own)
        assert caught.value.attempts == attempts == len(site.requests)
        assert caught.value.status == 503
        assert caught.value.transient


async def test_connection_that_is_refused_is_tried_again_and_then_an_error_that_names_it():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/data"
        async with context() as own:
            with pytest.raises(TransportError, match="after 3 attempts") as caught:
                await azarr.open_array(url, zarr_format=3, context=own)
    assert caught.value.attempts == 3
    assert caught.value.status is None
    assert caught.value.key == "zarr.json"
    assert url in str(caught.value)


async def test_index_of_a_shard_that_was_cut_unnoticed_is_not_used_again():
    """Where a body ends with the connection, and the index of a shard at its end has no checksum, other bytes are taken for the index.
    A read of all of the shard finds out. No other read may come to believe in that index, as the version is that of the whole shard.
    """
    layout, wrong = LAYOUTS["shards without checksums"], list[str]()
    async with misbehaving() as server, context() as own:
        for size in range(0, len(layout.old["c/0/0"]), 8):
            site = server.site(layout.old)
            array = await layout.open(site.url, own)
            site.schedule = always(FAULTS["cut without a length"]._replace(spoil=lambda request, random, size=size: cut_at(request, size)))
            with pytest.raises(azarr.errors.CorruptData):
                await array[...]
            site.schedule = never
            for name in ("element", "part", "rows"):
                with contextlib.suppress(AzarrError):
                    wrong += filter(None, [layout.wrong(name, await array[SELECTIONS[name]], site.states)])
    assert wrong == []


def cut_at(request: Request, size: int) -> Answer:
    answer = request.good()
    answer.body, answer.framing = answer.body[:size], "close"
    return answer


ROUNDS = 1000
TWICE = [*SELECTIONS, *SELECTIONS]
SHARE = 0.1


async def test_ten_thousand_reads_with_a_tenth_of_the_answers_bad_are_all_right_with_a_tenth_more_requests():
    """What passes by itself is asked for again, until it comes. An answer that is bad with probability p costs 1 / (1 - p) requests, and
    the size of a shard one more, where a bad answer looks as if the server could not count from the end of an object.
    """
    passing = [fault for fault in FAULTS.values() if fault.kind == TRANSIENT]
    of_all = [fault for fault in passing if not of_range(fault)]

    def bad(site: Site, layout: Layout) -> Schedule:
        of_parts, of_whole = sometimes(passing, SHARE, site.random), sometimes(of_all, SHARE, site.random)
        return lambda request: (of_parts if request.span() else of_whole)(request)

    tally, names = Tally(), list(LAYOUTS)
    needed = dict.fromkeys(LAYOUTS, 0)
    async with misbehaving() as server:
        for name, layout in LAYOUTS.items():
            good = Tally()
            await all_of(good, visits(server, [layout], f"good {name}"), server, lambda site: TWICE)
            needed[name] = good.requests
        drawn = [names[number % len(names)] for number in range(ROUNDS)]
        work = visits(server, (LAYOUTS[name] for name in drawn), "bad", bad)
        await all_of(tally, work, server, lambda site: TWICE, retries=Retries(first=0), timeout=2 * STALL)
    print(tally.show())
    assert tally.wrong == []
    assert tally.errors == {}
    assert tally.reads == ROUNDS * len(TWICE) == 10_000
    made = tally.requests / sum(needed[name] for name in drawn)
    assert sum(tally.met.values()) == pytest.approx(SHARE * tally.requests, rel=0.1)
    assert 1 / (1 - SHARE) - 0.02 < made < 1 / (1 - SHARE) + 0.05


def moody(site: Site, layout: Layout) -> Schedule:
    """Faults of one kind or of all, often, or from some request on; those that go away by asking again, or any."""
    random = site.random
    known = fitting(layout)
    one, passing = random.choice(known), [fault for fault in known if fault.kind == TRANSIENT]
    moods = [
        sometimes(passing, 0.5, random),
        sometimes(known, 0.5, random),
        sometimes([one], 0.8, random),
        always(one, random.randrange(12)),
    ]
    return random.choice(moods)


def opened(site: Site, layout: Layout) -> Schedule:
    """Opening meets faults in one of eight visits; in three, it is answered in chunks, which some clients do not understand by themselves."""
    draw = site.random.randrange(8)
    return moody(site, layout) if draw == 0 else at(FAULTS["chunked"], 0) if draw <= 3 else never


async def faulted(tally: Tally, reads: int) -> None:
    """So many reads that meet faults, of all layouts."""
    random, names = Random(f"{SEED} layouts"), list(LAYOUTS)

    def drawn() -> Iterator[Layout]:
        while tally.faulted < reads and not tally.wrong:
            yield LAYOUTS[random.choice(names)]

    async with misbehaving() as server:
        work = visits(server, drawn(), "visit", opened, moody)
        await all_of(tally, work, server, lambda site: site.random.choices(list(SELECTIONS), k=10))
    print(tally.show())
    assert tally.wrong == []
    assert tally.faulted >= reads


async def test_no_faulted_read_through_a_cache_is_wrong():
    tally = Tally(cached=True)
    await faulted(tally, READS // 20)
    assert tally.right > READS // 200
    assert sum(tally.errors.values()) > READS // 200


async def test_no_faulted_read_that_asks_for_many_objects_at_a_time_is_wrong(monkeypatch: pytest.MonkeyPatch):
    """Where the system can: else it is as above. However few they are, and however long the server takes."""
    monkeypatch.setattr(waiting, "MANY", 1)
    monkeypatch.setattr(many, "LEAST", 1)
    monkeypatch.setattr(many, "NEAR", float("inf"))
    tally = Tally()
    await faulted(tally, READS // 10)
    assert tally.right > READS // 100
    assert sum(tally.errors.values()) > READS // 100


async def test_no_faulted_read_is_wrong():
    tally = Tally()
    await faulted(tally, READS)
    assert tally.right > READS // 10
    assert sum(tally.errors.values()) > READS // 10
    if READS >= 20_000:  # fewer may not meet all
        assert set(tally.met) == set(FAULTS)
        assert {"ObjectChanged", "ChunkDecodeError", "ChecksumError", "ShardIndexError", "RangeNotHonoured"} < set(tally.errors)
