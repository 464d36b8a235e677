"""What people write in their first hour, and the line that says what to write instead."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import azarr
from azarr.errors import NotAnArray
from hierarchies import weather

# A handle in the place of a store


async def test_a_handle_is_no_store_and_says_what_to_pass():
    store = await weather()
    root = azarr.open(store)
    group, array = await root, await root.rain
    for handle, line in (
        (group, "a store is needed, not this Group: pass group.store, and f'{group.path}/name' for what is in the group"),
        (array, "a store is needed, not this Array: pass array.store, and array.path"),
        (root, "a store is needed, not this Ref: await it, or go on from it by ref['name']"),
        (array[1:], "a store is needed, not this Selection: selection.array is what it is of"),
        (root.rain[1:], "a store is needed, not this PendingSelection: await what it is of"),
    ):
        for use in (azarr.open, azarr.open_group, azarr.stores.store_from, azarr.Cached):
            with pytest.raises(TypeError) as caught:
                use(handle)
            assert str(caught.value).startswith(line)
    for do in (azarr.create_array(group, "a", shape=1, dtype="u1"), azarr.save(group, "a", [1]), azarr.verify(group), azarr.delete(group)):
        with pytest.raises(TypeError, match="a store is needed, not this Group"):
            await do


async def test_what_the_text_says_to_pass_is_right():
    group = await azarr.open_group(await weather()).air
    array = await azarr.create_array(group.store, f"{group.path}/wind", shape=1, dtype="u1")
    assert array.path == "air/wind"
    root = await azarr.open_group(group.store)
    assert (await azarr.create_array(root.store, f"{root.path}/wind", shape=1, dtype="u1")).path == "wind"


# Methods that a group does not have


async def test_a_method_that_a_group_does_not_have_says_what_it_has():
    group = await azarr.open_group(await weather())
    calls: list[Callable[[], Any]] = [lambda: group.create_array("a", shape=1), lambda: group.arrays(), lambda: group.air.info()]
    for call, line in zip(
        calls,
        (
            "'create_array' is no method of a group, so it was taken for a member of /: a group has keys, members, walk, tree, update_attrs; ",
            "'arrays' is no method of a group",
            "'info' is no method of a group, so it was taken for a member of air",
        ),
        strict=True,
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value).startswith(line)
        assert str(caught.value).endswith("; arrays are made by azarr.create_array(group.store, f'{group.path}/name', ...)")


# Computing with what is not read yet


COMPUTING: dict[str, Callable[[Any], Any]] = {
    "x + 1": lambda x: x + 1,
    "1 - x": lambda x: 1 - x,
    "x > 0": lambda x: x > 0,
    "x == 0": lambda x: x == 0,
    "0 != x": lambda x: 0 != x,  # noqa: SIM300  # the other way round is the point
    "-x": lambda x: -x,
    "float(x)": float,
    "round(x)": round,
    "x += 1": lambda x: operator.iadd(x, 1),
}


@pytest.mark.parametrize("name", COMPUTING)
async def test_computing_with_what_is_not_read_says_to_await_it(name: str):
    root = azarr.open(await weather())
    array = await root.rain
    for chosen, shown in ((array, "array[...]"), (array[1:], "selection"), (root.rain, "ref[...]"), (root.rain[1:], "selection")):
        with pytest.raises(TypeError) as caught:
            COMPUTING[name](chosen)
        assert str(caught.value) == f"reading waits, so it is awaited: x = await {shown}, and then compute with x"


async def test_what_is_not_compared_with_values_is_equal_to_itself_alone():
    array = await azarr.open(await weather()).rain
    part = array[1:]
    assert part == part
    assert part != array[1:]
    assert array != part
    assert array != None  # noqa: E711  # the point
    assert {array: 1, part: 2}[part] == 2


async def test_an_attribute_of_the_data_says_to_await_them():
    root = azarr.open(await weather())
    array = await root.rain
    for look, line in (
        (lambda: array.mean, "'Array' object has no attribute 'mean'; of the data: (await array[...]).mean"),
        (lambda: array[1:].astype, "'Selection' object has no attribute 'astype'; of the data: (await selection).astype"),
        (lambda: root.rain[1:].shape, "'PendingSelection' object has no attribute 'shape'; of what is selected, once it is open: (await selection.open()).shape"),
        (lambda: root.rain[1:].mean, "'PendingSelection' object has no attribute 'mean'; of the data: (await selection).mean"),
        (lambda: array.compressor, "'Array' object has no attribute 'compressor'"),
        (lambda: array._repr_png_, "'Array' object has no attribute '_repr_png_'"),
    ):
        with pytest.raises(AttributeError) as caught:
            look()
        assert str(caught.value) == line
    assert (await root.rain[1:].open()).shape == (3,)


async def test_arrays_and_selections_are_still_copied_pickled_and_completed():
    array = await azarr.open(await weather()).rain
    for part in (array, array[1:]):
        for other in (copy.copy(part), copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
            assert (other.shape, other.dtype) == (part.shape, part.dtype)
        assert "mean" not in dir(part)
        assert isinstance(hash(part), int)


async def test_a_reference_has_no_length_and_holds_nothing_yet():
    root = azarr.open(await weather())
    for look in (lambda: "rain" in root, lambda: len(root), lambda: list(root)):
        with pytest.raises(TypeError, match=r"^not opened yet: await it first$"):
            look()


# Groups


@pytest.mark.parametrize("key", [slice(5, None), 0, ("a", "b"), ...], ids=repr)
async def test_a_group_is_not_selected_from(key: Any):
    air = await azarr.open(await weather()).air
    with pytest.raises(NotAnArray, match=r"a group stands at air of MemoryStore.*; group\['name'\]\[...\] selects from an array in it"):
        air[key]


async def test_handles_are_frozen():
    root = azarr.open(await weather())
    group = await root
    handles: list[Any] = [root, group, await group.rain, group.rain[0], (await group.rain)[0]]
    for handle in handles:
        with pytest.raises(AttributeError):
            handle.t = 5
    for other in (copy.copy(group), copy.deepcopy(group), pickle.loads(pickle.dumps(group))):
        assert (await other.rain[0], other.path) == (1, "")
