"""Buckets that everybody may read: `s3://bucket/prefix` and `gs://bucket/prefix`, over HTTPS. They are read and listed, not written to.

An object is read as over HTTP. A listing is believed if it is whole and says what was asked for, and is an error else.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree import ElementTree

from azarr._engine.requests import Requests
from azarr.context import Context
from azarr.errors import InvalidKey, StoreError, TransportError
from azarr.scratch import view
from azarr.stores.base import Value, check_key
from azarr.stores.http import Fetch, HTTPStore, shown
from azarr.transport.response import Response

ENDPOINTS = {"s3": "https://s3.amazonaws.com", "gs": "https://storage.googleapis.com"}
"""Buckets that ask for credentials, under the same schemes, are those of `objects`."""
MOST = 16 << 20
"""Bytes of one page of a listing, which has at most 1,000 keys of at most 1,024 bytes."""
Page = tuple[list[str], list[str], str]
"""Keys, prefixes, and what to ask for the next page with."""


class BucketStore(HTTPStore):
    """Objects of a bucket below a prefix, `url` being `s3://bucket/prefix` or `gs://bucket/prefix`, where nothing is quoted.

    `endpoint` is another service that speaks the language of S3 ("https://host"), or that of a region. `missing` are the statuses that mean
    that there is no such object: a bucket that may not be listed answers 403 instead of 404.
    """

    def __init__(
        self, url: str, *, endpoint: str | None = None, missing: tuple[int, ...] = (404,), fetch: Fetch | None = None,
        context: Context | None = None,
    ) -> None:  # fmt: skip
        scheme, _, place = url.partition("://")
        self.bucket, _, prefix = place.partition("/")
        self.prefix = prefix.strip("/")
        if scheme not in ENDPOINTS or not re.fullmatch(r"[A-Za-z0-9][\w.-]+", self.bucket, re.ASCII):
            raise ValueError(f"not a bucket: {shown(url, '.*')!r}; it is s3://bucket/prefix or gs://bucket/prefix")
        if endpoint is not None and re.search("[@?#]", endpoint):
            raise ValueError(f"an endpoint is https://host, without secrets, not {shown(endpoint, '.*')!r}")
        self.place, self.endpoint = url, endpoint
        start = f"{check_key(self.prefix)}/" if self.prefix else ""
        if endpoint is None and scheme == "s3" and "." not in self.bucket:  # found in all regions; no certificate has names with dots
            self._root = f"https://{self.bucket}.s3.amazonaws.com/"
        else:
            self._root = f"{(endpoint or ENDPOINTS[scheme]).rstrip('/')}/{self.bucket}"
        super().__init__(f"{self._root.rstrip('/')}/{quote(self.prefix)}".rstrip("/"), missing=missing, fetch=fetch, context=context)
        self._start = start

    def __repr__(self) -> str:
        return f"BucketStore({self.place!r}{f', endpoint={self.endpoint!r}' if self.endpoint else ''})"

    def __reduce__(self) -> Any:
        options: dict[str, Any] = {"endpoint": self.endpoint, "missing": self.missing, "fetch": self.fetch, "context": self.context}
        return partial(BucketStore, **options), (self.place,)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        async for keys, _ in self._pages(prefix, deep=True):
            for key in keys:
                if _is_key(key):
                    yield key.removeprefix(self._start)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        below = len(self._start) + (len(prefix) + 1 if prefix else 0)
        async for keys, prefixes in self._pages(prefix, deep=False):
            for key in keys:
                if _is_key(key):
                    yield key[below:]
            for each in prefixes:
                if _is_key(each[:-1]):
                    yield each[below:]

    async def _pages(self, prefix: str, *, deep: bool) -> AsyncIterator[tuple[list[str], list[str]]]:
        asked = {"list-type": "2", "encoding-type": "url", "prefix": self._start + (f"{check_key(prefix)}/" if prefix else "")}
        if not deep:
            asked["delimiter"] = "/"
        requests, seen = Requests(self, self.context), set[str]()
        while True:
            keys, prefixes, more = await requests.repeated(prefix, partial(self._page, asked))
            yield keys, prefixes
            if not more:
                return
            if more in seen:
                raise StoreError("the listing does not end: it goes on where it was before", store=repr(self), key=prefix)
            seen.add(more)
            asked["continuation-token"] = more

    async def _page(self, asked: Mapping[str, str]) -> Page:
        answer = await self.send(f"{self._root}?{urlencode(asked, quote_via=quote)}", {}, MOST)
        if answer.status == 403:
            raise TransportError("the server answered 403: this bucket may not be listed by everybody", status=403)
        if (value := self.whole_of(answer, {}, MOST)) is None:
            raise TransportError(f"the server answered {answer.status} to a listing", status=answer.status)
        try:
            return _parsed(view(value.data).tobytes(), self.bucket, asked)
        except (ElementTree.ParseError, ValueError) as error:
            raise TransportError(f"not the listing that was asked for: {error}", status=answer.status) from error

    async def send(self, url: str, conditions: Mapping[str, str], most: int | None = None, **how: str) -> Any:
        answer = await super().send(url, conditions, most, **how)
        if answer.status == 416 and (size := re.search(rb"<ActualObjectSize>(\d+)<", bytes(answer.body or b""))):  # told there alone
            return Response(416, {**answer.headers, "content-range": f"bytes */{int(size[1])}"}, answer.body)
        return answer

    def whole_of(self, answer: Any, conditions: Mapping[str, str], most: int | None = None) -> Value | None:
        if answer.status == 404 and b"<Code>NoSuchBucket</Code>" in bytes(answer.body or b""):
            raise TransportError(f"there is no bucket {self.bucket!r}", status=404)
        return super().whole_of(answer, conditions, most)

    def _refusal(self, answer: Any) -> str:
        if answer.status == 403:
            why = "it may not be read, or there is none: a bucket that may not be listed does not tell"
            return f"the server answered 403: {why}; missing=(404, 403) takes it for missing, azarr.stores.ObjectStore has credentials"
        if region := answer.headers.get("x-amz-bucket-region") if answer.status in (301, 400) else None:
            return f'the server answered {answer.status}: the bucket is elsewhere; endpoint="https://s3.{region}.amazonaws.com"'
        return super()._refusal(answer)


def _is_key(name: str) -> bool:
    """Whether an object can be asked for by this name. Others, such as those that stand for folders, are not objects of the store."""
    try:
        return check_key(name) == name
    except InvalidKey:
        return False


def _parsed(body: bytes, bucket: str, asked: Mapping[str, str]) -> Page:
    """The page of a listing. Errors: `ValueError`, `ParseError` for what is no listing, or not the one that was asked for."""
    page = ElementTree.fromstring(body)
    if _tag(page) != "ListBucketResult":
        raise ValueError(f"a document <{_tag(page)}>")
    said = {_tag(each): each.text or "" for each in page if not len(each)}
    decode: Callable[[str], str] = unquote_plus if said.get("EncodingType") == "url" else str
    named = {
        outer: [decode(each.text or "") for each in page.iterfind(f"{{*}}{outer}/{{*}}{inner}")]
        for outer, inner in (("Contents", "Key"), ("CommonPrefixes", "Prefix"))
    }
    keys, prefixes = named["Contents"], named["CommonPrefixes"]
    prefix, deep = asked["prefix"], "delimiter" not in asked
    if said.get("Name", bucket) != bucket:
        raise ValueError(f"it is of the bucket {said['Name']!r}")
    if prefix not in (said.get("Prefix", ""), decode(said.get("Prefix", ""))):
        raise ValueError(f"it is of the prefix {said.get('Prefix', '')!r}")
    for name in keys + prefixes:
        if not name.startswith(prefix) or (not deep and "/" in name[len(prefix) :].removesuffix("/")):
            raise ValueError(f"it has {name!r}")
    if any(not each.endswith("/") for each in prefixes) or (deep and prefixes):
        raise ValueError(f"it has the prefix {prefixes[0]!r}")
    more = said.get("NextContinuationToken", "")
    if said.get("IsTruncated") not in ("true", "false") or (said["IsTruncated"] == "true" and not more):
        raise ValueError("it does not say whether, and where, it goes on")
    return keys, prefixes, more if said["IsTruncated"] == "true" else ""


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
