"""The report: `results.json`, and from it `results.md` and `results.png`. Knows figures; measures nothing."""

import importlib.metadata
import importlib.util
import json
import os
import platform
from datetime import date
from pathlib import Path
from typing import Any

from bench import server
from bench.libraries import LIBRARIES
from bench.measure import BUSY
from bench.readers import GATHERING
from bench.rows import ROWS
from bench.writers import WRITERS
from bench.writing import WRITING

PACKAGES = ("azarr", "zarr", "zarrs", "zarrista", "tensorstore", "dask", "numpy", "numcodecs", "blosc2", "obstore", "fsspec", "aiohttp")
MARK = "†"
FAMILIES = (
    "zarr-python", "zarr-python tuned", "zarr-python fused", "zarrs-python", "zarrista", "tensorstore", "floor",
)  # fmt: skip

WORDS = """\
Less is better everywhere. **ratio** is the best peer's figure over azarr's: 1.0 is a draw, more is better for azarr.
Each (row, library) runs in a process of its own, round after round (A B C, A B C, ...); in a process there is one
uncounted warm-up and then up to five counted runs, of which the best counts; the figure is the median of the rounds.
All libraries read the same files (Zarr v3, written by zarr-python), from the page cache, into NumPy arrays that are
compared with the truth outside of the timed part (zarrista's are read-only views of its own memory).

- The read rows read 512 MiB of uint16, shape (16, 4096, 4096); the array is open before the clock starts.
- Peak memory is one read in a fresh process: the highest resident size, less what was resident before and the
  result itself. Buffers, pools and mapped files count. In the ratio, less than 1 MiB counts as 1 MiB.
- The loop's gap is the time between two turns of a task that sleeps 1 ms beside the read: 1.1 ms is a free loop.
  In the ratio, less than 1.2 ms counts as 1.2 ms.
- The write rows write the same arrays: metadata are there, no chunks are, the array is open and the values are in memory
  before the clock starts. One inner chunk is written into shards that are full; the figure is the mean of up to 1,000.
  A copy goes from path to path, opening and creating included; its peak memory is that over what was resident before.
  All write into a fresh folder, in memory (/dev/shm) where it has room, as the disk of a shared machine gives other
  figures every minute; nobody flushes to the disk; another library reads what was written, untimed.
- {mark}: writes in place, so that a process that is killed leaves torn chunks. Of those that write, the best peer is
  the best one that replaces each chunk or shard as a whole, as azarr does.
- The floor is a script of bare calls (open, readv, libblosc2, NumPy assignment) from one or two Python threads,
  whichever is faster; a compiled library can stay below it.
- The HTTP rows read the same files from an nginx on loopback (two workers, connections are kept), which waits {delay} ms before each
  answer where it says so; what it needs of the processor counts for nobody. Connections are warm. The peers send 128 requests at
  once, azarr does as it comes. A plane is (:, :, 1234). Arrays opened by name are opened all at once, each by its own document.
- The floor over HTTP is the lower one of two bare clients with 128 connections: aiohttp, and an asyncio.BufferedProtocol that
  receives into its own buffers in two threads; both ask for what is needed and nothing else, and neighbours in a shard together.
- In the main table a column shows the best of a library's ways; the other tables have them all."""
HOW = WORDS.replace("{mark}", MARK).replace("{delay}", f"{1000 * server.DELAY:.0f}")


def environment(*, quick: bool) -> dict[str, Any]:
    """The machine, the versions, and how the run was made."""
    return {
        "date": date.today().isoformat(),
        "quick": quick,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))} | server.version(),
    }


