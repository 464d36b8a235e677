"""HTTP by `fetch` of JavaScript. The browser keeps the connections, follows redirects, and decodes what is encoded.

A page sees of an answer from elsewhere only what its server shows to it. So nothing here depends on `ETag` or `Content-Range` being
there, and no header is sent that would make the browser ask the server for permission first (a preflight), unless the caller gave it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from importlib import import_module
from importlib.resources import files
from itertools import count
from typing import Any

from azarr._platform.pyodide import Wait
from azarr.context import Context
from azarr.errors import TimedOut, TransportError, TruncatedBody
from azarr.grid import RESERVED
from azarr.transport.response import Response

CHECKS = {"If-None-Match", "Cache-Control"}
"""Headers of a request that is to see a change: the browser's cache asks by itself, if it is told so."""
CONDITIONS = {"If-Match", *CHECKS}
"""Headers that need permission, and are left out: versions are compared anyway."""
LEFT_BEHIND = {"Authorization", "Range"}
"""Headers that may be sent where a redirect leads: browsers keep the first from another origin. With any other, redirects are refused."""
_waiting = dict[int, Wait]()
"""Who waits for the answer to which request."""
_numbers = count()
_known = set[str]()
"""Origins that have answered. One that never did refuses this page, most likely, and asking again does not help."""


def _answered(number: int, status: int, seen: str, body: Any, kind: str, redirected: str) -> None:
    if (wait := _waiting.pop(number, None)) is not None:
        wait.come((status, seen, body, kind, redirected))


_made: Any = import_module("pyodide.code").run_js(files("azarr.transport").joinpath("fetch.js").read_text("utf-8"))(
    import_module("pyodide.ffi").create_proxy(_answered)
)
_send, _abort = _made.send, _made.abort


async def fetch(url: str, *, headers: Mapping[str, str], context: Context, most: int | None = None, method: str = "GET") -> Response:
    """`method` of `url`, which is quoted already. Any status is an answer; a body above `most` bytes is not read, and None.

    No answer, or a body that is cut short, is a `TransportError`.
    """
    sent = {name: value for name, value in headers.items() if name not in CONDITIONS}
    cache = "default" if CHECKS.isdisjoint(headers) and _name(url) not in RESERVED else "no-cache"
    if "Range" in sent:
        cache = "no-store"  # Chromium lets one range of a URL wait for the other, unless they pass by its cache
    number, wait, follow = next(_numbers), Wait(), sent.keys() <= LEFT_BEHIND
    _waiting[number] = wait
    _send(number, url, method, cache, follow, json.dumps(sent) if sent else "", -1 if most is None else most, 1000 * context.timeout)
    try:
        status, seen, body, kind, redirected = await wait
    except asyncio.CancelledError:
        _abort(number)
        _waiting.pop(number, None)
        raise
    origin = "/".join(url.split("/", 3)[:3])
    if status > 0:
        _known.add(origin)
        return _response(status, seen, body, kind, redirected, whole=method == "GET" and "Range" not in sent)
    if status == -2:
        raise TimedOut(f"not a byte for {context.timeout:g} seconds", transient=True)
    if status == -1:
        raise TruncatedBody(f"the body ended after {body:,} bytes, or could not be decoded ({seen})", transient=True)
    why = "the network failed, or the server does not let this page read from it (CORS); the browser's console tells which"
    if not follow:
        why += "; or it redirects, where a browser would send the headers along"
    raise TransportError(f"no answer ({seen}): {why}", transient=origin in _known)


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _response(status: int, seen: str, body: Any, kind: str, redirected: str, *, whole: bool) -> Response:
    headers = dict(line.split(":", 1) for line in seen.split("\n")[:-1])  # values may have what `splitlines` splits at
    data = None if body is None else body.to_bytes()
    if whole and data is not None:  # the browser has checked it, and decoded it where it was encoded
        headers["content-encoding"] = "identity"
        if "content-length" in headers:
            headers["content-length"] = str(len(data))
    return Response(status, headers, data, hidden=kind == "cors", redirected=redirected)
