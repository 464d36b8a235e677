"""References: they say where, ask for nothing until they are awaited, and open first whatever is done with them."""

from __future__ import annotations

from contextlib import aclosing

import numpy as np
import pytest

import azarr
from azarr.errors import InvalidKey, NodeNotFound, NotAGroup, NotAnArray, ReadOnly, SelectionError, UnknownCodec
from documents import v3_array, v3_store, waiting
from hierarchies import consolidated, weather


async def test_a_reference_says_where_it_points_and_to_await_it():
    store = waiting(await weather())
    assert repr(azarr.open(store)) == f"<Ref / of {store!r}; not opened yet: await it>"
    assert repr(azarr.open_group(store).air.temperature) == f"<Ref air/temperature of {store!r}; not opened yet: await it>"
    assert repr(azarr.open(store, "air")["temperature"][0]) == f"<selection of <Ref air/temperature of {store!r}; not opened yet: await it>>"


async def test_nothing_is_asked_for_until_it_is_awaited():
    store = waiting(await weather())
    root = azarr.open_group(store)
    references = [root, root.air, root["air/temperature"], azarr.open_array(store, "rain"), azarr.open_consolidated(store)]
    part = root.rain[1:]
    selections = [part, part[::2], root.rain.oindex[[0, 1]], root.rain.vindex[[0, 1]], root.rain.isel(day=0), root["rain"][0]]
    assert [repr(each) for each in references + selections]
    assert store.requests == []
    assert (await part).tolist() == [2, 3, 4]
    assert store.requests != []


async def test_a_reference_is_opened_each_time_it_is_awaited():
    store: dict[str, bytes] = {}
    reference = azarr.open(store)
    with pytest.raises(NodeNotFound):
        await reference
    await azarr.create_group(store, attributes={"x": 1})
    assert (await reference).attrs["x"] == 1
    await azarr.create_array(store, shape=(2,), dtype="u1", overwrite=True)
    assert (await reference).shape == (2,)


async def test_selections_of_what_is_not_opened_read_as_those_of_the_array():
    rain, temperature = azarr.open(await weather()).rain, azarr.open(await weather()).air.temperature
    assert (await rain[1:]).tolist() == (await rain[1:].read()).tolist() == [2, 3, 4]
    assert (await rain[1:][::-1]).tolist() == [4, 3, 2]
    assert (await rain.isel(day=[3, 0])).tolist() == [4, 1]
    assert (await temperature.oindex[[1, 0], [2, 0]]).tolist() == [[6, 4], [3, 1]]
    assert (await temperature.vindex[[1, 0], [2, 0]]).tolist() == [6, 1]
    assert (await temperature[1].oindex[[0, 0]]).tolist() == [4, 4]
    assert (await temperature[:, 1:].vindex[[1], [0]]).tolist() == [5]
    assert await temperature[0, 0] == 1
    out = np.zeros(3, "i2")
    await temperature[1].read(out)
    assert out.tolist() == [4, 5, 6]


async def test_fields_of_what_is_not_opened_are_selected_after_a_key():
    store: dict[str, bytes] = {}
    made = await azarr.create_array(store, shape=(2,), dtype=[("x", "u1"), ("y", "u1")])
    await made[...].write(np.array([(1, 2), (3, 4)], made.dtype))
    assert (await azarr.open(store)[...]["y"]).tolist() == [2, 4]


async def test_a_pending_selection_opens_to_a_selection():
    part = await azarr.open(await weather()).rain[1:3].open()
    assert isinstance(part, azarr.Selection)
    assert part.shape == (2,)


async def test_a_pending_selection_is_written_and_streamed():
    store = await weather()
    rain = azarr.open(store, mode="r+").rain
    await rain[2:].write(9)
    assert [block.data.tolist() async for block in rain[::-1].blocks(ordered=True)] == [[9, 9], [2, 1]]
    async with aclosing(rain[...].blocks(memory="1 KiB")) as blocks:
        assert (await anext(blocks)).data.shape == (2,)
    await rain[1:3].write(7)
    assert (await rain[...]).tolist() == [1, 7, 7, 9]
    with pytest.raises(ReadOnly):
        await azarr.open(store).rain[...].write(9)


async def test_a_selection_that_does_not_fit_is_an_error_when_it_is_awaited():
    part = azarr.open(await weather()).rain[4]
    with pytest.raises(SelectionError, match="index 4 is out of bounds for axis 0 with size 4"):
        await part


async def test_a_selection_of_a_group_is_refused():
    with pytest.raises(NotAnArray, match=r"a group stands at <Ref air of .*; only arrays are selected from") as caught:
        await azarr.open(await weather()).air[0]
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_the_kind_that_was_asked_for_must_be_there(zarr_format: int):
    store = await weather(zarr_format)
    with pytest.raises(NotAGroup, match=r"an array stands at rain of MemoryStore.*; open it with open_array"):
        await azarr.open_group(store, "rain")
    with pytest.raises(NotAnArray, match=r"a group stands at air of MemoryStore.*; open it with open_group, or name an array in it"):
        await azarr.open_array(store, "air")
    for open_node in (azarr.open, azarr.open_group, azarr.open_array):
        with pytest.raises(NodeNotFound, match="no Zarr node at path 'wind'"):
            await open_node(store, "wind")


async def test_references_go_deeper_from_any_place():
    store = await weather()
    assert (await azarr.open(store, "air")["temperature"]).path == "air/temperature"
    assert (await azarr.open_group(consolidated(store), "air").temperature).path == "air/temperature"
    with pytest.raises(InvalidKey, match=r"'/../secret' is not a path of a node: '..' is not allowed as a name"):
        azarr.open(store)["../secret"]
    assert not hasattr(azarr.open(store), "_private")


async def test_a_codec_that_nobody_knows_is_an_error_of_opening():
    with pytest.raises(UnknownCodec, match=r"zarr.json: codecs"):
        await azarr.open(v3_store(v3_array(codecs=["bytes", "example.sparkle"])))


async def test_what_an_open_node_can_do_says_to_open_it_first():
    root = azarr.open_group(await weather())
    for do, line in (
        (lambda: root.members(), "/ is not opened yet, so it has no method 'members': (await ref).members(...)"),
        (lambda: root.air.keys(), "air is not opened yet, so it has no method 'keys': (await ref).keys(...)"),
        (lambda: list(root), "not opened yet: await it first"),
        (lambda: root.rain.__setitem__(0, 1), "await ref[key].write(value)"),
        (lambda: np.asarray(root.rain), "np.asarray(await ref[...])"),
        (lambda: np.asarray(root.rain[1:]), "np.asarray(await selection)"),
        (lambda: list(root.rain[1:]), "for x in await selection: ..."),
        (lambda: bool(root.rain[1:]), "bool(np.any(await selection))"),
        (lambda: root.rain[1:].__setitem__(0, 1), "await selection[key].write(value)"),
    ):
        with pytest.raises(TypeError) as caught:
            do()
        assert line in str(caught.value)


async def test_neither_a_reference_nor_a_group_looks_like_a_promise_to_javascript():
    store: dict[str, bytes] = {}
    group = await azarr.create_group(store)
    await azarr.create_group(store, "then")
    for node in (group, azarr.open(store)):
        assert not hasattr(node, "then")
        assert (await node["then"]).path == "then"
