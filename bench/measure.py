"""Runs the measurements: each (row, library) in a process of its own, round after round. Knows processes; no library.

Within a round every library of the row runs once (A B C, A B C, ...), so that a slow minute of the machine falls on
all of them. The figure of a library is the median of its rounds.
"""

import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from bench import data, server
from bench.child import busy_seconds
from bench.libraries import LIBRARIES
from bench.rows import ROWS, Row
from bench.writers import WRITERS
from bench.writing import WRITING

TIME_LIMIT = 600  # seconds for one process
BUSY = 0.15  # cores of other processes above which a measurement is disturbed
LOOK = 0.2  # seconds to look at how busy the machine is
ATTEMPTS = 3  # to measure undisturbed
OURS = "azarr"
FLOOR, WITH_OURS = "floor", "zarr-python with azarr"  # families that no peer belongs to: the second runs azarr's own code

Cells = dict[str, dict[str, Any]]


def row_result(row: Row, only: Sequence[str], *, rounds: int, quick: bool, patience: float) -> dict[str, Any]:
    """Everything known about one row: a cell a library, the best peer and the ratio of its figure to ours."""
    folder = data.make({row.data} - {""}, quick=quick)
    if row.data:
        data.warm(folder / row.data)
    names = [name for name in row.libraries if not only or name in only]
    cells: Cells = {name: {"rounds": [], "others": []} for name in names}
    for name in names:
        if row.kind in WRITING and not WRITERS[name].whole:
            cells[name]["in_place"] = True
    no_server = server.missing() if row.served else ""
    for name in names:
        if no_server or importlib.util.find_spec(LIBRARIES[name].module) is None:
            cells[name]["missing"] = no_server or f"{LIBRARIES[name].module} is not installed"
    with _server(row, folder, cells) as environment:
        for number in range(0 if no_server else rounds):
            for name, cell in cells.items():
                if "missing" not in cell and "error" not in cell:
                    figures, patience = undisturbed(row.name, name, folder, patience, environment)
                    _add(cell, figures)
            last = ", ".join(_last(name, cell) for name, cell in cells.items())
            print(f"  round {number + 1}: {last}", flush=True)
    for cell in cells.values():
        if cell["rounds"] and "error" not in cell:
            cell["figure"] = statistics.median(cell["rounds"])
    return {"title": row.title, "unit": row.unit, "cells": cells} | compare(cells, row.least)


@contextlib.contextmanager
def _server(row: Row, folder: Path, cells: Cells) -> Iterator[dict[str, str]]:
    """What the processes of a row are to have in their environment; in `cells`, why a server that the row needs did not start."""
    with contextlib.ExitStack() as stack:
        environment: dict[str, str] = {}
        if row.served and not all("missing" in cell for cell in cells.values()):
            try:
                environment = stack.enter_context(server.serving(folder))
            except RuntimeError as error:
                for cell in cells.values():
                    cell["error"] = str(error)
        yield environment


def compare(cells: Cells, least: float = 0.0) -> dict[str, Any]:
    """Our figure, the best peer and its figure over ours (1.0 is a draw, more is better for us), the floor.

    Peers that write in place do less than we do, and are none here; nor is what runs azarr's own code.
    """
    figures = {name: cell["figure"] for name, cell in cells.items() if "figure" in cell}
    ours = min((figure for name, figure in figures.items() if LIBRARIES[name].family == OURS), default=None)
    floors = [figure for name, figure in figures.items() if LIBRARIES[name].family == FLOOR]
    equal = {name: figure for name, figure in figures.items() if not cells[name].get("in_place")}
    peers = {name: figure for name, figure in equal.items() if LIBRARIES[name].family not in (OURS, FLOOR, WITH_OURS)}
    best = min(peers, key=lambda name: peers[name], default=None)
    waiting = {name: figure for name, figure in peers.items() if LIBRARIES[name].waits}
    best_awaited = min(waiting, key=lambda name: waiting[name], default=None)
    return {
        OURS: ours,
        "best_peer": best,
        "ratio": _ratio(peers.get(best or ""), ours, least),
        "best_awaited_peer": best_awaited,
        "ratio_awaited": _ratio(peers.get(best_awaited or ""), ours, least),
        "floor": min(floors, default=None),
    }


def _ratio(peer: float | None, ours: float | None, least: float) -> float | None:
    return None if peer is None or ours is None else max(peer, least) / max(ours, least)


def undisturbed(row: str, library: str, folder: Path, patience: float, environment: Mapping[str, str]) -> tuple[dict[str, Any], float]:
    """The figures of a process beside which nothing else ran, and the seconds of `patience` that are left.

    Waits for an idle machine and measures again what was disturbed, while there is patience; then what there is.
    """
    found: list[dict[str, Any]] = []
    for _ in range(ATTEMPTS):
        patience = wait_until_quiet(patience)
        found.append(run_child(row, library, folder, environment))
        if "error" in found[-1]:
            return found[-1], patience
        if found[-1]["others"] <= BUSY or patience <= 0:
            break
    return min(found, key=lambda figures: figures["others"]), patience


def wait_until_quiet(patience: float) -> float:
    """Wait until the machine is idle, but no longer than `patience` seconds; gives what is left of them."""
    start = time.monotonic()
    while (left := patience - (time.monotonic() - start)) > 0:
        before = busy_seconds()
        time.sleep(LOOK)
        if busy_seconds() - before <= BUSY * LOOK:
            return left
    return 0.0


def run_child(row: str, library: str, folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The figures of one process, or `{"error": ...}`."""
    command = [sys.executable, "-m", "bench.child", row, library, str(folder)]
    with data.scratch(folder) as place:  # deleted here too if the process is killed
        whole = os.environ | environment | {data.WRITES: str(place)}
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False, env=whole)
        except subprocess.TimeoutExpired:
            return {"error": f"took longer than {TIME_LIMIT} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
        return {"error": lines[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def _add(cell: dict[str, Any], figures: dict[str, Any]) -> None:
    if "error" in figures:
        cell["error"] = figures["error"]
        return
    cell["rounds"].append(figures["figure"])
    cell["others"].append(round(figures["others"], 2))
    cell["last"] = {key: value for key, value in figures.items() if key not in ("figure", "others")}


def _last(name: str, cell: dict[str, Any]) -> str:
    if "missing" in cell:
        return f"{name} missing"
    return f"{name} failed" if "error" in cell else f"{name} {cell['rounds'][-1]:.4g}"


def failures(results: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each library that raised or gave wrong values."""
    return [
        f"{row}: {name}: {cell['error']}" for row, result in results.items() for name, cell in result["cells"].items() if "error" in cell
    ]


def chosen(patterns: Sequence[str]) -> list[Row]:
    """The rows whose names match one of `patterns` (a name, its beginning, or with `*`); all where there is none."""
    rows = [row for row in ROWS.values() if not patterns or any(fnmatch(row.name, f"{p}*") for p in patterns)]
    if not rows:
        raise ValueError(f"no row matches {', '.join(patterns)}; the rows are {', '.join(ROWS)}")
    return rows
