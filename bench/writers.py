"""The writers: how each library of `readers` writes, and copies. Knows the libraries' calls; never a clock.

As in `readers`: plain functions where a library is synchronous, awaitables where its `waits` is true. No one flushes to
the disk: what is written survives the process, not the machine.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench.readers import FUSED, FUSED_ONE, TS_TUNED, ZARRS, Selection, open_zarrista, open_zarrista_async, tensorstore_spec, words

Chunks = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Writer:
    """One way of writing: open for it an array that is there, write a selection of it, copy a whole array to other chunks."""

    open: Callable[[Path], Any] | None = None
    write: Callable[[Any, Selection, np.ndarray], Any] | None = None
    copy: Callable[[Path, Path, Chunks], Any] | None = None
    settings: str = ""
    whole: bool = True  # False: a process that is killed leaves torn chunks
    how: str = ""  # it stores an object: what strace shows


IN_PLACE = "opens the object's own file with O_TRUNC and writes it there: killed meanwhile, it leaves a torn chunk"


def regions(shape: Chunks, *chunkings: Chunks) -> Iterator[tuple[slice, ...]]:
    """Boxes that cover `shape` and cut no chunk of any of `chunkings`, the smallest that do."""
    steps = [math.lcm(*lengths) for lengths in zip(*chunkings, strict=True)]
    for starts in product(*(range(0, length, step) for length, step in zip(shape, steps, strict=True))):
        yield tuple(slice(start, min(start + step, length)) for start, step, length in zip(starts, steps, shape, strict=True))


def _assign(handle: Any, selection: Selection, values: np.ndarray) -> None:
    handle[selection] = values


# azarr --------------------------------------------------------------------------------------------------------------


async def _open_azarr(path: Path) -> Any:
    import azarr

    return await azarr.open_array(str(path), mode="r+")


def _azarr_write(handle: Any, selection: Selection, values: np.ndarray) -> Any:
    return handle[selection].write(values)


async def _azarr_copy(source: Path, target: Path, chunks: Chunks) -> None:
    import azarr

    await azarr.copy(str(source), str(target), chunks=chunks, overwrite=True)


# zarr-python, and zarrs-python and dask on it -----------------------------------------------------------------------


def _zarr(settings: dict[str, Any]) -> Callable[[Path], Any]:
    def start(path: Path) -> Any:
        import zarr

        zarr.config.set(settings)
        return zarr.open_array(str(path), mode="r+")

    return start


def _zarr_copy(settings: dict[str, Any]) -> Callable[[Path, Path, Chunks], None]:
    """A loop over regions of whole chunks on both sides, so that no chunk is read or written twice."""

    def copy(source: Path, target: Path, chunks: Chunks) -> None:
        import zarr

        zarr.config.set(settings)
        old = zarr.open_array(str(source), mode="r")
        new = zarr.create_array(
            str(target), shape=old.shape, dtype=old.dtype, chunks=chunks, compressors=old.compressors, fill_value=old.fill_value
        )
        for region in regions(old.shape, old.chunks, chunks):
            new[region] = old[region]

    return copy


def _zarr_from_array(source: Path, target: Path, chunks: Chunks) -> None:
    import zarr

    zarr.from_array(str(target), data=zarr.open_array(str(source), mode="r"), chunks=chunks)


def _dask_copy(source: Path, target: Path, chunks: Chunks) -> None:
    import dask.array
    import zarr

    compressors = zarr.open_array(str(source), mode="r").compressors
    dask.array.from_zarr(str(source)).rechunk(chunks).to_zarr(str(target), compressors=compressors)


# zarrista -----------------------------------------------------------------------------------------------------------


def _zarrista_write(handle: Any, selection: Selection, values: np.ndarray) -> Any:
    return handle.store_array_subset(selection, values)  # to be awaited of an AsyncArray


# tensorstore --------------------------------------------------------------------------------------------------------

BORROWED = {"can_reference_source_data_indefinitely": True}


def _tensorstore_open(path: Path, tuned: bool, **how: Any) -> Any:
    import tensorstore

    spec = tensorstore_spec(path, tuned)
    spec["kvstore"]["file_io_sync"] = False
    context = tensorstore.Context(TS_TUNED if tuned else {})
    return tensorstore.open(spec, context=context, **how).result()


def _tensorstore(*, tuned: bool) -> Writer:
    def write(handle: Any, selection: Selection, values: np.ndarray) -> None:
        handle[selection].write(values, **(BORROWED if tuned else {})).result()

    def copy(source: Path, target: Path, chunks: Chunks) -> None:
        import tensorstore

        old = _tensorstore_open(source, tuned, open=True, read=True)
        layout = tensorstore.ChunkLayout(chunk_shape=chunks)
        same = {"dtype": old.dtype, "shape": old.shape, "codec": old.codec, "fill_value": old.fill_value}
        _tensorstore_open(target, tuned, create=True, chunk_layout=layout, **same).write(old).result()

    return Writer(
        lambda path: _tensorstore_open(path, tuned, open=True),
        write,
        copy,
        "writes with file_io_sync=False" + (f", {words(BORROWED)}" if tuned else "") + "; copies by write(source)",
        how="writes NAME.__lock, renames it",
    )


# The table ----------------------------------------------------------------------------------------------------------

_ZARR = Writer(
    _zarr({}), _assign, _zarr_copy({}), "copies in a loop over regions of whole chunks",
    how="writes NAME.UUID.partial, renames it",
)  # fmt: skip

WRITERS = {
    "azarr": Writer(_open_azarr, _azarr_write, _azarr_copy, how="writes .azarr-staged/RANDOM, renames it"),
    "zarr": _ZARR,
    "zarr-from": replace(_ZARR, open=None, write=None, copy=_zarr_from_array, settings="copies by zarr.from_array"),
    "dask": replace(_ZARR, open=None, write=None, copy=_dask_copy, settings="copies by from_zarr, rechunk, to_zarr; threads"),
    "zarr-fused": replace(_ZARR, open=_zarr(FUSED), copy=_zarr_copy(FUSED)),
    "zarr-fused-one": replace(_ZARR, open=_zarr(FUSED_ONE), copy=_zarr_copy(FUSED_ONE)),
    "zarrs": replace(_ZARR, open=_zarr(ZARRS), copy=_zarr_copy(ZARRS), whole=False, how=IN_PLACE),
    "zarrista": Writer(open_zarrista, _zarrista_write, whole=False, how=IN_PLACE),
    "zarrista-async": Writer(open_zarrista_async, _zarrista_write, how="writes NAME#1, renames it"),
    "tensorstore": _tensorstore(tuned=False),
    "tensorstore-tuned": _tensorstore(tuned=True),
}
