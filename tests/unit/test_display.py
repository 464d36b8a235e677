"""How nodes look, to the letter, and nothing of a document gets into HTML unescaped."""

from __future__ import annotations

from typing import Any

import azarr
from azarr.access import Access
from azarr.array import Array
from azarr.group import Group
from azarr.metadata import GroupMetadata, array_from_json
from azarr.stores import MemoryStore
from azarr.tools.display import Tree, shape_text, tree_of

ACCESS = Access(MemoryStore({}), azarr.Context())
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def array(path: str = "t", *, shape: tuple[int, ...] = (240, 37), codecs: Any = (LITTLE,), **changes: Any) -> Array:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [min(length, 24) for length in shape]}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": -1,
        "codecs": list(codecs),
    }
    return Array(array_from_json({**document, **changes}), ACCESS, path)


SHARDING = {
    "name": "sharding_indexed",
    "configuration": {"chunk_shape": [12, 6], "codecs": [LITTLE], "index_codecs": [LITTLE]},
}


def test_a_shape_is_written_as_python_has_it_with_names_where_there_are_any():
    assert shape_text(array().metadata) == "(240, 37)"
    assert shape_text(array(shape=(5,)).metadata) == "(5,)"
    assert shape_text(array(shape=()).metadata) == "()"
    assert shape_text(array(dimension_names=["time", None]).metadata) == "(time: 240, 37)"


def test_an_array_is_one_line():
    assert repr(array()) == "<Array t (240, 37) int16 chunks=(24, 24) in MemoryStore(0 objects)>"
    assert repr(array("", codecs=[SHARDING])) == "<Array / (240, 37) int16 chunks=(12, 6) shards=(24, 24) in MemoryStore(0 objects)>"


def test_the_table_of_an_array_says_what_there_is_to_say():
    html = array(codecs=[SHARDING], attributes={"units": "K", "levels": [1, 2]})._repr_html_()
    for label, text in (
        ("path", "t"),
        ("shape", "(240, 37)"),
        ("data type", "int16"),
        ("chunks", "(12, 6) (140 of them)"),
        ("shards", "(24, 24)"),
        ("codecs", "sharding_indexed"),
        ("fill value", "np.int16(-1)"),
        ("size", "17,760 bytes"),
        ("format", "Zarr v3"),
        ("store", "MemoryStore(0 objects)"),
        ("attrs['units']", "K"),
        ("attrs['levels']", "[1, 2]"),
    ):
        assert f"<tr><th>{label}</th><td>{text}</td></tr>" in html
    assert "shards" not in array()._repr_html_()


def test_a_shard_that_cannot_be_looked_into_is_a_chunk():
    shown = array(codecs=[{"name": "sharding_indexed", "configuration": {"chunk_shape": [12, 6], "codecs": ["example.sparkle"], "index_codecs": [LITTLE]}}])
    assert repr(shown) == "<Array t (240, 37) int16 chunks=(24, 24) in MemoryStore(0 objects)>"
    assert "<tr><th>chunks</th><td>(24, 24) (20 of them)</td></tr>" in shown._repr_html_()


def test_html_of_documents_is_escaped_and_cut():
    html = array("<b>", dimension_names=["<i>", "&"], attributes={"<script>": "<script>alert(1)</script>", "long": "x" * 1000})._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "(&lt;i&gt;: 240, &amp;: 37)" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "x" * 500 in html
    assert "x" * 501 not in html


def test_a_group_is_one_line_with_the_number_of_members_it_knows():
    assert repr(Group(GroupMetadata(), ACCESS, "")) == "<Group / (v3) in MemoryStore(0 objects)>"
    known = GroupMetadata(zarr_format=2, consolidated={"a": {}, "b/c": {}, "b": {}})
    assert repr(Group(known, ACCESS, "g")) == "<Group g (v2, 2 members) in MemoryStore(0 objects)>"


def test_the_table_of_a_group_names_its_members():
    known = GroupMetadata({"title": "<weather>"}, consolidated={"a": {}, "b/c": {}, "b": {}})
    html = Group(known, ACCESS, "")._repr_html_()
    assert "<tr><th>members</th><td>a, b</td></tr>" in html
    assert "&lt;weather&gt;" in html
    assert "members" not in Group(GroupMetadata(), ACCESS, "")._repr_html_()


def test_a_tree_is_drawn_with_its_branches():
    group = Group(GroupMetadata(), ACCESS, "")
    tree = tree_of("/", [("a", group), ("a/x", array()), ("a/y", group), ("a/y/z", array(dimension_names=["t", "s"])), ("b", group), ("b/w", group)])
    assert str(tree) == repr(tree) == """\
/
├── a
│   ├── x (240, 37) int16
│   └── y
│       └── z (t: 240, s: 37) int16
└── b
    └── w"""


def test_a_tree_of_nothing_is_its_root():
    assert str(tree_of("data", [])) == "data"


def test_a_tree_in_a_notebook_is_the_same_escaped():
    assert Tree([(0, "<root>", ""), (1, "x", "(1,) u1")])._repr_html_() == "<pre>&lt;root&gt;\n└── x (1,) u1</pre>"
