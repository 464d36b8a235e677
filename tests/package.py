"""What is published, as somebody gets it: sdist and wheel are built, looked into, and the wheel runs the README's first example in a clean environment.

    .venv/bin/python tests/package.py

The wheel is made from the sdist, so that holds what it takes. Packages come as wheels only: no compiler is needed.
"""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import venv
import zipfile
from contextlib import chdir
from pathlib import Path

from prose import ROOT, blocks
from test_docs import HOST, served, steps, write_data

EXTRAS = ("README.md", "CHANGELOG.md", "LICENSE", "SECURITY.md", "pyproject.toml", "tests/package.py", "docs/index.md", "examples/service/service.py")
"""What the sdist holds besides the package, some of it."""


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; what it complains about is shown."""
    return subprocess.run([str(part) for part in command], cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def built(folder: Path) -> tuple[Path, Path]:
    """The sdist and the wheel, made in `folder`."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*-py3-none-any.whl")
    return sdist, wheel


def files_below(folder: Path) -> set[str]:
    """Files of the package in the source tree, as paths from where `azarr` stands."""
    return {path.relative_to(folder).as_posix() for path in (folder / "azarr").rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def look_into(sdist: Path, wheel: Path) -> None:
    """Refuse a wheel that is not exactly the package, and an sdist that lacks something."""
    package = files_below(ROOT / "src")
    assert {"azarr/py.typed", "azarr/viewer/index.html", "azarr/viewer/worker.js", "azarr/stores/opfs.js"} <= package
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == package, f"the wheel and src/ differ by {sorted(held ^ package)}"
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    lacking = ({f"src/{name}" for name in package} | set(EXTRAS)) - names
    assert not lacking, f"the sdist lacks {sorted(lacking)}"


def first_example(url: str) -> tuple[str, str]:
    """A script that runs the first Python block of the README and prints the result that the second shows; and that result."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace(HOST, url)
    first, second = [block.code for block in blocks(ROOT / "README.md", text) if block.language == "python"][:2]
    [(shown, expected)] = steps(second)
    assert isinstance(shown, ast.Expr)
    assert expected
    body = textwrap.indent(f"{first}\nprint(repr({ast.unparse(shown.value)}))", "    ")
    return f"import asyncio\n\nasync def main():\n{body}\n\nasyncio.run(main())\n", expected


def main(folder: Path) -> None:
    sdist, wheel = built(folder)
    look_into(sdist, wheel)
    venv.create(folder / "clean")
    python = folder / "clean" / "bin" / "python"
    options = ("--quiet", "--no-compile", "--disable-pip-version-check", "--only-binary", ":all:")
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, cwd=folder)
    with chdir(folder):
        asyncio.run(write_data(3))
    with served(folder) as url:
        code, expected = first_example(url)
        printed = run(python, "-I", "-W", "error", "-c", code, cwd=folder).strip()
    assert printed == expected, f"{printed}, not {expected}"
    where = run(python, "-I", "-c", "import azarr; print(azarr.__file__)", cwd=folder)
    assert where.startswith(str(folder.resolve() / "clean")), where
    print(f"{sdist.name}, {wheel.name}: {wheel.stat().st_size >> 10} KiB; the README's first example gives {printed}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
