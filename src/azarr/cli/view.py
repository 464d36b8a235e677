"""The server of the viewer: the page, azarr itself for Python in the browser, and one store. Knows aiohttp and stores; never Zarr.

It listens on this machine alone, below a path that nobody can guess: on a machine with many users the data stay those of one. A page of
another site cannot read from it either, unless that is allowed.
"""

import asyncio
import html
import io
import json
import re
import secrets
import zipfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from azarr.errors import InvalidKey, StoreError, TransportError
from azarr.scratch import view as bytes_of
from azarr.stores import LocalStore, Value
from azarr.stores.base import Listing

PAGE = Path(str(files("azarr.viewer")))
SUFFIXES = (".html", ".css", ".js")
NOT_IN_THE_BROWSER = {"cli", "__pycache__"}
PART = 1 << 20
"""Bytes that are sent at a time."""
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "ETag, Content-Range", "Access-Control-Allow-Headers": "Range"}


@cache
def packed() -> bytes:
    """This very azarr, as a zip file that Python in the browser unpacks."""
    root, buffer = PAGE.parent, io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root)
            if path.is_file() and not NOT_IN_THE_BROWSER & set(inner.parts):
                archive.write(path, Path(root.name) / inner)
    return buffer.getvalue()


@asynccontextmanager
async def serve_viewer(
    store: Any, name: str, *, url: str = "", port: int = 0, pyodide: str | Path | None = None, cors: bool = False
) -> AsyncGenerator[str]:
    """Serve the page for as long as the context lasts; its URL. It shows `store`, under `name`, or else what is at `url`."""
    token, config = secrets.token_urlsafe(9), read_config()
    application, routes = web.Application(), web.RouteTableDef()
    config |= {"azarr": "azarr.zip", "url": f"data/{quote(name)}" if store is not None else url}
    if isinstance(pyodide, Path):
        application.router.add_static(f"/{token}/pyodide", pyodide)
    if pyodide is not None:
        config["pyodide"] = "pyodide/" if isinstance(pyodide, Path) else f"{pyodide.rstrip('/')}/"

    @routes.get(f"/{token}/")
    async def page(request: web.Request) -> web.StreamResponse:
        return fresh(web.FileResponse(PAGE / "index.html"))

    @routes.get(f"/{token}/config.json")
    async def settings(request: web.Request) -> web.StreamResponse:
        return fresh(web.json_response(config))

    @routes.get(f"/{token}/azarr.zip")
    async def package(request: web.Request) -> web.StreamResponse:
        return fresh(web.Response(body=await asyncio.to_thread(packed), content_type="application/zip"))

    @routes.get(f"/{token}/data/{{name}}/{{key:.*}}")
    async def data(request: web.Request) -> web.StreamResponse:
        if store is None or request.match_info["name"] != name:
            raise web.HTTPNotFound
        return await answered(request, store, CORS if cors else {})

    @routes.get(f"/{token}/{{file:[a-z]+\\.[a-z]+}}")
    async def part(request: web.Request) -> web.StreamResponse:
        path = PAGE / request.match_info["file"]
        if path.suffix not in SUFFIXES or not path.is_file():
            raise web.HTTPNotFound
        return fresh(web.FileResponse(path))

    application.add_routes(routes)
    # A reader who leaves ends what is read for it.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, chosen = runner.addresses[0][:2]
        yield f"http://{host}:{chosen}/{token}/"
    finally:
        await runner.cleanup()


def read_config() -> dict[str, str]:
    """What the page is told where it stands alone: where Python comes from, and azarr."""
    return json.loads((PAGE / "config.json").read_text("utf-8"))


def fresh(response: Any) -> Any:
    """The same, asked for again each time that the page is loaded."""
    response.headers["Cache-Control"] = "no-cache"
    return response


async def answered(request: web.Request, store: Any, headers: dict[str, str]) -> web.StreamResponse:
    """What the store says of a key: 404 for nothing but what does not exist; a folder as a page of links."""
    key = request.match_info["key"]
    try:
        if not key or key.endswith("/"):
            return await listed(store, key.rstrip("/"), headers)
        wanted = ranged(request.headers.get("Range", ""))
        # By a range a folder tells which version of the file it is.
        value: Value | None = await store.get(key, wanted or ((0, None) if isinstance(store, LocalStore) else None))
    except InvalidKey as error:
        raise web.HTTPBadRequest(text=str(error), headers=headers) from error
    except TransportError as error:
        return web.Response(text=str(error), status=error.status or 502, headers=headers)
    except StoreError as error:
        raise web.HTTPInternalServerError(text=str(error), headers=headers) from error
    if value is None:
        raise web.HTTPNotFound(headers=headers)
    return await sent(request, value, wanted, headers)


async def listed(store: Any, prefix: str, headers: dict[str, str]) -> web.StreamResponse:
    """A folder as other servers show it, so that one way to list is enough."""
    names = [name async for name in store.list_dir(prefix)] if isinstance(store, Listing) else []
    if not names:
        raise web.HTTPNotFound(headers=headers)
    links = "".join(f'<li><a href="{html.escape(quote(name))}">{html.escape(name)}</a></li>' for name in names)
    page = f"<!doctype html><title>Index of {html.escape(prefix or '/')}</title><ul>{links}</ul>"
    return fresh(web.Response(text=page, content_type="text/html", headers=headers))


def ranged(header: str) -> tuple[int, int | None] | None:
    """The bytes that a Range header asks for; None for all, also where it is of a kind that nobody sends."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not found or found[0] == "bytes=-":
        return None
    if not found[1]:
        return -int(found[2]), None
    return int(found[1]), int(found[2]) + 1 if found[2] else None


async def sent(request: web.Request, value: Value, wanted: tuple[int, int | None] | None, headers: dict[str, str]) -> web.StreamResponse:
    """Send an object, or a part of it, piece by piece."""
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
    if wanted is not None and value.size is not None:
        start = max(value.size + wanted[0], 0) if wanted[0] < 0 else wanted[0]
        if not data.nbytes:
            raise web.HTTPRequestRangeNotSatisfiable(headers=headers | {"Content-Range": f"bytes */{value.size}"})
        response.set_status(206)
        response.headers["Content-Range"] = f"bytes {start}-{start + data.nbytes - 1}/{value.size}"
    response.content_length = data.nbytes
    await response.prepare(request)
    if request.method != "HEAD":
        for start in range(0, data.nbytes, PART):
            await response.write(data[start : start + PART])
    await response.write_eof()
    return response
