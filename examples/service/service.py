"""A service of points and tiles from one Zarr hierarchy: many clients, one budget, and reads that end when their client goes.

    AZARR_URL=https://host/data.zarr uvicorn --app-dir examples/service service:app

    GET /point/air_temperature?at=12,100,200            one element, by its indices
    GET /tile/air_temperature/0/3.png?at=12&low=220&high=310&step=2
                                                        row 0, column 3 of the picture of [12] in tiles of 256 x 256, of each second element
"""

from __future__ import annotations

import asyncio
import io
import math
import os
import re
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from PIL import Image

import azarr
from azarr.errors import AzarrError, InvalidKey, NodeNotFound, NotAnArray, SelectionError

URL = os.environ.get("AZARR_URL", "examples/climate.zarr")
SECONDS = float(os.environ.get("AZARR_SECONDS", "30"))
"""How long a client waits at most."""
MEMORY, CACHE = os.environ.get("AZARR_MEMORY", "64 MiB"), os.environ.get("AZARR_CACHE", "64 MiB")
"""Bytes in flight, and of decoded chunks that are kept, of all clients together."""
TILE, DRAWN, DECODED = 256, 16, 64 << 20
"""Elements along the side of a tile; tiles that are held at once, others wait; bytes that one request may decode."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """One context, one handle for each array: so all clients share the budget, the cache, and the requests that are in flight."""
    async with azarr.Context(memory=MEMORY, cache=CACHE) as context:
        app.state.root, app.state.arrays = azarr.open_group(URL, context=context), {}
        app.state.drawing = asyncio.Semaphore(DRAWN)
        yield


app = FastAPI(title="Points and tiles of a Zarr hierarchy", lifespan=lifespan)


async def array_of(name: str) -> azarr.Array:
    """The array, opened when it is first asked for. Its chunks are kept as they were then: start the service again for new ones."""
    arrays = app.state.arrays
    if name not in arrays:
        found = await app.state.root[name]
        if not isinstance(found, azarr.Array):
            raise NotAnArray(f"{name} is a group")
        arrays.setdefault(name, found)  # somebody else may have been faster
    return arrays[name]


class ClientGone(Exception):
    """Nobody is there to be answered."""


async def answer(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """What `work` gives. It is cancelled, and with it what it asks the store for, when the client goes or has waited `SECONDS`."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait((working, leaving), timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone if leaving.done() else TimeoutError
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))  # returns when nothing of them runs any more


@app.get("/point/{name:path}")
async def point(request: Request, name: str, at: str = "") -> Response:
    """One element, as JSON; null if it is not finite."""

    async def read() -> Response:
        array = await array_of(name)
        value = (await array[indices(at, array.ndim)]).item()
        finite = isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))
        shown = value if finite else None if isinstance(value, float) else str(value)
        return JSONResponse({"value": shown, "units": array.attrs.get("units")})

    return await answer(request, read())


@app.get("/tile/{name:path}/{row}/{column}.png")
async def tile(request: Request, name: str, row: int, column: int, low: float, high: float, at: str = "", step: int = 1) -> Response:
    """A part of the last two axes as a grey PNG, black at `low`, white at `high`; `at` are the indices of the axes before."""
    if min(row, column) < 0 or step < 1 or not -math.inf < low < high < math.inf:
        raise HTTPException(422, "row and column are at least 0, step is at least 1, and low is below high, both finite")

    async def read() -> Response:
        array = await array_of(name)
        if array.ndim < 2:
            raise HTTPException(422, "a picture needs an array of two dimensions or more")
        sides = (slice(place * TILE * step, (place + 1) * TILE * step, step) for place in (row, column))
        selection = array[(*indices(at, array.ndim - 2), *sides)]
        if selection.size == 0:
            raise HTTPException(404, "no such tile")
        if selection.plan().decoded > DECODED:
            raise HTTPException(413, f"this tile is made of more than {DECODED:,} bytes; take a smaller step")
        async with app.state.drawing:
            picture = await asyncio.to_thread(png, await selection, low, high)
        return Response(picture, media_type="image/png")

    return await answer(request, read())


def png(values: np.ndarray[Any, Any], low: float, high: float) -> bytes:
    """The picture of `values`; what is not finite is black."""
    grey = np.nan_to_num((values - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    Image.fromarray(grey).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def indices(text: str, count: int) -> tuple[int, ...]:
    """The integers of `3,-1,7`; there must be `count` of them, so that a client cannot ask for whole axes."""
    found = tuple(int(part) if re.fullmatch("-?[0-9]{1,18}", part) else None for part in text.split(",")) if text else ()
    if len(found) != count or None in found:
        raise HTTPException(422, f"at is {count} integers with commas between them")
    return found  # type: ignore[return-value]


STATUS = {InvalidKey: 404, NodeNotFound: 404, NotAnArray: 404, SelectionError: 404, AzarrError: 502, TimeoutError: 504, ClientGone: 499}
"""What an error is for the client; 502 is all that the store did not give as it should."""


async def failed(request: Request, error: Exception) -> JSONResponse:
    """Errors of azarr say what and where, and no secret of a URL."""
    status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    return JSONResponse({"detail": str(error) or "the data did not come in time"}, status)


for kind in STATUS:
    app.add_exception_handler(kind, failed)
