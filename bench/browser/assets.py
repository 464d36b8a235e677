"""What the page is made of, fetched and built once into a cache folder: zarrita.js in one file, wheels. Knows npm and pip; no browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bench.data import _whole

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / "src"
PACKAGES = ("zarrita@latest", "esbuild@latest")
BUNDLE = ("--bundle", "--format=esm", "--minify", "--log-level=warning")
BLOSC = ("download", "--quiet", "--no-deps", "--only-binary=:all:", "--platform=pyemscripten_2026_0_wasm32", "--abi=abi3",
         "--implementation=cp", "--python-version=3.14", "blosc2")  # fmt: skip


def folder() -> Path:
    """Where all of it is kept."""
    place = Path(os.environ.get("AZARR_BENCH_CACHE") or Path(tempfile.gettempdir()) / "azarr-bench") / "browser-assets"
    place.mkdir(parents=True, exist_ok=True)
    return place


def zarrita() -> Path:
    """The folder with `zarrita.js`, its newest release with its codecs in one file."""
    place = folder() / "zarrita"
    _whole(place, _bundle)
    return place


def _bundle(place: Path) -> None:
    place.mkdir()
    (place / "package.json").write_text('{"private": true}')
    run = {"cwd": place, "check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES], **run)
    (place / "entry.mjs").write_text('export * from "zarrita";\n')
    subprocess.run(["node_modules/.bin/esbuild", "entry.mjs", *BUNDLE, "--outfile=zarrita.js"], **run)


def zarrita_version() -> str:
    """What npm gave."""
    return json.loads((zarrita() / "node_modules/zarrita/package.json").read_text())["version"]


def blosc2() -> Path:
    """The folder with the wheel of blosc2 for Pyodide."""
    place = folder() / "blosc2"
    _whole(place, lambda draft: subprocess.run([sys.executable, "-m", "pip", *BLOSC, "--dest", str(draft)], check=True) and None)
    return place


def azarr() -> Path:
    """A folder with azarr as it stands in the source tree, in an archive."""
    place = folder() / "azarr"
    place.mkdir(exist_ok=True)
    with zipfile.ZipFile(place / "azarr.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((SOURCE / "azarr").rglob("*.*")):
            if file.suffix in (".py", ".js"):
                archive.write(file, file.relative_to(SOURCE))
    return place
