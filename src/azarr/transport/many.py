"""Many small objects, or parts of shards, of one server at a time, where Linux does so by few calls (`integrations/socket_rings.py`).

A server that is near, or one that is asked for everything at once; plain HTTP, answers that are as they should be. All else (an error, a
redirect, an encoding, an answer that does not come) is left to the ordinary way, which asks for that chunk or shard again.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from operator import itemgetter
from time import monotonic, perf_counter
from typing import Any, NamedTuple, cast

from azarr._engine.blocking import SMALL, read_several
from azarr._engine.decoding import SMALL_INDEX, Held
from azarr._engine.requests import LEAST_GAP
from azarr._platform import cores, offload, together
from azarr.codecs.sharding import ShardLayout, merged
from azarr.context import Counters
from azarr.errors import AzarrError, TransportError
from azarr.integrations.rings import MOST, has_rings
from azarr.integrations.socket_rings import ODD, TEXT, exchange_by_ring
from azarr.plan import Job, Piece
from azarr.scratch import Bytes, Scratch, keep_scratch, spare_scratch, view
from azarr.stores.base import ByteRange, Reader
from azarr.stores.http import asked, pinned
from azarr.transport.http1 import HEAD, SENT, Client, Unusual, closes, head_of, origin_of, request
from azarr.transport.response import Response

LEAST, LARGEST, NBYTES = 16, 256, 8 << 20
"""Chunks of a batch; and their decoded bytes, at most. The larger a batch, the less time do its connections wait for the next one."""
SPAN, OF_SHARDS = 2 * SMALL, 32 << 20
"""Bytes of a shard that are asked for at a time, and decoded bytes of a batch of parts of shards, at most: each is decoded as it comes."""
SHORT = 1 << 10
"""Bytes that most heads have: of all that came, a copy would cost more than what else there is to do with an answer."""
EACH = 2
"""Connections for each shard of a batch, of a server that is near."""
NEAR, FAR = 3e-3, 0.25
"""Seconds. Of a server that takes longer to answer, the ordinary way has time to take care of each answer while it waits for others; but
not where all requests are sent at once, and all answers come at once. A thread should not wait for those that are slower still.
"""
ROUNDS = 2
"""Requests on each connection of what is still said to be sent at once."""
SILENT = 1.0
"""Seconds without a byte after which the ordinary way takes over, which holds no thread while it waits."""
USUAL = re.compile(rb"http/1\.1 200 [^\r\n]*(?:\r\n[^:\s]+:[^\r\n]*)*\r")
LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r")
UNUSUAL = re.compile(rb"\n(?:transfer-encoding|content-encoding|connection:[^\r]*close)")
"""Heads in lower case, with `\\r` behind them."""


async def read_many(work: Any, client: Client, store: Any) -> None:
    """Read chunks for the read `work`, while there are many; what is odd is left to it, as the next that are to be read."""
    reading, context = work.reading, work.requests.context
    layout, origin = reading.target.layout, origin_of(store.url_of("x"))[0]
    servable = store.ranges and store.suffixes if layout.inner else layout.only is not None
    alike = servable and layout.metadata.dtype.fixed and layout.read_nbytes <= SMALL
    latency, usable = client.latency.get(origin, FAR), origin not in client.unusual | client.one_by_one
    watched = reading.cache is not None or context.on_event is not None
    sharded, near = layout.inner is not None, latency < NEAR
    most = min(LARGEST, (OF_SHARDS if sharded else NBYTES) // layout.read_nbytes, work.budget.most // (4 * layout.read_nbytes * cores()))
    threads = min(cores(), context.workers or cores(), max(4, cores()) - client.threads)  # others are for who decodes and reads files
    own = store.__class__.__module__.startswith("azarr.stores.")  # and not what somebody made of it
    few = sharded and work.jobs < LEAST  # requests, however many chunks they are for
    if not own or not alike or not usable or watched or few or most < LEAST or threads < 1 or not has_rings():
        return
    if sharded:  # what there is, shared by the threads
        most = min(most, max(LEAST, -(-work.chunks // threads)))
    if not near:
        everything = work.jobs < context.requests and 2 * work.chunks * layout.read_nbytes < work.budget.most
        room = ROUNDS * min(threads * MOST, work.budget.requests.free)
        at_once = sharded and everything and work.chunks <= min(threads * most, room)
        if not at_once or latency >= FAR or context.workers is not None:  # whose places for decoding are not to be waited in
            return
    odd: list[Job] = []
    client.threads += threads
    try:
        async with together() as group:
            for _ in range(threads):
                group.create_task(_Worker(work, client, store, origin, most, EACH if near else most, odd).run())
    finally:
        client.threads -= threads
    reading.give_back(*odd)


class _Worker:
    """One thread's share of a read."""

    def __init__(self, work: Any, client: Client, store: Any, origin: str, most: int, each: int, odd: list[Job]) -> None:
        self.reading, self.requests, self.budget = work.reading, work.requests, work.budget
        self.client, self.store, self.origin, self.most, self.each, self.odd = client, store, origin, most, each, odd
        self.patience: float = work.requests.context.timeout
        self._nbytes: int = self.reading.target.layout.read_nbytes

    async def run(self) -> None:
        lent: list[Any] = []
        try:
            while jobs := self._jobs():
                batch = (_Chunks if jobs[0].shard is None else _Shards)(self, jobs)
                chunks = sum([len(job.pieces) for job in jobs])
                async with self.budget.memory(min(2 * chunks * self._nbytes, self.budget.most)):
                    count = await self._slots(min(MOST, chunks, self.each * len(jobs)))
                    try:
                        lent += await self.client.lend(self.origin, count - len(lent), self.patience)
                        async with self.budget.decoder:
                            good = await offload(partial(batch.run, [each.file for each in lent[:count]]), stop=self.reading.stop)
                    except TransportError:  # no connection: the ordinary way tells, or tries again
                        self.odd += jobs
                        return
                    except BaseException:
                        for connection in lent:
                            connection.close()
                        raise
                    finally:
                        self.budget.requests.give(count)
                        batch.tell(self.requests.counters)
                for connection in lent[:count]:  # fewer may have been used than were lent
                    if connection.file not in good:
                        connection.close()
                self.client.take_back(self.origin, [each for each in lent if not each.open])
                lent = [each for each in lent if each.open]
                for job, done in zip(jobs, batch.done, strict=True):
                    if done:
                        self.reading.finished(job)
                        self.budget.went_well()
                    else:
                        if job.shard is not None:  # all of it is read again, of whichever version
                            self.reading.pinned.pop(self.reading.key(job.shard), None)
                        self.odd.append(job)
                if batch.silent or (batch.sent >= LEAST and not batch.usual):  # nor will they be another time
                    self.client.one_by_one.add(self.origin)
                if not all(batch.done):
                    return
        finally:
            self.client.take_back(self.origin, lent)

    def _jobs(self) -> list[Job]:
        """The next, of so many chunks, up to one that the ordinary way does better."""
        jobs, chunks = list[Job](), 0
        while chunks < self.most and (job := self.reading.next_job()) is not None:
            chunks += len(job.pieces)
            if job.shard is not None and (not self._servable(job, job.shard) or 4 * chunks * self._nbytes > self.budget.most):
                self.odd.append(job)
                break
            jobs.append(job)
        return jobs

    def _servable(self, job: Job, shard: tuple[int, ...]) -> bool:
        """Whether only parts of a shard are needed, and nothing else asks for any; and its index is no large one."""
        return job.only and not job.complete and self.reading.target.layout.shard(shard).index_size <= SMALL_INDEX

    async def _slots(self, most: int) -> int:
        """Places for requests: one, for which it waits, and as many more as are free."""
        slots, count = self.budget.requests, 1
        if not slots.taken():
            await slots.take()
        while count < most and slots.taken():
            count += 1
        return count


