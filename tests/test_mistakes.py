"""What people write in their first hour, and the line that says what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import azarr
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
