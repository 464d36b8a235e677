"""What references may read: the places that were allowed, and nothing else. A target is compared in its normal form, by whole segments.

References are data of others: what has no normal form (a user name, "..", such in percent-encoding, control characters) is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from azarr.context import Context
from azarr.errors import StoreError, redact
from azarr.stores import store_from
from azarr.stores.http import HTTPStore

PORTS = {"http": 80, "https": 443}
OTHER_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SHOWN = 200
"""Characters of a target that an error shows."""


class TargetRefused(StoreError, PermissionError):
    """References name a target that was not allowed. Nothing was asked for; only browsers follow a redirect before they say so."""


class Place(NamedTuple):
    """A URL or an absolute path in its normal form; "file" is the scheme of paths. `parts` are not quoted."""

    scheme: str
    authority: str
    parts: tuple[str, ...]
    query: str = ""

    def holds(self, other: Place) -> bool:
        """Whether `other` is this place, or below it."""
        return self[:2] == other[:2] and other.parts[: len(self.parts)] == self.parts


def parse_place(text: str) -> Place:
    """The place that `text` means; `ValueError` says why there is none."""
    if re.search(r"[\x00-\x1f\x7f\\]", text):
        raise ValueError("it has control characters or backslashes")
    scheme, separator, rest = text.partition("://")
    if not separator:
        if not text.startswith("/"):
            raise ValueError("it is neither a URL nor an absolute path")
        return Place("file", "", _parts(text[1:], quoted=False))
    scheme, query = scheme.lower(), ""
    if scheme in PORTS:
        rest, _, query = rest.partition("?")
        if "#" in rest + query:
            raise ValueError("it has a fragment")
    host, _, path = rest.partition("/")
    if scheme in PORTS:
        authority = _authority(scheme, host)
    elif scheme == "file":
        if host.lower() not in ("", "localhost"):
            raise ValueError("it is a file of another host")
        authority = ""
    elif OTHER_HOST.fullmatch(host) and re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        authority = host
    else:
        raise ValueError(f"{scheme}:// is not followed by a name")
    return Place(scheme, authority, _parts(path, quoted=scheme in PORTS or scheme == "file"), query)


def _authority(scheme: str, host: str) -> str:
    """Host and port as they are compared and asked: lower case, without the port that is meant anyhow."""
    if "@" in host:
        raise ValueError("it has a user name or a password, which are given by `stores`")
    split = urlsplit(f"{scheme}://{host}")
    name = (split.hostname or "").encode("idna").decode().lower()
    if ":" in name:
        name = f"[{name}]"
    if not re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", name) or host.endswith(":") or split.port == 0:
        raise ValueError("its host or port is not valid")
    return name if split.port in (None, PORTS[scheme]) else f"{name}:{split.port}"


def _parts(path: str, *, quoted: bool) -> tuple[str, ...]:
    if not path:
        return ()
    return tuple(_part(part, quoted=quoted) for part in path.removesuffix("/").split("/"))


def _part(part: str, *, quoted: bool) -> str:
    plain = unquote(part, errors="strict") if quoted else part
    if not plain or re.search(r"[/\\\x00-\x1f]", plain):
        raise ValueError("it has empty segments, or separators in percent-encoding")
    seen = plain
    while True:  # what decodes twice on its way decodes here too
        if any(piece in (".", "..") for piece in re.split(r"[/\\;]", seen)):
            raise ValueError("it has '.' or '..' for a segment")
        if (decoded := unquote(seen)) == seen:
            return plain
        seen = decoded


def parse_prefix(prefix: str | os.PathLike[str]) -> Place:
    """The place that the caller allows: a URL, or a path."""
    text = os.fspath(prefix)
    try:
        place = parse_place(text if "://" in text else os.path.abspath(text))
    except ValueError as error:
        raise ValueError(f"not a prefix of targets: {redact(text)!r}: {error}") from error
    if place.query:
        raise ValueError(f"a prefix of targets has no query: {redact(text)!r}; stores={{prefix: store}} gives a store that sends one")
    return place


class _Bound(HTTPStore):
    """A store of targets, which asks only where `allowed` says so: redirects lead nowhere else. Browsers follow them unasked: what
    came from elsewhere is refused.
    """

    def __init__(self, url: str, targets: Targets) -> None:
        super().__init__(url, context=targets.context)
        inner = self._fetch

        async def fetch(url: str, **options: Any) -> Any:
            targets.check(url)
            answer = await inner(url, **options)
            if answer.redirected:  # by the browser, which shows only where that ended
                targets.check(answer.redirected)
            return answer

        self._fetch = fetch


class Targets:
    """Which store has which target. `base` is where relative ones begin, `allowed` are the places that may be read, and `stores` the stores
    of some places; `own` is a store that has all relative ones, where the references came out of one.
    """

    def __init__(
        self, base: Place | None, allowed: Iterable[Place], stores: Mapping[Place, Any], context: Context | None, own: Any = None
    ) -> None:
        self.base, self.context, self.own = base, context, own
        self.allowed, self.stores = tuple(allowed), dict(stores)
        self._found: dict[str, tuple[Any, str]] = {}
        self._made: dict[Place, Any] = {}

    def find(self, target: str) -> tuple[Any, str]:
        """The store that has `target`, and its key there. Errors: `TargetRefused`."""
        if (found := self._found.get(target)) is None:
            found = self._found[target] = self._find(target)
        return found

    def check(self, url: str) -> None:
        """Raise `TargetRefused` unless `url`, to which a redirect leads, is allowed."""
        try:
            place = parse_place(url)
        except ValueError as error:
            raise _refused(url, str(error)) from error
        if not any(prefix.holds(place) for prefix in self.allowed):
            raise _refused(url, "it is not allowed")

    def _find(self, target: str) -> tuple[Any, str]:
        try:
            place = self._place(target)
        except ValueError as error:
            raise _refused(target, str(error)) from error
        if not place.parts:
            raise _refused(target, "it names no object")
        if not place.scheme:
            return self.own, "/".join(place.parts)
        given = [prefix for prefix in self.stores if prefix.holds(place) and len(prefix.parts) < len(place.parts)]
        if given:
            prefix = max(given, key=lambda prefix: len(prefix.parts))
            return self.stores[prefix], "/".join(place.parts[len(prefix.parts) :])
        if not any(prefix.holds(place) for prefix in self.allowed):
            raise _refused(target, "it is not allowed")
        root = place._replace(parts=())
        if root not in self._made:
            self._made[root] = self._store(root, target)
        return self._made[root], "/".join(place.parts)

    def _place(self, target: str) -> Place:
        if "://" in target or target.startswith("/"):
            return parse_place(target)
        if self.base is None:
            raise ValueError("it is relative, and these references do not lie anywhere")
        if ":" in target.partition("/")[0] or re.search(r"[\x00-\x1f\x7f\\?#]", target):
            raise ValueError("it is no relative path")
        relative = _parts(target.removeprefix("./"), quoted=self.base.scheme in PORTS)
        return self.base._replace(parts=self.base.parts + relative)

    def _store(self, root: Place, target: str) -> Any:
        query = f"?{root.query}" if root.query else ""
        url = f"{root.scheme}://{root.authority}{query}"
        if root.scheme in PORTS:
            return _Bound(url, self)
        try:
            return store_from("/" if root.scheme == "file" else url, self.context)
        except ValueError as error:
            raise _refused(target, f"there is no store for it: {error}") from error


def _refused(target: str, why: str) -> TargetRefused:
    shown = target if len(target) <= SHOWN else target[:SHOWN] + "..."
    if "@" in shown:  # also where it is no URL
        shown = re.sub(r"(?<=//)[^/]*@", "***@", shown)
    return TargetRefused(f"the target {redact(shown)!r} is refused: {why}. Allow it by targets=[prefix, ...] or stores={{prefix: store}}")
