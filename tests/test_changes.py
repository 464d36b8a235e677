"""Changing nodes that exist: attributes, shape, rows. What readers see in between is old or new, and no change is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import azarr
from azarr.errors import MetadataError, ReadOnly, WriteConflict
from azarr.stores import LocalStore
from conftest import run
from drawing import examples
from fakes import Conditional, Waiting

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


async def test_what_is_no_json_is_not_stored_as_an_attribute():
    group = await azarr.create_group({})
    with pytest.raises(MetadataError, match="not to be written as JSON"):
        await group.update_attrs({"x": float("nan")})


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
