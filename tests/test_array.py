"""Arrays and selections as users meet them. NumPy says what is right."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import azarr
import keys
from azarr.errors import MetadataError, ReadOnly, SelectionError, StoreError, UnknownCodec
from azarr.stores import MemoryStore
from azarr.testing import CountingStore
from conftest import only_this_task, run
from documents import v3_array, v3_store, waiting
from drawing import examples

X = np.arange(4 * 5 * 6, dtype="int16").reshape(4, 5, 6)
T = np.dtype([("p", [("q", "i4"), ("r", "f8")]), ("q", "i4"), ("s", "f4", (2, 3))])


async def stored(values: np.ndarray[Any, Any], store: Any = None, **options: Any) -> azarr.Array:
    """An array that holds `values`, opened again."""
    store = {} if store is None else store
    made = await azarr.create_array(store, shape=values.shape, dtype=values.dtype, **{"chunks": tuple(max(1, n // 2) for n in values.shape), **options})
    await made[...].write(values)
    return await azarr.open_array(store)


async def quiet(values: np.ndarray[Any, Any], **options: Any) -> tuple[azarr.Array, CountingStore]:
    """An array in a store that waits, and that store, which has not been asked for a chunk yet."""
    documents: dict[str, bytes] = {}
    await stored(values, documents, **options)
    store = waiting(documents)
    array = await azarr.open_array(store)
    store.requests.clear()
    return array, store


# What an array knows


async def test_an_array_knows_what_its_document_says():
    store: dict[str, bytes] = {}
    await azarr.create_array(store, "a/t", shape=(8, 6), dtype="int16", chunks=(4, 3), fill_value=-1, dimension_names=("y", "x"), attributes={"units": "K"})
    array = await azarr.open_array(store, "a/t")
    assert (array.shape, array.ndim, array.size, len(array)) == ((8, 6), 2, 48, 8)
    assert (array.dtype, array.nbytes, array.fill_value) == (np.dtype("int16"), 96, np.int16(-1))
    assert (array.chunks, array.shards, array.nchunks) == ((4, 3), None, 4)
    assert (array.dimension_names, dict(array.attrs)) == (("y", "x"), {"units": "K"})
    assert [codec.name for codec in array.codecs] == ["bytes", "zstd"]
    assert (array.path, array.order, array.zarr_format, repr(array.store)) == ("a/t", "C", 3, "MemoryStore(3 objects)")


async def test_a_sharded_array_has_chunks_in_its_shards():
    array = await azarr.create_array({}, shape=(8, 6), dtype="int16", chunks=(2, 3), shards=(4, 6))
    assert (array.chunks, array.shards, array.nchunks) == ((2, 3), (4, 6), 8)


async def test_a_v2_array_has_an_order():
    array = await stored(X, zarr_format=2, order="F")
    assert (array.order, array.zarr_format) == ("F", 2)


async def test_attributes_cannot_be_changed_by_accident():
    array = await azarr.create_array({}, shape=(1,), dtype="u1", attributes={"a": 1})
    with pytest.raises(TypeError, match="attributes are as they were read"):
        array.attrs["a"] = 2  # type: ignore[index]


async def test_a_scalar_array_has_no_length():
    array = await azarr.create_array({}, shape=(), dtype="u1", fill_value=7)
    with pytest.raises(TypeError, match=r"len\(\) of unsized object"):
        len(array)
    assert await array[()] == await array[...] == 7


async def test_the_name_of_an_unknown_attribute_is_an_attribute_error():
    array = await azarr.create_array({}, shape=(1,), dtype="u1")
    with pytest.raises(AttributeError, match="lenght"):
        _ = array.lenght  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        array.shape = (2,)  # type: ignore[misc]


async def test_what_is_wrong_with_codecs_names_the_document():
    with pytest.raises(MetadataError, match=r"^a/zarr.json: codecs.sharding_indexed.chunk_shape: must divide the shard \(4,\), not \(3,\)$"):
        await azarr.create_array({}, "a", shape=(4,), dtype="u1", chunks=(3,), shards=(4,))


# What is read is what NumPy selects


@st.composite
def arrays(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Values, and how they are stored."""
    shape = draw(keys.SHAPES)
    chunks = tuple(draw(st.integers(1, 5)) for _ in shape)
    options: dict[str, Any] = {"chunks": chunks, "zarr_format": draw(st.sampled_from((2, 3))), "order": draw(st.sampled_from("CF"))}
    if options["zarr_format"] == 3 and draw(st.booleans()):
        options["shards"] = tuple(size * draw(st.integers(1, 3)) for size in chunks)
    dtype = draw(st.sampled_from(("i2", ">f4", "c8", "U3")))
    return np.arange(math.prod(shape)).reshape(shape).astype(dtype), options


