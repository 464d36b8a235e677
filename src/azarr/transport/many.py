"""Many small objects of one server at a time, where Linux does so by few calls (`integrations/socket_rings.py`).

A server that is near, plain HTTP, whole objects, answers that are as they should be. All else (an error, a redirect, an encoding, an answer
that does not come) is left to the ordinary way, which asks for that object again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any, cast

from azarr._engine.blocking import SMALL, read_several
from azarr._platform import cores, offload, together
from azarr.errors import TransportError
from azarr.integrations.rings import MOST, has_rings
from azarr.integrations.socket_rings import ODD, TEXT, exchange_by_ring
from azarr.plan import Job
from azarr.scratch import Bytes, keep_scratch, spare_scratch
from azarr.stores.base import Reader
from azarr.transport.http1 import HEAD, SENT, Client, origin_of, request

LEAST, LARGEST, NBYTES = 16, 256, 8 << 20
"""Objects of a batch; and their decoded bytes, at most. The larger a batch, the less time do its connections wait for the next one."""
NEAR = 3e-3
"""Seconds. Of a server that takes longer to answer, the ordinary way has time to take care of each answer while it waits for others."""
STATUS, LENGTH = re.compile(rb"http/1\.1 (\d{3})[ \r]"), re.compile(rb"\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r")
UNUSUAL = re.compile(rb"\n(?:transfer-encoding|content-encoding|content-range|connection:[ \t]*close)")
"""Fields that are left to the ordinary way."""


async def read_many(work: Any, client: Client, store: Any) -> None:
    """Read chunks for the read `work`, while there are many; what is odd is left to it, as the next that are to be read."""
    reading, context = work.reading, work.requests.context
    layout, origin = reading.target.layout, origin_of(store.url_of("x"))[0]
    alike = layout.inner is None and layout.only is not None and layout.metadata.dtype.fixed and layout.read_nbytes <= SMALL
    near = work.budget.latency.get(work.requests.where, NEAR) < NEAR
    watched = reading.cache is not None or context.on_event is not None
    most = min(LARGEST, NBYTES // layout.read_nbytes, work.budget.most // (4 * layout.read_nbytes * cores()))
    if not alike or not near or watched or most < LEAST or origin in client.unusual or not has_rings():
        return
    odd: list[Job] = []
    async with together() as group:
        for _ in range(cores()):
            group.create_task(_Worker(work, client, store, origin, most, odd).run())
    for job in odd:
        reading.give_back(job)


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
                        used = lent[:count]
                        good = await offload(partial(batch.run, [each.file for each in used]), stop=self.reading.stop)
                    except TransportError:  # no connection: the ordinary way tells, or tries again
                        self.odd += jobs
                        return
                    except BaseException:
                        for connection in lent:
                            connection.close()
                        raise
                    finally:
                        self.budget.requests.give(count)
                for connection in [each for each, fine in zip(used, good, strict=True) if not fine]:
                    connection.close()
                    lent.remove(connection)
                for job, size in zip(jobs, batch.sizes, strict=True):
                    if size == ODD:
                        self.odd.append(job)
                    else:
                        self.reading.finished(job)
                        self.budget.went_well()
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
        self.reading, self.store, self.patience = worker.reading, worker.store, worker.patience
        self.counters, self._headers = worker.requests.counters, {**SENT, **worker.store.sent}
        self.pieces = [job.pieces[0] for job in jobs]
        self.sizes: list[int | None] = [ODD] * len(jobs)
        self._spans: dict[int, tuple[int, int, bool]] = {}
        self._moved = monotonic()

    def run(self, files: list[int]) -> list[bool]:
        """Which of the connections are still good."""
        self._files, self._good, scratch = files, [True] * len(files), spare_scratch()
        try:
            read_several(self.reading, self.pieces, cast("Reader", self), scratch)
        finally:
            keep_scratch(scratch)
        return self._good

    def into_many(self, keys: Sequence[str], rows: Bytes) -> list[int | None]:
        """As readers of stores that block have it. What is odd is for now said not to be there."""
        self._rows = rows
        texts = [request(*origin_of(self.store.url_of(key)), self._headers) for key in keys]
        if max(map(len, texts)) <= TEXT:
            self._good = exchange_by_ring(self._files, texts, rows.shape[1] + HEAD, self._look, self._goes_on)
            self.counters.requests += len(keys)
        return [None if size == ODD else size for size in self.sizes]

    def _goes_on(self, came: bool) -> bool:
        now = monotonic()
        if came:
            self._moved = now
        return not self.reading.stopped and now - self._moved < self.patience

    def _look(self, number: int, room: Bytes, got: int) -> int:
        if (span := self._spans.get(number)) is None:
            head, ended, _ = room[: min(got, HEAD)].tobytes().partition(b"\r\n\r\n")
            if not ended:
                return ODD if got >= HEAD else room.size - got
            head = head.lower() + b"\r"
            status, lengths = STATUS.match(head), LENGTH.findall(head)
            there = status is not None and status[1] == b"200"
            usual = there or (status is not None and int(status[1]) in self.store.missing)
            if not usual or len(lengths) != 1 or UNUSUAL.search(head):
                return ODD
            span = self._spans[number] = len(head) + 3, len(head) + 3 + int(lengths[0]), there
        begin, end, there = span
        if got > end or end > room.size or end - begin > self._rows.shape[1]:
            return ODD
        if got < end:
            return end - got
        if there:
            self._rows[number, : end - begin] = room[begin:end]
            self.counters.nbytes += end - begin
        self.sizes[number] = end - begin if there else None
        return 0
