"""Changing nodes that exist: attributes, shape, rows. What readers see in between is old or new, and no change is lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import azarr
from azarr.errors import MetadataError, NodeNotFound, ReadOnly, UnknownCodec, WriteConflict
from azarr.stores import LocalStore
from azarr.tools.changes import coords_outside
from conftest import run
from drawing import examples
from fakes import PATIENCE, Conditional, Waiting

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


@FORMATS
async def test_attributes_are_merged_into_those_that_are_stored(zarr_format: int):
    store: dict[str, bytes] = {}
    group = await azarr.create_group(store, "g", attributes={"a": 1, "b": 2}, zarr_format=zarr_format)
    array = await azarr.create_array(store, "g/x", shape=(2,), dtype="u1", zarr_format=zarr_format)
    for node, changed in ((group, await group.update_attrs({"b": [3], "c": None})), (array, await array.update_attrs({"c": None}))):
        again = await azarr.open(store, node.path)
        assert type(again) is type(changed) is type(node)
        assert dict(again.attrs) == dict(changed.attrs) == {**node.attrs, **({"b": [3]} if node is group else {}), "c": None}
    assert dict(group.attrs) == {"a": 1, "b": 2}  # handles are frozen


@FORMATS
async def test_gathered_changes_of_attributes_are_all_there(zarr_format: int, tmp_path: Any):
    for store in ({}, tmp_path, Waiting(), Conditional()):
        group = await azarr.create_group(store, zarr_format=zarr_format)
        await asyncio.gather(*(group.update_attrs({f"name {number}": number}) for number in range(20)))
        assert len((await azarr.open_group(store)).attrs) == 20


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


@FORMATS
@pytest.mark.parametrize("value", [float("nan"), {1: "a", "1": "b"}, nested(600), nested(3000)], ids=["nan", "keys", "deep", "deeper"])
async def test_what_could_not_be_read_again_is_not_stored_as_an_attribute(zarr_format: int, value: Any):
    store: dict[str, bytes] = {}
    group = await azarr.create_group(store, zarr_format=zarr_format)
    before = dict(store)
    with pytest.raises(MetadataError, match=r"not to be written as JSON|each key may stand once|nested deeper than 64 levels"):
        await group.update_attrs({"x": value})
    with pytest.raises(MetadataError, match=r"not to be written as JSON|each key may stand once|nested deeper than 64 levels"):
        await azarr.create_group(store, "below", attributes={"x": value}, zarr_format=zarr_format)
    assert store == before


@FORMATS
async def test_attributes_change_their_type_too(zarr_format: int):
    """For Python, 1 is 1.0 and True, and 0.0 is -0.0."""
    store: dict[str, bytes] = {}
    group = await azarr.create_group(store, attributes={"x": 1}, zarr_format=zarr_format)
    for value in (True, 1.0, 1, 0.0, -0.0):
        group = await group.update_attrs({"x": value})
        assert repr((await azarr.open(store)).attrs["x"]) == repr(group.attrs["x"]) == repr(value)


@FORMATS
async def test_what_changing_attributes_gives_is_the_array_that_is_stored(zarr_format: int):
    store: dict[str, bytes] = {}
    array = await azarr.create_array(store, shape=(2,), dtype="u1", chunks=(2,), dimension_names=["x"], zarr_format=zarr_format)
    await (await array.append([1, 2, 3]))[:2].write(4)
    changed = await array.update_attrs({"a": 1, **({"_ARRAY_DIMENSIONS": ["y"]} if zarr_format == 2 else {})})
    assert (changed.shape, changed.dimension_names) == ((5,), ("y" if zarr_format == 2 else "x",))
    assert changed.metadata == (await azarr.open_array(store)).metadata
    copied: Any = await azarr.copy(changed, {})
    assert (await copied[...]).tolist() == [4, 4, 1, 2, 3]


@FORMATS
@pytest.mark.parametrize("kind", ["memory", "local", "waiting", "conditional"])
async def test_a_node_that_was_deleted_is_not_changed(kind: str, zarr_format: int, tmp_path: Path):
    store: Any = {"memory": {}, "local": LocalStore(tmp_path), "waiting": Waiting(), "conditional": Conditional()}[kind]
    group = await azarr.create_group(store, "g", zarr_format=zarr_format)
    array = await azarr.create_array(store, "x", shape=(2,), dtype="u1", zarr_format=zarr_format)
    await azarr.delete(store, "x")
    await azarr.delete(store, "g")
    for change in (group.update_attrs({"a": 1}), array.update_attrs({"a": 1}), array.resize((3,)), array.resize((9,), clear=True), array.append([1])):
        with pytest.raises(NodeNotFound, match=r"no Zarr node at path '[gx]' .*which was there before"):
            await change
    assert await (await azarr.open_group(store)).members() == {}
    assert (await azarr.create_array(store, "x", shape=(2,), dtype="u1", zarr_format=zarr_format)).shape == (2,)


async def test_a_document_that_others_replace_each_time_is_a_conflict():
    store = Conditional()
    group = await azarr.create_group(store)
    store.refuses = True
    with pytest.raises(WriteConflict, match=r"'zarr.json' of .*: it was replaced by others 64 times"):
        await group.update_attrs({"x": 1})


@FORMATS
async def test_nodes_opened_to_read_are_not_changed(zarr_format: int):
    store: dict[str, bytes] = {}
    await azarr.create_array(store, "x", shape=(4,), dtype="u1", zarr_format=zarr_format)
    before = dict(store)
    group, array = await azarr.open_group(store), await azarr.open_array(store, "x")
    for change in (group.update_attrs({"a": 1}), array.update_attrs({"a": 1}), array.resize((5,)), array.append([1]), array[1:].write(1)):
        with pytest.raises(ReadOnly, match=r"was opened to read; open it with mode='r\+' to write"):
            await change
    assert store == before


@FORMATS
async def test_shrinking_deletes_the_chunks_that_lie_outside(zarr_format: int):
    store: dict[str, bytes] = {}
    array = await azarr.create_array(store, shape=(6, 6), dtype="u1", chunks=(2, 2), chunk_key_encoding="/", zarr_format=zarr_format)
    await array[...].write(1)
    small = await array.resize((3, 2))
    chunks = {key.removeprefix("c/") for key in store if not key.rpartition("/")[2].startswith((".", "zarr"))}
    assert chunks == {"0/0", "1/0"}
    assert (small.shape, array.shape) == ((3, 2), (6, 6))
    assert (await small[...]).tolist() == [[1, 1]] * 3


async def test_growing_again_shows_what_the_chunks_at_the_edge_still_hold_unless_it_is_cleared():
    for clear, expected in ((False, [1, 1, 1, 1, 9, 9]), (True, [1, 1, 1, 9, 9, 9])):
        array = await azarr.create_array({}, shape=(8,), dtype="u1", chunks=(4,), fill_value=9)
        await array[...].write(1)
        small = await array.resize((3,))
        assert (await (await small.resize((6,), clear=clear))[...]).tolist() == expected


@pytest.mark.parametrize("kind", ["memory", "local", "waiting", "conditional"])
async def test_clearing_leaves_rows_that_were_appended_since_the_array_was_opened(kind: str, tmp_path: Path):
    store: Any = {"memory": {}, "local": LocalStore(tmp_path), "waiting": Waiting(), "conditional": Conditional()}[kind]
    array = await azarr.create_array(store, shape=(3,), dtype="u1", chunks=(4,), fill_value=9)
    await array[...].write(1)
    await array.append([2, 3])
    assert (await (await array.resize((7,), clear=True))[...]).tolist() == [1, 1, 1, 2, 3, 9, 9]


@pytest.mark.parametrize("kind", ["memory", "local", "waiting", "conditional"])
async def test_of_a_resize_and_an_append_at_the_same_time_one_is_first(kind: str, tmp_path: Path):
    store: Any = {"memory": {}, "local": LocalStore(tmp_path), "waiting": Waiting(), "conditional": Conditional()}[kind]
    for number in range(5):
        array = await azarr.create_array(store, f"{number}", shape=(4,), dtype="u1", chunks=(2,))
        await array[...].write(1)
        changes = [array.append([2, 3]), array.resize((1,), clear=True)]
        await asyncio.gather(*changes[:: 1 if number % 2 else -1])
        assert (await (await azarr.open_array(store, f"{number}"))[...]).tolist() in ([1], [1, 2, 3])


async def test_an_array_may_be_given_the_shape_that_it_has(tmp_path: Path):
    for store in ({}, LocalStore(tmp_path), Waiting()):
        array = await azarr.save(store, "x", np.arange(3))
        async with asyncio.timeout(PATIENCE):
            assert (await (await array.resize((3,), clear=True))[...]).tolist() == [0, 1, 2]


async def test_shrinking_a_sparse_array_takes_as_long_as_it_has_chunks():
    side = 1 << 30
    store: dict[str, bytes] = {"x/notes": b"", "x/c/1/2/3": b""}
    await azarr.create_group(store)
    array = await azarr.create_array(store, "x", shape=(side, side), dtype="u1", chunks=(1, 1))
    for place in ((0, 0), (0, side - 1), (side - 1, 5)):
        await array[place].write(1)
    await array.resize((side, 7))
    assert sorted(store) == ["x/c/0/0", "x/c/1/2/3", f"x/c/{side - 1}/5", "x/notes", "x/zarr.json", "zarr.json"]


async def test_where_a_store_cannot_list_keys_are_made_one_after_the_other():
    side = 1 << 30
    small = coords_outside([side, side - 1], [side, side])
    assert [next(small), next(small)] == [(0, side - 1), (1, side - 1)]
    assert sorted(coords_outside([1, 2], [2, 3])) == [(0, 2), (1, 0), (1, 1), (1, 2)]
    assert list(coords_outside([2, 0], [2, 0])) == []


@pytest.mark.filterwarnings("ignore::azarr.errors.LegacyWarning")
async def test_without_all_codecs_nothing_is_written():
    store: dict[str, bytes] = {}
    array = await azarr.create_array(store, shape=(3,), dtype="u1", chunks=(4,))
    document = json.loads(store["zarr.json"])
    document["codecs"].append({"name": "example.sparkle", "configuration": {}, "must_understand": False})
    store["zarr.json"] = json.dumps(document).encode()
    before, array = dict(store), await azarr.open_array(store, mode="r+")
    for change in (array.append([1]), array.resize((5,), clear=True), array[0].write(1)):
        with pytest.raises(UnknownCodec, match=r"to write, known codecs are needed, not \['example.sparkle'\]"):
            await change
    assert store == before


@given(data=st.data())
@examples(60)
def test_shapes_one_after_the_other_equal_numpy(data: st.DataObject):
    async def go() -> None:
        lengths = st.tuples(st.integers(0, 9), st.integers(1, 7))
        chunks = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        shards = data.draw(st.none() | st.just(tuple(2 * size for size in chunks)))
        array = await azarr.create_array({}, shape=data.draw(lengths), dtype="i4", chunks=chunks, shards=shards, fill_value=-1)
        model = np.full(array.shape, -1)
        for step in range(data.draw(st.integers(1, 6))):
            if data.draw(st.booleans()):
                shape = data.draw(lengths)
                array = await array.resize(shape, clear=True)
                grown = np.full(shape, -1)
                shared = tuple(map(slice, map(min, shape, model.shape)))
                grown[shared] = model[shared]
                model = grown
            else:
                rows = np.full((data.draw(st.integers(0, 5)), model.shape[1]), step)
                array = await array.append(rows)
                model = np.concatenate([model, rows])
            await array[::2].write(step + 10)
            model[::2] = step + 10
            assert np.array_equal(await array[...], model)

    run(go())


@pytest.mark.parametrize("kind", ["memory", "local", "waiting", "conditional"])
async def test_gathered_appends_each_have_their_rows(kind: str, tmp_path: Any):
    store: Any = {"memory": {}, "local": LocalStore(tmp_path), "waiting": Waiting(), "conditional": Conditional()}[kind]
    array = await azarr.create_array(store, shape=(0,), dtype="i4", chunks=(3,))
    await asyncio.gather(*(array.append([10 * number + each for each in range(4)]) for number in range(10)))
    rows = (await (await azarr.open_array(store))[...]).reshape(10, 4)
    assert sorted(rows[:, 0].tolist()) == list(range(0, 100, 10))
    assert (rows == rows[:, :1] + np.arange(4)).all()


async def test_columns_are_appended_too():
    array = await azarr.create_array({}, shape=(2, 1), dtype="i4", chunks=(1, 2))
    array = await array.append([[1, 2], [3, 4]], axis=1)
    assert (await array[...]).tolist() == [[0, 1, 2], [0, 3, 4]]


@pytest.mark.parametrize("axis", [-3, -2, -1])
async def test_an_axis_may_be_counted_from_the_end(axis: int):
    for store in ({}, Waiting()):
        array = await azarr.create_array(store, shape=(2, 3, 4), dtype="i4", chunks=(2, 2, 2))
        await array[...].write(np.arange(24).reshape(2, 3, 4))
        expected = np.concatenate([await array[...], await array[...] + 100], axis)
        assert np.array_equal(await (await array.append(await array[...] + 100, axis))[...], expected)


@pytest.mark.parametrize(("shape", "axis"), [((2, 3), 2), ((2, 3), -3), ((), 0)])
async def test_an_axis_that_is_not_there_is_refused(shape: Any, axis: int):
    array = await azarr.create_array({}, shape=shape, dtype="i4")
    with pytest.raises(ValueError, match=f"axis {axis} is out of bounds for an array of {len(shape)} dimensions"):
        await array.append(np.ones(shape), axis)


@pytest.mark.parametrize(("values", "axis"), [([1], 0), ([[1, 2]], 0), ([[1, 2, 3]], 1)])
async def test_rows_that_do_not_fit_are_refused(values: Any, axis: int):
    for store in ({}, Waiting()):
        array = await azarr.create_array(store, shape=(2, 3), dtype="i4")
        with pytest.raises(ValueError, match=f"cannot be appended along axis {axis} to an array of shape \\(2, 3\\)"):
            await array.append(values, axis)
        assert (await azarr.open_array(store)).shape == (2, 3)


async def test_a_shape_needs_a_length_for_each_dimension():
    array = await azarr.create_array({}, shape=(2, 3), dtype="i4")
    with pytest.raises(MetadataError, match=r"one length per dimension is needed \(2\)"):
        await array.resize((3,))
    with pytest.raises(MetadataError, match="a list of integers from 0"):
        await array.resize((3, -1))


async def test_rows_are_seen_once_they_are_stored():
    """The calls to a store that holds others back: data first, then metadata."""
    writes: list[str] = []

    class Recording(dict[str, bytes]):
        def __setitem__(self, key: str, value: bytes) -> None:
            writes.append(key)
            super().__setitem__(key, value)

    array = await azarr.create_array(Recording(), shape=(2,), dtype="u1", chunks=(2,))
    writes.clear()
    array = await array.append([1, 2, 3])
    assert writes == ["c/1", "c/2", "zarr.json"] or writes == ["c/2", "c/1", "zarr.json"]
    writes.clear()
    await array.resize((1,))
    assert writes == ["zarr.json"]


def xarray_wrote(zarr_format: int) -> dict[str, bytes]:
    """A group of two arrays; the root, the array and the consolidated metadata have the bare tokens that zarr-python writes."""
    if zarr_format == 2:
        array = b'{"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "<f4", "compressor": null, "fill_value": NaN, "order": "C", "filters": null}'
        store = {"x/.zarray": array, "y/.zarray": array, "x/.zattrs": b'{"missing_value": NaN}', ".zattrs": b'{"nothing": -Infinity}', ".zgroup": b'{"zarr_format": 2}'}
        return store | {".zmetadata": b'{"zarr_consolidated_format": 1, "metadata": {"x/.zarray": %s}}' % array}
    array = b"""{"zarr_format": 3, "node_type": "array", "shape": [2], "data_type": "uint8", "fill_value": 0, "codecs": ["bytes"], "attributes": {%s},
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}}, "chunk_key_encoding": "default"}"""
    bare, plain = array % b'"missing_value": NaN', array % b""
    root = b"""{"zarr_format": 3, "node_type": "group", "attributes": {"nothing": -Infinity},
        "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": {"x": %s}}}""" % bare
    return {"zarr.json": root, "x/zarr.json": bare, "y/zarr.json": plain}


@FORMATS
@pytest.mark.parametrize("held", [True, False], ids=["holding", "not holding"])
async def test_nodes_with_bare_tokens_are_changed_where_they_are_opened_leniently(zarr_format: int, held: bool, tmp_path: Any):
    store: Any = Waiting()
    if held:
        store = LocalStore(tmp_path)
    for key, data in xarray_wrote(zarr_format).items():
        await store.set(key, data)
    array = await azarr.open_array(store, "x", mode="r+", lenient=True)
    array = await array.update_attrs({"units": "K"})
    array = await array.append([7])
    array = await array.resize((4,))
    array = await azarr.open_array(store, "x", lenient=True)
    assert array.shape == (4,)
    assert str(dict(array.attrs)) == "{'missing_value': nan, 'units': 'K'}"
    assert (await array[2]).tolist() == 7
    with pytest.raises(MetadataError, match="not to be written as JSON"):  # what is new has the strict forms
        await (await azarr.open_array(store, "x", mode="r+", lenient=True)).update_attrs({"more": float("nan")})
    group = await (await azarr.open_group(store, mode="r+", lenient=True)).update_attrs({"title": "t"})
    assert str(dict(group.attrs)) == "{'nothing': -inf, 'title': 't'}"


@FORMATS
async def test_nodes_beside_others_with_bare_tokens_are_made_changed_and_deleted(zarr_format: int):
    store = xarray_wrote(zarr_format)
    await azarr.create_array(store, "z", shape=1, dtype="u1", zarr_format=zarr_format)
    assert "x" not in (await azarr.open_group(store, lenient=True)).known  # no longer consolidated
    store = xarray_wrote(zarr_format)
    if zarr_format == 3:
        array = await azarr.open_array(store, "y", mode="r+")
        assert (await (await array.update_attrs({"units": "K"})).resize((3,))).shape == (3,)
    await azarr.delete(store, "x")
    assert sorted(await (await azarr.open_group(store, lenient=True)).keys()) == ["y"]
    with pytest.raises(MetadataError, match="lenient=True accepts it"):
        await azarr.consolidate(store)
    group = await azarr.consolidate(store, lenient=True)
    assert (group.known, str(dict(group.attrs))) == (["y"], "{'nothing': -inf}")