def equal(found: Any, expected: Any) -> bool:
    return np.shape(found) == np.shape(expected) and np.array_equal(found, expected)


@given(arrays(), st.booleans(), st.data())
@examples(60)
def test_whatever_is_selected_reads_as_in_numpy(made: tuple[np.ndarray[Any, Any], dict[str, Any]], waits: bool, data: st.DataObject):
    values, options = made
    first, second = data.draw(keys.basic_keys(values.shape)), data.draw(keys.orthogonal_keys(values.shape))
    once = values[(*first, ...) if ... not in first else first]
    cases: list[tuple[Callable[[azarr.Array], azarr.Selection], Any]] = [(lambda array: array[first], once)]
    cases.append((lambda array: array.oindex[second], keys.orthogonal(values, second)))
    if None not in first and once.ndim:
        further = data.draw(keys.orthogonal_keys(once.shape))
        cases.append((lambda array: array[first].oindex[further], keys.orthogonal(once, further)))
    if values.ndim:
        points = data.draw(keys.point_keys(values.shape))
        cases.append((lambda array: array.vindex[points], keys.vectorised(values, points)))
        mask = data.draw(st.lists(st.booleans(), min_size=values.size, max_size=values.size).map(lambda flat: np.array(flat, bool).reshape(values.shape)))
        cases.append((lambda array: array[mask], values[mask]))

    async def check() -> None:
        documents: dict[str, bytes] = {}
        await stored(values, documents, **options)
        array = await azarr.open_array(waiting(documents) if waits else documents)
        for select, expected in cases:
            selection = select(array)
            assert (selection.shape, selection.size, selection.ndim) == (expected.shape, expected.size, expected.ndim)
            assert equal(await selection, expected)
            if expected.ndim:
                found = np.full_like(expected, 1, dtype=array.dtype)
                async for block in selection.blocks(ordered=True):
                    found[block.region] = block.data
                assert equal(found, expected)

    run(check())


async def test_arrays_on_disk_read_as_in_numpy(tmp_path: Path):
    for place, options in enumerate(({}, {"shards": (4, 4, 6)}, {"zarr_format": 2})):
        folder = tmp_path / str(place)
        array = await stored(X, folder, **options)
        assert equal(await array[1:, ::-2, 3], X[1:, ::-2, 3])
        assert equal(await array.oindex[[3, 0], :, [5, 1]], X[np.ix_([3, 0], range(5), [5, 1])])
        assert equal(await array.vindex[[3, 0], :, [5, 1]], X.transpose(0, 2, 1)[[3, 0], [5, 1]])
        assert repr(array.store) == f"LocalStore({str(folder)!r})"


async def test_one_element_is_a_scalar_of_numpy():
    found = await (await stored(X))[3, 4, 5]
    assert found == 119
    assert type(found) is np.int16


async def test_a_selection_is_read_again_each_time_it_is_awaited():
    array = await azarr.create_array({}, shape=(4,), dtype="u1")
    part = array[1:3]
    assert (await part).tolist() == [0, 0]
    await array[...].write([1, 2, 3, 4])
    assert (await part).tolist() == (await part.read()).tolist() == [2, 3]


