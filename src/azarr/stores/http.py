"""HTTP(S). Whole and range reads; 404 is "missing", everything else that is not the bytes asked for raises. Each read is one try."""

from __future__ import annotations

import hashlib
import re
import warnings
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from importlib import import_module
from time import time
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from azarr.context import DEFAULT_CONTEXT, Context
from azarr.errors import ObjectChanged, RangeNotHonoured, TransportError, TruncatedBody, UnversionedWarning
from azarr.stores.base import UNCHANGED, ByteRange, Value, check_key
from azarr.stores.memory import sliced

__all__ = ["HTTPStore"]

QUOTED = "%/?:@!$&'()*+,;=[]"
TRANSIENT = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524}
"""Statuses after which the same request may be answered."""
NO_SUFFIX = {400, 405, 416, 501}
"""What servers answer to the last n bytes when they know ranges from the start only."""
SENT = "Accept Accept-Encoding Authorization Cache-Control Host If-Match If-None-Match Range User-Agent"
NAMES = {name.lower(): name for name in SENT.split()}
"""Headers that are sent by azarr, too: they are written in one way, so that there is one of each."""
PLAIN = re.compile(r"(?:[a-zA-Z0-9_-][a-zA-Z0-9_.-]*/)*[a-zA-Z0-9_-][a-zA-Z0-9_.-]*")
"""Keys that are in their normal form, and the same when they are quoted: most."""
REDIRECTS, MOST_REDIRECTS = {301, 302, 303, 307, 308}, 10
EXCESS, FREE = 16, 1 << 20
"""A server that ignores ranges may send so many times what was asked for, and so many bytes in any case, before it is refused."""
Fetch = Callable[..., Awaitable[Any]]


