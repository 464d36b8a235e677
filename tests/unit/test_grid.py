"""Chunk grids and keys: where each chunk is, what it is called, and which grids are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azarr import grid
from azarr.errors import InvalidKey, LimitExceeded, MetadataError
from azarr.grid import Grid, KeyEncoding, RegularAxis, check_path, grid_from_json
from azarr.tools.surveying import named_by
from drawing import examples

RUNS = st.lists(st.integers(1, 5) | st.tuples(st.integers(1, 5), st.integers(1, 4)).map(list), min_size=1, max_size=5)


def rectilinear(*shapes: Any, **others: Any) -> dict[str, Any]:
    return {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": list(shapes), **others}}


def regular(*chunks: Any) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": list(chunks)}}


def test_a_regular_axis_ends_with_a_chunk_that_reaches_over_its_end():
    axis = RegularAxis(10, 4)
    assert axis.count == 3
    assert [axis.locate(position) for position in (0, 3, 4, 9)] == [0, 0, 1, 2]
    assert [axis.span(index) for index in range(3)] == [(0, 4), (4, 4), (8, 4)]


def test_an_axis_of_no_length_has_no_chunks():
    assert RegularAxis(0, 4).count == 0
    assert grid_from_json(rectilinear([2, 3]), (0,)).axes[0].count == 0


def test_a_rectilinear_axis_has_chunks_of_many_sizes():
    axis = grid_from_json(rectilinear([2, [3, 2], 5]), (12,)).axes[0]
    assert axis.count == 4
    assert [axis.span(index) for index in range(4)] == [(0, 2), (2, 3), (5, 3), (8, 5)]
    assert [axis.locate(position) for position in (0, 1, 2, 4, 5, 8, 11)] == [0, 0, 1, 1, 2, 3, 3]


def test_chunks_wholly_beyond_the_end_are_allowed_and_not_counted():
    assert grid_from_json(rectilinear([4, [4, 100]]), (6,)).axes[0].count == 2


@given(RUNS, st.data())
@examples(200)
def test_a_rectilinear_axis_is_where_its_sizes_one_after_the_other_say(runs: list[Any], data: st.DataObject):
    sizes = [size for run in runs for size in ([run] if isinstance(run, int) else [run[0]] * run[1])]
    length = data.draw(st.integers(0, sum(sizes)))
    axis = grid_from_json(rectilinear(runs), (length,)).axes[0]
    spans, begin = [], 0
    for size in sizes:
        spans.append((begin, size))
        begin += size
    assert [axis.span(index) for index in range(len(sizes))] == spans
    assert [axis.locate(position) for position in range(length)] == [
        index for index, (begin, size) in enumerate(spans) for position in range(begin, begin + size) if position < length
    ]
    assert axis.count == sum(begin < length for begin, _ in spans)


def test_a_run_stays_one_entry_however_long():
    axis = grid_from_json(rectilinear([[1, 2**40]]), (2**40,)).axes[0]
    assert axis.count == 2**40
    assert axis.span(2**39) == (2**39, 1)
    assert axis.locate(2**40 - 1) == 2**40 - 1


def test_a_regular_grid_has_one_chunk_shape():
    found = grid_from_json(regular(4, 5), (10, 11))
    assert found == Grid.regular((10, 11), (4, 5))
    assert (found.chunks, found.nchunks, found.chunk_shape((2, 2))) == ((4, 5), 9, (4, 5))


def test_a_rectilinear_grid_has_none_unless_every_axis_is_one_integer():
    mixed = grid_from_json(rectilinear(4, [5, 6]), (10, 11))
    assert (mixed.chunks, mixed.nchunks, mixed.chunk_shape((2, 1))) == (None, 6, (4, 6))
    assert grid_from_json(rectilinear(4, 5), (10, 11)) == Grid.regular((10, 11), (4, 5))


def test_a_scalar_has_one_chunk():
    found = grid_from_json(regular(), ())
    assert (found.chunks, found.nchunks, found.chunk_shape(())) == ((), 1, ())


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (None, "chunk_grid: a name is needed, or an object with a name, not None"),
        (
            {"name": "hexagonal"},
            "chunk_grid: azarr knows the grids 'regular', and 'rectilinear' of kind 'inline', not {'name': 'hexagonal'}",
        ),
        (regular(4), "chunk_grid.chunk_shape: one entry per dimension is needed (2), not [4]"),
        (regular(4, 0), "chunk_grid.chunk_shape: a list of integers from 1 to 9223372036854775807 is needed, not [4, 0]"),
        (regular(4, 2.0), "chunk_grid.chunk_shape: a list of integers from 1 to 9223372036854775807 is needed, not [4, 2.0]"),
        ("regular", "chunk_grid.chunk_shape: a list of integers from 1 to 9223372036854775807 is needed, not None"),
        (rectilinear(4), "chunk_grid.chunk_shapes: one entry per dimension is needed (2), not [4]"),
        (rectilinear(4, 0), "chunk_grid.chunk_shapes: a list of integers from 1 to 9223372036854775807 is needed, not [0]"),
        (
            rectilinear(4, 2**63),
            "chunk_grid.chunk_shapes: a list of integers from 1 to 9223372036854775807 is needed, not [9223372036854775808]",
        ),
        (rectilinear(4, True), "chunk_grid.chunk_shapes: an axis is a positive integer, or a list of lengths and runs, not True"),
        (rectilinear(4, []), "chunk_grid.chunk_shapes: an axis is a positive integer, or a list of lengths and runs, not []"),
        (rectilinear(4, [[5]]), "chunk_grid.chunk_shapes: one entry per dimension is needed (2), not [5]"),
        (rectilinear(4, [11, "1"]), "chunk_grid.chunk_shapes: a list of integers from 1 to 9223372036854775807 is needed, not '1'"),
        (rectilinear(4, [5, 5]), "chunk_grid.chunk_shapes: chunks that reach the end of the axis (11) are needed, within 63 bits, not 10"),
        (
            rectilinear(4, [[2**62, 2]]),
            "chunk_grid.chunk_shapes: chunks that reach the end of the axis (11) are needed, within 63 bits, not 9223372036854775808",
        ),
    ],
)
def test_a_broken_grid_names_the_field_and_the_value(spec: Any, reason: str):
    with pytest.raises(MetadataError) as caught:
        grid_from_json(spec, (10, 11))
    assert str(caught.value) == f"metadata: {reason}"


@pytest.mark.parametrize("kind", [None, "external"])
def test_the_sizes_of_a_rectilinear_grid_stand_in_the_document(kind: Any):
    with pytest.raises(MetadataError, match="'rectilinear' of kind 'inline'"):
        grid_from_json(rectilinear(4, kind=kind), (4,))


def test_no_more_runs_are_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grid, "MAX_RUNS", 3)
    assert grid_from_json(rectilinear([1, 2, 3]), (6,)).nchunks == 3
    with pytest.raises(LimitExceeded, match=r"^chunk_grid\.chunk_shapes: 4 runs; 3 are allowed$"):
        grid_from_json(rectilinear([1, 2, 3, 4]), (6,))


@pytest.mark.parametrize(
    ("spec", "coords", "key"),
    [
        ("default", (1, 2), "c/1/2"),
        ("default", (), "c"),
        ({"name": "default", "configuration": {"separator": "."}}, (1, 2), "c.1.2"),
        ("v2", (1, 2), "1.2"),
        ("v2", (), "0"),
        ({"name": "v2", "configuration": {"separator": "/"}}, (10, 0), "10/0"),
    ],
)
def test_keys_of_chunks(spec: Any, coords: tuple[int, ...], key: str):
    assert KeyEncoding.from_json(spec).key(coords) == key


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("fanout", "chunk_key_encoding.name: must be 'default' or 'v2', not 'fanout'"),
        ({"name": "v2", "configuration": {"separator": "-"}}, "chunk_key_encoding.separator: must be '/' or '.', not '-'"),
        (7, "chunk_key_encoding: a name is needed, or an object with a name, not 7"),
    ],
)
def test_a_broken_key_encoding_names_the_field_and_the_value(spec: Any, reason: str):
    with pytest.raises(MetadataError) as caught:
        KeyEncoding.from_json(spec)
    assert str(caught.value) == f"metadata: {reason}"


@pytest.mark.parametrize(
    ("path", "normal"),
    [("", ""), ("/", ""), ("a", "a"), ("/a//b/", "a/b"), ("a\\b", "a/b"), ("temperature °C", "temperature °C"), ("a.b/_c", "a.b/_c"), ("__a/...", "__a/...")],
)
def test_paths_of_nodes_have_one_form(path: str, normal: str):
    assert check_path(path) == normal


@pytest.mark.parametrize("name", [".", "..", "zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata", "nul\0", ".azarr-staged"])
def test_names_that_could_leave_the_store_or_are_documents_are_refused(name: str):
    with pytest.raises(InvalidKey) as caught:
        check_path(f"a/{name}/b")
    assert str(caught.value) == f"{f'a/{name}/b'!r} is not a path of a node: {name!r} is not allowed as a name"


@pytest.mark.parametrize("name", [".", "...", "__private"])
def test_names_that_the_specification_reserves_are_not_given_to_new_nodes(name: str):
    with pytest.raises(InvalidKey):
        check_path(f"a/{name}", new=True)
    assert check_path("a/_b/c.d", new=True) == "a/_b/c.d"


@pytest.mark.parametrize("name", ["default", "v2"])
@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("coords", [(), (0,), (10, 0, 7)])
def test_the_chunk_of_a_key_is_the_one_whose_key_it_is(name: str, separator: str, coords: tuple[int, ...]):
    encoding = KeyEncoding(name, separator)
    assert named_by(encoding, encoding.key(coords), len(coords)) == coords
    assert named_by(encoding, encoding.key((*coords, 1)), len(coords)) is None


@pytest.mark.parametrize("key", ["c/01", "c/-1", "c/+1", "c/1_0", "c/\u0661", "c/", "c", "c/0/0", "c/x", "d/0", "0", "", "c/" + "9" * 40])
def test_other_keys_are_of_no_chunk(key: str):
    assert named_by(KeyEncoding("default", "/"), key, 1) is None
