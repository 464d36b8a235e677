"""Names of nodes that a store does not tell apart: they differ in case, or in how accents are spelled. Knows stores that list."""

from __future__ import annotations

import itertools
import unicodedata

from azarr.errors import CaseCollision
from azarr.stores import Listing


async def check_names(store: Listing, path: str) -> None:
    """Refuse a path that only means a node that is there because the store does not tell some names apart. Errors: `CaseCollision`."""
    for folder, _, name in (each.rpartition("/") for each in itertools.accumulate(path.split("/"), "{}/{}".format) if each):
        names = {held.removesuffix("/") async for held in store.list_dir(folder)}
        alike = [held for held in names if _plain(held) == _plain(name)]
        if name not in names and alike:
            where = f"{folder or '/'} of {store!r}"
            raise CaseCollision(f"{name!r} cannot stand beside {alike[0]!r} in {where}, which does not tell these names apart")


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
