"""The server of the viewer: the page, azarr itself for Python in the browser, and one store. Knows aiohttp; never Zarr.

It listens on this machine alone, below a path that nobody can guess: on a machine with many users the data stay those of one. A page of
another site cannot read from it either, unless that is allowed.
"""

import asyncio
import io
import json
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

from azarr.cli.object_server import add_objects, fresh, running

PAGE = Path(str(files("azarr.viewer")))
SUFFIXES = (".html", ".css", ".js")
NOT_IN_THE_BROWSER = {"cli", "__pycache__"}


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
    token, config, routes = secrets.token_urlsafe(9), read_config(), web.RouteTableDef()
    config |= {"azarr": "azarr.zip", "url": f"data/{quote(name)}" if store is not None else url}
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

    if store is not None:
        add_objects(routes, f"/{token}/data/{{name}}/", store, cors=cors, name=name)

    @routes.get(f"/{token}/{{file:[a-z]+\\.[a-z]+}}")
    async def part(request: web.Request) -> web.StreamResponse:
        path = PAGE / request.match_info["file"]
        if path.suffix not in SUFFIXES or not path.is_file():
            raise web.HTTPNotFound
        return fresh(web.FileResponse(path))

    static = [(f"/{token}/pyodide", pyodide)] if isinstance(pyodide, Path) else []
    async with running(routes, "127.0.0.1", port, *static) as host:
        yield f"{host}/{token}/"


def read_config() -> dict[str, str]:
    """What the page is told where it stands alone: where Python comes from, and azarr."""
    return json.loads((PAGE / "config.json").read_text("utf-8"))
