"""The readers: one entry a library and way of using it. Knows the libraries' calls; never a clock.

`open` and `read` are plain functions where a library is synchronous, and give awaitables where `waits` is true. Each
result is a NumPy array whose values are all in memory. A library is imported when it is first used.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np

from bench import floor

Selection = EllipsisType | tuple[int | slice, ...]
Members = dict[str, tuple[tuple[int, ...], Any]]


@dataclass(frozen=True, slots=True)
class Library:
    """One way of reading: what must be importable, how to open and read, and how to read many things at once."""

    name: str
    title: str
    family: str  # ways of one family share a column of the report; its best one counts
    module: str
    open: Callable[[Path], Any]
    read: Callable[[Any, Selection], Any]
    gather: Callable[["Library", Any, Sequence[Selection]], Any]
    waits: bool = False
    members: Callable[[Path, bool], Any] | None = None
    settings: str = "as it comes"


# Many reads at once -------------------------------------------------------------------------------------------------


async def gathered(library: Library, handle: Any, selections: Sequence[Selection]) -> list[np.ndarray]:
    """All reads started on the loop, then awaited together."""
    return await asyncio.gather(*(library.read(handle, selection) for selection in selections))


def in_turn(library: Library, handle: Any, selections: Sequence[Selection]) -> list[np.ndarray]:
    """A plain loop."""
    return [library.read(handle, selection) for selection in selections]


def in_threads(library: Library, handle: Any, selections: Sequence[Selection]) -> list[np.ndarray]:
    """Two threads, each with half of the reads."""

    def half(start: int) -> list[np.ndarray]:
        return in_turn(library, handle, selections[start::2])

    results: list[Any] = [None] * len(selections)
    with ThreadPoolExecutor(2) as pool:
        results[0::2], results[1::2] = pool.map(half, (0, 1))
    return results


GATHERING = {gathered: "gathered", in_turn: "in a loop", in_threads: "two threads"}


def subscript(handle: Any, selection: Selection) -> Any:
    """`handle[selection]`: the array itself, or what to await for it."""
    return handle[selection]


# azarr --------------------------------------------------------------------------------------------------------------


async def _open_azarr(path: Path) -> Any:
    import azarr

    return await azarr.open_array(str(path))


async def azarr_members(path: Path, consolidated: bool) -> Members:
    import azarr

    group = await (azarr.open_consolidated if consolidated else azarr.open_group)(str(path))
    return {name: (array.shape, array.dtype) for name, array in (await group.members()).items()}


# zarr-python, and zarrs-python inside it ----------------------------------------------------------------------------

FUSED = {"codec_pipeline.path": "zarr.core.codec_pipeline.FusedCodecPipeline"}
FUSED_ONE = FUSED | {"codec_pipeline.max_workers": 1}
TUNED = {"async.concurrency": 64, "threading.max_workers": 2, "codec_pipeline.batch_size": 16}
ZARRS = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}
AZARR = {"codec_pipeline.path": "azarr.integrations.zarr.CodecPipeline"}


def _zarr(**settings: Any) -> Callable[[Path], Any]:
    def start(path: Path) -> Any:
        import zarr

        zarr.config.set(settings)
        if settings == AZARR:
            import azarr.integrations.zarr  # noqa: F401  # as its entry point does, where azarr is installed from here
        return zarr.open_array(str(path), mode="r")

    return start


def _zarr_async(**settings: Any) -> Callable[[Path], Any]:
    async def start(path: Path) -> Any:
        import zarr
        from zarr.api import asynchronous

        zarr.config.set(settings)
        return await asynchronous.open_array(store=str(path), mode="r")

    return start


def getitem(handle: Any, selection: Selection) -> Any:
    return handle.getitem(selection)


def _zarr_members(**settings: Any) -> Callable[[Path, bool], Members]:
    def members(path: Path, consolidated: bool) -> Members:
        import zarr

        zarr.config.set(settings)
        group = zarr.open_group(str(path), mode="r", use_consolidated=consolidated)
        return {name: (array.shape, array.dtype) for name, array in group.arrays()}

    return members


async def _zarr_async_members(path: Path, consolidated: bool) -> Members:
    from zarr.api import asynchronous

    group = await asynchronous.open_group(store=str(path), mode="r", use_consolidated=consolidated)
    return {name: (array.shape, array.dtype) async for name, array in group.arrays()}


# zarrista -----------------------------------------------------------------------------------------------------------


def open_zarrista(path: Path) -> Any:
    from zarrista import Array
    from zarrista.store import FilesystemStore

    return Array.open(FilesystemStore(str(path)))


def _zarrista_read(**options: int) -> Callable[[Any, Selection], np.ndarray]:
    def read(handle: Any, selection: Selection) -> np.ndarray:
        return handle.retrieve_array_subset(selection, **options).to_numpy()

    return read


async def open_zarrista_async(path: Path) -> Any:
    from obstore.store import LocalStore
    from zarrista import AsyncArray

    return await AsyncArray.open(LocalStore(str(path)))


async def _zarrista_async_read(handle: Any, selection: Selection) -> np.ndarray:
    return (await handle.retrieve_array_subset(selection)).to_numpy()


def _zarrista_members(path: Path, consolidated: bool) -> Members:
    from zarrista import Group
    from zarrista.store import FilesystemStore

    arrays = Group.open(FilesystemStore(str(path))).child_arrays()
    return {array.path[1:]: (tuple(array.shape), array.dtype) for array in arrays}


async def _zarrista_async_members(path: Path, consolidated: bool) -> Members:
    from obstore.store import LocalStore
    from zarrista import AsyncGroup

    arrays = await (await AsyncGroup.open(LocalStore(str(path)))).child_arrays()
    return {array.path[1:]: (tuple(array.shape), array.dtype) for array in arrays}


# tensorstore --------------------------------------------------------------------------------------------------------

TS_TUNED = {"data_copy_concurrency": {"limit": 2}, "file_io_concurrency": {"limit": 2}}
TS_MAPPED = {"file_io_mode": {"mode": "memmap"}}


def tensorstore_spec(path: Path, mapped: bool) -> dict[str, Any]:
    file = {"driver": "file", "path": f"{path}/"} | (TS_MAPPED if mapped else {})
    return {"driver": "zarr3", "kvstore": file, "recheck_cached_metadata": False, "recheck_cached_data": False}


def _tensorstore(*, tuned: bool, waits: bool) -> Callable[[Path], Any]:
    def start(path: Path) -> Any:
        import tensorstore

        context = tensorstore.Context(TS_TUNED if tuned else {})
        return tensorstore.open(tensorstore_spec(path, tuned), context=context, read=True, open=True)

    def finish(path: Path) -> Any:
        return start(path).result()

    return start if waits else finish


def tensorstore_read(handle: Any, selection: Selection) -> np.ndarray:
    return handle[selection].read().result()


def _tensorstore_start(handle: Any, selection: Selection) -> Any:
    return handle[selection].read()


# The table ----------------------------------------------------------------------------------------------------------


def words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items())


_ZARR = Library("zarr", "zarr-python", "zarr-python", "zarr", _zarr(), subscript, in_turn, members=_zarr_members())
_ZARRISTA = Library(
    "zarrista", "zarrista", "zarrista", "zarrista", open_zarrista, _zarrista_read(), in_threads,
    members=_zarrista_members,
)  # fmt: skip
_TENSORSTORE = Library(
    "tensorstore", "tensorstore", "tensorstore", "tensorstore", _tensorstore(tuned=False, waits=False),
    tensorstore_read, in_turn, settings="recheck_cached_metadata=False, recheck_cached_data=False",
)  # fmt: skip


def _zarr_way(name: str, title: str, family: str, settings: dict[str, Any], *, waits: bool = False) -> Library:
    return replace(
        _ZARR,
        name=name,
        title=title,
        family=family,
        module="zarrs" if settings is ZARRS else "zarr",
        open=(_zarr_async if waits else _zarr)(**settings),
        read=getitem if waits else subscript,
        gather=gathered if waits else in_turn,
        waits=waits,
        members=_zarr_async_members if waits else _zarr_members(**settings),
        settings=words(settings) or "zarr.api.asynchronous, as it comes",
    )


def _tensorstore_way(name: str, title: str, *, tuned: bool, waits: bool) -> Library:
    settings = _TENSORSTORE.settings + (f", {words(TS_TUNED | TS_MAPPED)}" if tuned else "")
    return replace(
        _TENSORSTORE,
        name=name,
        title=title,
        open=_tensorstore(tuned=tuned, waits=waits),
        read=_tensorstore_start if waits else tensorstore_read,
        gather=gathered if waits else in_turn,
        waits=waits,
        settings=settings,
    )


_ALL = (
    Library("azarr", "azarr", "azarr", "azarr", _open_azarr, subscript, gathered, True, azarr_members),
    _ZARR,
    replace(_ZARR, name="zarr-from", title="zarr-python from_array"),
    replace(_ZARR, name="dask", title="dask on zarr-python", module="dask"),
    _zarr_way("zarr-async", "zarr-python async", "zarr-python", {}, waits=True),
    _zarr_way("zarr-tuned", "zarr-python tuned", "zarr-python tuned", TUNED),
    _zarr_way("zarr-fused", "zarr-python fused", "zarr-python fused", FUSED),
    _zarr_way("zarr-fused-one", "zarr-python fused, one worker", "zarr-python fused", FUSED_ONE),
    _zarr_way("zarr-fused-async", "zarr-python fused async", "zarr-python fused", FUSED, waits=True),
    _zarr_way("zarr-azarr", "zarr-python with azarr's pipeline", "zarr-python with azarr", AZARR),
    _zarr_way("zarrs", "zarrs-python", "zarrs-python", ZARRS),
    _zarr_way("zarrs-async", "zarrs-python async", "zarrs-python", ZARRS, waits=True),
    _ZARRISTA,
    replace(
        _ZARRISTA, name="zarrista-tuned", title="zarrista tuned", read=_zarrista_read(chunk_concurrent_minimum=2),
        settings="chunk_concurrent_minimum=2",
    ),
    replace(
        _ZARRISTA, name="zarrista-async", title="zarrista async", module="obstore", open=open_zarrista_async, read=_zarrista_async_read,
        gather=gathered, waits=True, members=_zarrista_async_members, settings="AsyncArray on obstore's LocalStore",
    ),
    _TENSORSTORE,
    _tensorstore_way("tensorstore-tuned", "tensorstore tuned", tuned=True, waits=False),
    _tensorstore_way("tensorstore-async", "tensorstore awaited", tuned=False, waits=True),
    _tensorstore_way("tensorstore-tuned-async", "tensorstore tuned, awaited", tuned=True, waits=True),
    Library(
        "floor", "floor", "floor", "blosc2", floor.opener(2), floor.read, in_turn, members=floor.members,
        settings="the bare calls: open, readv, decode (libblosc2), NumPy assignment; two threads",
    ),
    Library(
        "floor-one", "floor, one thread", "floor", "blosc2", floor.opener(1), floor.read, in_turn,
        settings="the same in one thread",
    ),
)  # fmt: skip
LOCAL = {library.name: library for library in _ALL}
