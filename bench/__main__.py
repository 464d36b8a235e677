"""`python -m bench`: measures azarr and its peers and writes the report. See `--help`."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import measure, report
from bench.libraries import LIBRARIES
from bench.rows import ROWS

HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure azarr against its peers.")
    add = parser.add_argument
    add("--rows", nargs="+", default=[], metavar="ROW", help=f"only these, or e.g. read: {', '.join(ROWS)}")
    add("--only", nargs="+", default=[], metavar="LIBRARY", help="only these libraries; prints, writes no report")
    add("--without", nargs="+", default=[], metavar="LIBRARY", help="all libraries but these")
    add("--rounds", type=int, default=5)
    add("--patience", type=float, help="seconds a row may wait for an idle machine: 120, with --quick or --only 0")
    add("--quick", action="store_true", help="32 MiB instead of 512: shows that everything runs, measures nothing")
    add("--out", type=Path, help="folder of the report: bench/results, with --quick a temporary one")
    add("--render", action="store_true", help="measure nothing: table and plot from results.json")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.only + chosen.without if name not in LIBRARIES]:
        parser.error(f"unknown library {', '.join(unknown)}; known are {', '.join(LIBRARIES)}")
    if chosen.patience is None:
        chosen.patience = 0.0 if chosen.quick or chosen.only else 120.0
    return chosen


def main() -> int:
    """Measure, print, write; 1 when a library raised or gave wrong values."""
    chosen = arguments()
    quick_out = Path(tempfile.gettempdir()) / "azarr-bench" / "results-quick"
    out = chosen.out or (quick_out if chosen.quick else HERE / "results")
    if chosen.render:
        print("\n".join(str(path) for path in report.render(out)))
        return 0
    machine = report.environment(quick=chosen.quick)
    only = chosen.only or [name for name in LIBRARIES if name not in chosen.without]
    results: dict[str, dict[str, Any]] = {}
    for row in measure.chosen(chosen.rows):
        print(f"{row.name}: {row.title} [{row.unit}]", flush=True)
        result = measure.row_result(row, only, rounds=chosen.rounds, quick=chosen.quick, patience=chosen.patience)
        results[row.name] = result
        print(f"  {summary(result)}", flush=True)
        for reason, names in report.missing(result).items():
            print(f"  NOT MEASURED: {', '.join(names)}: {reason}", file=sys.stderr, flush=True)
        if not chosen.only:
            report.write(out, machine, results)
    if not chosen.only:
        print(f"\n{(out / 'results.md').read_text()}\nwritten to {out}")
    failures = measure.failures(results)
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


def summary(result: dict[str, Any]) -> str:
    """One line: our figure, the best peer's, the ratio; or every figure where azarr did not run."""
    figures = {name: cell["figure"] for name, cell in result["cells"].items() if "figure" in cell}
    marks = {name: report.MARK if report.in_place(result, name) else "" for name in figures}
    words = [f"{name} {figure:.4g}{marks[name]}" for name, figure in sorted(figures.items(), key=lambda item: item[1])]
    ratio = "" if result["ratio"] is None else f"; ratio {result['ratio']:.2f} to {result['best_peer']}"
    return "medians: " + ", ".join(words) + ratio


if __name__ == "__main__":
    sys.exit(main())
