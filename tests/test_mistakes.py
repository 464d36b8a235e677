"""What people write in their first hour, and the line that says what to write instead."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import azarr
from azarr.errors import MetadataError, NodeNotFound, NotAnArray, SelectionError, StoreError, TransportError
from hierarchies import consolidated, weather

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


# Arguments


@pytest.mark.parametrize(
    ("options", "error", "line"),
    [
        ({"chunks": None}, TypeError, "chunks: an integer, or one for each axis, is needed, or auto, not None"),
        ({"chunks": True}, TypeError, "chunks: an integer, or one for each axis, is needed, or auto, not True"),
        ({"chunks": (2.0, 2)}, TypeError, "chunks: an integer, or one for each axis, is needed, or auto, not (2.0, 2)"),
        ({"shape": "ab"}, TypeError, "shape: an integer, or one for each axis, is needed, not 'ab'"),
        ({"chunks": 2}, MetadataError, "metadata: chunks: one length for each axis is needed (2), not 2"),
        ({"shards": (4, 4, 4)}, MetadataError, "metadata: shards: one length for each axis is needed (2), not (4, 4, 4)"),
        ({"dimension_names": "ab"}, TypeError, "dimension_names are a list of names, one for each axis, not 'ab'"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_an_argument_that_is_wrong_is_named(options: dict[str, Any], error: type[Exception], line: str, zarr_format: int):
    store: dict[str, bytes] = {}
    arguments: dict[str, Any] = {"shape": (4, 4), "dtype": "i4", "zarr_format": zarr_format, **options}
    with pytest.raises(error) as caught:
        await azarr.create_array(store, **arguments)
    assert str(caught.value) == line
    assert store == {}


class Blosc:
    """As in numcodecs, and in zarr-python."""

    def __repr__(self) -> str:
        return "Blosc()"

    def get_config(self) -> dict[str, Any]:
        return {"id": "blosc"}


class BloscCodec(Blosc):
    def to_dict(self) -> dict[str, Any]:
        return {"name": "blosc"}


@pytest.mark.parametrize(
    ("codec", "zarr_format", "way"),
    [(Blosc(), 3, ""), (Blosc(), 2, " (here, what its get_config() gives)"), (BloscCodec(), 3, " (here, what its to_dict() gives)")],
)
@pytest.mark.parametrize("argument", ["compressors", "filters"])
async def test_a_codec_of_another_library_says_what_a_codec_is(codec: Any, zarr_format: int, way: str, argument: str):
    for given in (codec, [codec]):
        options: dict[str, Any] = {argument: given, "zarr_format": zarr_format}
        with pytest.raises(MetadataError) as caught:
            await azarr.create_array({}, shape=4, dtype="i4", **options)
        line = f"{argument}: a codec is a name, or an object such as {{'name': 'zstd', 'configuration': {{'level': 3}}}}{way}, not Blosc()"
        assert str(caught.value) == f"metadata: {line}"


async def test_values_that_json_does_not_have_are_named():
    group = await azarr.create_group({})
    ring: dict[str, Any] = {}
    ring["self"] = ring
    for attributes, line in (
        ({"a": np.float32(1)}, ": attributes['a'] is np.float32(1.0), of which .item() is what JSON has; attributes are text"),
        ({"a": {"b": [0, np.arange(2)]}}, ": attributes['a']['b'][1] is array([0, 1]), of which .tolist() is what JSON has; "),
        ({"a": {1, 2}}, ": attributes['a'] is {1, 2}; attributes are text, finite numbers, lists and objects"),
        ({"a": float("nan")}, ": attributes['a'] is nan; "),
        (ring, "(Circular reference detected); attributes are text"),
    ):
        for do in (group.update_attrs(attributes), azarr.create_group({}, attributes=attributes)):
            with pytest.raises(MetadataError) as caught:
                await do
            assert line in str(caught.value)


async def test_attributes_say_how_they_are_changed():
    store = await weather()
    for node in (await azarr.open(store, mode="r+"), await azarr.open(store, mode="r+").rain):
        node = await node.update_attrs({"x": 1, "y": [2]})
        changes: list[Callable[[Any], Any]] = [
            lambda attrs: attrs.__setitem__("x", 2),
            lambda attrs: attrs.__delitem__("x"),
            lambda attrs: attrs.update(x=2),
            lambda attrs: operator.ior(attrs, {"x": 2}),
            lambda attrs: attrs.pop("x"),
        ]
        for change in changes:
            with pytest.raises(TypeError, match=r"attributes are as they were read; .*: node = await node.update_attrs\(\{...\}\)"):
                change(node.attrs)
        assert dict(node.attrs)["x"] == 1
        assert {**node.attrs, "x": 2}["x"] == 2
        for other in (copy.copy(node.attrs), copy.deepcopy(node.attrs), pickle.loads(pickle.dumps(node.attrs))):
            assert other == node.attrs


async def test_values_that_do_not_fit_say_both_shapes():
    array = await azarr.create_array({}, shape=(4, 20), dtype="i4")
    for chosen, values, line in (
        (array[0], np.arange(21), "values of shape (21,) could not be broadcast to the selection's shape (20,)"),
        (array[:2], np.zeros((1, 2, 20)), "values of shape (1, 2, 20) could not be broadcast to the selection's shape (2, 20)"),
    ):
        with pytest.raises(ValueError) as caught:
            await chosen.write(values)
        assert str(caught.value) == line


async def test_an_array_of_one_axis_is_resized_to_a_number():
    array = await azarr.create_array({}, shape=4, dtype="i4")
    assert (await array.resize(30)).shape == (30,)
    with pytest.raises(TypeError, match=r"shape: an integer, or one for each axis, is needed, not 2\.5"):
        await array.resize(2.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(MetadataError, match=r"shape: one length per dimension is needed \(1\)"):
        await array.resize((4, 4))


async def test_a_dimension_that_is_not_there_is_named():
    array = await azarr.open(await weather()).rain
    with pytest.raises(SelectionError, match=r"^no dimensions are called 'dya'; there are day$"):
        array.isel(dya=0)
    twice = await azarr.create_array({}, shape=(2, 2), dtype="i4", dimension_names=("x", "x"))
    with pytest.raises(SelectionError, match=r"^2 dimensions are called 'x'; there are x, x$"):
        twice.isel(x=0)


async def test_read_many_takes_selections():
    array = await azarr.open(await weather()).rain
    for given, name in (([array[0]], "list"), (array, "Array")):
        with pytest.raises(TypeError, match=rf"read_many takes selections, one by one: read_many\(a\[0\], b\[...\]\), not {name}"):
            await azarr.read_many(given)  # pyright: ignore[reportArgumentType]


# Places where nothing is


class Blocking:
    """A store whose `get` is not awaited."""

    def __repr__(self) -> str:
        return "Blocking()"

    def get(self, key: str, byte_range: Any = None) -> None:
        return None


async def test_a_store_whose_get_is_not_awaited_says_so():
    with pytest.raises(TypeError, match=r"Blocking\(\) is no store: its get must be `async def get\(self, key, byte_range=None\)`"):
        await azarr.open(Blocking())


async def test_an_attribute_of_a_reference_that_became_a_member_says_how_it_is_had():
    root = azarr.open(await weather())
    for ref, line in ((root.rain.shape, "(await ref).shape"), (root.attrs, "(await ref).attrs"), ((await root).air.dtype, "(await ref).dtype")):
        with pytest.raises(NodeNotFound) as caught:
            await ref
        assert str(caught.value).endswith(f"; for the attribute: {line}")
    with pytest.raises(NodeNotFound) as caught:
        await root.wind
    assert str(caught.value).endswith("looked for zarr.json, .zarray, .zgroup")
    with pytest.raises(NodeNotFound, match="for the attribute"):
        await azarr.open(consolidated(await weather())).rain.shape


async def test_of_a_folder_without_a_node_is_said_what_it_holds(tmp_path: Path):
    await weather(store=tmp_path / "d.zarr")
    (tmp_path / "d.zarr" / "air" / "empty" / "zarr.json").unlink()
    (tmp_path / "notes.txt").write_text("none")
    for place, path, line in (
        ("nope.zarr", "", f"; there is no folder '{tmp_path}/nope.zarr'"),
        ("nope.zarr", "a/b", f"; there is no folder '{tmp_path}/nope.zarr'"),
        ("", "", f"; the folder '{tmp_path}' holds d.zarr/, notes.txt"),
        ("d.zarr", "air/wind", f"; the folder '{tmp_path}/d.zarr/air' holds empty/, temperature/, zarr.json"),
        ("d.zarr", "air/empty", f"; the folder '{tmp_path}/d.zarr/air/empty' is empty"),
    ):
        with pytest.raises(NodeNotFound) as caught:
            await azarr.open(tmp_path / place, path)
        assert str(caught.value).endswith(line)
        assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
    for number in range(20):
        (tmp_path / "nope.zarr" / str(number)).mkdir(parents=True)
    with pytest.raises(NodeNotFound, match=r"holds \d+/, .*, \.\.\.$"):
        await azarr.open(tmp_path / "nope.zarr")


@pytest.mark.parametrize("mode", ["a", "w", "w-"])
async def test_a_mode_that_makes_an_array_needs_what_an_array_is_made_of(mode: str):
    store: dict[str, bytes] = {}
    with pytest.raises(TypeError, match=r"so an array is made, of a shape and a dtype \(create_array\(\) missing .* 'shape' and 'dtype'\)"):
        await azarr.open_array(store, mode=mode)
    assert store == {}


async def test_memory_that_is_read_only_is_called_so():
    out = np.zeros(4, "u1")
    out.flags.writeable = False
    with pytest.raises(SelectionError, match=r"out must be writable, of shape \(4,\) and dtype uint8; it is \(4,\), uint8, read-only"):
        await azarr.open(await weather()).rain[...].read(out)


async def test_what_looks_like_a_url_and_the_document_itself_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NodeNotFound) as caught:
        await azarr.open(Path("https://host/data.zarr"))
    assert str(caught.value).endswith("; 'https:/host/data.zarr' looks like a URL with one '/': a URL is text, never a Path")
    await weather(2, tmp_path / "old.zarr")
    with pytest.raises(StoreError) as failed:
        await azarr.open("old.zarr/.zgroup")
    assert str(failed.value).endswith("; 'old.zarr/.zgroup' is the metadata document itself: open 'old.zarr'")
    for document, place in (("d.zarr/zarr.json", "d.zarr"), ("https://host/d.zarr/zarr.json", "https://host/d.zarr"), ("zarr.json", ".")):
        with pytest.raises(ValueError) as refused:
            azarr.open(document)
        assert str(refused.value) == f"{document!r} is the metadata document itself: open {place!r}"


async def test_the_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    await weather(store="~/d.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.zarr"]
    assert await azarr.open(Path("~/d.zarr")).rain[0] == 1


def test_urls_of_http_say_what_they_have():
    for url in ("http://host:99999/data.zarr", "http:///data.zarr"):
        with pytest.raises(ValueError) as caught:
            azarr.open(url)
        assert str(caught.value) == f"not a URL of HTTP, with a host, and at most with a port of 1 to 65535: {url!r}"
    assert repr(azarr.open("HTTPS://host/d.zarr")) == "<Ref / of HTTPStore('https://host/d.zarr'); not opened yet: await it>"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_that_wants_credentials_says_where_they_go(status: int):
    async def fetch(url: str, headers: Any, **how: Any) -> Answer:
        return Answer(status, {}, b"")

    with pytest.raises(TransportError) as caught:
        await azarr.open(azarr.stores.HTTPStore("https://host/d.zarr", fetch=fetch))
    way = f"HTTPStore(headers=, auth=) have credentials, missing=({status}, 404) is for servers that answer so to what is not there"
    assert str(caught.value).endswith(f"the server answered {status}; {way} (after 1 attempt)")


async def test_a_page_in_the_place_of_a_document_is_told():
    with pytest.raises(MetadataError) as caught:
        await azarr.open({"zarr.json": b"<!doctype html><html>"})
    assert str(caught.value).endswith("; it begins with '<!doctype html>': a page came in its place, is the URL right?")
    with pytest.raises(MetadataError, match=r"not valid JSON \(Expecting value: line 1 column 1 \(char 0\)\)$"):
        await azarr.open({"zarr.json": b"hello"})