async def test_a_selection_knows_its_shape_type_and_array():
    array = await stored(X)
    part = array[1:, None, 2]
    assert (part.shape, part.ndim, part.size, part.dtype, part.nbytes) == ((3, 1, 6), 3, 18, np.dtype("int16"), 36)
    assert part.array is array
    assert repr(part) == f"<Selection (3, 1, 6) int16 of {array!r}; await it to read>"


async def test_selecting_asks_for_nothing_and_fails_at_once():
    array, store = await quiet(X)
    part = array[1:].oindex[[0, 2]][..., 0]
    assert part.plan().chunks == 3 * 2
    for key, error in ((9, IndexError), ((0, 0, 0, 0), IndexError), ((..., ...), IndexError), (0.5, IndexError), (slice(None, None, 0), ValueError)):
        with pytest.raises(error):
            array[key]
    assert store.requests == []


async def test_dimensions_are_selected_by_name():
    array = await stored(X, dimension_names=("t", "y", "x"))
    assert equal(await array.isel(x=slice(None, None, -1), t=0), X[0, :, ::-1])
    assert equal(await array.isel(t=[3, 0], x=[1, 2]), X[np.ix_([3, 0], range(5), [1, 2])])
    assert equal(await array[1].isel(x=0), X[1, :, 0])
    assert equal(await array[None, 1].isel(y=-1), X[None, 1, -1])
    for chosen, name in ((array, "time"), (array[0], "t"), (array, "")):
        with pytest.raises(SelectionError, match=f"no dimensions are called {name!r}; there are t, y, x"):
            chosen.isel(**{name: 0})


async def test_a_name_that_two_dimensions_have_selects_neither():
    array = await stored(X, dimension_names=("t", "x", "x"))
    with pytest.raises(SelectionError, match="2 dimensions are called 'x'"):
        array.isel(x=0)
    with pytest.raises(SelectionError, match="no dimensions are called 'x'; there are no names"):
        (await stored(X)).isel(x=0)


# Fields of structs


def structs() -> np.ndarray[Any, Any]:
    values = np.zeros((7, 8), T)
    values["p"]["q"] = np.arange(56).reshape(7, 8)
    values["q"], values["s"] = -1, np.arange(56 * 6).reshape(7, 8, 2, 3)
    return values


async def test_fields_are_selected_by_name():
    values = structs()
    array = await stored(values, zarr_format=2, dimension_names=("a", "b"))
    assert equal(await array["q"], values["q"])
    assert equal(await array[2:, 3]["p"], values["p"][2:, 3])
    assert equal(await array[["q", "p"]].oindex[[3, 0]], values[["q", "p"]][[3, 0]])
    assert equal(await array[["q", "p"]]["p"], values["p"])


async def test_a_field_that_is_an_array_adds_its_axes_at_the_end():
    values = structs()
    part = (await stored(values, zarr_format=2, dimension_names=("a", "b")))["s"]
    assert (part.shape, part.dtype, part.nbytes) == ((7, 8, 2, 3), np.dtype("f4"), values["s"].nbytes)
    assert equal(await part.oindex[[3, 1], [5, 0]], values["s"][np.ix_([3, 1], [5, 0])])
    assert equal(await part.vindex[[3, 1], [5, 0]], values["s"][[3, 1], [5, 0]])
    assert equal(await part.isel(a=1), values["s"][1])
    assert repr(part[0]).startswith("<Selection (8, 2, 3) float32 field 's' of <Array / (a: 7, b: 8) struct ")


async def test_a_field_that_is_not_there_is_an_index_error_that_names_those_that_are():
    array = await stored(structs(), zarr_format=2)
    with pytest.raises(SelectionError, match="no field of name 'z'; there are p, q, s"):
        array["z"]
    with pytest.raises(SelectionError, match="there are p, q, s"):
        array[["p", "z"]]
    with pytest.raises(SelectionError, match="no field of name 'x'; there are no fields"):
        (await stored(X))["x"]


async def test_a_field_of_a_field_is_read_in_two_steps():
    array = await stored(structs(), zarr_format=2)
    with pytest.raises(SelectionError, match="'q' of the field 'p' cannot be selected: read the field, and index the result"):
        array["p"]["q"]


