"""The notebook of the examples: its cells run unchanged in CPython, as in Jupyter, and in Pyodide, as in JupyterLite, which has the files beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hosting import Site

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
CELLS = ["".join(cell["source"]) for cell in json.loads((EXAMPLES / "quickstart.ipynb").read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
BRING = """\
import os, pathlib
from pyodide.http import pyfetch
for name in names:
    file = pathlib.Path("/notebook") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(await (await pyfetch(f"{url}/examples/{name}")).bytes())
os.chdir("/notebook")
"""


@pytest.mark.parametrize("name", ["here", "node", "python"])
def test_the_cells_run_one_after_the_other(name: str, request: pytest.FixtureRequest, site: Site, monkeypatch: pytest.MonkeyPatch):
    place: Any = request.getfixturevalue(name)
    if name == "here":
        monkeypatch.chdir(EXAMPLES)
    else:
        place(BRING, url=site.url, names=[str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("climate.zarr/**/*") if path.is_file()])
    magic, *cells = CELLS
    assert magic == "%pip install -q azarr"
    *_, warming, change = [place(cell.replace("part.shape, part.dtype", "part.shape")) for cell in cells]
    assert warming == pytest.approx(5.51, abs=2)
    assert len(change) == 2
    assert len(change[0]) == 3
