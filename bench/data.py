"""The data sets. Written once by zarr-python, then only read; every library reads the very same files.

What the libraries write themselves goes to a `scratch` folder.

The field is smooth waves plus four bits of noise, as from an instrument with a little too much resolution: it
compresses about two-fold with every codec here. `truth.npy` holds it plainly, and each result is compared with it.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

VERSION = 1  # part of the folder's name: a change of anything below makes new data
FULL_SHAPE = (16, 4096, 4096)  # 512 MiB of uint16
QUICK_SHAPE = (2, 2048, 4096)  # 32 MiB
GROUP_ARRAYS = 277
MEBIBYTE_CHUNKS = (1, 512, 1024)
SMALL_CHUNKS = (1, 128, 128)  # 32 KiB
PENCIL = (128, 256)  # and all of the first axis: 1 MiB
MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes: an array of 512 MiB beside another, and as much again
WRITES = "AZARR_BENCH_WRITES"
BLOSC_LZ4 = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle"}}
BLOSC_ZSTD = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "shuffle"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}


@dataclass(frozen=True, slots=True)
class Layout:
    """How one array lies in its store: `chunks` are the inner chunks where there are `shards`."""

    chunks: tuple[int, ...]
    codec: dict[str, Any] | None
    shards: tuple[int, ...] | None = None
    planes: int | None = None  # of the first axis, where it has not all


ARRAYS = {
    "1MiB-none": Layout(MEBIBYTE_CHUNKS, None),
    "1MiB-lz4": Layout(MEBIBYTE_CHUNKS, BLOSC_LZ4),
    "1MiB-zstd": Layout(MEBIBYTE_CHUNKS, ZSTD),
    "32KiB-zstd": Layout(SMALL_CHUNKS, BLOSC_ZSTD),
    "32KiB-none": Layout(SMALL_CHUNKS, None),
    "32KiB-lz4": Layout(SMALL_CHUNKS, BLOSC_LZ4),
    "32KiB-zstd-64MiB": Layout(SMALL_CHUNKS, BLOSC_ZSTD, planes=2),
    "sharded": Layout((1, 256, 512), BLOSC_ZSTD, shards=(1, 2048, 4096)),
}
GROUPS = {"group-consolidated": True, "group-plain": False}


def make(names: set[str], *, quick: bool = False) -> Path:
    """The folder with the data sets `names`; makes those that are not there yet, each whole or not at all."""
    shape = QUICK_SHAPE if quick else FULL_SHAPE
    parent = Path(os.environ.get("AZARR_BENCH_CACHE") or Path(tempfile.gettempdir()) / "azarr-bench")
    folder = parent / f"v{VERSION}-{'x'.join(map(str, shape))}"
    folder.mkdir(parents=True, exist_ok=True)
    if names & ARRAYS.keys():
        _whole(folder / "truth.npy", lambda place: _write_truth(place, shape))
    for name in sorted(names & ARRAYS.keys()):
        _whole(folder / name, lambda place, layout=ARRAYS[name]: _write_array(place, folder, layout))
    for name in sorted(names & GROUPS.keys()):
        _whole(folder / name, lambda place, consolidated=GROUPS[name]: _write_group(place, consolidated))
    return folder


def truth(folder: Path, name: str = "") -> np.ndarray:
    """The plain values of every array, or of the one called `name`, mapped from disk."""
    values = np.load(folder / "truth.npy", mmap_mode="r")
    return values[: ARRAYS[name].planes] if name in ARRAYS else values


def warm(path: Path) -> None:
    """Read every file below `path` once, so that it is in the page cache."""
    for place in [path] if path.is_file() else (p for p in path.rglob("*") if p.is_file()):
        with open(place, "rb", buffering=0) as file:
            while file.read(1 << 22):
                pass


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A fresh folder to write to, deleted afterwards: in $AZARR_BENCH_WRITES, else in memory where it has room, else in `folder`.

    The disk of a machine that is shared gives other figures every minute.
    """
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    chosen = os.environ.get(WRITES) or (MEMORY if roomy else folder)
    with tempfile.TemporaryDirectory(prefix="azarr-bench-", dir=chosen) as place:
        yield Path(place)


def group_truth() -> dict[str, tuple[tuple[int, ...], str]]:
    """Name -> (shape, data type) of the arrays of both groups."""
    kinds = ("float32", "int16", "uint8", "float64")
    shapes = ((1440, 181, 360), (1440, 13, 181, 360), (181, 360))
    return {f"variable_{number:03d}": (shapes[number % len(shapes)], kinds[number % len(kinds)]) for number in range(GROUP_ARRAYS)}


def _whole(place: Path, write: Callable[[Path], None]) -> None:
    """Run `write` on a temporary neighbour of `place` and rename it, unless `place` is there."""
    if place.exists():
        return
    print(f"making {place.name} ...", flush=True)
    draft = place.with_name(f"draft-{os.getpid()}-{place.name}")
    try:
        write(draft)
        draft.rename(place)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink(missing_ok=True)


def _write_truth(place: Path, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(20220322)
    values = np.lib.format.open_memmap(place, mode="w+", dtype="<u2", shape=shape)
    for index in range(shape[0]):
        values[index] = _plane(index, shape[1], shape[2], random)
    values.flush()


def _plane(index: int, height: int, width: int, random: np.random.Generator) -> np.ndarray:
    down = np.linspace(0, 2 * np.pi * height / 4096, height, dtype="f4")[:, None]
    right = np.linspace(0, 2 * np.pi * width / 4096, width, dtype="f4")[None, :]
    field = np.full((height, width), 9000, "f4")
    for wave in range(1, 7):
        phase_down, phase_right = random.uniform(0, 2 * np.pi, 2).astype("f4")
        across = np.cos(wave * right + phase_right)
        field += np.float32(300 / wave) * np.sin(wave * down + phase_down + index / 3) * across
    return field.astype("u2") + random.integers(0, 16, (height, width), dtype="u2")


def _write_array(place: Path, folder: Path, layout: Layout) -> None:
    import zarr

    values = truth(folder)[: layout.planes]
    array = zarr.create_array(
        store=str(place),
        shape=values.shape,
        dtype=values.dtype,
        chunks=layout.chunks,
        shards=layout.shards,
        filters=None,
        compressors=None if layout.codec is None else [layout.codec],
        zarr_format=3,
    )
    for index in range(values.shape[0]):
        array[index] = values[index]


def _write_group(place: Path, consolidated: bool) -> None:
    import zarr

    group = zarr.create_group(store=str(place), zarr_format=3, attributes={"title": "277 variables of one model run"})
    names = ("time", "level", "latitude", "longitude")
    for number, (name, (shape, dtype)) in enumerate(group_truth().items()):
        dimensions = {2: names[2:], 3: (names[0], *names[2:]), 4: names}[len(shape)]
        group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=(1,) * (len(shape) - 2) + shape[-2:],
            compressors=[ZSTD],
            dimension_names=dimensions,
            attributes={"long_name": f"Variable number {number}", "units": "kg m**-2 s**-1", "cell": "mean"},
        )
    if consolidated:
        zarr.consolidate_metadata(str(place), zarr_format=3)
    written = json.loads((place / "zarr.json").read_text())
    if bool(written.get("consolidated_metadata")) is not consolidated:
        raise RuntimeError(f"{place} should {'' if consolidated else 'not '}hold consolidated metadata")