# Into memory of one's own


@pytest.mark.parametrize("waits", [False, True], ids=["blocking", "waiting"])
async def test_out_is_filled_whatever_its_memory_order(waits: bool):
    documents: dict[str, bytes] = {}
    await stored(X, documents)
    array = await azarr.open_array(waiting(documents) if waits else documents)
    memory = np.zeros((12, 5, 8), "int16")
    for out in (np.zeros((4, 5, 6), "int16"), np.zeros((6, 5, 4), "int16").T, memory[::3, :, 1:7], memory[::-3, ::-1, ::-1][:, :, :6]):
        assert await array[...].read(out=out) is out
        assert equal(out, X)
    points = np.zeros((6, 2), "int16").T
    await array.vindex[[3, 0], [1, 4]].read(out=points)
    assert equal(points, X[[3, 0], [1, 4]])


async def test_out_is_filled_wherever_in_a_page_its_memory_begins(tmp_path: Path):
    values = np.arange(4 * 9000, dtype="u1").reshape(4, 9000)
    await (await azarr.create_array(tmp_path / "a", shape=values.shape, dtype="u1", chunks=(1, 9000), compressors=()))[...].write(values)
    array, memory = await azarr.open_array(tmp_path / "a"), np.zeros(values.size + 2 * 4096, "u1")
    page = -memory.ctypes.data % 4096
    for start in (0, 1, 16, 31, 32, 4095):
        memory[:] = 7
        out = memory[page + start :][: values.size].reshape(values.shape)
        assert await array[...].read(out=out) is out
        assert equal(out, values)
        assert np.count_nonzero(memory != 7) == np.count_nonzero(values != 7)


async def test_only_the_elements_of_out_are_written():
    memory = np.full((8, 12), 7, "int16")
    await (await stored(X))[0].read(out=memory[1:6, ::2])
    assert equal(memory[1:6, ::2], X[0])
    memory[1:6, ::2] = 7
    assert np.all(memory == 7)


async def test_an_out_that_does_not_fit_is_refused_before_anything_is_asked_for():
    array, store = await quiet(X)
    fixed = np.zeros((4, 5, 6), "int16")
    fixed.flags.writeable = False
    for out, found in ((np.zeros((4, 5, 5), "int16"), r"\(4, 5, 5\), int16"), (np.zeros((4, 5, 6)), r"\(4, 5, 6\), float64"), (fixed, r"\(4, 5, 6\), int16")):
        with pytest.raises(SelectionError, match=r"out must be writable, of shape \(4, 5, 6\) and dtype int16; it is " + found):
            await array[...].read(out=out)
    assert store.requests == []


# Block by block


async def test_blocks_come_in_order_where_asked_for():
    array, _ = await quiet(X)
    regions = [block.region async for block in array.blocks(ordered=True)]
    assert regions == sorted(regions, key=lambda region: [part.start for part in region])
    assert len(regions) == 2 * 3 * 2


async def test_blocks_of_any_order_make_up_the_selection():
    array = await stored(X)
    part = array[::-1, 1:, None]
    found = np.full(part.shape, -1, "int16")
    async for block in part.blocks():
        assert block.data.base is None or block.data.base.shape == block.data.shape
        found[block.region] = block.data
    assert equal(found, X[::-1, 1:, None])


async def test_blocks_of_points_are_cut_along_the_other_axes():
    array = await stored(X)
    part = array.vindex[[3, 0], :, [5, 1]]
    blocks = [block async for block in part.blocks(ordered=True)]
    assert [block.region for block in blocks] == [(slice(0, 2), slice(start, min(start + 2, 5))) for start in (0, 2, 4)]
    assert equal(np.concatenate([block.data for block in blocks], axis=1), X.transpose(0, 2, 1)[[3, 0], [5, 1]])


async def test_blocks_are_shards_or_inner_chunks_where_shards_are_too_large_for_the_bound():
    array = await stored(X, chunks=(2, 5, 6), shards=(4, 5, 6))
    assert [block.data.shape async for block in array.blocks(ordered=True)] == [(4, 5, 6)]
    assert [block.data.shape async for block in array.blocks(ordered=True, memory=X.nbytes)] == [(2, 5, 6), (2, 5, 6)]


