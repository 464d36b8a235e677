"""What the page is made of, fetched and built once into a cache folder: zarrita.js in one file, and what the browser tests run on."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data import _whole

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
PACKAGES = ("zarrita@latest", "esbuild@latest")
BUNDLE = ("--bundle", "--format=esm", "--minify", "--log-level=warning")


def _distribution() -> Any:
    """`tests/browser/distribution.py`, which fetches Pyodide and finds Chromium."""
    spec = importlib.util.spec_from_file_location("distribution", PROJECT / "tests/browser/distribution.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


distribution = _distribution()


def folders(data: Path) -> Mapping[str, Path]:
    """What the page loads, by the names under which it does."""
    return {
        "page": HERE / "page", "truth": data, "pyodide": distribution.pyodide(), "blosc2": distribution.blosc2().parent,
        "zarrita": zarrita(), "azarr": azarr(),
    }  # fmt: skip


def archives() -> list[str]:
    """What is unpacked where Python looks for packages."""
    return ["/azarr/azarr.zip", f"/blosc2/{distribution.blosc2().name}"]


def zarrita() -> Path:
    """The folder with `zarrita.js`: its newest release, with its codecs, in one file."""
    place = _folder() / "zarrita"
    _whole(place, _bundle)
    return place


def zarrita_version() -> str:
    """What npm gave."""
    return json.loads((zarrita() / "node_modules/zarrita/package.json").read_text())["version"]


def azarr() -> Path:
    """The folder with azarr as it stands in the source tree, in an archive."""
    place = _folder() / "azarr"
    place.mkdir(exist_ok=True)
    with zipfile.ZipFile(place / "azarr.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((PROJECT / "src/azarr").rglob("*.*")):
            if file.is_file() and file.suffix != ".pyc":
                archive.write(file, file.relative_to(PROJECT / "src"))
    return place


def _folder() -> Path:
    place = Path(os.environ.get("AZARR_BENCH_CACHE") or Path(tempfile.gettempdir()) / "azarr-bench") / "browser-assets"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _bundle(place: Path) -> None:
    place.mkdir()
    (place / "package.json").write_text('{"private": true}')
    (place / "entry.mjs").write_text('export * from "zarrita";\n')
    for command in (["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES],
                    ["node_modules/.bin/esbuild", "entry.mjs", *BUNDLE, "--outfile=zarrita.js"]):  # fmt: skip
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
