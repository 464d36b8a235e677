"""What the documents say of the project is so: links, modules, names, errors. Their code runs in `test_docs.py`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import azarr
from azarr.stores.reference_targets import TargetRefused
from prose import FILES, ROOT, blocks, name

LINK = re.compile(r"\]\(([^)\s]+)\)")
MODULE = re.compile(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py|(?:src|tests|docs|bench|examples)/[^`*?{ ]+)`")
ICECHUNK = Path(azarr.__file__).parent / "integrations/icechunk.py"
"""Its package need not be installed."""
NORTH_STAR = """\
g = azarr.open_group("https://host/data.zarr")
part = await g.var[5:]
"""


def test_the_readme_has_the_two_lines_that_all_began_with() -> None:
    assert NORTH_STAR in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=name)
def test_each_link_to_a_file_has_its_file(path: Path) -> None:
    links = [link.partition("#")[0] for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_each_link_to_a_heading_has_its_heading(path: Path) -> None:
    """As GitHub names headings. Sphinx does not see the links of the README."""
    links = [link.split("#") for link in LINK.findall(path.read_text(encoding="utf-8")) if "#" in link and "://" not in link]
    assert [f"{file}#{heading}" for file, heading in links if heading not in headings(path.parent / file if file else path)] == []


def headings(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_each_file_that_a_document_names_is_there(path: Path) -> None:
    named = MODULE.findall(path.read_text(encoding="utf-8"))
    assert [module for module in named if not any((ROOT / top / module).exists() for top in ("", "src/azarr", "tests"))] == []


def test_the_documents_are_all_in_the_table_of_contents() -> None:
    """Sphinx says so too, where it is installed."""
    path = ROOT / "docs/index.md"
    trees = [block.code for block in blocks(path, path.read_text(encoding="utf-8")) if block.language == "{toctree}"]
    listed = re.findall(r"^(?:.* <)?([\w-]+)>?$", "\n".join(trees), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {path.stem for path in ROOT.glob("docs/*.md")} - {"index"} <= set(listed)


def test_the_reference_names_what_is_public() -> None:
    public = {f"azarr.{entry}" for entry in azarr.__all__} - {"azarr.__version__", "azarr.stores"}
    public |= {f"azarr.stores.{entry}" for entry in azarr.stores.__all__} | {"azarr.testing.CountingStore", "azarr.testing.StoreContract"}
    public |= {"azarr.integrations.sync.run", "azarr.integrations.opentelemetry.spans"}
    for other in ("dask", "xarray"):  # which need not be installed
        text = (Path(azarr.__file__).parent / f"integrations/{other}.py").read_text(encoding="utf-8")
        names = ast.literal_eval(re.findall(r"^__all__ = (.*)$", text, re.MULTILINE)[0])
        public |= {f"azarr.integrations.{other}.{each}" for each in names}
    assert set(re.findall(r"^\.\. auto\w+:: (\S+)$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE)) == public


def test_the_errors_are_drawn_as_they_are() -> None:
    drawn, parents = dict[str, tuple[str, str]](), dict[int, str]()
    for stem, names, builtin in re.findall(r"^([├└│ ─]*)(\w+(?:, \w+)*)(?: \((\w+)\))?(?: +.*)?$", tree_of_errors(), re.MULTILINE):
        depth = len(stem) // 4
        for error in names.split(", "):
            drawn[error] = (parents.get(depth - 1, "Exception"), builtin)
        parents[depth] = names
    errors = {error.__name__: bases(error) for error in vars(azarr.errors).values() if is_error(error)}
    errors[TargetRefused.__name__] = bases(TargetRefused)
    ((first, second),) = re.findall(r"^class SessionReadOnly\((\w+), (\w+)\)", ICECHUNK.read_text(encoding="utf-8"), re.MULTILINE)
    assert drawn == errors | {"SessionReadOnly": (second, first)}


def tree_of_errors() -> str:
    path = ROOT / "docs/errors.md"
    return next(block.code for block in blocks(path, path.read_text(encoding="utf-8")) if block.code.startswith("AzarrError\n"))


def is_error(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, azarr.errors.AzarrError)


def bases(error: type) -> tuple[str, str]:
    """The names of what an error is below, and of the builtin that it is as well."""
    first, *others = error.__bases__
    return first.__name__, "".join(other.__name__ for other in others)