class HTTPStore:
    """Objects below `url`. A query of it (a signature, a token) is sent with each request, as are `headers` and `auth` (user, password).

    `missing` are the statuses that mean that there is no such object. `fetch` replaces the client: `await fetch(url, headers=...)` gives
    something with `status`, `headers` (names in lower case) and `body`. Redirects to another host get neither headers nor `auth`. `context`
    has the timeout and keeps the connections. Secrets are not pickled, unless with `pickle_secrets`.
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, auth: tuple[str, str] | None = None, missing: tuple[int, ...] = (404,),
        fetch: Fetch | None = None, context: Context | None = None, pickle_secrets: bool = False,
    ) -> None:  # fmt: skip
        if (parts := _place(url)) is None:
            raise ValueError(f"not a URL of HTTP, with a host, and at most with a port of 1 to 65535: {shown(url, '.*')!r}")
        self.url, self.headers, self.missing = url, dict(headers or {}), tuple(missing)
        self.auth = (auth[0], auth[1]) if auth else None  # a list, as of JSON, cannot be hashed
        self.fetch, self.context, self.pickle_secrets = fetch, context or DEFAULT_CONTEXT, pickle_secrets
        transport: Any = import_module("azarr.transport")
        self._fetch: Fetch = fetch or partial(transport.fetch, context=self.context)
        self.in_bulk: Any = None
        if transport.in_bulk is not None and fetch is None and parts.scheme == "http":
            self.in_bulk = partial(transport.in_bulk, context=self.context)
        if auth is None and (login := urlsplit(url)).username is not None:
            auth = (unquote(login.username), unquote(login.password or ""))
        self.sent = {NAMES.get(name.lower(), name): value for name, value in self.headers.items()}
        if auth is not None:
            self.sent["Authorization"] = f"Basic {b64encode(':'.join(auth).encode()).decode()}"
        # What is quoted stays as it is: signatures are made over it.
        path, query = quote(parts.path.rstrip("/"), safe=QUOTED), quote(parts.query, safe=QUOTED)
        self._base, self._query = f"{parts.scheme}://{parts.netloc}{path}", f"?{query}" if query else ""
        self._shown = f"HTTPStore({shown(url)!r})"
        self._same = (url, tuple(self.headers.items()), self.auth, self.missing, fetch, id(self.context))
        self._hash = hash(self._same)
        self._told, self.ranges = False, True
        """Whether the server serves ranges, as far as is known; if not, objects are better asked for as a whole."""
        self.suffixes = fetch is not None or transport.SUFFIXES
        """Whether it serves the last n bytes, as far as is known."""
        self.sizes = not self.suffixes
        """Whether it tells sizes by HEAD, as far as is known; only asked where the last n bytes cannot be."""

    def __repr__(self) -> str:
        return self._shown

    @property
    def identity(self) -> str:
        """The same text for stores that are sent the same, and for no others; it tells no secrets."""
        return hashlib.sha256(repr((self.url, sorted(self.sent.items()), self.missing)).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HTTPStore) and type(other) is type(self) and self._same == other._same

    def __hash__(self) -> int:
        return self._hash

    def __deepcopy__(self, memo: Any) -> HTTPStore:  # in this process its secrets may stay
        return self

    def __reduce__(self) -> Any:
        options: dict[str, Any] = {"missing": self.missing, "context": self.context, "fetch": self.fetch}
        if self.pickle_secrets:
            return partial(HTTPStore, **options, headers=self.headers, auth=self.auth, pickle_secrets=True), (self.url,)
        parts = urlsplit(self.url)
        return partial(HTTPStore, **options), (urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="")),)

    def url_of(self, key: str) -> str:
        return f"{self._base}/{key if PLAIN.fullmatch(key) else quote(check_key(key))}{self._query}"

    def get(self, key: str, byte_range: ByteRange | None = None) -> Awaitable[Value | None]:
        return self.get_if(key, byte_range)

    async def get_if(
        self, key: str, byte_range: ByteRange | None = None, *, match: str | None = None, unless: str | None = None
    ) -> Value | None:
        """As `get`: of the version `match`, or `ObjectChanged`; `UNCHANGED` if it is of the version `unless`."""
        url = self.url_of(key)
        conditions = pinned(match)
        if unless:  # without a tag it comes again, but not out of a cache on the way
            conditions |= {"If-None-Match": unless} if unless.startswith(('"', "W/")) else {"Cache-Control": "no-cache"}
        if byte_range is None:
            value = self.whole_of(await self.send(url, conditions), conditions)
        elif byte_range[0] == byte_range[1]:
            return Value(b"")
        elif byte_range[0] >= 0 or byte_range[1] is not None:
            value = await self.part(url, byte_range, conditions)
        else:
            value = await self._last(url, byte_range, conditions)
        if value is not None and value is not UNCHANGED and match is not None and value.version != match:
            raise ObjectChanged("the object was replaced while it was being read; read again")
        return value

    async def part(self, url: str, byte_range: ByteRange, conditions: Mapping[str, str], length: int | None = None) -> Value | None:
        """A part, of `length` bytes where `byte_range` does not tell."""
        start, stop = byte_range
        if length is None and (stop is not None or start < 0):
            length = -start if stop is None else stop - start
        most = None if length is None else max(FREE, EXCESS * length)
        answer = await self.send(url, {**asked(byte_range), **conditions}, most)
        return self.part_of(answer, byte_range, conditions, most)

    def part_of(self, answer: Any, byte_range: ByteRange, conditions: Mapping[str, str], most: int | None = None) -> Value | None:
        """The part of the object that `answer` has, to a request for it with `conditions`. Errors: as those of `get_if`."""
        if answer.status == 416 and (empty := re.fullmatch(r"bytes \*/(\d{1,19})", answer.headers.get("content-range", ""))):
            size = int(empty[1])
            if not size or byte_range[0] >= size:
                return Value(b"", version_of(answer.headers, size), size)
        if answer.status == 206:
            _check_body(answer, most)
            size = _checked_range(answer, byte_range)
            if (version := version_of(answer.headers, size)) is None and not self._told:
                self._told = True
                told = f"{self!r} tells no versions: an object that is replaced while it is read is not noticed"
                warnings.warn(told, UnversionedWarning, stacklevel=2)
            return Value(answer.body, version, size)
        if answer.status == 200:
            self.ranges = False
        value = self.whole_of(answer, conditions, most)
        if value is None or value is UNCHANGED:
            return value
        # Some servers answer a range with everything, so slice it.
        if value.size is None:
            raise RangeNotHonoured("the server answered a range with everything, and did not say how much that is")
        return Value(sliced(value.data, byte_range), value.version, value.size)

    async def _last(self, url: str, byte_range: ByteRange, conditions: Mapping[str, str]) -> Value | None:
        """The last bytes; by their place, once the size is known, from servers that do not know how to count from the end."""
        if self.suffixes:
            try:
                return await self.part(url, byte_range, conditions)
            except TransportError as error:
                if not self.ranges or (error.status not in NO_SUFFIX and not isinstance(error, RangeNotHonoured)):
                    raise
        return await import_module("azarr.tools.last_bytes").by_size(self, url, -byte_range[0], conditions)

    async def send(self, url: str, conditions: Mapping[str, str], most: int | None = None, **how: str) -> Any:
        """The answer, from wherever the server sends us."""
        headers, limit = self.sent, how if self.fetch or most is None else {"most": most, **how}
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._fetch(url, headers={**headers, **conditions}, **limit)
            if answer.status not in REDIRECTS or not (place := answer.headers.get("location")):
                return answer
            before, after = urlsplit(url), _place(quote(place, safe=QUOTED + "#", errors="surrogateescape"), url)
            if after is None or (before.scheme == "https" and after.scheme == "http"):
                raise TransportError(f"the server redirects to {shown(place, '.*')!r}, which is not followed", status=answer.status)
            if before[:2] != after[:2]:
                headers = {}
            url = urlunsplit(after)
        raise TransportError(f"the server redirects more than {MOST_REDIRECTS} times")

    def whole_of(self, answer: Any, conditions: Mapping[str, str], most: int | None = None) -> Value | None:
        """The same of a whole object."""
        if answer.status in self.missing:
            return None
        if answer.status == 304 and "If-None-Match" in conditions:
            return UNCHANGED
        if answer.status == 412 and "If-Match" in conditions:
            raise ObjectChanged("the object was replaced while it was being read; read again", status=412)
        if answer.status != 200:
            facts: dict[str, Any] = {"transient": answer.status in TRANSIENT, "retry_after": _wait(answer)}
            raise TransportError(self._refusal(answer), status=answer.status, **facts)
        _check_body(answer, most)
        # Where no length was told it may have been cut, so it may be no version's.
        if "content-length" not in answer.headers and "transfer-encoding" not in answer.headers:
            return Value(answer.body)
        return Value(answer.body, version_of(answer.headers, len(answer.body)), len(answer.body))

    def _refusal(self, answer: Any) -> str:
        return f"the server answered {answer.status}{import_module('azarr.tools.mistakes').credentials(answer.status)}"


def asked(byte_range: ByteRange) -> dict[str, str]:
    """The header that asks for it."""
    start, stop = byte_range
    return {"Range": f"bytes={start}" if start < 0 else f"bytes={start}-{'' if stop is None else stop - 1}"}


def pinned(version: str | None) -> dict[str, str]:
    """The header that asks for that version alone; weak tags match nothing."""
    return {"If-Match": version} if version and version.startswith('"') else {}


def _place(url: str, base: str = "") -> SplitResult | None:
    """The parts of a URL of HTTP, without user, password and fragment; None if it is none."""
    with suppress(ValueError):  # of its port, or its host
        parts = urlsplit(urljoin(base, url))
        host, port = re.sub(r":[0-9]*$", "", parts.netloc.rpartition("@")[2]).lower(), parts.port
        if parts.scheme in ("http", "https") and parts.hostname and port != 0:
            told = "" if port in (None, 80 if parts.scheme == "http" else 443) else f":{port}"
            return parts._replace(netloc=host.encode("idna").decode() + told, path=parts.path or "/", fragment="")
    return None


def shown(url: str, login: str = "[^/?#]*") -> str:
    """`url` without its query, user and password, which are `login`: of what is no URL, they may have any letters."""
    return re.sub(r"\?.+", "?***", re.sub(rf"^([^/?#]*//){login}@", r"\1***@", url, flags=re.S), flags=re.S)


def version_of(headers: Mapping[str, str], size: int | None) -> str | None:
    """The tag of the object; else when it was changed, and its size."""
    modified = headers.get("last-modified")
    return headers.get("etag") or (f"{modified}/{size}" if modified else None)


def _wait(answer: Any) -> float | None:
    """Seconds after which the server wants to be asked again."""
    stated = answer.headers.get("retry-after", "").strip()
    if stated.isascii() and stated.isdigit():
        return float(stated)
    try:
        return max(0.0, parsedate_to_datetime(stated).timestamp() - time()) if stated else None
    except (ValueError, OverflowError):
        return None


def is_plain(encoding: str) -> bool:
    """Whether a body with this Content-Encoding is as it is; some servers tell how it was sent to them."""
    return {each.strip() for each in encoding.lower().split(",")} <= {"", "identity", "aws-chunked"}


def _check_body(answer: Any, most: int | None) -> None:
    if answer.body is None or (most is not None and len(answer.body) > most):
        raise RangeNotHonoured(f"the server answered a range with more than {most:,} bytes: it serves no ranges", status=answer.status)
    if (encoding := answer.headers.get("content-encoding")) and not is_plain(encoding):
        raise TransportError(f"the server sent the object with Content-Encoding {encoding}, though identity was asked for")
    announced = answer.headers.get("content-length")
    if announced is not None and announced != str(len(answer.body)):
        raise TruncatedBody(f"the body has {len(answer.body):,} bytes where {announced} were announced", transient=True)


def _checked_range(answer: Any, byte_range: ByteRange) -> int | None:
    """The size of the whole object. Servers were seen to send another range than the one they were asked for."""
    stated = answer.headers.get("content-range", "")
    if not stated and getattr(answer, "hidden", False) and byte_range[0] >= 0:  # then the length is all there is to look at
        if byte_range[1] is None or len(answer.body) <= byte_range[1] - byte_range[0]:
            return None
        raise RangeNotHonoured(f"the server sent {len(answer.body):,} bytes where {byte_range} was asked for", transient=True)
    found = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", stated)
    if not found:
        raise RangeNotHonoured(f"the server answered a range with Content-Range {stated!r}", transient=True)
    first, last = int(found[1]), int(found[2])
    size = None if found[3] == "*" else int(found[3])
    start, stop = byte_range
    if start < 0:
        start, stop = (-1, None) if size is None else (max(size + start, 0), size)
    right_end = stop is None or last + 1 == stop or (size is not None and last + 1 == size < stop)
    if first != start or not right_end or len(answer.body) != last + 1 - first:
        raise RangeNotHonoured(f"the server sent {stated} with {len(answer.body):,} bytes where {byte_range} was asked for", transient=True)
    return size
