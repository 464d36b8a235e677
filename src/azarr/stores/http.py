"""HTTP(S). Whole and range reads; 404 and 410 are "missing", everything else that is not the bytes asked for raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from azarr._platform import Response, fetch
from azarr.errors import TransportError, redact
from azarr.stores.base import ByteRange, Value, check_key
from azarr.stores.memory import sliced

__all__ = ["HTTPStore"]

QUOTED = "%/?:@!$&'()*+,;=[]"
MISSING, NOTHING_THERE = (404, 410), 416


class HTTPStore:
    """Objects below `url`. A query of the URL (a signature, a token) is sent with each request, as are `headers`."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not a URL of HTTP: {redact(url)!r}")
        self.url, self.headers = url, dict(headers or {})
        # What is quoted stays as it is: signatures are made over it.
        path, query = quote(parts.path.rstrip("/"), safe=QUOTED), quote(parts.query, safe=QUOTED)
        netloc = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
        self._parts = parts._replace(netloc=netloc, path=path, query=query, fragment="")

    def __repr__(self) -> str:
        return f"HTTPStore({redact(self.url)!r})"

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        headers = dict(self.headers)
        if byte_range is not None:
            start, stop = byte_range
            if stop == start:
                return Value(b"")
            headers["Range"] = f"bytes={start}" if start < 0 else f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"
        answer = await fetch(self._url(check_key(key)), headers=headers)
        if answer.status in MISSING:
            return None
        if answer.status == NOTHING_THERE and (empty := re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("content-range", ""))):
            size = int(empty[1])
            if byte_range is not None and (not size or byte_range[0] >= size):
                return Value(b"", answer.headers.get("etag"), size)
        if answer.status not in (200, 206) or (answer.status == 206 and byte_range is None):
            raise TransportError(f"the server answered {answer.status}", status=answer.status)
        if (encoding := answer.headers.get("content-encoding", "identity")) != "identity":
            raise TransportError(f"the server sent the object with Content-Encoding {encoding}, though identity was asked for")
        announced = answer.headers.get("content-length")
        if announced is not None and announced != str(len(answer.body)):
            raise TransportError(f"the body has {len(answer.body):,} bytes where {announced} were announced")
        version = answer.headers.get("etag")
        if byte_range is None:
            return Value(answer.body, version, len(answer.body))
        if answer.status == 200:  # some servers answer a range with everything, so slice it
            return Value(sliced(answer.body, byte_range), version, len(answer.body))
        return Value(answer.body, version, _checked_range(answer, byte_range))

    def _url(self, key: str) -> str:
        return urlunsplit(self._parts._replace(path=f"{self._parts.path}/{quote(key)}"))


def _checked_range(answer: Response, byte_range: ByteRange) -> int | None:
    """The size of the whole object. Servers were seen to send another range than the one they were asked for."""
    stated = answer.headers.get("content-range", "")
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", stated)
    if not found:
        raise TransportError(f"the server answered a range with Content-Range {stated!r}")
    first, last = int(found[1]), int(found[2])
    size = None if found[3] == "*" else int(found[3])
    start, stop = byte_range
    if start < 0:
        start = first if size is None else max(size + start, 0)
        stop = last + 1 if size is None else size
    right_end = stop is None or last + 1 == stop or (size is not None and last + 1 == size < stop)
    if first != start or not right_end or len(answer.body) != last + 1 - first:
        raise TransportError(f"the server sent {stated} with {len(answer.body):,} bytes where {byte_range} was asked for")
    return size
