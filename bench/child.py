"""One measurement in one process: `python -m bench.child ROW LIBRARY FOLDER` prints a line of JSON.

The measurements that read are here, those that write in `writing`.

One uncounted warm-up, then a number of counted runs; the figure is the best of them (the one least disturbed), except
where a docstring below says otherwise. Every result, warm-ups included, is compared with the truth outside of the
timed part; a wrong value is an error, not a figure.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench import data, server
from bench.libraries import LIBRARIES
from bench.readers import Library, Selection
from bench.remote import MEMBERS
from bench.rows import ROWS, Row
from bench.runs import RUNS, Figures, WrongResultError, act, check, reset_peak, resident_peak, runs
from bench.writing import WRITING

SMALL_READS = 1_000
SMALL_LENGTH = 16
TICK = 0.001  # seconds that the task beside a read sleeps between two looks at the clock
GAP_SECONDS = 1.5  # reads are repeated for this long, so that there are enough gaps for a percentile
IMPORTS = 7
IMPORT_CODE = "import asyncio, time, numpy\nt = time.perf_counter()\nimport {module}\nprint(time.perf_counter() - t)"


async def read(library: Library, row: Row, folder: Path) -> Figures:
    """Seconds to read the whole array, or the row's selection; it is open before the clock starts."""
    truth = data.truth(folder, row.data)
    truth = truth if row.selection is ... else np.array(truth[row.selection])
    handle = await act(library, library.open(source(row, folder)))
    seconds: list[float] = []
    for counted in runs(seconds):
        start = perf_counter()
        result = await act(library, library.read(handle, row.selection))
        duration = perf_counter() - start
        check(result, truth)
        del result
        if counted:
            seconds.append(duration)
    return {"figure": min(seconds), "runs": seconds}


async def one_by_one(library: Library, row: Row, folder: Path) -> Figures:
    """Microseconds a read of 16 elements, 1,000 reads after each other, each from another random place."""
    return await _small(library, row, folder, together=False)


async def gathered(library: Library, row: Row, folder: Path) -> Figures:
    """Microseconds a read of 16 elements, 1,000 reads at once; the library's `gather` says how."""
    return await _small(library, row, folder, together=True)


async def _small(library: Library, row: Row, folder: Path, *, together: bool) -> Figures:
    truth = data.truth(folder)
    handle = await act(library, library.open(folder / row.data))
    random = np.random.default_rng(16)
    seconds: list[float] = []
    for counted in runs(seconds):
        places = list(small_selections(truth.shape, random))
        start = perf_counter()
        if together:
            results = await act(library, library.gather(library, handle, places))
        elif library.waits:
            results = [await library.read(handle, place) for place in places]
        else:
            results = [library.read(handle, place) for place in places]
        duration = perf_counter() - start
        for place, result in zip(places, results, strict=True):
            check(result.reshape(-1), truth[place])
        if counted:
            seconds.append(duration)
    each = [1e6 * duration / SMALL_READS for duration in seconds]
    return {"figure": min(each), "runs": each}


