"""The arrays that the page reads. Written once by azarr, checked by zarr-python where that is installed. Knows files; no browser.

The field is smooth waves plus four bits of noise, as from an instrument with a little too much resolution, in steps of 1/8.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import azarr
from bench.data import BLOSC_LZ4, ZSTD, _whole

VERSION = 1  # part of the folder's name: a change of anything below makes new data
SIDE, CHUNK = 2048, 256
LARGE = (16384, 8192)  # 512 MiB of float32
TRUTH = "truth.f4"  # plain values, row by row: what every result is compared with
GZIP = {"name": "gzip", "configuration": {"level": 5}}


@dataclass(frozen=True, slots=True)
class Layout:
    """How one array lies in its store: `shards` is how many there are along each axis."""

    codec: dict[str, Any] | None
    shards: int | None = None
    shape: tuple[int, int] = (SIDE, SIDE)
    chunk: int = CHUNK


ARRAYS = {
    "none": Layout(None),
    "gzip": Layout(GZIP),
    "zstd": Layout(ZSTD),
    "blosc": Layout(BLOSC_LZ4),
    "one-shard": Layout(ZSTD, 1),
    "four-shards": Layout(ZSTD, 2),
    "large": Layout(ZSTD, shape=LARGE, chunk=512),
}


def make() -> Path:
    """The folder with the arrays; makes those that are not there yet, each whole or not at all."""
    folder = Path(os.environ.get("AZARR_BENCH_CACHE") or Path(tempfile.gettempdir()) / "azarr-bench") / f"browser-v{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    _whole(folder / TRUTH, lambda place: _field().tofile(place))
    for name, layout in ARRAYS.items():
        _whole(folder / name, lambda place, layout=layout: asyncio.run(_write(place, layout, truth(folder))))
    return folder


def truth(folder: Path) -> np.ndarray:
    """The plain values of the small arrays, mapped from disk. The large one is made of copies of it, side by side."""
    return np.memmap(folder / TRUTH, "<f4", "r", shape=(SIDE, SIDE))


def _field() -> np.ndarray:
    random = np.random.default_rng(20220322)
    down, right = np.linspace(0, 2 * np.pi, SIDE)[:, None], np.linspace(0, 2 * np.pi, SIDE)[None, :]
    field = np.full((SIDE, SIDE), 2000.0)
    for wave in range(1, 7):
        begin_down, begin_right = random.uniform(0, 2 * np.pi, 2)
        field += 300 / wave * np.sin(wave * down + begin_down) * np.cos(wave * right + begin_right)
    return ((field.astype("i4") * 8 + random.integers(0, 16, field.shape)) / 8).astype("<f4")


async def _write(place: Path, layout: Layout, values: np.ndarray) -> None:
    whole = np.tile(values, (layout.shape[0] // SIDE, layout.shape[1] // SIDE))
    array = await azarr.create_array(
        str(place),
        shape=layout.shape,
        dtype="float32",
        chunks=(layout.chunk, layout.chunk),
        shards=None if layout.shards is None else (SIDE // layout.shards, SIDE // layout.shards),
        compressors=None if layout.codec is None else [layout.codec],
    )
    await array[...].write(whole)
    if importlib.util.find_spec("zarr") is not None:
        import zarr

        if not np.array_equal(zarr.open_array(str(place), mode="r")[...], whole):
            raise ValueError(f"zarr-python reads other values from {place.name}")