def write(out: Path, machine: dict[str, Any], results: dict[str, dict[str, Any]]) -> list[Path]:
    """Write the three files into `out`; rows of the same environment that were not measured now are kept, with their date."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "results.json"
    earlier = json.loads(path.read_text()) if path.exists() else {"rows": {}, "environment": {}}
    kept = _dated(earlier["rows"], earlier["environment"]) if _comparable(earlier["environment"], machine) else {}
    document = {"environment": machine, "rows": kept | _dated(results, machine)}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return [path, *render(out)]


def _dated(rows: dict[str, dict[str, Any]], machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {"date": machine["date"], **row} for name, row in rows.items()}


def render(out: Path) -> list[Path]:
    """Make `results.md` and `results.png` from `results.json`."""
    document = json.loads((out / "results.json").read_text())
    rows = {name: document["rows"][name] for name in ROWS if name in document["rows"]}
    (out / "results.md").write_text(markdown(document["environment"], rows))
    written = [out / "results.md"]
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed (`python -m bench --render` draws it where it is)")
        return written
    matplotlib.use("agg")
    plot(out / "results.png", rows)
    return [*written, out / "results.png"]


def markdown(machine: dict[str, Any], rows: dict[str, dict[str, Any]]) -> str:
    """The whole report."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    quick = ", QUICK (smoke sizes, no figures to rely on)" if machine["quick"] else ""
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    lines = [
        "# Benchmark",
        "",
        f"{machine['date']}, {where}{quick}.",
        "",
        f"{versions}.",
        "",
        HOW,
        "",
        *_table(["row", "unit", "azarr", "best peer", "ratio", *FAMILIES], [_main_line(row) for row in rows.values()]),
        "",
        *_notes(rows),
        *_full_table("Every way of every library", {name: row for name, row in rows.items() if not ROWS[name].served}),
        *_full_table("Every way of every library, over HTTP", {name: row for name, row in rows.items() if ROWS[name].served}),
        "## Settings",
        "",
        *map(_settings, _used(rows)),
    ]
    return "\n".join(lines) + "\n"


