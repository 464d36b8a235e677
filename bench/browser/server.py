"""The servers, in a process of their own: one of the page, and one, of another origin, of the data. HTTP/1.1; knows files.

`python -m bench.browser.server DATA NAME=FOLDER ...` prints both ports and serves until its input ends. Data are at `/DELAY/RUN/...`: an
answer comes after DELAY milliseconds, and RUN is anything, so that no two reads ask for the same URL and no cache has what is asked for.
They are answered as by any web host: ranges, `ETag`, `Last-Modified`, and `Access-Control-Allow-Origin: *` without anything exposed.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path

from aiohttp import web

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
SCRIPT = "text/javascript"
TYPES = {".html": "text/html", ".js": SCRIPT, ".mjs": SCRIPT, ".wasm": "application/wasm", ".json": "application/json"}


async def data(request: web.BaseRequest, folder: Path) -> web.Response:
    """A whole object or a part of it, after the delay that its path says."""
    _, delay, _, key = request.path.split("/", 3)
    await asyncio.sleep(float(delay) / 1000)
    headers = {"Access-Control-Allow-Origin": "*", "Accept-Ranges": "bytes"}
    if request.method == "OPTIONS":
        return web.Response(status=204, headers=headers | {"Access-Control-Allow-Headers": "*", "Access-Control-Allow-Methods": "*"})
    file = folder / key
    if not file.is_file():
        return web.Response(status=404, headers=headers)
    facts, body = file.stat(), file.read_bytes()
    headers |= {"ETag": f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"', "Last-Modified": formatdate(facts.st_mtime, usegmt=True)}
    headers["Content-Type"] = "application/octet-stream"
    if not (asked := RANGE.fullmatch(request.headers.get("Range", ""))):
        return web.Response(body=body, headers=headers)
    first, last = asked.groups()
    start = int(first) if first else max(0, len(body) - int(last))
    stop = min(int(last) + 1, len(body)) if first and last else len(body)
    if start >= stop:
        return web.Response(status=416, headers=headers | {"Content-Range": f"bytes */{len(body)}"})
    return web.Response(status=206, body=body[start:stop], headers=headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"})


async def site(request: web.BaseRequest, folders: Mapping[str, Path]) -> web.Response:
    """A file of one of the folders."""
    name, _, path = request.path.lstrip("/").partition("/")
    file = folders[name] / path if name in folders else Path("missing")
    if not file.is_file():
        return web.Response(status=404)
    kind = TYPES.get(file.suffix, "application/octet-stream")
    return web.Response(body=file.read_bytes(), headers={"Content-Type": kind, "Cache-Control": "max-age=3600"})


async def serve(data_folder: Path, folders: Mapping[str, Path]) -> None:
    """Serve until the input ends."""
    sites = (web.Server(lambda request: site(request, folders)), web.Server(lambda request: data(request, data_folder)))
    for server in sites:
        runner = web.ServerRunner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), {name: Path(folder) for name, folder in (pair.split("=", 1) for pair in sys.argv[2:])}))
