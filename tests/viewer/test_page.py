"""The files of the page: their size, what they refer to, and that nothing in them comes from elsewhere."""

import json
import re
from pathlib import Path

import pytest

import azarr.viewer
from azarr.viewer import worker

FOLDER = Path(azarr.viewer.__file__).parent
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".html", ".css", ".js"))
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
PAGE = (FOLDER / "index.html").read_text("utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_of_the_page_is_above_400_lines(path: Path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_looks_for_is_in_the_page(path: Path):
    text = path.read_text("utf-8")
    wanted = set(re.findall(r'\$\("([^"`]+)"\)', text))
    ids = re.findall(r'\bid="([^"]+)"', PAGE)
    assert len(ids) == len(set(ids))
    assert wanted <= set(ids)
    for module in re.findall(r'from "\./([^"]+)"', text):
        assert (FOLDER / module).is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_page_has_nothing_from_elsewhere(path: Path):
    links = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text("utf-8")))
    assert links <= {"https://host/data.zarr", "http://www.w3.org/2000/svg"}


def test_what_the_page_asks_for_is_answered():
    text = "".join(path.read_text("utf-8") for path in SCRIPTS)
    calls = set(re.findall(r'reader\.ask\("(\w+)"', text))
    assert calls == {"open", "members", "node", "picture", "paint", "value", "profile"}
    assert all(callable(getattr(worker.Viewer, call)) for call in calls)


def test_the_configuration_names_a_version_of_pyodide():
    config = json.loads((FOLDER / "config.json").read_text("utf-8"))
    assert re.fullmatch(r"https://cdn\.jsdelivr\.net/pyodide/v\d+\.\d+\.\d+/full/", config.pop("pyodide"))
    assert config == {"azarr": "azarr", "url": ""}
