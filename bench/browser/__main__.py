"""`python -m bench.browser`: measures azarr and zarrita.js in one page of Chromium, and writes the report. See `--help`."""

from __future__ import annotations

import argparse
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from bench.browser import report
from bench.browser.measure import ROWS, bench


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.browser", description="Measure azarr in the browser against zarrita.js.")
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="ROW", help=f"only these, with * for anything: {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "results", help="folder of the report")
    parser.add_argument("--render", action="store_true", help="measure nothing: the table from browser.json")
    chosen = parser.parse_args()
    if chosen.render:
        print(report.write(chosen.out, {}, {}))
        return
    with bench() as on:
        for name, row in ROWS.items():
            if not any(fnmatch(name, pattern) for pattern in chosen.rows):
                continue
            cells = row.measure(row, on, chosen.rounds)
            print(f"{row.title} [{row.unit}]: {summary(cells)}", flush=True)
            report.write(chosen.out, on.versions, {name: {"title": row.title, "unit": row.unit, "cells": cells}})
    print(f"\n{(chosen.out / 'browser.md').read_text()}")


def summary(cells: dict[str, Any]) -> str:
    """One line."""
    figures = ", ".join(f"{name} {cell['figure']:.4g}" for name, cell in cells.items())
    found = report.ratio(cells, "zarrita")
    return figures if found is None else f"{figures}; ratio {found:.2f}"


if __name__ == "__main__":
    main()