class _Ask(NamedTuple):
    """A request for the job of that number: of an object of at most so many bytes, or of a part of it that has just so many, of that
    version; and which pieces lie where in the object.
    """

    number: int
    key: str
    nbytes: int
    part: ByteRange | None = None
    version: str | None = None
    found: Sequence[tuple[Piece, tuple[int, int]]] = ()


class _Batch(ABC):
    """Some jobs, in a thread. `done` tells which of them are; `silent`, whether it was given up as nothing came; `sent`, how many requests
    were; and `usual`, whether any answer was as it should be.
    """

    def __init__(self, worker: _Worker, jobs: Sequence[Job]) -> None:
        self.reading, self.store = worker.reading, worker.store
        self.jobs, self.done, self.silent, self.seconds = jobs, [False] * len(jobs), False, 0.0
        self._patience, self._headers = min(worker.patience, SILENT), {**SENT, **worker.store.sent}
        self._asks, self._files = list[_Ask](), list[int]()
        self._heads = dict[int, tuple[int, int, int, dict[str, str]]]()
        self._moved, self._nbytes, self.sent, self.usual = 0.0, 0, 0, False

    def tell(self, counters: Counters) -> None:
        """Add what was done to `counters`, on the event loop."""
        counters.requests += self.sent
        counters.nbytes += self._nbytes
        counters.decode_seconds += self.seconds

    def run(self, files: list[int]) -> set[int]:
        """Which of the connections are still good."""
        self._files, scratch = files, spare_scratch()
        try:
            self.read(scratch)
        finally:
            keep_scratch(scratch)
        return set(self._files)

    @abstractmethod
    def read(self, scratch: Scratch) -> None:
        """Do the jobs, and add the seconds of decoding."""

    def head(self, text: bytes) -> tuple[int, dict[str, str], int]:
        """As `head_of`."""
        return head_of(text.decode("utf-8", "surrogateescape"))

    @abstractmethod
    def take(self, ask: _Ask, status: int, headers: dict[str, str], body: Bytes) -> bool:
        """Use an answer. It is odd where this is False, or `AzarrError`."""

    def exchange(self, asks: list[_Ask]) -> None:
        """Ask for all of it. What is odd costs its connection."""
        if not asks:
            return
        texts = [self._text(ask) for ask in asks]
        if not self._files or max(map(len, texts)) > TEXT:
            return
        self._asks, files, self._files = asks, self._files, []
        self._heads.clear()
        self._moved = monotonic()
        room = max([ask.nbytes for ask in asks])
        with suppress(OSError):  # the kernel refuses
            good = exchange_by_ring(files, self._counted(texts), room + HEAD, self._look, self._goes_on)
            self._files = [file for file, fine in zip(files, good, strict=True) if fine]

    def _text(self, ask: _Ask) -> bytes:
        headers = self._headers if ask.part is None else {**self._headers, **asked(ask.part), **pinned(ask.version)}
        return request(*origin_of(self.store.url_of(ask.key)), headers)

    def _counted(self, texts: Sequence[bytes]) -> Iterator[bytes]:
        for text in texts:
            self.sent += 1
            yield text

    def _goes_on(self, came: bool) -> bool:
        now = monotonic()
        if came:
            self._moved = now
        self.silent = now - self._moved >= self._patience
        return not self.reading.stopped and not self.silent

    def _look(self, number: int, room: Bytes, got: int) -> int:
        if (found := self._heads.get(number)) is None:
            text, ended, _ = room[: min(got, SHORT)].tobytes().partition(b"\r\n\r\n")
            if not ended and got > SHORT:
                text, ended, _ = room[: min(got, HEAD)].tobytes().partition(b"\r\n\r\n")
            if not ended:
                return ODD if got >= HEAD else room.size - got
            try:
                status, headers, size = self.head(text)
            except (Unusual, ValueError):
                return ODD
            if closes(headers):
                return ODD
            found = self._heads[number] = len(text) + 4, len(text) + 4 + size, status, headers
        begin, end, status, headers = found
        if got > end or end >= room.size:
            return ODD
        if got < end:
            return room.size - got  # more than is to come, so that what comes behind it is not taken for the next answer
        try:
            taken = self.take(self._asks[number], status, headers, room[begin:end])
            self.usual = True
        except AzarrError as error:
            taken = False
            self.usual |= not isinstance(error, TransportError)
        self._nbytes += (end - begin) * (taken and status < 300)
        return 0 if taken else ODD