def plot(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    """One line a row: every family's figure over the best peer's, on a log scale; left of 1 beats all peers."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 0.42 * len(rows) + 1.6), layout="constrained")
    markers = dict(zip(("azarr", *FAMILIES), "DosPXv^|", strict=True))
    colours = dict(zip(("azarr", *FAMILIES), ("C3", "C0", "C9", "C1", "C2", "C4", "C5", "0.4"), strict=True))
    for family, marker in markers.items():
        points = [
            (found / row["cells"][row["best_peer"]]["figure"], height, 0.3 if in_place(row, name) else 1)
            for height, row in enumerate(rows.values())
            if row["best_peer"] and (name := best_of(row, family)) and (found := row["cells"][name]["figure"]) > 0
        ]
        if points:
            size = 80 if family == "azarr" else 100 if family == "floor" else 40
            across, down, alpha = zip(*points, strict=True)
            axes.scatter(across, down, s=size, marker=marker, color=colours[family], alpha=alpha, label=family)
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows.values()])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="0.9")
    axes.set_xlabel("figure over the best peer's (less is better; pale: writes in place)")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def best_of(row: dict[str, Any], family: str) -> str | None:
    """The best way of a family in this row."""
    cells = {n: c["figure"] for n, c in row["cells"].items() if "figure" in c and LIBRARIES[n].family == family}
    return min(cells, key=lambda way: cells[way], default=None)


def in_place(row: dict[str, Any], name: str) -> bool:
    """Whether a library writes here, and does so in place."""
    return row["cells"].get(name, {}).get("in_place", False)


def number(value: float | None, unit: str) -> str:
    """A figure with as many digits as it deserves."""
    if value is None:
        return "-"
    digits = 3 if unit == "s" else 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def _main_line(row: dict[str, Any]) -> list[str]:
    unit, best = row["unit"], row["best_peer"]
    peer = "-" if best is None else f"{LIBRARIES[best].title} {number(row['cells'][best]['figure'], unit)}"
    title = row["title"] + (" *" if disturbed(row) else "")
    families = [_figure(row, best_of(row, family)) for family in FAMILIES]
    return [title, unit, f"**{number(row['azarr'], unit)}**", peer, f"**{number(row['ratio'], '')}**", *families]


def _full_table(title: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    names = _used(rows)
    lines = [_full_line(row, names) for row in rows.values()]
    return [f"## {title}", "", *_table(["row", "unit", "rounds", *names], lines), ""] if rows else []


def _full_line(row: dict[str, Any], names: list[str]) -> list[str]:
    rounds = max(len(cell["rounds"]) for cell in row["cells"].values())
    return [row["title"], row["unit"], str(rounds), *(_cell(row, name) for name in names)]


def _cell(row: dict[str, Any], name: str) -> str:
    cell = row["cells"].get(name, {})
    for word, said in (("error", "failed"), ("missing", "missing")):
        if word in cell:
            return said
    longest = cell.get("last", {}).get("longest")
    return _figure(row, name) + ("" if longest is None else f" (longest {number(longest, row['unit'])})")


def _figure(row: dict[str, Any], name: str | None) -> str:
    figure = None if name is None else row["cells"].get(name, {}).get("figure")
    return number(figure, row["unit"]) + (MARK if figure is not None and in_place(row, name) else "")


def _settings(name: str) -> str:
    library, words = LIBRARIES[name], []
    kinds = {row.kind for row in ROWS.values() if name in row.libraries}
    if kinds - WRITING.keys():
        words.append(library.settings)
    if "gathered" in kinds:
        words.append(f"1,000 reads at once: {GATHERING[library.gather]}")
    if name in WRITERS:
        words += [WRITERS[name].settings, WRITERS[name].how]
    return f"- **{library.title}**: {'; '.join(filter(None, words))}"


def _notes(rows: dict[str, dict[str, Any]]) -> list[str]:
    notes: list[str] = []
    for key, row in rows.items():
        name = row["best_awaited_peer"]
        if key.startswith("small") and name != row["best_peer"] and row["ratio_awaited"] is not None:
            ratio = number(row["ratio_awaited"], "")
            notes.append(f"- {row['title']}: ratio {ratio} to the best awaited peer ({LIBRARIES[name].title}).")
        notes += [f"- {row['title']}: {n} failed: {c['error']}" for n, c in row["cells"].items() if "error" in c]
        notes += [f"- **{row['title']}: not measured: {', '.join(names)}: {reason}**" for reason, names in missing(row).items()]
    titles: dict[str, list[str]] = {}
    for row in rows.values():
        titles.setdefault(row.get("date", ""), []).append(row["title"])
    if len(titles) > 1:
        notes += [f"- Measured on {day}: {'; '.join(found)}." for day, found in sorted(titles.items())]
    if any(map(disturbed, rows.values())):
        notes.append(f"- \\* other processes kept more than {BUSY} cores busy during this row.")
    return [*notes, ""] if notes else []


def missing(row: dict[str, Any]) -> dict[str, list[str]]:
    """Why libraries were not measured, and which."""
    found: dict[str, list[str]] = {}
    for name, cell in row["cells"].items():
        if "missing" in cell:
            found.setdefault(cell["missing"], []).append(name)
    return found


def disturbed(row: dict[str, Any]) -> bool:
    """Whether other processes kept the machine busy, on average over the row."""
    others = [value for cell in row["cells"].values() for value in cell["others"]]
    return bool(others) and sum(others) / len(others) > BUSY


def _table(head: list[str], lines: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines)]


def _used(rows: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name in LIBRARIES if any("figure" in row["cells"].get(name, {}) for row in rows.values())]


def _comparable(one: dict[str, Any], other: dict[str, Any]) -> bool:
    keys = ("quick", "python", "processor", "cores")
    old, new = one.get("versions", {}), other["versions"]
    same = all(old[name] == new[name] for name in old.keys() & new.keys())  # a peer that joins leaves the others' rows as they are
    return same and all(one.get(key) == other[key] for key in keys)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "from its source tree" if importlib.util.find_spec(package) else None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
