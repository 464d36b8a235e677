"""Reference documents of Kerchunk as Parquet: a folder with `.zmetadata`, and tables `refs.N.parq` of each array, a row for each chunk.

A table is read as a whole when the first of its rows is asked for. A table that is not there has no references.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from azarr._engine.documents import translated
from azarr._engine.requests import shared
from azarr._platform import offload
from azarr.document import Document, integers, is_object, parse
from azarr.errors import CorruptData, MetadataError, MissingPackage
from azarr.limits import Limits
from azarr.scratch import view
from azarr.stores.reference_documents import Entry, Part

KEPT = 256 << 20
"""Bytes of tables that are kept; the longest unused go first."""
COLUMNS = ("path", "offset", "size", "raw")
ROW = 24
"""Bytes of a row: two integers, and where its texts are."""
INSTALL = "pip install 'azarr[references]'"


class Tables:
    """The references in the folder `prefix` of `store`, whose `.zmetadata` is `document`."""

    def __init__(self, document: Document, store: Any, prefix: str, limits: Limits) -> None:
        self.store, self.prefix, self.limits = store, prefix, limits
        metadata, rows, name = document.get("metadata"), document.get("record_size"), f"{prefix}.zmetadata"
        if not is_object(metadata):
            raise MetadataError("an object of documents is needed", field="metadata", value=metadata, document=name)
        if type(rows) is not int or rows < 1:
            raise MetadataError("a positive integer is needed", field="record_size", value=rows, document=name)
        self.rows = rows
        self.documents = {key: json.dumps(value).encode() for key, value in metadata.items()}
        self.documents[".zmetadata"] = json.dumps({"zarr_consolidated_format": 1, "metadata": metadata}).encode()
        self.counts = {key[: -len("/.zarray")]: _counts(key, value) for key, value in metadata.items() if key.endswith("/.zarray")}
        self._kept: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._loading: dict[Any, list[asyncio.Future[Any]]] = {}

    async def find(self, key: str) -> Entry | None:
        """What stands under `key`; None if it does not."""
        if (found := self.documents.get(key)) is not None:
            return found
        path, _, name = key.rpartition("/")
        numbers, counts = name.split("."), self.counts.get(path)
        if counts is None or not all(number.isascii() and number.isdigit() and len(number) < 20 for number in numbers):
            return None
        coords = tuple(map(int, numbers))
        if ".".join(map(str, coords)) != name or len(coords) != len(counts) or any(map(int.__ge__, coords, counts)):
            return None
        row = 0
        for coord, count in zip(coords, counts, strict=True):
            row = row * count + coord
        table = await self._table(path, row // self.rows)
        return None if table is None else self._entry(table, row % self.rows, key)

    async def keys(self, prefix: str) -> Sequence[str]:
        """All keys that begin with `prefix`, sorted. Reads the tables of all arrays that they may be of."""
        found = list(self.documents)
        for path, counts in self.counts.items():
            if not (f"{path}/".startswith(prefix) or prefix.startswith(f"{path}/")):
                continue
            every = itertools.product(*map(range, counts))
            for record in range(-(-math.prod(counts) // self.rows)):
                table = await self._table(path, record)
                for row, coords in enumerate(itertools.islice(every, self.rows)):
                    key = f"{path}/{'.'.join(map(str, coords))}"
                    if table is not None and self._entry(table, row, key) is not None:
                        found.append(key)
        return sorted(key for key in found if key.startswith(prefix))

    def _entry(self, table: Any, row: int, key: str) -> Entry | None:
        if row >= table.num_rows:
            return None
        values: list[Any] = [table[name][row].as_py() if name in table.column_names else None for name in COLUMNS]
        target, offset, size, raw = values
        if isinstance(raw, bytes):
            return raw
        if target is None and raw is None:
            return None
        if not isinstance(target, str) or not all(type(number) is int and number >= 0 for number in (offset, size)):
            raise MetadataError("path, offset and size are needed", field=key, value=values[:3], document=f"{self.prefix}refs")
        return Part(target, offset, offset + size) if offset or size else Part(target)

    async def _table(self, path: str, record: int) -> Any:
        what = (path, record)
        if what in self._kept:
            self._kept.move_to_end(what)
            return self._kept[what]
        return await shared(self._loading, (asyncio.get_running_loop(), what), partial(self._read, path, record))

    async def _read(self, path: str, record: int) -> Any:
        key = f"{self.prefix}{path}/refs.{record}.parq"
        value = await translated(self.store.get(key), self.store, key)
        table = None if value is None else await offload(lambda: self._parsed(view(value.data).tobytes(), key))
        self._kept[path, record] = table
        while len(self._kept) > 1 and sum(0 if kept is None else kept.nbytes for kept in self._kept.values()) > KEPT:
            self._kept.popitem(last=False)
        return table

    def _parsed(self, data: bytes, key: str) -> Any:
        try:
            arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
        except ImportError as error:
            raise MissingPackage("references as Parquet", "pyarrow", INSTALL) from error
        try:
            # What stands in many rows stays one value, so that a small file is not a large table.
            file = parquet.ParquetFile(arrow.BufferReader(data), read_dictionary=["path", "raw"])
            head = file.metadata
            nbytes = ROW * head.num_rows + sum(head.row_group(k).total_byte_size for k in range(head.num_row_groups))
            self.limits.check("metadata", nbytes, f"the table {key!r}")
            if head.num_rows > self.rows:
                raise CorruptData(f"the table has {head.num_rows:,} rows, where record_size is {self.rows:,}")
            return file.read(columns=[name for name in COLUMNS if name in file.schema_arrow.names])
        except CorruptData as error:
            raise error.within(repr(self.store), key) from None
        except (arrow.ArrowException, OSError) as error:
            raise CorruptData(f"it is not a file of Parquet ({error})", store=repr(self.store), key=key) from error


def _counts(key: str, array: Any) -> tuple[int, ...]:
    """Chunks of an array along each axis; one, where it has none."""
    if not is_object(array):
        raise MetadataError("an object is needed", field=key, value=array)
    shape = integers(array.get("shape"), f"{key}.shape", least=0)
    chunks = integers(array.get("chunks"), f"{key}.chunks", least=1, length=len(shape))
    return tuple(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True)) or (1,)


async def read_tables(store: Any, prefix: str, limits: Limits) -> Tables | None:
    """The references in a folder; None if there are none."""
    key = f"{prefix}.zmetadata"
    if (value := await translated(store.get(key), store, key)) is None:
        return None
    return await offload(lambda: Tables(parse(view(value.data).tobytes(), key, lenient=True, limits=limits), store, prefix, limits))