class _Chunks(_Batch):
    """Whole chunks, decoded together when all are here."""

    def read(self, scratch: Scratch) -> None:
        began = perf_counter()
        self._sizes: list[int | None] = [None] * len(self.jobs)
        try:
            read_several(self.reading, [job.pieces[0] for job in self.jobs], cast("Reader", self), scratch)
        finally:
            self.seconds += perf_counter() - began

    def into_many(self, keys: Sequence[str], rows: Bytes) -> list[int | None]:
        """As readers of stores that block have it. What is odd is for now said not to be there."""
        self._rows, began = rows, perf_counter()
        self.exchange([_Ask(number, key, rows.shape[1]) for number, key in enumerate(keys)])
        self.seconds -= perf_counter() - began
        return self._sizes

    def head(self, text: bytes) -> tuple[int, dict[str, str], int]:
        """Of what is as ever, the length alone: there is little else to do for a chunk, and all of them wait for it."""
        lower = text.lower() + b"\r"
        lengths = LENGTH.findall(lower)
        if USUAL.fullmatch(lower) and len(lengths) == 1 == lower.count(b"\ncontent-length:") and not UNUSUAL.search(lower):
            return 200, {}, int(lengths[0])
        return super().head(text)

    def take(self, ask: _Ask, status: int, headers: dict[str, str], body: Bytes) -> bool:
        plain = status == 200 and "content-encoding" not in headers
        if plain or self.store.whole_of(Response(status, headers, body.data), {}) is not None:
            if body.size > ask.nbytes:
                return False
            self._rows[ask.number, : body.size] = body
            self._sizes[ask.number] = body.size
        self.done[ask.number] = True
        return True


