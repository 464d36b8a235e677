"""Clouds, by obstore: S3, Google, Azure, and what speaks their languages; and any other object with the verbs of obspec.

Each verb is one try. Missing is what the store calls not found, and a bucket that is not there is an error. An object is replaced on the
condition that it is of the version that was read, which the cloud itself checks.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from hashlib import sha256
from importlib import import_module
from secrets import token_hex
from time import monotonic, sleep
from typing import Any, NoReturn

from azarr._engine.requests import OVERLOADED, Requests
from azarr.context import DEFAULT_CONTEXT, Context
from azarr.errors import (
    InvalidKey,
    MissingPackage,
    ObjectChanged,
    RangeNotHonoured,
    StoreError,
    TimedOut,
    TransportError,
    TruncatedBody,
    redact,
)
from azarr.scratch import Buffer, view
from azarr.stores.base import UNCHANGED, ByteRange, Value, check_key
from azarr.stores.http import EXCESS, FREE, TRANSIENT, is_plain
from azarr.stores.memory import sliced

NO_BUCKET = re.compile(r"<Code>(NoSuchBucket|ContainerNotFound)</Code>|The specified bucket does not exist")
STATUS = re.compile(r"status code: (\d{3})")
"""How obstore tells what a server answered: its errors have no attributes."""
BROKEN = re.compile(r"kind: (Connect|Request|Timeout|Interrupted|Body)\b|UnexpectedEof")
"""How it tells that the connection failed."""
WHOLE_SENT = "non-partial response"
"""How it tells that a server answered a range with everything, as some do for empty objects."""
OUTSIDE = re.compile("(?i)invalid range|range was invalid|status code: 416")
"""How it tells that a range begins behind the end of the object."""
ANOTHER = re.compile(r"Requested \d+\.\.\d+, got")
"""How it tells that a server sent another range."""
KINDS = {"PermissionDeniedError": 403, "UnauthenticatedError": 401, "PreconditionError": 412, "NotModifiedError": 304}
"""Errors by their names, as each maker of such stores has classes of its own."""
# Threads of obstore that have just given an answer come back to Python once more; if that is ending meanwhile, the process aborts
# (https://github.com/PyO3/pyo3-async-runtimes/issues/40). So they have some time before it ends.
atexit.register(sleep, 0.02)


class ObjectStore:
    """Objects of `source` below `prefix`: a URL (`s3://bucket/prefix`, `gs://`, `az://`), or an object of obstore or obspec.

    `options` are those of obstore, for URLs: `region`, `endpoint`, `access_key_id`, `skip_signature`, `client_options` and so on; what is
    not said is found in the environment. Requests to URLs are repeated by azarr, those to objects as these do it. Without `conditional`,
    objects are compared and then replaced, for services that cannot do both at once: then nobody else may write. `context` has the timeout.
    What has options is not pickled, as they may be secrets, unless with `pickle_secrets`.
    """

    deletes_versions = False
    """Whether it can delete one version of an object and no other: no verb of obspec does."""

    def __init__(
        self, source: Any, prefix: str = "", *, conditional: bool = True, context: Context | None = None, pickle_secrets: bool = False,
        **options: Any,
    ) -> None:  # fmt: skip
        self.source, self.prefix, self.conditional, self.options = source, prefix.strip("/"), conditional, options
        self.context, self.pickle_secrets, self.ranges = context or DEFAULT_CONTEXT, pickle_secrets, True
        self._start = f"{check_key(self.prefix)}/" if self.prefix else ""
        self._is_url = isinstance(source, str)
        if self._is_url:
            self._inner, self._lister = _made(source, self.context, options)
            self._shown, said = redact(repr(source)), repr((source, self.prefix, sorted(options.items(), key=str)))
        elif options or not callable(getattr(source, "get_async", None)):
            what = f"no options ({', '.join(options)})" if options else "the verbs of obspec"
            raise TypeError(f"{type(source).__name__} is an object, which must have {what}; options are for URLs")
        else:
            self._inner = self._lister = source
            self._shown, said = f"<{type(source).__name__}>", token_hex()
        self.identity = sha256(said.encode()).hexdigest()
        """The same text for stores made of the same URL and options; it tells no secrets. Objects do not say what they reach."""

    def __repr__(self) -> str:
        return f"ObjectStore({self._shown}{f', {self.prefix!r}' if self.prefix else ''})"

    def __reduce__(self) -> Any:
        if not self.pickle_secrets and (self.options or not self._is_url):
            raise TypeError(f"{self!r} may have secrets, which are pickled only with pickle_secrets=True")
        how = {"conditional": self.conditional, "context": self.context, "pickle_secrets": self.pickle_secrets, **self.options}
        return partial(ObjectStore, **how), (self.source, self.prefix)

    def get(self, key: str, byte_range: ByteRange | None = None) -> Awaitable[Value | None]:
        return self.get_if(key, byte_range)

    async def get_if(
        self, key: str, byte_range: ByteRange | None = None, *, match: str | None = None, unless: str | None = None
    ) -> Value | None:
        """As `get`: of the version `match`, or `ObjectChanged`; `UNCHANGED` if it is of the version `unless`."""
        path, asked = self._path(key), dict[str, Any]()
        for name, version in (("if_match", match), ("if_none_match", unless)):
            if version and (tag := _told(version).get("e_tag")):
                asked[name] = tag
        try:
            value = await self._asked(path, byte_range, asked)
        except FileNotFoundError as error:
            self._refuse_no_bucket(error)
            return None
        except Exception as error:
            name = _kind(error)
            if unless is not None and name == "NotModifiedError":
                return UNCHANGED
            if match is not None and name == "PreconditionError":
                raise ObjectChanged("the object was replaced while it was being read; read again", status=412) from error
            self._raise(error)
        if match is not None and value.version != match:
            raise ObjectChanged("the object was replaced while it was being read; read again")
        return UNCHANGED if unless is not None and value.version == unless else value

    async def _asked(self, path: str, byte_range: ByteRange | None, asked: Mapping[str, Any]) -> Value:
        if byte_range is None:
            return await _value(await self._open(path, asked))
        start, stop = byte_range
        if start == stop:
            return Value(b"")
        told = {"suffix": -start} if start < 0 else {"offset": start} if stop is None else (start, stop)
        try:
            return await _value(await self._open(path, {**asked, "range": told}), byte_range)
        except Exception as error:
            said = _first(error)
            if ANOTHER.search(said):
                raise RangeNotHonoured(said, transient=self._is_url) from error
            if _kind(error) is None or not (WHOLE_SENT in said or OUTSIDE.search(said)):
                raise
            return await self._otherwise(path, byte_range, asked, error)

    async def _otherwise(self, path: str, byte_range: ByteRange, asked: Mapping[str, Any], error: Exception) -> Value:
        """A part that the store did not give: since it lies outside the object, or since the server knows no ranges."""
        answer = await self._open(path, asked)
        size, (start, stop) = int(answer.meta["size"]), byte_range
        if not size or start >= size:
            return Value(b"", _version(answer.meta), size)
        if WHOLE_SENT not in str(error):
            raise error
        self.ranges = False
        wanted = -start if start < 0 else (size if stop is None else stop) - start
        if size > max(FREE, EXCESS * wanted):
            raise RangeNotHonoured(f"the server knows no ranges, and the object has {size:,} bytes") from error
        value = await _value(answer)
        return Value(sliced(value.data, byte_range), value.version, size)

    def _open(self, path: str, options: Mapping[str, Any]) -> Awaitable[Any]:
        return self._inner.get_async(path, options=dict(options)) if options else self._inner.get_async(path)

    async def set(self, key: str, data: Buffer) -> None:
        await self._put(self._path(key), data, "overwrite")

    async def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            await self._inner.delete_async(path)
        except FileNotFoundError as error:  # of folders; clouds do not say so
            self._refuse_no_bucket(error)
        except Exception as error:
            self._raise(error)

    async def replace(self, key: str, data: Buffer | None, version: str | None) -> bool:
        """Put `data` if the object is of `version`. To delete (None), it is first compared: what others put in that moment is lost."""
        path = self._path(key)
        if data is None or not self.conditional:
            if await self._version_of(path) != version:
                return False
            if data is not None:
                await self.set(key, data)
            elif version is not None:
                await self.delete(key)
            return True
        # What was refused as too much was not done, so it can be sent again; what only failed may have been done.
        send, began = partial(self._put, path, data, "create" if version is None else _told(version)), monotonic()
        if not (done := await Requests(self, self.context).repeated(key, send)):
            # Writers in step would be refused again and again: each waits for another part of as long as that took, twice.
            await asyncio.sleep(2 * (monotonic() - began) * os.urandom(1)[0] / 255)
        return done

    async def _version_of(self, path: str) -> str | None:
        try:
            return _version(await self._inner.head_async(path))
        except FileNotFoundError:
            return None
        except Exception as error:
            self._raise(error)

    async def _put(self, path: str, data: Buffer, mode: Any) -> bool:
        # A copy: a request that was cancelled may still be sending it.
        copied = data if isinstance(data, bytes) else view(data).tobytes()
        try:
            await self._inner.put_async(path, copied, mode=mode, **({"use_multipart": False} if self._is_url else {}))
        except Exception as error:
            self._refuse_no_bucket(error)
            if mode != "overwrite" and _kind(error) in ("AlreadyExistsError", "PreconditionError"):
                return False
            if isinstance(error, NotImplementedError) or _kind(error) == "NotSupportedError":
                why = "it cannot replace an object on a condition; conditional=False does without, and then nobody else may write"
                raise StoreError(why) from error
            self._raise(error, again=mode == "overwrite" or _status(error) in OVERLOADED)
        return True

    async def list(self, prefix: str) -> AsyncIterator[str]:
        below = self._start + (f"{check_key(prefix)}/" if prefix else "")
        listed = getattr(self._lister, "list_async", None) or self._lister.list
        try:
            async for page in listed(below.rstrip("/") or None):
                for meta in page:
                    if _is_below(meta["path"], below):
                        yield meta["path"].removeprefix(self._start)
        except Exception as error:
            self._raise(error)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        below = self._start + (f"{check_key(prefix)}/" if prefix else "")
        try:
            page = await self._lister.list_with_delimiter_async(below.rstrip("/") or None)
        except Exception as error:
            self._raise(error)
        for meta in page["objects"]:
            if _is_below(meta["path"], below):
                yield meta["path"].removeprefix(below)
        for name in page["common_prefixes"]:
            if _is_below(name.rstrip("/"), below):
                yield f"{name.rstrip('/').removeprefix(below)}/"

    def _path(self, key: str) -> str:
        return self._start + check_key(key)

    def _refuse_no_bucket(self, error: Exception) -> None:
        if NO_BUCKET.search(_first(error)):
            raise TransportError("there is no such bucket", status=404) from error

    def _raise(self, error: Exception, *, again: bool = True) -> NoReturn:
        """An error of the store as one of azarr's."""
        if isinstance(error, (StoreError, InvalidKey)) or (isinstance(error, OSError) and not isinstance(error, FileNotFoundError)):
            raise error
        if (kind := _kind(error)) is None:
            raise error
        self._refuse_no_bucket(error)
        text, status = str(error), _status(error) or KINDS.get(kind)
        broken = bool(BROKEN.search(text)) and status is None
        facts: dict[str, Any] = {"status": status, "transient": again and self._is_url and (broken or status in TRANSIENT)}
        if broken and "kind: Timeout" in text:
            raise TimedOut("not a byte came for too long", **facts) from error
        made = TruncatedBody if broken and "kind: Body" in text else TransportError
        raise made(_first(error)[:500], **facts) from error


