"""HTTP servers that show what is in a folder: a store that lists by the index pages which they make. Knows HTML links."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from urllib.parse import quote, unquote, urljoin, urlsplit

from azarr.errors import StoreError
from azarr.stores import HTTPStore

LINK = re.compile(r"""<a\s[^>]*?href\s*=\s*["']([^"'#?]+)["']""", re.IGNORECASE)


def names_in(page: str, url: str) -> list[str]:
    """The names right below `url` to which its index page has links; those of folders end in "/"."""
    here, found = urlsplit(url), dict[str, None]()
    for link in LINK.findall(page):
        place = urlsplit(urljoin(url, html.unescape(link)))
        name = unquote(place.path.removeprefix(here.path))
        if place[:2] == here[:2] and place.path.startswith(here.path) and name.strip("/") and "/" not in name[:-1]:
            found[name] = None
    return list(found)


class IndexedHTTPStore(HTTPStore):
    """Objects below a URL whose server shows folders as pages of links, as `python -m http.server`, nginx and Apache do."""

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        path = "".join(f"{quote(part)}/" for part in prefix.split("/") if part)
        url = f"{self._base}/{path}"
        self.context.counters_of(self).requests += 1
        answer = await self._send(f"{url}{self._query}", {})
        if answer.status != 200 or "html" not in answer.headers.get("content-type", ""):
            reason = "there is no consolidated metadata, and the server does not show what is in the folder"
            raise StoreError(reason, store=repr(self), key=prefix, status=answer.status)
        for name in names_in(bytes(answer.body).decode("utf-8", "replace"), url):
            yield name

    async def list(self, prefix: str) -> AsyncIterator[str]:
        async for name in self.list_dir(prefix):
            path = f"{prefix}/{name}".lstrip("/")
            if not name.endswith("/"):
                yield path
                continue
            async for key in self.list(path[:-1]):
                yield key
