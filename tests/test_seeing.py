"""What azarr tells of its work: counters that add up to what the server saw, events for each step, and spans below the user's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import azarr
from azarr import Cached, Context, Counters, Event, Retries
from azarr.errors import MissingPackage, TransportError
from azarr.integrations import opentelemetry
from azarr.integrations.opentelemetry import spans
from azarr.stores import HTTPStore
from faults import FAULTS, Site, always, at, misbehaving

VALUES = np.arange(8, dtype="u1") + 1
NOW = Retries(attempts=3, first=0)


async def stored() -> dict[str, bytes]:
    store: dict[str, bytes] = {}
    await azarr.save(store, "plain", VALUES, chunks=(4,), compressors=None)
    await azarr.save(store, "shards", VALUES, chunks=(2,), shards=(8,), compressors=None)
    return store


def counted(context: Context) -> dict[str, int]:
    """The counters that are not 0, without seconds."""
    found = {name: getattr(context.counters, name) for name in Counters.__slots__ if name != "decode_seconds"}
    return {name: value for name, value in found.items() if value}


def told(events: list[Event]) -> list[tuple[Any, ...]]:
    return [(event.kind, event.key, event.byte_range, event.nbytes, event.attempt) for event in events]


# Counters


async def test_requests_and_bytes_are_those_that_the_server_saw():
    async with misbehaving() as server, Context() as context:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, "plain", zarr_format=3, context=context)
        document = len(site.objects["plain/zarr.json"])
        assert counted(context) == {"requests": 1, "nbytes": document}
        assert (await array[...]).tolist() == VALUES.tolist()
        assert counted(context) == {"requests": 3, "nbytes": document + 8}
        assert len(site.requests) == 3


async def test_what_is_missing_is_a_request_without_bytes():
    async with misbehaving() as server, Context() as context:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, "plain", zarr_format=3, context=context)
        before = context.counters.nbytes
        site.put("plain/c/0", None)
        assert await array[0] == 0
        assert (context.counters.requests, context.counters.nbytes - before) == (2, 0)


async def test_parts_of_a_shard_count_only_the_bytes_of_their_ranges():
    async with misbehaving() as server, Context() as context:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, "shards", zarr_format=3, context=context)
        before = context.counters
        assert (await array[2:4]).tolist() == [3, 4]
        assert context.counters.requests - before.requests == 2
        assert context.counters.nbytes - before.nbytes == (4 * 16 + 4) + 2


async def test_retries_and_failures_are_counted():
    async with misbehaving() as server, Context(retries=NOW) as context:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, "plain", zarr_format=3, context=context)
        site.schedule = at(FAULTS["status 500"], 1, 2)
        assert await array[0] == 1
        assert (context.counters.requests, context.counters.retries, context.counters.failures) == (4, 2, 0)
        site.schedule = always(FAULTS["status 500"])
        with pytest.raises(TransportError, match="after 3 attempts"):
            await array[0]
        assert (context.counters.requests, context.counters.retries, context.counters.failures) == (7, 4, 1)
        site.schedule = always(FAULTS["status 403"])
        with pytest.raises(TransportError, match="after 1 attempt"):
            await array[0]
        assert (context.counters.requests, context.counters.retries, context.counters.failures) == (8, 4, 2)
        assert len(site.requests) == 8


async def test_requests_that_are_shared_are_counted_as_such():
    async with misbehaving() as server, Context() as context:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, "plain", zarr_format=3, context=context)
        server.close_gate()
        reads = [asyncio.create_task(array[:4].read()) for _ in range(5)]
        await server.until(lambda: site.busy == 1)
        server.open_gate()
        assert [found.tolist() for found in await asyncio.gather(*reads)] == [[1, 2, 3, 4]] * 5
        assert (context.counters.requests, context.counters.shared) == (2, 4)
        assert len(site.requests) == 2


async def test_answers_of_a_cache_are_hits_and_no_requests():
    async with misbehaving() as server, Context() as context:
        site = server.site(await stored())
        array = await azarr.open_array(Cached(HTTPStore(site.url)), "plain", zarr_format=3, context=context)
        for _ in range(3):
            await array[...]
        assert (context.counters.requests, context.counters.cache_hits) == (3, 4)
        assert len(site.requests) == 3


async def test_decoding_takes_time():
    store: dict[str, bytes] = {}
    await azarr.save(store, "", np.arange(1 << 20, dtype="i4"), chunks=(1 << 18,), compressors="gzip")
    async with misbehaving() as server, Context() as context:
        array = await azarr.open_array(server.site(store).url, context=context)
        assert context.counters.decode_seconds == 0
        await array[...]
        assert context.counters.decode_seconds > 0.001


async def test_each_store_has_counters_of_its_own_which_add_up():
    async with misbehaving() as server, Context() as context:
        one, other = server.site(await stored()), server.site(await stored())
        await azarr.open_array(one.url, "plain", zarr_format=3, context=context)
        await azarr.open_array(other.url, "plain", zarr_format=3, context=context)[...]
        assert {name: counters.requests for name, counters in context.stores.items()} == {
            f"HTTPStore('{one.url}')": 1,
            f"HTTPStore('{other.url}')": 3,
        }
        assert context.counters.requests == 4


async def test_two_contexts_do_not_count_for_each_other():
    async with misbehaving() as server, Context() as one, Context() as other:
        site = server.site(await stored())
        await azarr.open_array(site.url, "plain", zarr_format=3, context=one)[...]
        assert counted(other) == {}


# Events


async def test_events_tell_each_step_of_a_read():
    events: list[Event] = []
    async with misbehaving() as server, Context(on_event=events.append, requests=1) as context:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, "shards", zarr_format=3, context=context)
        document = len(site.objects["shards/zarr.json"])
        await array[2:4]
        assert told(events) == [
            ("request", "shards/zarr.json", None, document, 1),
            ("request", "shards/c/0", (-68, None), 68, 1),
            ("request", "shards/c/0", (2, 4), 2, 1),
            ("read", "shards", None, 2, 1),
        ]
        assert {event.store for event in events} == {f"HTTPStore('{site.url}')"}
        assert all(event.error == "" for event in events)


async def test_events_tell_retries_and_the_failure():
    events: list[Event] = []
    async with misbehaving() as server, Context(on_event=events.append, retries=NOW) as context:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, "plain", zarr_format=3, context=context)
        events.clear()
        site.schedule = always(FAULTS["status 503"])
        with pytest.raises(TransportError):
            await array[0]
        assert told(events) == [
            ("retry", "plain/c/0", None, 0, 1),
            ("retry", "plain/c/0", None, 0, 2),
            ("failure", "plain/c/0", None, 0, 3),
        ]
        assert all("503" in event.error for event in events)
        site.schedule = at(FAULTS["status 503"], len(site.requests))
        events.clear()
        await array[0]
        assert told(events) == [("retry", "plain/c/0", None, 0, 1), ("request", "plain/c/0", None, 4, 2), ("read", "plain", None, 1, 1)]


async def test_events_tell_hits_of_a_cache():
    events: list[Event] = []
    async with misbehaving() as server, Context(on_event=events.append) as context:
        site = server.site(await stored())
        array = await azarr.open_array(Cached(HTTPStore(site.url)), "plain", zarr_format=3, context=context)
        await array[0]
        events.clear()
        await array[0]
        assert told(events) == [("cache hit", "plain/c/0", None, 4, 1), ("read", "plain", None, 1, 1)]


async def test_events_tell_when_and_how_long():
    events: list[Event] = []
    async with misbehaving() as server, Context(on_event=events.append) as context:
        site = server.site(await stored())
        before = time.time()
        await azarr.open_array(site.url, "plain", zarr_format=3, context=context)[...]
        after = time.time()
    assert len(events) == 4
    for event in events:
        assert before - 0.01 <= event.began <= after
        assert 0 <= event.seconds <= after - before + 0.01
    whole = events[-1]
    assert all(whole.began - 0.01 <= event.began for event in events[1:-1])


async def test_reads_of_stores_that_block_are_told_as_a_whole():
    events: list[Event] = []
    array = await azarr.open_array(await stored(), "plain", context=Context(on_event=events.append))
    await array[3:]
    assert told(events) == [("read", "plain", None, 5, 1)]


# Spans


class Tracing:
    """A tracer of the SDK, whose spans are kept."""

    def __init__(self) -> None:
        self.exporter, self.provider = InMemorySpanExporter(), TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def made(self) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name.startswith("azarr")]


@pytest.fixture
def tracing() -> Tracing:
    return Tracing()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("azarr."): value for name, value in (span.attributes or {}).items()}


async def traced(tracing: Tracing, site: Site, work: Callable[[Any], Any], **options: Any) -> Any:
    """Do `work` with the array "shards" of a site, below a span; what came of it, an error too."""
    async with Context(on_event=spans(tracing.tracer), retries=NOW, **options) as context:
        array = await azarr.open_array(site.url, "shards", zarr_format=3, context=context)
        tracing.exporter.clear()
        with tracing.tracer.start_as_current_span("mine") as mine, suppress(TransportError):
            await work(array)
        return mine


async def test_spans_are_below_the_span_of_the_user(tracing: Tracing):
    async with misbehaving() as server:
        mine = await traced(tracing, server.site(await stored()), lambda array: array[2:4].read())
    assert [span.name for span in tracing.made] == ["azarr request", "azarr request", "azarr read"]
    for span in tracing.made:
        assert span.parent is not None
        assert span.parent.span_id == mine.get_span_context().span_id
        assert span.context.trace_id == mine.get_span_context().trace_id
        assert span.status.status_code is StatusCode.UNSET
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time <= mine.end_time


async def test_spans_say_what_was_asked_for(tracing: Tracing):
    async with misbehaving() as server:
        site = server.site(await stored())
        await traced(tracing, site, lambda array: array[2:4].read())
        where = f"HTTPStore('{site.url}')"
    assert [attributes(span) for span in tracing.made] == [
        {"store": where, "key": "shards/c/0", "nbytes": 68, "attempt": 1, "range": "(-68, None)"},
        {"store": where, "key": "shards/c/0", "nbytes": 2, "attempt": 1, "range": "(2, 4)"},
        {"store": where, "key": "shards", "nbytes": 2, "attempt": 1},
    ]


async def test_spans_of_what_failed_have_the_status_of_an_error(tracing: Tracing):
    async with misbehaving() as server:
        site = server.site(await stored())
        site.schedule = always(FAULTS["status 503"], first=1)
        await traced(tracing, site, lambda array: array[...].read())
    assert [(span.name, attributes(span)["attempt"]) for span in tracing.made] == [
        ("azarr retry", 1),
        ("azarr retry", 2),
        ("azarr failure", 3),
    ]
    for span in tracing.made:
        assert span.status.status_code is StatusCode.ERROR
        assert "the server answered 503" in (span.status.description or "")


async def test_each_task_has_its_spans_below_its_own(tracing: Tracing):
    async with misbehaving() as server, Context(on_event=spans(tracing.tracer)) as context:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, "plain", zarr_format=3, context=context)
        tracing.exporter.clear()

        async def read(number: int) -> int:
            with tracing.tracer.start_as_current_span(f"task {number}") as mine:
                await array[4 * number : 4 * number + 4]
            return mine.get_span_context().span_id

        parents = await asyncio.gather(read(0), read(1))
        found = {attributes(span)["key"]: span.parent for span in tracing.made if span.name == "azarr request"}
        assert {key: parent and parent.span_id for key, parent in found.items()} == {"plain/c/0": parents[0], "plain/c/1": parents[1]}


async def test_no_secret_is_in_a_counter_event_or_span(tracing: Tracing):
    events: list[Event] = []
    listen = spans(tracing.tracer)

    def both(event: Event) -> None:
        events.append(event)
        listen(event)

    async with misbehaving() as server, Context(on_event=both, retries=NOW) as context:
        site = server.site(await stored())
        secret = site.url.replace("://", "://someone:hunter2@") + "?token=hunter2"
        store = HTTPStore(secret, headers={"X-Key": "hunter2"})
        array = await azarr.open_array(store, "shards", zarr_format=3, context=context)
        for name in ("status 503", "redirected to another scheme", "not http", "encoded by br"):
            site.schedule = always(FAULTS[name])
            with pytest.raises(TransportError):
                await array[...]
        site.schedule = lambda request: None
        await array[...]
    shown = [repr(events), repr(context), repr(context.stores), *(span.to_json() for span in tracing.made)]
    assert len(events) > 5
    assert len(tracing.made) == len(events)
    for text in shown:
        assert "hunter2" not in text
        assert "someone" not in text


def test_without_opentelemetry_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(opentelemetry, "import_module", missing)
    with pytest.raises(MissingPackage, match=r"making spans needs the package 'opentelemetry-api', .* pip install 'azarr\[otel\]'"):
        spans()


async def test_without_a_tracer_it_is_that_of_azarr():
    store = await stored()
    assert await azarr.open_array(store, "plain", context=Context(on_event=spans()))[0] == 1  # no SDK is set up: nothing is told
