"""The measurements that write, each into a fresh folder. What was written is read by another library and compared, untimed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np

from bench import data
from bench.libraries import LIBRARIES
from bench.readers import Library
from bench.rows import Row
from bench.runs import Figures, WrongResultError, act, check, reset_peak, resident_peak, runs
from bench.writers import WRITERS

INNER_WRITES = 1_000
INNER_WARM = 20  # writes that do not count
INNER_BUDGET = 30.0  # seconds after which fewer writes must do


async def write(library: Library, row: Row, folder: Path) -> Figures:
    """Seconds to write the whole array: it is open, with metadata and no chunks, and the values are in memory."""
    values, writer = np.array(data.truth(folder)), WRITERS[library.name]
    seconds: list[float] = []
    for counted in runs(seconds):
        with data.scratch(folder) as place:
            shutil.copy(folder / row.data / "zarr.json", place)
            handle = await act(library, writer.open(place))
            start = perf_counter()
            await act(library, writer.write(handle, ..., values))
            duration = perf_counter() - start
            check(reread(library, place), values)
        if counted:
            seconds.append(duration)
    return {"figure": min(seconds), "runs": seconds}


async def write_inner(library: Library, row: Row, folder: Path) -> Figures:
    """Milliseconds to write one inner chunk of a shard that is there: the mean of 1,000, after each other, each at a random place."""
    expected, writer = np.array(data.truth(folder)), WRITERS[library.name]
    seconds: list[float] = []
    with data.scratch(folder) as place:
        shutil.copytree(folder / row.data, place, dirs_exist_ok=True)
        handle = await act(library, writer.open(place))
        for region in inner_regions(expected.shape, data.ARRAYS[row.data].chunks):
            values = expected[region] + 1
            start = perf_counter()
            await act(library, writer.write(handle, region, values))
            seconds.append(perf_counter() - start)
            expected[region] = values
            if sum(seconds) > INNER_BUDGET:
                break
        check(reread(library, place), expected)
    counted = seconds[INNER_WARM:]
    return {"figure": 1e3 * sum(counted) / len(counted), "writes": len(counted), "longest": 1e3 * max(counted)}


def inner_regions(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Random inner chunks, the same ones for every library."""
    random = np.random.default_rng(256)
    for _ in range(INNER_WARM + INNER_WRITES):
        starts = [int(random.integers(length // step)) * step for length, step in zip(shape, chunks, strict=True)]
        yield tuple(slice(start, start + step) for start, step in zip(starts, chunks, strict=True))


async def copy(library: Library, row: Row, folder: Path) -> Figures:
    """Seconds to copy an array to chunks across the first axis: opening one and creating the other are part of it."""
    truth = data.truth(folder)
    seconds: list[float] = []
    for counted in runs(seconds):
        with data.scratch(folder) as place:
            start = perf_counter()
            await _copy(library, folder / row.data, place / "copy")
            duration = perf_counter() - start
            check_copy(library, folder / row.data, place / "copy", truth)
        if counted:
            seconds.append(duration)
    return {"figure": min(seconds), "runs": seconds}


async def memory_copy(library: Library, row: Row, folder: Path) -> Figures:
    """MiB of peak resident memory over what was resident before, of one such copy; the warm-up copies one chunk only."""
    with data.scratch(folder) as place:
        first_chunk(folder / row.data, place / "chunk")
        await _copy(library, place / "chunk", place / "warm")
        before = reset_peak()
        await _copy(library, folder / row.data, place / "copy")
        peak = resident_peak()
        check_copy(library, folder / row.data, place / "copy", data.truth(folder))
    return {"figure": (peak - before) / 2**20, "before": before / 2**20, "peak": peak / 2**20}


async def _copy(library: Library, source: Path, target: Path) -> None:
    length = json.loads((source / "zarr.json").read_text())["shape"][0]
    await act(library, WRITERS[library.name].copy(source, target, (length, *data.PENCIL)))


def first_chunk(source: Path, target: Path) -> None:
    """Make an array that is the first chunk of `source`."""
    document = json.loads((source / "zarr.json").read_text())
    document["shape"] = document["chunk_grid"]["configuration"]["chunk_shape"]
    (target / "c/0/0").mkdir(parents=True)
    (target / "zarr.json").write_text(json.dumps(document))
    shutil.copy(source / "c/0/0/0", target / "c/0/0/0")


def check_copy(library: Library, source: Path, target: Path, truth: np.ndarray) -> None:
    """Raise unless `target` has the values, and the chunks and codecs that were asked for."""
    check(reread(library, target), truth)
    old, new = (json.loads((place / "zarr.json").read_text()) for place in (source, target))
    if new["chunk_grid"]["configuration"]["chunk_shape"] != [truth.shape[0], *data.PENCIL]:
        raise WrongResultError(f"the chunks are {new['chunk_grid']}")
    if new["codecs"] != old["codecs"]:
        raise WrongResultError(f"the codecs are {new['codecs']}")


def reread(library: Library, path: Path) -> np.ndarray:
    """What `library` has written, as another one reads it."""
    reader = LIBRARIES["zarr-fused" if library.family == "tensorstore" else "tensorstore"]
    return reader.read(reader.open(path), ...)


WRITING = {"write": write, "write_inner": write_inner, "copy": copy, "memory_copy": memory_copy}
