"""The site, made by `make docs`: Markdown by MyST, the reference from docstrings, nothing fetched from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
import azarr

project, author, release = "azarr", "the azarr developers", azarr.__version__
project_copyright = f"{author}; BSD-3-Clause"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["images"]
html_theme, html_title = "furo", "azarr"
maximum_signature_line_length = 100
smartquotes = False  # docstrings quote Python
html_show_sourcelink = html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
myst_heading_anchors = 4
default_role = "code"  # docstrings are Markdown as far as it goes: a name stands in single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
nitpick_ignore_regex = [
    (r"py:.*", r"(collections\.abc|contextlib|io|os|npt|numpy)\..*"),  # others' names: their inventories would have to be fetched
    (r"py:.*", r"azarr\.(_engine|access|array|layout|metadata|ref|selection)\..*"),  # seen, and not promised
    (r"py:.*", r"azarr\.(stores\.zip_writing|tools\.verification|integrations\.sync)\..*"),  # so are these
    (r"py:class", r"Buffer|Changed|Tell"),  # aliases, by the names that they have where they are written
]
PUBLIC = {
    name.rpartition(".")[2]: name
    for name in [
        *(f"azarr.{name}" for name in azarr.__all__),
        *(f"azarr.stores.{name}" for name in azarr.stores.__all__),
        *(f"azarr.errors.{name}" for name in vars(azarr.errors)),
    ]
}
"""Where a class is documented, by its name: `azarr.array.Array` is `azarr.Array`."""


def resolve(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """A name that a signature takes from the module where it is written, by the name under which it is public."""
    name = node.get("reftarget", "").rpartition(".")[2]
    public = PUBLIC.get(name)
    if node.get("refdomain") != "py" or public in (None, node["reftarget"]):
        return None
    return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, contnode)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", resolve)
