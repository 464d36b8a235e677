"""The example of a service, in a process of its own: many clients take bounded memory, and reads end with their client, at the store too."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from servers import Answer, Served, never, serving, status

sys.path.append(str(Path(__file__).parents[1] / "examples" / "service"))
import load

CLIENTS, MIB = 200, 1 << 20
BOUND = 224 * MIB
"""32 in flight, 32 of cache, and what Python, its threads and 200 connections take. With budgets of 4 GiB it was seen to be over twice that."""
ELEMENT = "v/c/3/0/0"


ERRORS = {
    "/point/nothing?at=1": 404,
    "/point/..%2F..%2Fetc?at=1": 404,
    "/point/v?at=3,4,5": 502,
    "/point/v?at=99,0,0": 404,
    "/point/v?at=1,2": 422,
    "/tile/v/0/8.png?at=0&low=0&high=1": 404,
    "/tile/v/0/0.png?low=0&high=1": 422,
    "/tile/v/0/0.png?at=0&low=0&high=1&step=8": 200,
}


def stalls() -> tuple[Answer, asyncio.Event, asyncio.Event]:
    """A server that never answers; when it was asked, and when who asked had gone."""
    asked, closed = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        try:
            return await never(asked)(request, data)
        finally:
            closed.set()

    return answer, asked, closed


@contextlib.asynccontextmanager
async def service(served: Served, **settings: str):
    async with load.running(served.url, **settings) as running, aiohttp.ClientSession(running.url) as session:
        yield running, session


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    held = dict[str, bytes]()
    asyncio.run(load.write_data(held))
    return held


async def test_200_clients_at_once_are_all_answered_right_in_bounded_memory(objects: dict[str, bytes]):
    async with serving(objects) as served, service(served, AZARR_MEMORY="32 MiB", AZARR_CACHE="32 MiB") as (running, _):
        before = running.memory()
        took = await load.load(running.url, CLIENTS, 2)
        assert len(took) == 2 * CLIENTS
        assert running.memory("VmHWM") - before < BOUND


async def test_the_reads_of_a_client_that_goes_are_cancelled_at_the_store(objects: dict[str, bytes]):
    stall, asked, closed = stalls()
    async with serving(objects) as served, service(served, AZARR_SECONDS="600") as (_, session):
        served.misbehave[ELEMENT] = stall
        leaving = asyncio.create_task(session.get("/point/v?at=3,4,5"))
        await asyncio.wait_for(asked.wait(), 30)
        assert not closed.is_set()
        leaving.cancel()
        await asyncio.wait_for(closed.wait(), 30)  # azarr itself would wait for 60 seconds
        del served.misbehave[ELEMENT]
        async with session.get("/point/v?at=3,4,5") as response:
            assert await response.json() == {"value": 7.0, "units": "K"}


async def test_what_does_not_come_in_time_is_504_and_nothing_goes_on_at_the_store(objects: dict[str, bytes]):
    stall, _, closed = stalls()
    async with serving(objects) as served, service(served, AZARR_SECONDS="0.5") as (_, session):
        served.misbehave |= {"v/zarr.json": stall, ELEMENT: stall}
        async with session.get("/point/v?at=3,4,5") as response:
            assert response.status == 504
        await asyncio.wait_for(closed.wait(), 30)


async def test_errors_say_whose_they_are(objects: dict[str, bytes]):
    async with serving(objects) as served, service(served) as (_, session):
        served.misbehave[ELEMENT] = status(200, body=b"damaged")
        for path, code in ERRORS.items():
            async with session.get(path) as response:
                assert (path, response.status) == (path, code)


async def test_a_tile_is_a_picture_of_its_elements(objects: dict[str, bytes]):
    async with serving(objects) as served, service(served) as (_, session):
        async with session.get("/tile/v/1/7.png?at=3&low=0&high=2550") as response:
            picture = np.asarray(Image.open(io.BytesIO(await response.read())))
        rows = (3 + np.arange(256, 512)) // 10
        assert picture.tolist() == np.repeat(rows, 256).reshape(256, 256).tolist()
        async with session.get("/tile/v/0/0.png?at=3&low=0&high=2550&step=64") as response:
            picture = np.asarray(Image.open(io.BytesIO(await response.read())))
        assert picture.shape == (32, 32)
        assert picture[:, 0].tolist() == [(3 + row) // 10 for row in range(0, 2048, 64)]
