"""Groups and their members: listed, or known from consolidated metadata of v2 and v3, and drawn as a tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import azarr
from azarr.errors import InvalidKey, MetadataError, NodeNotFound, StoreError, UnknownCodec, UnknownDataType, UnknownWarning
from azarr.stores import MemoryStore
from documents import v2_array, v3_array, waiting
from hierarchies import GROUP, as_bytes, consolidated, inline, weather

formats = pytest.mark.parametrize("zarr_format", [2, 3])


@formats
async def test_a_group_knows_what_its_document_says(zarr_format: int):
    group = await azarr.open_group(await weather(zarr_format))
    assert (group.path, group.zarr_format, dict(group.attrs)) == ("", zarr_format, {"title": "weather"})
    assert repr(group) == f"<Group / (v{zarr_format}) in {group.store!r}>"
    with pytest.raises(TypeError, match="attributes are as they were read"):
        group.attrs["title"] = "climate"


@formats
async def test_members_are_the_nodes_right_below(zarr_format: int):
    group = await azarr.open_group(await weather(zarr_format))
    assert await group.keys() == ["air", "rain"]
    members = await group.members()
    assert isinstance(members["air"], azarr.Group)
    assert isinstance(members["rain"], azarr.Array)
    assert (await members["rain"][1:]).tolist() == [2, 3, 4]
    assert await (await group["air/empty"]).members() == {}


@formats
async def test_members_of_a_folder_on_disk_are_its_folders_that_are_nodes(tmp_path: Path, zarr_format: int):
    await weather(zarr_format, tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "__hidden").mkdir()
    (tmp_path / "readme.txt").write_text("not a node")
    group = await azarr.open_group(tmp_path)
    assert await group.keys() == ["air", "rain"]
    assert [path async for path, _ in group.walk()] == ["air", "air/empty", "air/temperature", "rain"]


@formats
async def test_walking_gives_everything_below_a_group_before_its_members(zarr_format: int):
    group = await azarr.open_group(await weather(zarr_format))
    assert [(path, type(node).__name__, node.path) async for path, node in group.walk()] == [
        ("air", "Group", "air"),
        ("air/empty", "Group", "air/empty"),
        ("air/temperature", "Array", "air/temperature"),
        ("rain", "Array", "rain"),
    ]
    assert [(path, node.path) async for path, node in (await group.air).walk()] == [("empty", "air/empty"), ("temperature", "air/temperature")]


async def test_a_tree_is_a_picture_of_everything_below():
    group = await azarr.open_group(await weather())
    assert str(await group.tree()) == """\
