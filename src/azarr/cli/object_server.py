"""An HTTP server of the objects of one store: ranges, ETags, CORS, and folders as pages of links. Knows aiohttp and stores; never Zarr."""

import html
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from aiohttp import web

from azarr.errors import InvalidKey, ObjectChanged, StoreError, TransportError
from azarr.scratch import view as bytes_of
from azarr.stores import LocalStore, Value
from azarr.stores.base import ByteRange, Listing

PART = 1 << 20
"""Bytes that are sent at a time, and of a local file read at a time."""
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Range, If-Match, If-None-Match, Cache-Control",
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Expose-Headers": "ETag, Content-Range, Content-Length, Accept-Ranges",
    "Access-Control-Max-Age": "3600",
}
"""What allows the pages of all sites to read. For ranges from the end, browsers ask first, by OPTIONS."""


@asynccontextmanager
async def running(routes: web.RouteTableDef, host: str, port: int, *others: Any) -> AsyncGenerator[str]:
    """A server for as long as the context lasts; its URL, without a path."""
    application = web.Application()
    application.add_routes(routes)
    for prefix, folder in others:
        application.router.add_static(prefix, folder)
    # A reader who leaves ends what is read for it.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        found, chosen = runner.addresses[0][:2]
        yield f"http://{f'[{found}]' if ':' in found else found}:{chosen}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serve_objects(store: Any, *, host: str = "127.0.0.1", port: int = 0, cors: bool = True) -> AsyncGenerator[str]:
    """Serve `store` at the root of a server for as long as the context lasts; its URL."""
    routes = web.RouteTableDef()
    add_objects(routes, "/", store, cors=cors)
    async with running(routes, host, port) as url:
        yield f"{url}/"


def add_objects(routes: web.RouteTableDef, prefix: str, store: Any, *, cors: bool, name: str = "") -> None:
    """Serve `store` below `prefix`, in which `{name}` stands for `name`."""

    @routes.get(f"{prefix}{{key:.*}}")
    async def objects(request: web.Request) -> web.StreamResponse:
        if request.match_info.get("name", name) != name:
            raise web.HTTPNotFound
        return await answered(request, store, CORS if cors else {})

    if cors:

        @routes.options(f"{prefix}{{key:.*}}")
        async def allowed(request: web.Request) -> web.StreamResponse:
            return web.Response(status=204, headers=CORS)


def fresh(response: Any) -> Any:
    """The same, asked for again each time that the page is loaded."""
    response.headers["Cache-Control"] = "no-cache"
    return response


NO_BYTES, ONE_BYTE = (0, 0), (0, 1)
"""What "bytes=-0" asks for, which no object satisfies; and what is read to see whether the object is there."""


async def answered(request: web.Request, store: Any, headers: dict[str, str]) -> web.StreamResponse:
    """What the store says of a key: 404 for nothing but what does not exist; a folder as a page of links."""
    key = request.match_info["key"]
    try:
        if not key or key.endswith("/"):
            return await listed(store, key.rstrip("/"), headers)
        wanted = ranged(request.headers.get("Range", ""))
        value: Value | None = await store.get(key, first_part(store, ONE_BYTE if wanted == NO_BYTES else wanted))
    except InvalidKey as error:
        raise web.HTTPBadRequest(text=str(error), headers=headers) from error
    except TransportError as error:
        return web.Response(text=str(error), status=error.status or 502, headers=headers)
    except StoreError as error:
        if isinstance(error.__cause__, IsADirectoryError):
            raise web.HTTPMovedPermanently(f"{request.rel_url.raw_path}/", headers=headers | {"Cache-Control": "no-cache"}) from error
        raise web.HTTPInternalServerError(text=str(error), headers=headers) from error
    if value is None:
        raise web.HTTPNotFound(headers=headers)
    return await sent(request, store, value, wanted, headers)


def first_part(store: Any, wanted: ByteRange | None) -> ByteRange | None:
    """What is read first: of a local file, which may be larger than memory, a part. By a range it also tells its version."""
    if not isinstance(store, LocalStore):
        return wanted
    start, stop = wanted or (0, None)
    return (start, stop) if start < 0 else (start, start + PART if stop is None else min(stop, start + PART))


async def listed(store: Any, prefix: str, headers: dict[str, str]) -> web.StreamResponse:
    """A folder as other servers show it, so that one way to list is enough."""
    names = [name async for name in store.list_dir(prefix)] if isinstance(store, Listing) else []
    if not names:
        raise web.HTTPNotFound(headers=headers)
    links = "".join(f'<li><a href="{html.escape(quote(f"./{name}"))}">{html.escape(name)}</a></li>' for name in names)
    title = html.escape(f"Index of /{prefix}")
    page = f'<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1><ul>{links}</ul>'
    return fresh(web.Response(text=page, content_type="text/html", headers=headers))


def ranged(header: str) -> tuple[int, int | None] | None:
    """The bytes that a Range header asks for; None for all, also where it is of a kind that nobody sends."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not found or found[0] == "bytes=-":
        return None
    if not found[1]:
        return (-int(found[2]), None) if int(found[2]) else NO_BYTES
    if found[2] and int(found[2]) < int(found[1]):  # "A recipient of an invalid ranges-specifier MUST ignore it" (RFC 9110, 14.2)
        return None
    return int(found[1]), int(found[2]) + 1 if found[2] else None


async def sent(request: web.Request, store: Any, value: Value, wanted: ByteRange | None, headers: dict[str, str]) -> web.StreamResponse:
    """Send an object, or a part of it, piece by piece; `value` is its first piece. One that is replaced meanwhile ends the connection."""
    data = bytes_of(value.data).data
    response = web.StreamResponse(headers=headers | {"Accept-Ranges": "bytes", "Cache-Control": "no-cache"})
    response.content_type = "application/octet-stream"
    if value.version is not None:
        response.headers["ETag"] = tag = value.version if value.version.startswith(('"', "W/")) else f'"{value.version}"'
        if request.headers.get("If-None-Match") == tag:
            response.set_status(304)
            await response.prepare(request)
            return response
        if request.headers.get("If-Match", tag) not in (tag, "*"):
            raise web.HTTPPreconditionFailed(headers=headers)
    start, stop = 0, data.nbytes
    if value.size is not None:
        first, last = wanted or (0, None)
        start = max(value.size + first, 0) if first < 0 else first
        stop = value.size if last is None else min(last, value.size)
        if wanted is not None:
            if not data.nbytes or wanted == NO_BYTES:
                raise web.HTTPRequestRangeNotSatisfiable(headers=headers | {"Content-Range": f"bytes */{value.size}"})
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{value.size}"
    response.content_length = stop - start
    await response.prepare(request)
    while request.method != "HEAD" and start < stop:
        if not data.nbytes:
            more: Value | None = await store.get(request.match_info["key"], (start, min(start + PART, stop)))
            if more is None or more.version != value.version or not len(more.data):
                raise ObjectChanged("the object was replaced while it was being sent")
            data = bytes_of(more.data).data
        await response.write(data[:PART])
        start, data = start + len(data[:PART]), data[PART:]
    await response.write_eof()
    return response
