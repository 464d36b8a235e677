"""The report of the browser bench: `browser.json`, and from it `browser.md`. Knows figures; measures nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.browser.measure import ROWS
from bench.report import _table, environment

TITLES = {
    "zarrita": "zarrita.js", "zarrita-tuned": "zarrita.js, tuned", "azarr": "azarr", "azarr-compiled": "azarr, compiled before",
    "floor": "floor",
}  # fmt: skip
HOW = """\
All in one page of headless Chromium, on its main thread: azarr in Pyodide, and zarrita.js, the newest release from npm with its codecs in
one file. Both read in turn, round after round; the figure is the median of the rounds. The values are compared with the truth, to
the last bit, when the clock has stopped. Less is better; **ratio** is azarr's time over zarrita's, **to tuned** over tuned zarrita's.

- The arrays are 2048x2048 float32 in chunks of 256x256, which azarr wrote. The servers run beside the browser on the same cores; the
  data come by HTTP/1.1 from another origin than the page, at once or after 25 ms, and each URL is new, so that no cache has anything.
- An array is open before the clock starts; of its shards, nothing is known.
- Tuned is `withRangeCoalescing`, and requests with `cache: "no-store"`. azarr runs with no option set.
- The floor is the same requests by a bare JavaScript helper, each awaited by a task of asyncio, decoded by the bare codec, placed by NumPy.
- Imports are in fresh pages that have imported NumPy, from the sources as a wheel has them, and with byte code that was made before.
- While 512 MiB (zstd, chunks of 1 MiB) are read and decoded on the main thread, `requestAnimationFrame` tells when there is a frame;
  17 ms is a free page."""


def write(out: Path, versions: dict[str, str], rows: dict[str, Any]) -> str:
    """Write both files into `out`; rows that were not measured now are kept. Gives the table."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "browser.json"
    earlier = json.loads(path.read_text()) if path.exists() else {"rows": {}, "versions": {}}
    machine = {key: value for key, value in environment(quick=False).items() if key in ("date", "system", "processor", "cores")}
    document = {"environment": machine, "versions": earlier["versions"] | versions, "rows": earlier["rows"] | rows}
    path.write_text(json.dumps(document, indent=1) + "\n")
    text = markdown(document)
    (out / "browser.md").write_text(text)
    return text


def markdown(document: dict[str, Any]) -> str:
    """The whole report."""
    machine, rows = document["environment"], {name: document["rows"][name] for name in ROWS if name in document["rows"]}
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    where = f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, {machine['system']}."
    head = ["row", "unit", *TITLES.values(), "ratio", "to tuned", "rounds"]
    table = _table(head, [_line(row) for row in rows.values()])
    lines = ["# Benchmark in the browser", "", where, "", f"{versions}.", "", HOW, "", *table, ""]
    for row in rows.values():
        for name, cell in row["cells"].items():
            if "gaps" in cell:
                facts = f"{cell['gaps']} gaps, median {cell['median']:.1f} ms, longest {cell['longest']:.0f} ms"
                lines.append(f"- {row['title']}: {TITLES[name]}: {facts}; the read took {cell['read'] / 1000:.1f} s.")
    return "\n".join(lines).rstrip() + "\n"


def ratio(cells: dict[str, Any], peer: str) -> float | None:
    """azarr's figure over a peer's."""
    return cells["azarr"]["figure"] / cells[peer]["figure"] if {"azarr", peer} <= cells.keys() else None


def _line(row: dict[str, Any]) -> list[str]:
    cells = row["cells"]
    figures = [f"{cells[name]['figure']:.0f}" if name in cells else "-" for name in TITLES]
    ratios = [ratio(cells, "zarrita"), ratio(cells, "zarrita-tuned")]
    rounds = str(max(len(cell["rounds"]) for cell in cells.values()))
    return [row["title"], row["unit"], *figures, *("-" if each is None else f"**{each:.2f}**" for each in ratios), rounds]
