"""Metadata documents as plain JSON, and the stores that hold them: what the tests write by hand."""

from __future__ import annotations

import json
from typing import Any

from azarr.stores import MemoryStore
from azarr.testing import CountingStore

Documents = dict[str, bytes]


def v3_array(**changes: Any) -> dict[str, Any]:
    """Four uint8 in one chunk, as they are; `changes` replace fields."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
    } | changes


def v2_array(**changes: Any) -> dict[str, Any]:
    """Four uint8 in one chunk, as they are; `changes` replace fields."""
    return {
        "zarr_format": 2,
        "shape": [4],
        "chunks": [4],
        "dtype": "|u1",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": ".",
    } | changes


def regular(*sizes: Any) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": list(sizes)}}


def sharded(*sizes: int, codecs: list[Any] | None = None, index_codecs: list[Any] | None = None, location: str = "end") -> list[Any]:
    """The codecs of an array whose inner chunks have `sizes`; the index is without a checksum unless asked for."""
    configuration = {
        "chunk_shape": list(sizes),
        "codecs": codecs or [{"name": "bytes"}],
        "index_codecs": index_codecs or [{"name": "bytes", "configuration": {"endian": "little"}}],
        "index_location": location,
    }
    return [{"name": "sharding_indexed", "configuration": configuration}]


def v3_store(document: Any = None, chunks: Documents | None = None) -> Documents:
    """A store with one v3 array at its root: a document (or its very text), and chunks by key."""
    return {"zarr.json": as_bytes(v3_array() if document is None else document), **(chunks or {})}


def v2_store(document: Any = None, chunks: Documents | None = None) -> Documents:
    return {".zarray": as_bytes(v2_array() if document is None else document), **(chunks or {})}


def as_bytes(document: Any) -> bytes:
    return document.encode() if isinstance(document, str) else json.dumps(document).encode()


def blocking(documents: Documents) -> MemoryStore:
    """A store whose reads block: worker threads read, decode and place."""
    return MemoryStore(documents)


def waiting(documents: Documents) -> CountingStore:
    """A store that waits, like those on the network: fetch loops on the event loop."""
    return CountingStore(MemoryStore(documents))


WAYS = (blocking, waiting)
"""Both ways that a read may take through the engine."""
