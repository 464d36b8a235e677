"""The rows, and what measures each. Knows the page's functions; no report.

All readers of a row read in turn, round after round, in one page: a slow minute falls on all of them. The first round does not count.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

from bench.browser import assets, data
from bench.browser.chromium import chromium, fresh, page, servers

Cells = dict[str, dict[str, Any]]
PLAIN, SHARDED = ("zarrita", "azarr", "floor"), ("zarrita", "zarrita-tuned", "azarr", "floor")
COMPILE = """\
import compileall, importlib.util
compileall.compile_dir(importlib.util.find_spec("azarr").submodule_search_locations[0], quiet=2)
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `readers` run in it."""

    title: str
    measure: Callable[[Row, Bench, int], Cells]
    readers: tuple[str, ...] = ("azarr",)
    array: str = ""
    delay: int = 0
    unit: str = "ms"


class Bench:
    """A browser, the servers, and a page that is ready to read, which is made when it is first asked for, in `stack`."""

    def __init__(self, browser: Any, site: str, of_data: str, stack: ExitStack) -> None:
        self.browser, self.site, self.of_data, self.stack = browser, site, of_data, stack
        self.versions = {"chromium": browser.version, "zarrita": assets.zarrita_version()}

    @contextmanager
    def started(self) -> Iterator[Any]:
        """A fresh page with Python, NumPy, and the wheels."""
        with page(self.browser, self.site) as found:
            self.versions["pyodide"] = found.evaluate("(archives) => startPython(archives)", assets.archives())
            found.evaluate("() => loadTruth('/truth/truth.f4')")
            yield found

    @cached_property
    def page(self) -> Any:
        """The same, ready to read."""
        found = self.stack.enter_context(self.started())
        found.evaluate("() => loadReaders('/page/reader.py')")
        return found

    def read(self, function: str, reader: str, row: Row) -> dict[str, Any]:
        """What a reader took; an error if it gave other values."""
        asked = [reader, fresh(self.of_data, row.delay, row.array), dataclasses.asdict(data.ARRAYS[row.array])]
        answer = self.page.evaluate(f"(asked) => {function}(...asked)", asked)
        if not answer["right"]:
            raise ValueError(f"{reader} gave other values of {row.array} than those that were written")
        return answer


@contextmanager
def bench() -> Iterator[Bench]:
    """All that is needed, while it lasts."""
    folder = data.make()
    with servers(folder, assets.folders(folder)) as (site, of_data), chromium() as browser, ExitStack() as stack:
        yield Bench(browser, site, of_data, stack)


def reads(row: Row, on: Bench, rounds: int) -> Cells:
    """Milliseconds to read the array, which is open; with shards, nothing of their indices is known."""
    found: dict[str, list[float]] = {reader: [] for reader in row.readers}
    for number in range(rounds + 1):
        for reader in row.readers:
            answer = on.read("readOnce", reader, row)
            if number:
                found[reader].append(answer["ms"])
    return {reader: _cell(figures) for reader, figures in found.items()}


def imports(row: Row, on: Bench, rounds: int) -> Cells:
    """Milliseconds of `import azarr` in fresh pages that have imported NumPy and asyncio: from its sources, and compiled before."""
    found: dict[str, list[float]] = {"azarr": [], "azarr-compiled": []}
    for _ in range(rounds):
        for name, figures in found.items():
            with on.started() as each:
                if name != "azarr":
                    each.evaluate("(code) => timePython(code)", COMPILE)
                figures.append(each.evaluate("() => timePython('import azarr')"))
    return {name: _cell(figures) for name, figures in found.items()}


def frames(row: Row, on: Bench, rounds: int) -> Cells:
    """Milliseconds between animation frames while the array is read: the 99th percentile of all gaps of a read, in the median read."""
    found: dict[str, list[tuple[float, dict[str, Any]]]] = {reader: [] for reader in row.readers}
    for _ in range(rounds):
        for reader, taken in found.items():
            answer = on.read("frameGaps", reader, row)
            gaps = sorted(answer["gaps"])
            facts = {"longest": gaps[-1], "median": statistics.median(gaps), "gaps": len(gaps), "read": answer["ms"]}
            taken.append((gaps[int(0.99 * (len(gaps) - 1))], facts))
    return {
        reader: _cell([gap for gap, _ in taken]) | sorted(taken, key=lambda each: each[0])[len(taken) // 2][1]
        for reader, taken in found.items()
    }  # fmt: skip


def first(row: Row, on: Bench, rounds: int) -> Cells:
    """Milliseconds from the start of a fresh page until it has a value: Pyodide, NumPy, azarr, the document, one chunk."""
    figures: list[float] = []
    for _ in range(rounds):
        with on.started() as each:
            answer = each.evaluate("(url) => firstValue(url)", fresh(on.of_data, row.delay, row.array))
            if not answer["right"]:
                raise ValueError("another value than the one that was written")
            figures.append(answer["ms"])
    return {"azarr": _cell(figures)}


def _cell(rounds: list[float]) -> dict[str, Any]:
    return {"figure": statistics.median(rounds), "rounds": [round(each, 2) for each in rounds]}


def _reads(arrays: Mapping[str, str], readers: tuple[str, ...]) -> dict[str, Row]:
    return {
        f"{array}-{delay}": Row(f"{title}, {delay} ms", reads, readers, array, delay)
        for array, title in arrays.items() for delay in (0, 25)
    }  # fmt: skip


CODECS = {"none": "no codec", "gzip": "gzip 5", "zstd": "zstd 1", "blosc": "blosc lz4, shuffle"}
SHARDS = {"one-shard": "one shard of 8x8, zstd", "four-shards": "four shards of 4x4, zstd"}
ROWS = {
    **_reads({array: f"64 chunks, {title}" for array, title in CODECS.items()}, PLAIN),
    **_reads(SHARDS, SHARDED),
    "import": Row("import azarr, beyond NumPy", imports),
    "frames": Row("99 % of the gaps between frames, while 512 MiB are read", frames, ("azarr", "zarrita"), "large"),
    "first": Row("from the start of the page to the first value", first, ("azarr",), "zstd"),
}