/
├── air
│   ├── empty
│   └── temperature (2, 3) int16
└── rain (day: 4,) uint8"""
    assert str(await (await group.air).tree()).splitlines()[0] == "air"


@formats
async def test_members_are_opened_by_path_or_as_attributes(zarr_format: int):
    group = await azarr.open_group(await weather(zarr_format))
    for reference in (group["air/temperature"], group["air"]["temperature"], group.air.temperature, group["/air//temperature/"]):
        assert (await reference[1]).tolist() == [4, 5, 6]
        assert (await reference).path == "air/temperature"
    air = await group.air
    assert repr(air["temperature"]) == f"<Ref air/temperature of {group.store!r}; not opened yet: await it>"
    assert dict((await air.temperature).attrs) == {"units": "K"}


@formats
async def test_a_member_that_is_not_there_is_named(zarr_format: int):
    store = await weather(zarr_format)
    with pytest.raises(NodeNotFound, match="no Zarr node at path 'air/rain' of MemoryStore"):
        await (await azarr.open_group(store)).air.rain
    with pytest.raises(NodeNotFound, match="looked for it in the consolidated metadata; consolidated=False looks into the store"):
        await (await azarr.open_group(consolidated(store))).air.rain


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "a/.", "a/zarr.json"])
async def test_a_path_that_leaves_the_group_is_refused_at_once(path: str):
    group = await azarr.open_group(await weather())
    with pytest.raises(InvalidKey, match="is not a path of a node"):
        group[path]


async def test_names_that_python_keeps_for_itself_are_not_members():
    group = await azarr.open_group(await weather())
    assert not hasattr(group, "_repr_png_")
    assert not hasattr(group, "__array__")


async def test_python_s_own_ways_to_look_and_write_say_what_to_write_instead():
    group = await azarr.open_group(await weather())
    for do, line in (
        (lambda: list(group), "for name in await group.keys(): ..."),
        (lambda: "rain" in group, "name in await group.keys()"),
        (lambda: group.__setitem__("rain", 1), "await azarr.create_array(group.store, f'{group.path}/name', ...)"),
    ):
        with pytest.raises(TypeError) as caught:
            do()
        assert line in str(caught.value)


async def test_a_store_that_cannot_list_gives_members_by_name_only():
    group = await azarr.open_group(waiting(await weather()))
    assert (await group.rain[0]) == 1
    with pytest.raises(StoreError, match="cannot list, and the group has no consolidated metadata; open members by name"):
        await group.keys()


async def test_a_member_with_an_unknown_codec_is_listed_but_not_opened():
    store = {"zarr.json": as_bytes(GROUP), "a/zarr.json": as_bytes(v3_array(codecs=["bytes", "example.sparkle"]))}
    group = await azarr.open_group(store)
    members = await group.members()
    assert members["a"].shape == (4,)
    assert repr(members["a"]).startswith("<Array a (4,) uint8 chunks=(4,)")
    for read in (lambda: members["a"][...].read(), lambda: group["a"].open(), lambda: group.a[...].read()):
        with pytest.raises(UnknownCodec, match=r"a/zarr.json: .*example\.sparkle"):
            await read()


@formats
@pytest.mark.parametrize("is_consolidated", [True, False])
async def test_an_array_of_an_unknown_data_type_hides_no_other(zarr_format: int, is_consolidated: bool):
    store, strange = await weather(zarr_format), "bfloat17" if zarr_format == 3 else "<f17"
    document = v3_array(data_type=strange) if zarr_format == 3 else v2_array(dtype=strange)
    store["air/strange/zarr.json" if zarr_format == 3 else "air/strange/.zarray"] = as_bytes(document)
    group = await azarr.open_group(consolidated(store) if is_consolidated else store)
    assert sorted(await (await group.air).keys()) == ["empty", "strange", "temperature"]
    with pytest.warns(UnknownWarning, match=f"air/strange of .* is left out: .*{strange}"):
        assert sorted(await (await group.air).members()) == ["empty", "temperature"]
    with pytest.warns(UnknownWarning):
        assert sorted([path async for path, _ in group.walk()]) == ["air", "air/empty", "air/temperature", "rain"]
    with pytest.warns(UnknownWarning):
        assert "temperature" in str(await group.tree())
    with pytest.raises(UnknownDataType, match=strange):
        await group["air/strange"]
    with pytest.raises(UnknownDataType, match=strange):
        await (await group.air).members(strict=True)


async def test_a_group_with_an_unknown_data_type_is_not_consolidated_so_that_nobody_misses_it():
    store = {"zarr.json": as_bytes(GROUP), "a/zarr.json": as_bytes(v3_array(data_type="bfloat17"))}
    with pytest.raises(UnknownDataType, match="bfloat17"):
        await azarr.consolidate(store)
    assert json.loads(store["zarr.json"]) == GROUP


async def test_names_are_told_whatever_is_in_the_documents():
    store = {"zarr.json": as_bytes(GROUP), "a/zarr.json": b"nonsense", "b/zarr.json": as_bytes(GROUP), "c/other": b""}
    group = await azarr.open_group(store)
    assert await group.keys() == ["a", "b"]
    with pytest.raises(MetadataError, match=r"a/zarr\.json"):
        await group.members()


# Consolidated metadata


async def test_consolidated_metadata_are_looked_through_once_for_all_members():
    class Path(str):
        looked = 0

        def startswith(self, *given: Any) -> bool:
            Path.looked += 1
            return super().startswith(*given)

    group = await azarr.open_group({"zarr.json": as_bytes({**GROUP, "consolidated_metadata": inline({})})})
    names = {Path(f"g{number}{below}"): GROUP for number in range(100) for below in ("", "/a", "/a/b")}
    group.metadata = group.metadata._replace(consolidated=names)
    assert len([path async for path, _ in group.walk()]) == 300
    assert Path.looked == 0
    assert (await group["g7/a"]).known == ["b"]


@formats
async def test_consolidated_members_are_those_of_the_metadata(zarr_format: int):
    store = consolidated(await weather(zarr_format))
    group = await azarr.open_consolidated(waiting(store))
    assert sorted(await group.keys()) == ["air", "rain"]
    assert (await group.air.temperature[0]).tolist() == [1, 2, 3]
    assert sorted([path async for path, _ in group.walk()]) == ["air", "air/empty", "air/temperature", "rain"]
    air = await group.air
    assert sorted(await air.keys()) == ["empty", "temperature"]
    assert (await air["temperature"]).path == "air/temperature"
    assert dict((await group["air/temperature"]).attrs).get("units") == "K"


@formats
async def test_consolidated_metadata_of_a_group_below_are_used_there(zarr_format: int):
    inner = consolidated(await weather(zarr_format))
    outer: dict[str, bytes] = {}
    await azarr.create_group(outer, zarr_format=zarr_format)
    store = waiting({**outer, **{f"data/{key}": value for key, value in inner.items()}})
    group = await (await azarr.open_group(store)).data
    assert sorted(await group.keys()) == ["air", "rain"]
    assert (await group.air.temperature).path == "data/air/temperature"


@formats
async def test_consolidated_false_looks_into_the_store_for_a_group_and_all_below(zarr_format: int):
    store = consolidated(await weather(zarr_format))
    inner = {**store, **{f"data/{key}": value for key, value in store.items()}}
    del inner["data/rain/zarr.json" if zarr_format == 3 else "data/rain/.zarray"]
    group = await azarr.open_group(inner, consolidated=False)
    assert await group.keys() == ["air", "data", "rain"]
    assert await (await group.data).keys() == ["air"]
    assert await (await group.members())["data"].keys() == ["air"]
    assert sorted(await (await azarr.open_group(inner).data).keys()) == ["air", "rain"]


@formats
async def test_consolidated_metadata_are_not_trusted_for_writing(zarr_format: int):
    inner = await weather(zarr_format)
    store = consolidated(inner)
    other: dict[str, bytes] = {}  # by somebody who does not know of them
    await azarr.create_array(other, "wind", shape=(1,), dtype="u1", zarr_format=zarr_format)
    store.update({key: data for key, data in other.items() if key.startswith("wind/")})
    assert sorted(await (await azarr.open_group(store)).keys()) == ["air", "rain"]
    assert await (await azarr.open_group(store, mode="r+")).keys() == ["air", "rain", "wind"]


@formats
async def test_names_that_are_known_complete(zarr_format: int):
    group = await azarr.open_group(consolidated(await weather(zarr_format)))
    assert sorted(group.known) == ["air", "rain"]
    assert {"air", "rain", "members", "attrs"} <= set(dir(group))
    assert sorted(group._ipython_key_completions_()) == ["air", "air/empty", "air/temperature", "rain"]
    assert repr(group) == f"<Group / (v{zarr_format}, 2 members) in {group.store!r}>"
    unknown = await azarr.open_group(await weather(zarr_format))
    assert (unknown.known, unknown._ipython_key_completions_()) == ([], [])
    assert "rain" not in dir(unknown)


async def test_only_names_that_are_identifiers_complete_as_attributes():
    store = {"zarr.json": as_bytes({**GROUP, "consolidated_metadata": inline({"a b": GROUP, "c": GROUP})})}
    group = await azarr.open_group(store)
    assert "c" in dir(group)
    assert "a b" not in dir(group)


async def test_an_empty_group_may_be_consolidated():
    store = {"zarr.json": as_bytes({**GROUP, "consolidated_metadata": inline({})})}
    group = await azarr.open_consolidated(store)
    assert await group.members() == {}


async def test_consolidated_metadata_of_null_are_none():
    """zarr-python 3.0 wrote them."""
    group = await azarr.open_group(waiting({"zarr.json": as_bytes({**GROUP, "consolidated_metadata": None})}))
    with pytest.raises(StoreError, match="cannot list"):
        await group.keys()


async def test_consolidated_metadata_inside_consolidated_metadata_are_left_aside():
    inside = {**GROUP, "consolidated_metadata": inline({"wrong": GROUP})}
    group = await azarr.open_group({"zarr.json": as_bytes({**GROUP, "consolidated_metadata": inline({"a": inside, "a/b": GROUP})})})
    assert await (await group.a).keys() == ["b"]


async def test_groups_of_v2_may_be_without_a_document_in_consolidated_metadata():
    members = {".zgroup": {"zarr_format": 2}, "a/b/.zgroup": {"zarr_format": 2}, "a/b/.zattrs": {"x": 1}, "a/notes": {}}
    group = await azarr.open_group({".zmetadata": as_bytes({"zarr_consolidated_format": 1, "metadata": members})})
    assert await group.keys() == ["a"]
    assert dict((await group.a.b).attrs) == {"x": 1}
    with pytest.raises(NodeNotFound):
        await group.b


async def test_groups_of_v3_have_a_document_always():
    group = await azarr.open_group({"zarr.json": as_bytes({**GROUP, "consolidated_metadata": inline({"a/b": GROUP})})})
    assert (group.known, await group.keys()) == (["a"], [])
    with pytest.raises(NodeNotFound):
        await group.a
    assert (await group.a.b).path == "a/b"


@pytest.mark.parametrize("path", ["../secret", "/secret", "a//b", "a/../../secret", "..", "a/", ""])
async def test_a_consolidated_key_that_leaves_the_group_is_refused_and_says_why(path: str):
    if path:  # in v2 the empty path is the root itself
        v2 = {f"{path}/.zgroup": {"zarr_format": 2}}
        with pytest.raises(MetadataError) as caught:
            await azarr.open_group({".zmetadata": as_bytes({"zarr_consolidated_format": 1, "metadata": v2})})
        assert says(caught.value, ".zmetadata", path)
    with pytest.raises(MetadataError) as caught:
        await azarr.open_group({"zarr.json": as_bytes({**GROUP, "consolidated_metadata": inline({path: GROUP})})})
    assert says(caught.value, "zarr.json", path)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("is_consolidated", [True, False])
async def test_names_that_the_specification_reserves_are_read(zarr_format: int, is_consolidated: bool):
    """AnnData of old kept its categories in obs/__categories, and zarr-python makes such groups in v3 too."""
    if zarr_format == 2:
        store = {"obs/__categories/cell/.zarray": as_bytes(v2_array()), "obs/__categories/cell/0": b"\1\2\3\4"}
        store |= dict.fromkeys((".zgroup", "obs/.zgroup", "obs/__categories/.zgroup"), b'{"zarr_format": 2}')
    else:
        store = {"obs/__categories/cell/zarr.json": as_bytes(v3_array()), "obs/__categories/cell/c/0": b"\1\2\3\4"}
        store |= dict.fromkeys(("zarr.json", "obs/zarr.json", "obs/__categories/zarr.json"), as_bytes(GROUP))
    group = await (azarr.consolidate(store) if is_consolidated else azarr.open_group(store).open())
    assert [path async for path, _ in group.walk()] == ["obs", "obs/__categories", "obs/__categories/cell"]
    assert (await group["obs/__categories/cell"][...]).tolist() == [1, 2, 3, 4]
    assert (await azarr.open_array(store, "obs/__categories/cell")[...]).tolist() == [1, 2, 3, 4]


async def test_names_that_the_specification_reserves_are_made_in_v2_alone():
    made = await azarr.create_array({}, "__categories/cell", shape=1, dtype="i4", zarr_format=2)
    assert made.path == "__categories/cell"
    for name in ("__categories", "..."):
        with pytest.raises(InvalidKey, match="is not a path of a node"):
            await azarr.create_group({}, name)


def says(error: MetadataError, document: str, path: str) -> bool:
    return str(error) == f"{document}: consolidated_metadata: a member's path stays below its group, not {path!r}"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"metadata": {}}, "zarr_consolidated_format"),
        ({"zarr_consolidated_format": 1, "metadata": []}, "metadata"),
        ({"zarr_consolidated_format": 1, "metadata": {"a/.zgroup": 3}}, "a/.zgroup: document: the document must be a JSON object, not 3"),
        ({"zarr_consolidated_format": 1, "metadata": {"a/.zgroup": {"zarr_format": 2}, "a/.zattrs": []}}, "a/.zattrs: document: the document must be"),
        ({"zarr_consolidated_format": 1, "metadata": {"a/.zgroup": {"zarr_format": 3}}}, "a/.zgroup: zarr_format"),
    ],
)
async def test_damaged_consolidated_metadata_of_v2_are_refused(document: Any, reason: str):
    with pytest.raises(MetadataError) as caught:
        await (await azarr.open_group({".zmetadata": as_bytes(document)})).members()
    assert reason in str(caught.value)


async def test_damaged_consolidated_metadata_of_v3_are_refused():
    for members, reason in (({"a": []}, "a/zarr.json: document: the document must be a JSON object, not []"), ({"a": {**GROUP, "zarr_format": 2}}, "a/zarr.json: zarr_format")):
        group = await azarr.open_group({"zarr.json": as_bytes({**GROUP, "consolidated_metadata": inline(members)})})
        with pytest.raises(MetadataError) as caught:
            await group.a
        assert reason in str(caught.value)


async def test_members_are_as_they_were_when_the_group_was_opened():
    store = consolidated(await weather())
    group = await azarr.open_group(MemoryStore(store))
    document = json.loads(store["zarr.json"])
    document["consolidated_metadata"]["metadata"].pop("rain")
    store["zarr.json"] = as_bytes(document)
    assert sorted(await group.keys()) == ["air", "rain"]