def small_selections(shape: tuple[int, ...], random: np.random.Generator) -> Iterator[tuple[int | slice, ...]]:
    """Random runs of 16 elements, each within one 32 KiB chunk."""
    _, _, width = data.SMALL_CHUNKS
    for _ in range(SMALL_READS):
        start = int(random.integers(shape[2] // width)) * width + int(random.integers(width - SMALL_LENGTH))
        yield int(random.integers(shape[0])), int(random.integers(shape[1])), slice(start, start + SMALL_LENGTH)


async def memory(library: Library, row: Row, folder: Path) -> Figures:
    """MiB of peak resident memory over the result and over what was resident before; one read of all, no repeats.

    The warm-up reads one (inner) chunk only: it loads the codecs, and leaves no pool of buffers as large as a read's.
    """
    truth = data.truth(folder)
    handle = await act(library, library.open(folder / row.data))
    _, height, width = data.ARRAYS["sharded"].chunks
    corner: Selection = (0, slice(0, height), slice(0, width))
    check((await act(library, library.read(handle, corner))).reshape(height, width), truth[corner])
    before = reset_peak()
    result = await act(library, library.read(handle, ...))
    peak = resident_peak()
    check(result, truth)
    return {"figure": (peak - before - result.nbytes) / 2**20, "before": before / 2**20, "peak": peak / 2**20}


async def gap(library: Library, row: Row, folder: Path) -> Figures:
    """Milliseconds between two turns of a task that sleeps 1 ms beside the read: the 99th percentile of all gaps.

    Reads are repeated for a second and a half and their gaps are put together; `longest` is the longest of all.
    """
    truth = data.truth(folder)
    handle = await act(library, library.open(folder / row.data))
    gaps: list[float] = []
    spent = 0.0
    counted = False
    while spent < GAP_SECONDS:
        found: list[float] = []
        done = asyncio.Event()
        ticker = asyncio.create_task(tick(found, done))
        await asyncio.sleep(0.01)
        start = perf_counter()
        found.clear()
        result = await library.read(handle, ...)
        done.set()
        await ticker
        if counted:
            spent += perf_counter() - start
            gaps += found
        counted = True
        check(result, truth)
        del result
    return {"figure": 1e3 * float(np.percentile(gaps, 99)), "longest": 1e3 * max(gaps), "gaps": len(gaps)}


async def tick(gaps: list[float], done: asyncio.Event) -> None:
    """Append the seconds between two turns on the loop to `gaps`, until `done`."""
    last = perf_counter()
    while not done.is_set():
        await asyncio.sleep(TICK)
        now = perf_counter()
        gaps.append(now - last)
        last = now


async def importing(library: Library, row: Row, folder: Path) -> Figures:
    """Milliseconds of the import in fresh interpreters that have imported numpy and asyncio: the median of seven."""
    command = [sys.executable, "-c", IMPORT_CODE.format(module=library.module)]
    # Compiled modules are kept, as they are on a user's machine: installers compile what they install.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    seconds = [float(subprocess.run(command, check=True, capture_output=True, env=environment).stdout) for _ in range(1 + IMPORTS)]
    each = [1e3 * duration for duration in seconds[1:]]
    return {"figure": statistics.median(each), "runs": each}


async def members(library: Library, row: Row, folder: Path) -> Figures:
    """Milliseconds to open the group and know the name, shape and data type of every array in it."""
    find = MEMBERS[library.name] if row.served else library.members
    assert find is not None
    expected = data.group_truth()
    seconds: list[float] = []
    for counted in runs(seconds, at_most=6 * RUNS):
        start = perf_counter()
        found = await act(library, find(source(row, folder), data.GROUPS[row.data]))
        duration = perf_counter() - start
        named = {name: (tuple(shape), getattr(dtype, "name", dtype)) for name, (shape, dtype) in found.items()}  # NumPy takes 4 us for that
        if named != expected:
            raise WrongResultError(f"{len(named)} arrays, or not the {len(expected)} expected ones")
        if counted:
            seconds.append(duration)
    each = [1e3 * duration for duration in seconds]
    return {"figure": min(each), "runs": each}


def source(row: Row, folder: Path) -> Any:
    """What a library opens: a path, or a URL of the server that this process was told of."""
    return f"{os.environ[server.URL]}/{row.served}/{row.data}" if row.served else folder / row.data


KINDS = {
    "read": read,
    "one_by_one": one_by_one,
    "gathered": gathered,
    "memory": memory,
    "gap": gap,
    "importing": importing,
    "members": members,
    **WRITING,
}


def without_loop(measuring: Coroutine[Any, Any, Figures]) -> Figures:
    """Run a coroutine that never waits; a synchronous library meets no event loop in its thread."""
    try:
        measuring.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a synchronous library has waited")


def cores_of_others(since: float) -> float:
    """How many cores other processes (and the hypervisor) kept busy, on average, since this process started.

    The server that this process reads from is none of the others.
    """
    own = server.busy_seconds() + sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(0.0, (busy_seconds() - BUSY_AT_START - own + OWN_AT_START) / (perf_counter() - since))


def busy_seconds() -> float:
    """Seconds that all cores together were not idle, since boot; 0 where there is no /proc."""
    statistics_of_kernel = Path("/proc/stat")
    if not statistics_of_kernel.exists():
        return 0.0
    user, nice, system, _, _, interrupt, soft, steal = map(int, statistics_of_kernel.read_text().split()[1:9])
    return (user + nice + system + interrupt + soft + steal) / os.sysconf("SC_CLK_TCK")


BUSY_AT_START = busy_seconds()
OWN_AT_START = server.busy_seconds() + sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def main(row_name: str, library_name: str, folder: str) -> None:
    """Measure, print, and end the process at once."""
    start = perf_counter()
    row, library = ROWS[row_name], LIBRARIES[library_name]
    measuring = KINDS[row.kind](library, row, Path(folder))
    figures = asyncio.run(measuring) if library.waits else without_loop(measuring)
    print(json.dumps(figures | {"others": cores_of_others(start)}), flush=True)
    os._exit(0)  # One library's threads were seen to crash an interpreter that ends, long after the figures.


if __name__ == "__main__":
    main(*sys.argv[1:])