def _made(url: str, context: Context, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """The store of obstore that a URL means, which asks once; and one that repeats, for listings, which go on from page to page."""
    try:
        from_url: Callable[..., Any] = import_module("obstore.store").from_url
    except ImportError as error:
        raise MissingPackage("the store of a cloud", "obstore", 'pip install "azarr[cloud]"') from error
    waits = {"read_timeout": f"{context.timeout}s", "timeout": "1day"}
    plain = {"allow_http": True} if str(options.get("endpoint", "")).startswith("http://") else {}
    client = {**waits, **plain, **options.get("client_options", {})}
    try:
        again = from_url(url, **{**options, "client_options": client})
        return from_url(url, **{"retry_config": {"max_retries": 0}, **options, "client_options": client}), again
    except Exception as error:
        if _kind(error) is None:
            raise
        raise ValueError(f"{redact(url)!r}: {redact(_first(error))}") from error


async def _value(answer: Any, byte_range: ByteRange | None = None) -> Value:
    """What came, if it is what was asked for, and as long as was announced."""
    meta = answer.meta
    attributes: Mapping[str, str] = getattr(answer, "attributes", None) or {}
    if not is_plain(encoding := attributes.get("Content-Encoding", "")):
        raise TransportError(f"the object is stored with Content-Encoding {encoding}, which is not undone")
    size, (first, last) = int(meta["size"]), answer.range
    start, stop = byte_range or (0, None)
    expected = (max(size + start, 0) if start < 0 else start, size if stop is None else min(stop, size))
    data = memoryview(await answer.buffer_async())
    if (first, last) != expected:
        raise RangeNotHonoured(f"the store sent the bytes {first} to {last} of {size:,} where {byte_range} was asked for", transient=True)
    if len(data) != last - first:
        raise TruncatedBody(f"the body has {len(data):,} bytes where {last - first:,} were announced", transient=True)
    return Value(data, _version(meta), size)


def _version(meta: Mapping[str, Any]) -> str | None:
    """The tag of an object, and the number of its version where the store has such."""
    tag, number = meta.get("e_tag"), meta.get("version")
    return tag if number is None else f"{tag or ''}\n{number}"


def _told(version: str) -> dict[str, str]:
    """The same, as stores want to be told."""
    tag, _, number = version.partition("\n")
    return {name: said for name, said in (("e_tag", tag), ("version", number)) if said}


def _kind(error: BaseException) -> str | None:
    """What kind of error of a store this is, by its name; None if it is something else."""
    names = [each.__name__ for each in type(error).__mro__]
    if isinstance(error, (FileNotFoundError, NotImplementedError)):
        return type(error).__name__
    return names[0] if "BaseError" in names and not isinstance(error, OSError) else None


def _status(error: Exception) -> int | None:
    return int(found[1]) if (found := STATUS.search(_first(error))) else None


def _first(error: Exception) -> str:
    """What an error says, without the inside of the store that follows it."""
    return " ".join(str(error).partition("\n\nDebug source:")[0].split())


def _is_below(path: str, below: str) -> bool:
    """Whether an object can be asked for by this name, which is below that prefix."""
    try:
        return path.startswith(below) and check_key(path) == path
    except InvalidKey:
        return False
