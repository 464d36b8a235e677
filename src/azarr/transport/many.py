"""Many small objects of one server at a time, where Linux does so by few calls (`integrations/socket_rings.py`).

A server that is near, plain HTTP, whole objects, answers that are as they should be. All else (an error, a redirect, an encoding, an answer
that does not come) is left to the ordinary way, which asks for that object again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic, perf_counter
from typing import Any, cast

from azarr._engine.blocking import SMALL, read_several
from azarr._platform import cores, offload, together
from azarr.context import Counters
from azarr.errors import StoreError, TransportError
from azarr.integrations.rings import MOST, has_rings
from azarr.integrations.socket_rings import ODD, TEXT, exchange_by_ring
from azarr.plan import Job
from azarr.scratch import Bytes, keep_scratch, spare_scratch
from azarr.stores.base import Reader
from azarr.stores.http import HTTPStore
from azarr.transport.http1 import HEAD, SENT, Client, origin_of, request
from azarr.transport.response import Response

LEAST, LARGEST, NBYTES = 16, 256, 8 << 20
"""Objects of a batch; and their decoded bytes, at most. The larger a batch, the less time do its connections wait for the next one."""
NEAR = 3e-3
"""Seconds. Of a server that takes longer to answer, the ordinary way has time to take care of each answer while it waits for others."""
SILENT = 1.0
"""Seconds without a byte after which the ordinary way takes over, which holds no thread while it waits."""
PLAIN = re.compile(rb"http/1\.1 ([0-9]{3})(?: [^\r\n]*)?((?:\r\n[^:\s]+:[^\r\n]*)*)")
LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r")
UNUSUAL = re.compile(rb"\n(?:transfer-encoding:|content-encoding:|content-range:|connection:[^\r]*close)")
"""A head in lower case; its length; and fields that are left to the ordinary way."""


async def read_many(work: Any, client: Client, store: Any) -> None:
    """Read chunks for the read `work`, while there are many; what is odd is left to it, as the next that are to be read."""
    reading, context = work.reading, work.requests.context
    layout, origin = reading.target.layout, origin_of(store.url_of("x"))[0]
    alike = layout.inner is None and layout.only is not None and layout.metadata.dtype.fixed and layout.read_nbytes <= SMALL
    near = client.latency.get(origin, NEAR) < NEAR and origin not in client.unusual | client.slow
    watched = reading.cache is not None or context.on_event is not None
    most = min(LARGEST, NBYTES // layout.read_nbytes, work.budget.most // (4 * layout.read_nbytes * cores()))
    threads = min(cores(), context.workers or cores(), max(4, cores()) - client.threads)  # others are for who decodes and reads files
    kind: Any = store.__class__
    own = kind.get is HTTPStore.get and kind.get_if is HTTPStore.get_if  # and not what somebody made of it
    if not own or not alike or not near or watched or most < LEAST or threads < 1 or not has_rings():
        return
    odd: list[Job] = []
    client.threads += threads
    try:
        async with together() as group:
            for _ in range(threads):
                group.create_task(_Worker(work, client, store, origin, most, odd).run())
    finally:
        client.threads -= threads
    reading.give_back(*odd)


class _Worker:
    """One thread's share of a read."""

    def __init__(self, work: Any, client: Client, store: Any, origin: str, most: int, odd: list[Job]) -> None:
        self.reading, self.requests, self.budget = work.reading, work.requests, work.budget
        self.client, self.store, self.origin, self.most, self.odd = client, store, origin, most, odd
        self.patience: float = work.requests.context.timeout
        self.cost = partial(work.cost, self.reading.target.layout.only)

    async def run(self) -> None:
        lent: list[Any] = []
        try:
            while jobs := self._jobs():
                batch = _Batch(self, jobs)
                async with self.budget.memory(self.cost(len(jobs))):
                    count = await self._slots(min(MOST, len(jobs)))
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
                for connection, fine in zip(lent, good, strict=False):  # fewer may have been used than were lent
                    if not fine:
                        connection.close()
                self.client.take_back(self.origin, [each for each in lent if not each.open])
                lent = [each for each in lent if each.open]
                for job, size in zip(jobs, batch.sizes, strict=True):
                    if size == ODD:
                        self.odd.append(job)
                    else:
                        self.reading.finished(job)
                        self.budget.went_well()
                if batch.silent:
                    self.client.slow.add(self.origin)
                if ODD in batch.sizes:
                    return
        finally:
            self.client.take_back(self.origin, lent)

    def _jobs(self) -> list[Job]:
        jobs: list[Job] = []
        while len(jobs) < self.most and (job := self.reading.next_job()) is not None:
            jobs.append(job)
        return jobs

    async def _slots(self, most: int) -> int:
        """Places for requests: one, for which it waits, and as many more as are free."""
        slots, count = self.budget.requests, 1
        if not slots.taken():
            await slots.take()
        while count < most and slots.taken():
            count += 1
        return count


