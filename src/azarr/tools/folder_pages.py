"""Folders as HTTP servers show them: pages of links, by which members are found where nothing else tells. Knows HTML links; never Zarr.

`python -m http.server`, nginx, Apache and `azarr serve` make such pages; others show a page of their own, or none. A name that a page does
not have would be missing without a word, so what may be anything else than the list of a folder is an error.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from azarr._engine.requests import Requests
from azarr.errors import InvalidKey, StoreError
from azarr.grid import RESERVED
from azarr.stores.base import check_key
from azarr.stores.http import TRANSIENT, HTTPStore

LINK = re.compile(r"""<a\s[^>]*?href\s*=\s*["']([^"'#?]+)["']""", re.IGNORECASE)
TITLE = re.compile(r"<(title|h1)[^>]*>\s*(index of|directory listing)\b", re.IGNORECASE)
MOST = 64 << 20
"""Bytes of a page that is read."""


async def listed(store: Any, prefix: str) -> AsyncIterator[str]:
    """Names right below `prefix` of a store that cannot list by itself, those of folders with "/" at the end.

    Errors: `StoreError` where it is not behind HTTP, or the server does not show its folders; `TransportError`.
    """
    while not isinstance(store, HTTPStore) and hasattr(store, "inner"):  # a cache, or what counts
        store = store.inner
    why = "this store cannot list"
    if isinstance(store, HTTPStore):
        page = await Requests(store, store.context).repeated(prefix, partial(_page, store, prefix))
        if isinstance(page, list):
            for name in page:
                yield name
            return
        why = page
    reason = f"{why}, and the group has no consolidated metadata; open members by name"
    raise StoreError(reason, store=repr(store), key=prefix)


async def _page(store: Any, prefix: str) -> list[str] | str:
    """The names, or why there are none. It is asked for with the same headers and query as objects."""
    url = f"{store._base}/" + "".join(f"{quote(part)}/" for part in prefix.split("/") if part)
    answer = await store.send(f"{url}{store._query}", {}, MOST)
    if answer.status != 200 and answer.status not in TRANSIENT:
        return "this store cannot list: the server does not show what is in the folder"
    store.whole_of(answer, {}, MOST)  # errors of what failed, or was cut
    page = bytes(answer.body).decode("utf-8", "replace")
    names = names_in(page, url)
    if not names or "html" not in answer.headers.get("content-type", "") or not (TITLE.search(page) or set(RESERVED) & set(names)):
        return "this store cannot list: what the server shows for the folder is no list of what is in it"
    return names


def names_in(page: str, url: str) -> list[str]:
    """The names right below `url` to which its page has links; those of folders end in "/". What leads elsewhere is ignored."""
    here, found = urlsplit(url), dict[str, None]()
    for link in LINK.findall(page):
        place = urlsplit(urljoin(url, html.unescape(link)))
        name = unquote(place.path.removeprefix(here.path))
        if place[:2] == here[:2] and place.path.startswith(here.path) and "/" not in name[:-1] and _is_key(name.removesuffix("/")):
            found[name] = None
    return list(found)


def _is_key(name: str) -> bool:
    try:
        return check_key(name) != ""
    except InvalidKey:
        return False
