"""The rows of the report: what is measured, with which libraries, on which data set. A table, and nothing else."""

from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any

from bench.server import FAST, SLOW

WHOLE = (
    "azarr", "zarr", "zarr-tuned", "zarr-fused", "zarr-azarr", "zarrs", "zarrista", "zarrista-tuned", "zarrista-async", "tensorstore",
    "tensorstore-tuned", "floor",
)  # fmt: skip
WHOLE_SMALL_CHUNKS = (*WHOLE[:4], "zarr-fused-one", *WHOLE[4:], "floor-one")
SMALL = (
    "azarr", "zarr", "zarr-async", "zarr-fused", "zarr-fused-async", "zarrs", "zarrs-async", "zarrista",
    "zarrista-async", "tensorstore", "tensorstore-async", "tensorstore-tuned", "tensorstore-tuned-async", "floor",
)  # fmt: skip
LEAN = tuple(name for name in WHOLE if name != "floor")
AWAITED = (
    "azarr", "zarr-async", "zarr-fused-async", "zarrs-async", "zarrista-async", "tensorstore-async",
    "tensorstore-tuned-async",
)  # fmt: skip
WITH_GROUPS = ("azarr", "zarr", "zarr-async", "zarr-tuned", "zarrista", "zarrista-async", "floor")
WRITTEN = ("azarr", "zarr", "zarr-fused", "zarrs", "zarrista", "zarrista-async", "tensorstore", "tensorstore-tuned")
WRITTEN_SMALL_CHUNKS = (*WRITTEN[:3], "zarr-fused-one", *WRITTEN[3:])
COPIED = ("azarr", "zarr", "zarr-fused", "zarr-from", "dask", "zarrs", "tensorstore", "tensorstore-tuned")
OVER_HTTP = (
    "azarr", "zarr-fsspec", "zarr-fsspec-fused", "zarr-obstore", "zarr-obstore-fused", "tensorstore-http", "tensorstore-http-tuned",
    "floor-aiohttp", "floor-bare",
)  # fmt: skip
OPENED_OVER_HTTP = tuple(name for name in OVER_HTTP if not name.endswith("fused"))
SMALL_CHUNKS_OVER_HTTP = (*OVER_HTTP[:3], "zarr-fsspec-fused-one", *OVER_HTTP[3:5], "zarr-obstore-fused-one", *OVER_HTTP[5:])
CONSOLIDATED_OVER_HTTP = tuple(name for name in OPENED_OVER_HTTP if not name.startswith("tensorstore"))  # it knows no groups
THROUGH_S3 = ("azarr-cloud", "zarr-cloud", "zarr-cloud-fused")  # beside each other, through the same package
THROUGH_FSSPEC = ("azarr-fsspec", "zarr-fsspec", "zarr-fsspec-fused")
PLANE = (slice(None), slice(None), 1234)  # crosses every shard, and some inner chunks of each that are not beside each other
IMPORTED = ("azarr", "zarr", "zarrs", "zarrista", "tensorstore")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report. `kind` names the function of `child` that measures it; less is always better."""

    name: str
    kind: str
    title: str
    unit: str
    libraries: tuple[str, ...]
    data: str = ""  # the data set in `data.make`'s folder
    selection: EllipsisType | tuple[int | slice, ...] = ...
    served: str = ""  # by the server, at this address of it; else files are read
    least: float = 0.0  # figures below this count as this in a ratio: the resolution of the measurement


def _read(data: str, words: str, libraries: tuple[str, ...] = WHOLE) -> Row:
    return Row(f"read-{data}", "read", f"read all, {words}", "s", libraries, data)


def _write(data: str, words: str, libraries: tuple[str, ...] = WRITTEN) -> Row:
    return Row(f"write-{data}", "write", f"write all, {words}", "s", libraries, data)


def _members(data: str, words: str) -> Row:
    return Row(data, "members", f"open a group of 277 arrays, {words}", "ms", WITH_GROUPS, data)


def _over_http(name: str, kind: str, words: str, unit: str, libraries: tuple[str, ...], data: str, **more: Any) -> tuple[Row, Row]:
    fast = Row(f"http-{name}", kind, f"HTTP, {words}", unit, libraries, data, served=FAST, **more)
    return fast, replace(fast, name=f"http-{name}-20ms", title=f"HTTP + 20 ms, {words}", served=SLOW)


_ALL = (
    _read("1MiB-none", "1 MiB chunks, no codec"),
    _read("1MiB-lz4", "1 MiB chunks, blosc-lz4"),
    _read("1MiB-zstd", "1 MiB chunks, zstd 1"),
    _read("32KiB-zstd", "32 KiB chunks, blosc-zstd", WHOLE_SMALL_CHUNKS),
    _read("32KiB-none", "32 KiB chunks, no codec", WHOLE_SMALL_CHUNKS),
    _read("32KiB-lz4", "32 KiB chunks, blosc-lz4", WHOLE_SMALL_CHUNKS),
    _read("sharded", "sharded, 256 KiB inner chunks, blosc-zstd"),
    Row("small-one", "one_by_one", "read 16 elements, one by one", "us", SMALL, "32KiB-zstd"),
    Row("small-gathered", "gathered", "read 16 elements, 1,000 at once, each", "us", SMALL, "32KiB-zstd"),
    Row("memory-1MiB-zstd", "memory", "peak memory over the result, 1 MiB zstd", "MiB", LEAN, "1MiB-zstd", least=1.0),
    Row("memory-sharded", "memory", "peak memory over the result, sharded", "MiB", LEAN, "sharded", least=1.0),
    _write("1MiB-none", "1 MiB chunks, no codec"),
    _write("1MiB-lz4", "1 MiB chunks, blosc-lz4"),
    _write("1MiB-zstd", "1 MiB chunks, zstd 1"),
    _write("32KiB-zstd", "32 KiB chunks, blosc-zstd", WRITTEN_SMALL_CHUNKS),
    _write("32KiB-none", "32 KiB chunks, no codec", WRITTEN_SMALL_CHUNKS),
    _write("sharded", "sharded, 256 KiB inner chunks, blosc-zstd"),
    Row("write-inner", "write_inner", "write one inner chunk of a shard, one by one", "ms", WRITTEN, "sharded"),
    Row("copy", "copy", "copy to chunks across the first axis, 1 MiB zstd", "s", COPIED, "1MiB-zstd"),
    Row("memory-copy", "memory_copy", "peak memory of this copy", "MiB", COPIED, "1MiB-zstd", least=1.0),
    Row("gap-1MiB-zstd", "gap", "event loop gap, 99th percentile, 1 MiB zstd", "ms", AWAITED, "1MiB-zstd", least=1.2),
    Row("gap-32KiB-zstd", "gap", "event loop gap, 99th percentile, 32 KiB", "ms", AWAITED, "32KiB-zstd", least=1.2),
    Row("import", "importing", "import, over `import numpy, asyncio`", "ms", IMPORTED),
    _members("group-consolidated", "consolidated"),
    _members("group-plain", "not consolidated"),
    *_over_http("1MiB-none", "read", "read all, 1 MiB chunks, no codec", "s", OVER_HTTP, "1MiB-none"),
    *_over_http("1MiB-zstd", "read", "read all, 1 MiB chunks, zstd 1", "s", OVER_HTTP, "1MiB-zstd"),
    *_over_http("32KiB-zstd", "read", "read 2,048 chunks of 32 KiB, blosc-zstd", "s", SMALL_CHUNKS_OVER_HTTP, "32KiB-zstd-64MiB"),
    Row("s3-32KiB-zstd", "read", "S3, read 2,048 chunks of 32 KiB, blosc-zstd", "s", THROUGH_S3, "32KiB-zstd-64MiB", served=FAST),
    Row("fsspec-32KiB-zstd", "read", "fsspec, read 2,048 chunks of 32 KiB", "s", THROUGH_FSSPEC, "32KiB-zstd-64MiB", served=FAST),
    *_over_http("plane", "read", "read a plane across 32 shards, blosc-zstd", "s", OVER_HTTP, "sharded", selection=PLANE),
    *_over_http("group-consolidated", "members", "open 277 arrays, consolidated", "ms", CONSOLIDATED_OVER_HTTP, "group-consolidated"),
    *_over_http("group-plain", "members", "open 277 arrays by name", "ms", OPENED_OVER_HTTP, "group-plain"),
)
ROWS = {row.name: row for row in _ALL}