async def test_blocks_of_nothing_are_none():
    array = await stored(X)
    assert [block async for block in array[:, 2:2].blocks()] == []
    assert [block async for block in array[None][:0].blocks()] == []


async def test_a_scalar_is_one_block():
    blocks = [block async for block in (await stored(X))[1, 2, 3].blocks()]
    assert [(block.region, block.data.tolist()) for block in blocks] == [((), 45)]


async def test_a_stream_that_is_left_early_leaves_nothing_running():
    array, store = await quiet(np.arange(1000, dtype="u1").reshape(1000), chunks=(1,))
    async with aclosing(array.blocks(memory=20)) as blocks:
        async for _ in blocks:
            break
    asked = len(store.requests)
    await asyncio.sleep(0)
    assert only_this_task()
    assert len(store.requests) == asked <= 20


# Plans


async def test_a_plan_counts_what_a_read_would_do():
    array, store = await quiet(X)
    assert array[...].plan() == azarr.Plan((4, 5, 6), "int16", chunks=12, objects=12, nbytes=240, decoded=12 * 24)
    assert array[0, 0].plan().chunks == 2
    assert array[:0].plan().requests == 0
    sharded, _ = await quiet(X, chunks=(2, 5, 3), shards=(4, 5, 6))
    plan = sharded[1].plan()
    assert (plan.chunks, plan.objects, plan.nbytes, plan.decoded) == (2, 1, 60, 120)
    assert str(plan) == "read (5, 6) int16, 60 bytes: 2 chunks in 1 objects, 120 bytes decoded, 50% of them used"
    assert store.requests == []


# What waits is awaited


async def test_what_python_would_do_at_once_says_what_to_write_instead():
    array = await stored(X)
    part = array[0]
    for do, line in (
        (lambda: array.__setitem__(0, 1), "await array[key].write(value)"),
        (lambda: part.__setitem__(0, 1), "await selection[key].write(value)"),
        (lambda: np.asarray(array), "np.asarray(await array[...])"),
        (lambda: np.asarray(part), "np.asarray(await selection)"),
        (lambda: np.add(part, 1), "np.asarray(await selection)"),
        (lambda: list(array), "async for block in array[...].blocks(): ..."),
        (lambda: [*part], "for x in await selection: ..."),
        (lambda: bool(array), "bool(np.any(await array[...]))"),
        (lambda: 1 if part else 2, "bool(np.any(await selection))"),
    ):
        with pytest.raises(TypeError) as caught:
            do()
        assert line in str(caught.value)


async def test_the_lines_to_write_instead_work():
    array = await azarr.create_array({}, shape=(4,), dtype="i2", chunks=(2,))
    key, value = slice(0, 2), [5, 6]
    await array[key].write(value)
    selection = array[1:]
    assert np.asarray(await array[...]).tolist() == [5, 6, 0, 0]
    assert np.asarray(await selection).tolist() == [int(x) for x in await selection] == [6, 0, 0]
    assert bool(np.any(await selection))
    assert sum([block.data.sum() async for block in array[...].blocks()]) == 11


# Writing whole chunks


async def test_values_are_broadcast_to_the_chunks_they_fill():
    array = await azarr.create_array({}, shape=(4, 6), dtype="i4", chunks=(2, 3))
    await array[2:].write(7)
    await array[:, 3:][::-1].write([[1], [2], [3], [4]])
    assert (await array[...]).tolist() == [[0, 0, 0, 4, 4, 4], [0, 0, 0, 3, 3, 3], [7, 7, 7, 2, 2, 2], [7, 7, 7, 1, 1, 1]]


async def test_the_last_chunk_ends_where_the_array_does():
    store: dict[str, bytes] = {}
    array = await azarr.create_array(store, shape=(5,), dtype="u1", chunks=(3,), compressors=None, fill_value=9)
    await array[3:].write([1, 2])
    assert store["c/1"] == bytes([1, 2, 9])
    assert (await array[...]).tolist() == [9, 9, 9, 1, 2]