class _Batch:
    """Some objects, asked for in a thread. `sizes` are those of their bodies: None for none, ODD for what is to be asked for again."""

    def __init__(self, worker: _Worker, jobs: Sequence[Job]) -> None:
        self.reading, self.store, self.patience = worker.reading, worker.store, min(worker.patience, SILENT)
        self._headers = {**SENT, **worker.store.sent}
        self.pieces = [job.pieces[0] for job in jobs]
        self.sizes: list[int | None] = [ODD] * len(jobs)
        self.silent = False
        """Whether it was given up as nothing came."""
        self._spans: dict[int, tuple[int, int, int]] = {}
        self._moved, self._sent, self._nbytes, self._seconds = 0.0, 0, 0, 0.0

    def tell(self, counters: Counters) -> None:
        """Add what was done to `counters`, on the event loop."""
        counters.requests += self._sent
        counters.nbytes += self._nbytes
        counters.decode_seconds += self._seconds

    def run(self, files: list[int]) -> list[bool]:
        """Which of the connections are still good."""
        self._files, self._good, scratch, began = files, [False] * len(files), spare_scratch(), perf_counter()
        try:
            read_several(self.reading, self.pieces, cast("Reader", self), scratch)
        finally:
            keep_scratch(scratch)
            self._seconds += perf_counter() - began
        return self._good

    def into_many(self, keys: Sequence[str], rows: Bytes) -> list[int | None]:
        """As readers of stores that block have it. What is odd is for now said not to be there."""
        self._rows, began = rows, perf_counter()
        texts = [request(*origin_of(self.store.url_of(key)), self._headers) for key in keys]
        self._moved = monotonic()
        if max(map(len, texts)) <= TEXT:
            with suppress(OSError):  # the kernel refuses
                self._good = exchange_by_ring(self._files, self._counted(texts), rows.shape[1] + HEAD, self._look, self._goes_on)
        self._seconds -= perf_counter() - began
        return [None if size == ODD else size for size in self.sizes]

    def _counted(self, texts: Sequence[bytes]) -> Iterator[bytes]:
        for text in texts:
            self._sent += 1
            yield text

    def _goes_on(self, came: bool) -> bool:
        now = monotonic()
        if came:
            self._moved = now
        self.silent = now - self._moved >= self.patience
        return not self.reading.stopped and not self.silent

    def _look(self, number: int, room: Bytes, got: int) -> int:
        if (span := self._spans.get(number)) is None:
            head, ended, _ = room[: min(got, HEAD)].tobytes().partition(b"\r\n\r\n")
            if not ended:
                return ODD if got >= HEAD else room.size - got
            if (plain := PLAIN.fullmatch(head.lower())) is None:
                return ODD
            status, fields = int(plain[1]), plain[2] + b"\r"
            lengths = LENGTH.findall(fields)
            usual = status == 200 or (status >= 400 and status in self.store.missing)
            if not usual or not len(lengths) == 1 == fields.count(b"\ncontent-length:") or UNUSUAL.search(fields):
                return ODD
            span = self._spans[number] = len(head) + 4, len(head) + 4 + int(lengths[0]), status
        begin, end, status = span
        if got > end or end >= room.size or end - begin > self._rows.shape[1]:
            return ODD
        if got < end:
            return room.size - got  # more than is to come, so that what comes behind it is not taken for the next answer
        if status == 200:
            self._rows[number, : end - begin] = room[begin:end]
            self._nbytes += end - begin
        elif not self._is_missing(status, room[begin:end]):
            return ODD
        self.sizes[number] = end - begin if status == 200 else None
        return 0

    def _is_missing(self, status: int, body: Bytes) -> bool:
        try:
            return self.store._whole(Response(status, {}, body.tobytes()), {}) is None
        except StoreError:  # it is not the object alone that is missing
            return False
