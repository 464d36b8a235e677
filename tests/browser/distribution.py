"""What the browser tests run on: Pyodide, wheels, PyScript, Chromium, Firefox, Node. Fetched once into a cache folder, by the standard library alone.

`python tests/browser/distribution.py` sets all of it up, and says where it is. As root it installs with apt-get the programs that are missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "azarr"
CARRIER, INSIDE = "open-webui==0.12.4", "open_webui/frontend/pyodide/"
"""A wheel that carries a whole distribution of Pyodide, 314.0.3, and where in it."""
TAGS = ("--only-binary=:all:", "--python-version=3.14", "--implementation=cp", "--platform=pyemscripten_2026_0_wasm32",
        "--abi=cp314", "--abi=abi3", "--abi=none")  # fmt: skip
SUITE = ("anyio==4.16.0", "hypothesis==6.170.17", "opentelemetry-sdk==1.45.2", "pytest==9.2.0", "rich==15.0.0")
"""What the project's own tests import, beside NumPy; pip finds what these need."""
SERVERS = ("aiohttp==3.14.5", "frozenlist==1.8.0", "multidict==7.2.1", "propcache==0.5.4", "yarl==1.25.1")
"""What their servers need, of which there are wheels for no browser: they are built here, without what is written in C."""
BLOSC = "blosc2==4.14.1"
PYSCRIPT = "@pyscript/core@0.7.31"
PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"), "firefox": ("firefox-esr", "firefox"), "node": ("node", "nodejs"), "npm": ("npm",),
}  # fmt: skip
PACKAGES = {"chromium": "chromium", "firefox": "firefox-esr", "node": "nodejs", "npm": "npm"}
"""Their names in Debian."""


def pyodide() -> Path:
    """The folder with `pyodide.mjs`, the interpreter, its standard library, micropip, NumPy. AZARR_PYODIDE names another one."""
    if told := os.environ.get("AZARR_PYODIDE"):
        if not (Path(told) / "pyodide.mjs").is_file():
            raise FileNotFoundError(f"AZARR_PYODIDE is {told}, where there is no pyodide.mjs")
        return Path(told).resolve()
    return _once("pyodide", CARRIER, _unpack)


def wheels() -> Path:
    """The folder with the wheels that the project's tests need in Pyodide."""
    return _once("wheels", " ".join(SUITE), lambda draft: _download(draft, *TAGS, *SUITE))


def servers() -> Path:
    """The folder with the wheels that their servers need."""
    return _once("servers", SERVERS[0], _build)


def blosc2() -> Path:
    """The wheel of blosc2 for Pyodide."""
    return next(_once("blosc2", BLOSC, lambda draft: _download(draft, "--no-deps", *TAGS, BLOSC)).glob("*.whl"))


def pyscript() -> Path | None:
    """The folder with `core.js` of PyScript, and all that it loads; None if it is not there, and there is no npm to fetch it."""
    made = program("npm") or _place("pyscript", PYSCRIPT).is_dir()
    return _once("pyscript", PYSCRIPT, _pack) / "dist" if made else None


def chromium() -> str | None:
    """The program; CHROMIUM names another one."""
    return program("chromium")


def firefox() -> str | None:
    """The program; FIREFOX names another one."""
    return program("firefox")


def node() -> str | None:
    """The program that playwright brings along, where there is one: it is new, and older ones wait for JavaScript slowly. NODE names another one."""
    if "NODE" not in os.environ and (playwright := find_spec("playwright")) and playwright.origin:
        bundled = Path(playwright.origin).parent / "driver" / "node"
        if bundled.is_file():
            return str(bundled)
    return program("node")


def program(name: str) -> str | None:
    """Where it is; an environment variable of its name, in capitals, says it."""
    if told := os.environ.get(name.upper()):
        if shutil.which(told) is None:
            raise FileNotFoundError(f"{name.upper()} is {told}, which is no program")
        return told
    return next((found for each in PROGRAMS[name] if (found := shutil.which(each))), None)


def install(name: str) -> None:
    """Install a program that is missing, where that can be done."""
    failed = os.geteuid() != 0 or shutil.which("apt-get") is None
    for command in (["update"], ["install", "-y", "--no-install-recommends", PACKAGES[name]]):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        failed = failed or subprocess.run(["apt-get", *command], stdout=subprocess.DEVNULL, env=environment, check=False).returncode != 0
    if failed:
        print(f"{name} is missing, and could not be installed, which root can do by apt-get: what needs it will not run", file=sys.stderr)


def _place(name: str, version: str) -> Path:
    return CACHE / f"{name}-{''.join(each if each.isalnum() or each in '.-' else '_' for each in version)}"


def _once(name: str, version: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` in the cache, made by `make` unless it is there in this version; whole or not at all, also if two make it."""
    place = _place(name, version)
    if not place.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".draft-") as draft:
            (made := Path(draft) / "made").mkdir()
            make(made)
            try:
                made.rename(place)
            except OSError:
                if not place.is_dir():
                    raise
    return place


def _download(draft: Path, *what: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir", "--dest", str(draft), *what], check=True)


def _build(draft: Path) -> None:
    names = [each.partition("==")[0] for each in SERVERS]
    plain = {f"{name.upper()}_NO_EXTENSIONS": "1" for name in names}
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-cache-dir", "--no-binary", ",".join(names), "--wheel-dir", str(draft), *SERVERS]
    subprocess.run(command, check=True, env={**os.environ, **plain})


def _unpack(draft: Path) -> None:
    with tempfile.TemporaryDirectory(dir=draft.parent) as folder:
        _download(Path(folder), "--no-deps", "--ignore-requires-python", CARRIER)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as carrier:
            for name in carrier.namelist():
                if name.startswith(INSIDE) and not name.endswith("/"):
                    file = draft / name.removeprefix(INSIDE)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(carrier.read(name))


def _pack(draft: Path) -> None:
    with tempfile.TemporaryDirectory(dir=draft.parent) as folder:
        subprocess.run([program("npm") or "npm", "pack", "--silent", PYSCRIPT], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
        for file in (Path(folder) / "package").iterdir():
            file.rename(draft / file.name)


def main() -> None:
    """Set all of it up."""
    for name, found in (("chromium", chromium), ("firefox", firefox), ("node", node), ("npm", pyscript)):
        if found() is None:
            install(name)
    for call in (pyodide, wheels, servers, blosc2, pyscript, chromium, firefox, node):
        print(f"{call.__name__}: {call()}")


if __name__ == "__main__":
    main()