async def test_values_that_do_not_fit_are_a_value_error_as_in_numpy():
    array = await azarr.create_array({}, shape=(4,), dtype="u1")
    with pytest.raises(ValueError, match="could not be broadcast"):
        await array[...].write([1, 2, 3])


async def test_an_array_opened_to_read_is_not_written():
    store: dict[str, bytes] = {}
    await azarr.create_array(store, "a", shape=(4,), dtype="u1")
    array = await azarr.open_array(store, "a")
    with pytest.raises(ReadOnly, match=r"^a was opened to read; open it with mode='r\+' to write$") as caught:
        await array[...].write(1)
    assert isinstance(caught.value, PermissionError)
    await (await azarr.open_array(store, "a", mode="r+"))[...].write(1)
    assert (await array[...]).tolist() == [1, 1, 1, 1]


async def test_an_array_with_a_codec_nobody_knows_is_not_written():
    unknown = {"name": "example.sparkle", "must_understand": False}
    store = v3_store(v3_array(codecs=["bytes", unknown]))
    with pytest.warns(azarr.errors.LegacyWarning):
        array = await azarr.open_array(store, mode="r+")
    with pytest.raises(UnknownCodec, match=r"zarr.json: codecs: .*example\.sparkle"):
        await array[...].write(1)
    assert list(store) == ["zarr.json"]


async def test_strings_and_bytes_of_any_length_are_written_and_read(tmp_path: Path):
    for zarr_format in (2, 3):
        words = await azarr.create_array(tmp_path / f"s{zarr_format}", shape=(3,), dtype=str, chunks=(2,), zarr_format=zarr_format)
        await words[...].write(["", "Zürich", "x" * 1000])
        assert (await words[...]).tolist() == ["", "Zürich", "x" * 1000]
        raw = await azarr.create_array(tmp_path / f"b{zarr_format}", shape=(2,), dtype=bytes, zarr_format=zarr_format)
        await raw[...].write([b"", b"\0\1"])
        assert (await raw[...]).tolist() == [b"", b"\0\1"]


# Wrong bytes are never values


async def test_a_damaged_chunk_is_an_error_that_names_store_and_key():
    store: dict[str, bytes] = {}
    await stored(X, store, compressors="crc32c")
    store["c/1/2/1"] = store["c/1/2/1"][:-1] + b"!"
    array = await azarr.open_array(store)
    assert equal(await array[:2], X[:2])
    with pytest.raises(StoreError, match="'c/1/2/1' of MemoryStore") as caught:
        await array[...]
    assert caught.value.key == "c/1/2/1"


async def test_an_absent_chunk_reads_as_the_fill_value():
    store: dict[str, bytes] = {}
    await stored(X, store, fill_value=-7)
    del store["c/0/0/0"]
    found = await (await azarr.open_array(store))[...]
    assert np.all(found[:2, :2, :3] == -7)
    found[:2, :2, :3] = X[:2, :2, :3]
    assert equal(found, X)


async def test_the_handle_is_frozen_in_what_its_document_said():
    store: dict[str, bytes] = {}
    array = await stored(X, store)
    store["zarr.json"] = json.dumps({**json.loads(store["zarr.json"]), "shape": [1, 1, 1]}).encode()
    assert array.shape == (4, 5, 6)
    assert (await azarr.open_array(MemoryStore(store))).shape == (1, 1, 1)


def test_a_plan_says_what_a_read_would_do():
    found = azarr.Plan((7, 10), "float64", chunks=12, objects=3, nbytes=560, decoded=1120)
    assert found.requests == 3
    assert str(found) == "read (7, 10) float64, 560 bytes: 12 chunks in 3 objects, 1,120 bytes decoded, 50% of them used"
    assert str(azarr.Plan((0,), "uint8", 0, 0, 0, 0)) == "read (0,) uint8, 0 bytes: 0 chunks in 0 objects, 0 bytes decoded, all of them used"
