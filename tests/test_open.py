"""Opening and creating nodes: what counts as a store, modes, formats, and what is never replaced by accident."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import azarr
from azarr import Context, Limits
from azarr.errors import (
    CaseCollision,
    InvalidKey,
    LimitExceeded,
    MetadataError,
    NodeExists,
    NodeNotFound,
    NotAGroup,
    ReadOnly,
    UnknownCodec,
)
from azarr.stores import LocalStore, MemoryStore
from documents import v2_array, v2_store, v3_array, v3_store, waiting
from fakes import Conditional, Waiting
from hierarchies import as_bytes, consolidated, weather


async def test_a_store_is_a_mapping_a_path_a_url_or_a_store(tmp_path: Path):
    await weather(store=tmp_path)
    documents = await weather()
    for source in (documents, MappingProxyType(documents), MemoryStore(documents), waiting(documents), tmp_path, str(tmp_path), tmp_path.as_uri(), LocalStore(tmp_path)):
        assert (await azarr.open(source).rain[...]).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("place", ["", "file://", "file://data.zarr", "file://data.zip", "file://data.json", "file://host/data.zarr", "file://host/a.json"])
async def test_a_url_without_a_path_on_this_machine_is_not_the_current_folder(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is no folder of this machine: write a path, 'data\\.zarr'"):
        await azarr.open_group(place, mode="w")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


async def test_a_url_may_name_this_machine(tmp_path: Path):
    await weather(store=tmp_path)
    assert (await azarr.open(f"file://localhost{tmp_path}").rain[...]).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("open_node", [azarr.open, azarr.open_group, azarr.open_array, azarr.open_consolidated])
def test_what_cannot_be_a_store_or_a_path_is_an_error_at_once(open_node: Any):
    with pytest.raises(TypeError, match="a store is a URL, a path, a mapping, or an object with an async get, not int"):
        open_node(7)
    with pytest.raises(ValueError, match="no store for the scheme 'gopher'"):
        open_node("gopher://host/data")
    with pytest.raises(InvalidKey, match="is not a path of a node"):
        open_node({}, "../secret")
    with pytest.raises(ValueError, match="zarr_format is 2, 3 or None, not 4"):
        open_node({}, zarr_format=4)


def test_a_mode_that_is_not_there_is_an_error_at_once():
    for mode in ("w", "a", "w-", ""):
        more = "; open_array and open_group also take a, w, w-" * bool(mode)
        with pytest.raises(ValueError, match=rf"^mode is one of r, r\+, not {mode!r}{more}$"):
            azarr.open({}, mode=mode)
    for open_node in (azarr.open_group, azarr.open_array):
        with pytest.raises(ValueError, match="mode is one of r, r\\+, a, w, w-, not 'x'"):
            open_node({}, mode="x")
        with pytest.raises(TypeError, match=r"attributes: only for a mode that may make the node \(a, w, w-\), not 'r\+'"):
            open_node({}, mode="r+", attributes={})


@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_mode_a_makes_what_is_not_there_and_keeps_what_is(zarr_format: int, tmp_path: Path):
    for source in ({}, tmp_path):
        reference = azarr.open_group(source, "g", mode="a", zarr_format=zarr_format, attributes={"made": 1})
        made = await reference
        assert (made.path, made.zarr_format, dict(made.attrs)) == ("g", zarr_format, {"made": 1})
        await made.update_attrs({"made": 2})
        assert dict((await reference).attrs) == {"made": 2}
        array = azarr.open_array(source, "g/x", mode="a", zarr_format=zarr_format, shape=(3,), dtype="i2")
        await (await array)[...].write([1, 2, 3])
        assert (await array[...]).tolist() == [1, 2, 3]
        assert await (await azarr.open_group(source, "g", mode="a")).keys() == ["x"]
        with pytest.raises(NotAGroup):
            await azarr.open_group(source, "g/x", mode="a")


@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_mode_w_replaces_what_is_there_and_w_minus_refuses(zarr_format: int, tmp_path: Path):
    for source in ({}, tmp_path):
        options = {"zarr_format": zarr_format, "shape": (4,), "dtype": "i2", "fill_value": 7}
        array = await azarr.open_array(source, "x", mode="w-", **options)
        await array[...].write([1, 2, 3, 4])
        with pytest.raises(NodeExists):
            await azarr.open_array(source, "x", mode="w-", **options)
        assert (await array[...]).tolist() == [1, 2, 3, 4]
        reference = azarr.open_array(source, "x", mode="w", **options)
        assert (await array[...]).tolist() == [1, 2, 3, 4]  # nothing happens until it is awaited
        await reference
        assert (await array[...]).tolist() == [7] * 4
        with pytest.raises(NodeExists):
            await azarr.open_group(source, mode="w-", zarr_format=zarr_format)
        assert await (await azarr.open_group(source, mode="w", zarr_format=zarr_format)).keys() == []


async def test_what_is_below_a_node_that_is_yet_to_be_made_is_not_opened():
    with pytest.raises(ValueError, match="mode='w' makes the node at g: await that before what is below it"):
        await azarr.open_group({}, "g", mode="w")["x"]


async def test_a_group_that_somebody_else_makes_at_the_same_time_is_opened():
    class Raced(MemoryStore):
        def put(self, key: str, data: Any, version: str | None = "*") -> bool:
            if version is None and key not in self.mapping:
                super().put(key, as_bytes({"zarr_format": 3, "node_type": "group", "attributes": {"by": "others"}}))
            return super().put(key, data, version)

    assert dict((await azarr.open_group(Raced(), mode="a")).attrs) == {"by": "others"}


class Folding(MemoryStore):
    """A store that does not tell names apart which differ in case, or in how accents are spelled, as file systems are that do not."""

    def held(self, key: str) -> str:
        def folded(key: str) -> str:
            return unicodedata.normalize("NFC", key).casefold()

        return next((held for held in self.mapping if folded(held) == folded(key)), key)

    def whole(self, key: str, scratch: Any) -> Any:
        return super().whole(self.held(key), scratch)

    def part(self, key: str, byte_range: Any, scratch: Any) -> Any:
        return super().part(self.held(key), byte_range, scratch)

    def put(self, key: str, data: Any, version: str | None = "*") -> bool:
        return super().put(self.held(key), data, version)


@pytest.mark.parametrize(("there", "new"), [("air", "Air"), ("g/air", "g/AIR"), ("été", unicodedata.normalize("NFD", "été"))])
@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_name_that_the_store_takes_for_another_is_refused(there: str, new: str, overwrite: bool):
    store = Folding()
    array = await azarr.save(store, there, [1, 2])
    before = dict(store.mapping)
    with pytest.raises(CaseCollision, match="which does not tell these names apart"):
        await azarr.save(store, new, [3], overwrite=overwrite)
    assert store.mapping == before
    assert (await array[...]).tolist() == [1, 2]
    await azarr.save(store, there, [3], overwrite=True)


async def test_names_that_differ_in_case_stand_beside_each_other_where_the_store_tells_them_apart(tmp_path: Path):
    for source in ({}, tmp_path):
        await azarr.save(source, "air", [1])
        await azarr.save(source, "Air", [2])
        assert (await azarr.load(source, "air")).tolist() + (await azarr.load(source, "Air")).tolist() == [1, 2]


async def test_what_is_created_may_be_written_to_and_what_is_opened_only_if_asked_for():
    store: dict[str, bytes] = {}
    made = await azarr.create_array(store, "a", shape=(2,), dtype="u1")
    await made[...].write(1)
    for reference in (azarr.open(store), azarr.open_group(store)):
        with pytest.raises(ReadOnly):
            await reference.a[...].write(2)
    for reference in (azarr.open(store, mode="r+"), azarr.open_group(store, mode="r+")):
        await reference.a[...].write(2)
        await (await (await reference).members())["a"][...].write(3)
    assert (await made[...]).tolist() == [3, 3]


async def test_v3_is_taken_before_v2_where_both_are():
    store = {**v3_store(v3_array(attributes={"format": 3})), **v2_store(v2_array()), ".zattrs": as_bytes({"format": 2})}
    assert (await azarr.open(store)).attrs["format"] == 3
    assert (await azarr.open(store, zarr_format=2)).attrs["format"] == 2
    assert (await azarr.open(store, zarr_format=3)).attrs["format"] == 3


async def test_nothing_there_says_what_was_looked_for():
    for options, documents in (({}, "zarr.json, .zarray, .zgroup"), ({"zarr_format": 3}, "zarr.json"), ({"zarr_format": 2}, ".zarray, .zgroup")):
        with pytest.raises(NodeNotFound) as caught:
            await azarr.open({".zattrs": b"{}"}, **options)
        assert str(caught.value) == f"no Zarr node at path '/' of MemoryStore(1 objects); looked for {documents}"
        assert isinstance(caught.value, FileNotFoundError)


async def test_a_folder_that_is_not_there_has_no_node(tmp_path: Path):
    with pytest.raises(NodeNotFound):
        await azarr.open(tmp_path / "nothing")


async def test_attributes_of_v2_are_an_object():
    for store in ({**v2_store(), ".zattrs": b"[]"}, {".zgroup": b'{"zarr_format": 2}', ".zattrs": b"3"}):
        with pytest.raises(MetadataError, match=r"^\.zattrs: document: the document must be a JSON object"):
            await azarr.open(store)


async def test_a_document_that_is_wrong_is_named_with_its_path():
    for key, document in (("a/b/zarr.json", {"zarr_format": 3}), ("a/b/.zarray", {"zarr_format": 2}), ("a/b/.zgroup", {"zarr_format": 1})):
        with pytest.raises(MetadataError) as caught:
            await azarr.open({key: as_bytes(document)}, "a/b")
        assert caught.value.document == key


async def test_a_document_that_is_no_json_is_never_taken_for_absent():
    for key in ("zarr.json", ".zarray", ".zgroup", ".zmetadata"):
        with pytest.raises(MetadataError, match=f"^{key}: not valid JSON"):
            await azarr.open({**v2_store(), key: b"{"})


async def test_consolidated_metadata_are_insisted_on_where_they_are_asked_for():
    for zarr_format in (2, 3):
        store = await weather(zarr_format)
        for reference in (azarr.open_consolidated(store), azarr.open_group(store, consolidated=True)):
            with pytest.raises(NodeNotFound, match=r"looked for consolidated metadata \(in zarr.json, or .zmetadata\)"):
                await reference
        assert sorted((await azarr.open_consolidated(consolidated(store))).known) == ["air", "rain"]


async def test_consolidated_metadata_beside_an_array_say_nothing_of_it():
    store = {**v2_store(), ".zmetadata": as_bytes({"zarr_consolidated_format": 1, "metadata": {}})}
    assert (await azarr.open(store)).shape == (4,)


async def test_lenient_takes_what_old_writers_left_behind():
    store = v2_store(json.dumps(v2_array(dtype="<f4", fill_value=float("nan"))))
    with pytest.raises(MetadataError, match=r"^\.zarray: .*NaN"):
        await azarr.open(store)
    for open_node in (azarr.open, azarr.open_array):
        assert str((await open_node(store, lenient=True)).fill_value) == "nan"


# Creating


@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_the_groups_above_are_made_where_there_are_none(zarr_format: int):
    store: dict[str, bytes] = {}
    made = await azarr.create_array(store, "/a/b//c/", shape=(1,), dtype="u1", zarr_format=zarr_format)
    assert made.path == "a/b/c"
    names = ["zarr.json", "a/zarr.json", "a/b/zarr.json", "a/b/c/zarr.json"] if zarr_format == 3 else [".zgroup", "a/.zgroup", "a/b/.zgroup", "a/b/c/.zarray"]
    assert sorted(store) == sorted(names)
    await azarr.create_group(store, "a/d", attributes={"x": 1}, zarr_format=zarr_format)
    assert dict((await azarr.open(store).a.d).attrs) == {"x": 1}


async def test_groups_above_stay_as_they_are():
    store: dict[str, bytes] = {}
    await azarr.create_group(store, attributes={"title": "kept"})
    await azarr.create_array(store, "a/b", shape=(1,), dtype="u1")
    assert dict((await azarr.open(store)).attrs) == {"title": "kept"}


async def test_attributes_of_v2_are_a_document_of_their_own():
    store: dict[str, bytes] = {}
    await azarr.create_group(store, zarr_format=2, attributes={"x": 1})
    await azarr.create_array(store, "a", shape=(1,), dtype="u1", zarr_format=2, attributes={"y": 2})
    await azarr.create_group(store, "b", zarr_format=2)
    assert sorted(store) == [".zattrs", ".zgroup", "a/.zarray", "a/.zattrs", "b/.zgroup"]
    assert [json.loads(store[key]) for key in (".zattrs", ".zgroup", "a/.zattrs")] == [{"x": 1}, {"zarr_format": 2}, {"y": 2}]


async def test_a_node_is_not_replaced_unless_asked_for():
    for zarr_format in (2, 3):
        store = await weather(zarr_format)
        before = dict(store)
        for path in ("rain", "air", ""):
            for create in (azarr.create_group(store, path), azarr.create_group(store, path, zarr_format=2)):
                with pytest.raises(NodeExists) as caught:
                    await create
                assert isinstance(caught.value, FileExistsError)
        with pytest.raises(NodeExists, match=r"a node stands at rain of MemoryStore.*; overwrite=True replaces it"):
            await azarr.create_array(store, "rain", shape=(1,), dtype="u1", zarr_format=zarr_format)
        assert store == before


async def test_overwriting_deletes_all_that_stands_there_and_nothing_else(tmp_path: Path):
    for target in ({}, tmp_path):
        store = await weather(store=target)
        await azarr.create_group(store, "airs")
        await azarr.create_array(store, "air", shape=(1,), dtype="u1", overwrite=True)
        root = await azarr.open_group(store)
        assert [path async for path, _ in root.walk()] == ["air", "airs", "rain"]
        assert (await root.air[...]).tolist() == [0]
        await azarr.create_group(store, overwrite=True)
        assert await (await azarr.open_group(store)).keys() == []


async def test_overwriting_where_nothing_stands_creates():
    store: dict[str, bytes] = {}
    await azarr.create_array(store, "a", shape=(1,), dtype="u1", overwrite=True)
    assert sorted(store) == ["a/zarr.json", "zarr.json"]


async def test_nodes_are_not_made_inside_arrays():
    for zarr_format in (2, 3):
        store = await weather(zarr_format)
        before = dict(store)
        with pytest.raises(NotAGroup, match=r"an array stands at rain of MemoryStore.*; nodes stand in groups"):
            await azarr.create_array(store, "rain/deeper/still", shape=(1,), dtype="u1", zarr_format=zarr_format)
        assert store == before


@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_a_hierarchy_has_one_format(zarr_format: int):
    store = await weather(zarr_format)
    before = dict(store)
    with pytest.raises(NodeExists, match=f"the group at / of MemoryStore.* is Zarr v{zarr_format}; zarr_format={zarr_format} makes nodes in it"):
        await azarr.create_array(store, "wind", shape=(1,), dtype="u1", zarr_format=5 - zarr_format)
    assert store == before


async def test_nothing_is_stored_of_an_array_that_cannot_be_made():
    store: dict[str, bytes] = {}
    for error, options in (
        (UnknownCodec, {"compressors": "example.sparkle"}),
        (MetadataError, {"shards": (3,), "chunks": (2,)}),
        (MetadataError, {"zarr_format": 1}),
        (InvalidKey, {"path": "../a"}),
    ):
        with pytest.raises(error):
            await azarr.create_array(store, **{"shape": (4,), "dtype": "u1", **options})
    with pytest.raises(MetadataError, match="zarr_format: must be 2 or 3, not 4"):
        await azarr.create_group(store, zarr_format=4)
    assert store == {}


async def test_attributes_that_are_no_json_are_refused_before_anything_is_stored_or_deleted():
    store: dict[str, bytes] = {}
    with pytest.raises(MetadataError, match="not to be written as JSON"):
        await azarr.create_group(store, attributes={"x": float("nan")})
    with pytest.raises(MetadataError, match="not to be written as JSON"):
        await azarr.create_array(store, "a", shape=(1,), dtype="u1", attributes={"x": object()})
    assert store == {}
    store = await weather()
    before = dict(store)
    with pytest.raises(MetadataError, match="not to be written as JSON"):
        await azarr.create_group(store, attributes={"x": float("inf")}, overwrite=True)
    assert store == before


ENCODINGS = pytest.mark.parametrize(("zarr_format", "separator", "chunk"), [(3, "/", "c/0/1"), (3, ".", "c.0.1"), (2, "/", "0/1"), (2, ".", "0.1")])


@ENCODINGS
@pytest.mark.parametrize("path", ["", "a"])
async def test_chunks_that_are_left_do_not_become_those_of_a_new_array(zarr_format: int, separator: str, chunk: str, path: str, tmp_path: Path):
    options: Any = {"shape": (2, 2), "dtype": "u1", "chunks": (1, 1), "attributes": {"a": 1}, "chunk_key_encoding": separator, "zarr_format": zarr_format}
    other = ["c/1.c", "c/readme", "1.c", "1.0.0", "notes/0"]
    for store in ({}, LocalStore(tmp_path)):
        array = await azarr.create_array(store, path, **options)
        await array[0, 1].write(5)
        held = MemoryStore(store) if isinstance(store, dict) else store
        for name in other:
            await held.set(f"{path}/{name}".lstrip("/"), b"")
        await held.delete(f"{path}/{'zarr.json' if zarr_format == 3 else '.zarray'}".lstrip("/"))  # its deletion was ended there
        with pytest.raises(NodeExists, match=f"{chunk}' of .* is left of an array that is gone; overwrite=True deletes all that is"):
            await azarr.create_array(store, path, **options)
        with pytest.raises(NodeExists, match="is left of an array that is gone"):
            await azarr.open_array(store, path, mode="a", **options)
        array = await azarr.create_array(store, path, **options, overwrite=True)
        assert (await array[...]).tolist() == [[0, 0], [0, 0]]
        assert {f"{path}/{name}".lstrip("/") for name in other} <= {key async for key in held.list("")}


async def test_nothing_is_made_in_an_unfinished_copy():
    source, target = await weather(), Full()
    with pytest.raises(OSError, match="No space left"):
        await azarr.copy(source, target, "a")
    target.full = False
    before = dict(target)
    for create in (azarr.create_array(target, "a", shape=(4,), dtype="u1"), azarr.create_group(target, "a")):
        with pytest.raises(NodeExists, match=r"an unfinished copy stands at a of .*; overwrite=True replaces it"):
            await create
    with pytest.raises(NodeExists, match=r"an unfinished copy stands at a of .*: copy the same again, to finish it"):
        await azarr.create_array(target, "a/new", shape=(4,), dtype="u1", overwrite=True)
    assert target == before
    array = await azarr.create_array(target, "a", shape=(4,), dtype="u1", chunks=(2,), overwrite=True)
    assert (await array[...]).tolist() == [0] * 4
    with pytest.raises(NodeExists, match="something stands at a"):  # nor is the copy finished with what is another's
        await azarr.copy(source, target, "a")


class Full(dict[str, bytes]):
    """A disk on which there is no room for the last document of a copy to `a`, until it is no longer `full`."""

    full = True

    def __setitem__(self, key: str, value: bytes) -> None:
        if self.full and key in ("zarr.json", "a/zarr.json"):
            raise OSError(28, "No space left on device")
        super().__setitem__(key, value)


@pytest.mark.parametrize("kind", ["memory", "waiting"])
async def test_attributes_that_are_left_alone_do_not_become_those_of_a_new_node(kind: str):
    store: Any = {} if kind == "memory" else Waiting()
    held = store if kind == "memory" else store.mapping
    held["a/.zattrs"] = held["b/.zattrs"] = b'{"old": 1}'
    array = await azarr.create_array(store, "a", shape=(1,), dtype="u1", zarr_format=2, attributes={"new": 2})
    group = await azarr.create_group(store, "b", zarr_format=2)
    for node, attributes in ((array, {"new": 2}), (group, {})):
        assert dict((await azarr.open(store, node.path)).attrs) == dict(node.attrs) == attributes


@pytest.mark.parametrize("kind", ["waiting", "conditional"])
async def test_a_member_that_is_made_at_the_same_time_does_not_replace_its_group(kind: str):
    for number in range(10):
        store = Waiting() if kind == "waiting" else Conditional()
        group = azarr.create_group(store, "g", attributes={"x": 1})
        array = azarr.create_array(store, "g/a", shape=(1,), dtype="u1")
        made = await asyncio.gather(*[group, array][:: 1 if number % 2 else -1], return_exceptions=True)
        refused = any(isinstance(each, NodeExists) for each in made)
        assert refused or dict((await azarr.open_group(store, "g")).attrs) == {"x": 1}


async def test_a_node_that_cannot_be_made_says_why_in_mode_a_too():
    store: dict[str, bytes] = {}
    await azarr.create_group(store, zarr_format=2)
    for make in (azarr.open_group(store, "g", mode="a"), azarr.open_array(store, "a", mode="a", shape=(1,), dtype="u1")):
        with pytest.raises(NodeExists, match=r"the group at / of .* is Zarr v2; zarr_format=2 makes nodes in it"):
            await make


async def test_what_cannot_be_written_to_is_refused():
    for store, reason in ((waiting({}), "CountingStore.* cannot be written to"), (MappingProxyType({}), "this mapping cannot be written to")):
        for create in (azarr.create_group(store), azarr.create_array(store, shape=(1,), dtype="u1")):
            with pytest.raises(ReadOnly, match=reason):
                await create


async def test_a_store_that_cannot_list_is_not_overwritten():
    class Writable:
        def __init__(self, inner: MemoryStore) -> None:
            self.get, self.set, self.delete = inner.get, inner.set, inner.delete

    store = Writable(MemoryStore(await weather()))
    with pytest.raises(NodeExists):
        await azarr.create_group(store, overwrite=True)
    assert (await azarr.create_group(store, "new", overwrite=True)).path == "new"


async def test_the_limits_of_a_context_hold_for_documents(tmp_path: Path):
    await azarr.create_array(tmp_path, "", shape=(1,), dtype="u1", chunks=(1,), attributes={"text": "x" * 1000})
    with pytest.raises(LimitExceeded, match=r"the document 'zarr\.json' would take .* Limits\.metadata allows 500"):
        await azarr.open_array(tmp_path, context=Context(limits=Limits(metadata=500)))
    array = await azarr.open_array(tmp_path, mode="r+", context=Context(limits=Limits(metadata=2000)))
    assert array.shape == (1,)