class _Shards(_Batch):
    """Parts of shards: first the indexes that are not known, then inner chunks, each decoded as it comes."""

    def read(self, scratch: Scratch) -> None:
        target = self.reading.target
        shards = [job.shard for job in self.jobs if job.shard is not None]
        self._scratch, self._keys = scratch, [target.key(shard) for shard in shards]
        self._layouts: list[ShardLayout] = [target.layout.shard(shard) for shard in shards]
        self._held: list[Held | None] = [target.indexes.get(key) for key in self._keys]
        unknown = [number for number, held in enumerate(self._held) if held is None]
        ranges = [layout.index_range for layout in self._layouts]
        self.exchange([_Ask(number, self._keys[number], self._layouts[number].index_size, ranges[number]) for number in unknown])
        asks = list[_Ask]()
        for number, held in enumerate(self._held):
            if held is not None:
                with suppress(AzarrError):
                    asks += self._inner(number, held, sure=number in unknown)
        self._left = Counter([ask.number for ask in asks])
        self.exchange(asks)

    def _inner(self, number: int, held: Held, *, sure: bool) -> list[_Ask]:
        """What is to be asked of a shard, whose index is as `held`, for sure or as far as was known."""
        key, pieces = self._keys[number], self.jobs[number].pieces
        entries = self.reading.entries(self._layouts[number], held, pieces, key)
        present = [(piece, entry) for piece, entry in zip(pieces, entries, strict=True) if entry is not None]
        ranges = merged([entry for _, entry in present], gap=LEAST_GAP, span=SPAN)
        if (not ranges and not sure) or any(not start < stop <= start + SPAN for start, stop in ranges):
            return []  # for the ordinary way
        self.reading.missing([piece for piece, entry in zip(pieces, entries, strict=True) if entry is None])
        self.done[number] = not ranges
        asks = [_Ask(number, key, stop - start, (start, stop), held.version, []) for start, stop in ranges]
        for piece, entry in present:
            cast("list[Any]", asks[bisect_right(ranges, entry[0], key=itemgetter(0)) - 1].found).append((piece, entry))
        return asks

    def take(self, ask: _Ask, status: int, headers: dict[str, str], body: Bytes) -> bool:
        reading, held, layout, number = self.reading, self._held[ask.number], self._layouts[ask.number], ask.number
        assert ask.part is not None
        value = self.store.part_of(Response(status, headers, body.data), ask.part, pinned(ask.version))
        version = reading.pin(ask.key, value)
        if held is None:
            if value is None:
                reading.missing(self.jobs[number].pieces)
                self.done[number] = True
            else:
                self._held[number] = reading.index_of(layout, ask.key, value, self._scratch)
            return True
        if value is None or version != held.version or len(value.data) != ask.nbytes:
            return False
        began, data, start = perf_counter(), view(value.data), ask.part[0]
        for piece, (begin, end) in ask.found:
            reading.place(piece, data[begin - start : end - start], layout.inner, ask.key, self._scratch)
        self.seconds += perf_counter() - began
        self._left[number] -= 1
        self.done[number] = not self._left[number]
        return True
