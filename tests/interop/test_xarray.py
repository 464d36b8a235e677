"""xarray on azarr: what is asked for when, how datasets are opened without a thread to wait in, and what is written."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import dask
import numcodecs
import numpy as np
import pytest
import test_xarray_backend
import xarray
import zarr
from xarray.testing import assert_identical

import azarr
from azarr.errors import InvalidKey, MetadataError, NodeExists, NodeNotFound, ReadOnly, StoreError
from azarr.integrations import sync
from azarr.integrations.xarray import AzarrBackend, open_dataset, open_datatree, write
from azarr.stores import MemoryStore
from azarr.testing import CountingStore
from servers import ranged, serving

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")]
ROOT = Path(__file__).parents[2]
TIMES = np.datetime64("2001-01-01", "ns") + np.arange(6) * np.timedelta64(86400 * 10**9, "ns")
MANY = 50


def example() -> xarray.Dataset:
    """Temperatures with a gap, stored as integers with a scale; a text; a scalar; times."""
    values = np.linspace(250, 300, 6 * 4).reshape(6, 4).round(1)
    values[2, 1] = np.nan
    packed = {"dtype": "int16", "scale_factor": 0.1, "add_offset": 270.0, "_FillValue": -999, "chunks": (2, 4)}
    made = {"t": (("time", "x"), values, {"units": "K"}, packed), "name": ("x", list("abcd")), "height": ((), 2.0)}
    return xarray.Dataset(made, {"time": TIMES, "x": [0.5, 1.5, 2.5, 3.5], "real": ("time", TIMES[::-1])}, {"title": "An example"})


def stored(zarr_format: int = 3, **options: Any) -> dict[str, bytes]:
    """What zarr-python stores of it."""
    store = zarr.storage.MemoryStore()
    example().to_zarr(store, zarr_format=zarr_format, **options)
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


@pytest.fixture
def no_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a browser without JSPI: nothing can wait for what is awaited."""

    def refused(awaitable: Any) -> Any:
        awaitable.close()
        raise AssertionError("waited where it should be awaited")

    monkeypatch.setattr(sync, "run", refused)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
async def test_a_dataset_is_opened_and_loaded_without_a_thread_that_waits(zarr_format: int, consolidated: bool, no_bridge: None) -> None:
    ds = await open_dataset(stored(zarr_format, consolidated=consolidated))
    assert {name for name, each in ds.variables.items() if each._in_memory} == {"time", "x"}
    assert_identical(await ds.load_async(), example())


@pytest.mark.parametrize(
    "select",
    [
        lambda ds: ds.isel(time=2, x=slice(None, None, -2)),
        lambda ds: ds.isel(time=[4, 1, 1], x=[3, 0]),
        lambda ds: ds.isel(time=xarray.DataArray([0, 5, 2], dims="p"), x=xarray.DataArray([3, 0, 1], dims="p")),
        lambda ds: ds.isel(time=xarray.DataArray([[0, 5], [2, 1]], dims=("p", "q"))),
        lambda ds: ds.sel(time=slice("2001-01-03", None)).isel(time=[0, 2]).isel(time=1),
        lambda ds: ds.isel(time=slice(0, 0)),
    ],
    ids=["basic", "outer", "points", "points of one axis", "of a selection", "nothing"],
)
async def test_selections_are_read_as_they_are_indexed(select: Callable[[Any], Any], no_bridge: None) -> None:
    assert_identical(await select(await open_dataset(stored())).load_async(), select(example()))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_variables_have_the_encoding_of_xarrays_own_backend(zarr_format: int, tmp_path: Path) -> None:
    encoding = {"t": {"shards": (4, 4), "chunks": (2, 2)}} if zarr_format == 3 else {"t": {"chunks": (2, 2)}}
    example().drop_encoding().to_zarr(tmp_path, zarr_format=zarr_format, encoding=encoding)
    ours, theirs = (xarray.open_dataset(tmp_path, engine=engine) for engine in (AzarrBackend, "zarr"))
    assert_identical(ours, theirs)
    for name, variable in theirs.variables.items():
        expected = {key: spelled(value) for key, value in variable.encoding.items()}
        found = {key: spelled(value) for key, value in ours[name].encoding.items()}
        assert found.keys() == expected.keys()
        assert str({**found, "dtype": ours[name].encoding.get("dtype")}) == str(
            {**found, **expected, "dtype": ours[name].encoding.get("dtype")}
        )
    assert ours["t"].encoding["chunks"] == (2, 2)
    ours.to_zarr(tmp_path / "again", zarr_format=zarr_format)  # zarr-python takes them
    assert_identical(xarray.open_dataset(tmp_path / "again", engine="zarr"), example())


def test_filters_of_v2_are_taken_by_zarr_python_as_they_were_read(tmp_path: Path) -> None:
    filters = [numcodecs.Delta("i4"), numcodecs.Shuffle(4)]
    encoding = {"t": {"filters": filters, "compressors": numcodecs.Zstd(1)}}
    ds = xarray.Dataset({"t": ("x", np.arange(5, dtype="i4"))})
    ds.to_zarr(tmp_path / "a", zarr_format=2, encoding=encoding)
    found = xarray.open_dataset(tmp_path / "a", engine=AzarrBackend)
    found.to_zarr(tmp_path / "b", zarr_format=2)
    sync.run(write(found, tmp_path / "c", zarr_format=2))
    for name in "bc":
        assert zarr.open_array(tmp_path / name / "t").metadata.filters == tuple(filters)
        assert_identical(xarray.open_dataset(tmp_path / name, engine="zarr").load(), ds)


def spelled(value: Any) -> Any:
    """Codecs as JSON; all else as it is."""
    if isinstance(value, tuple):
        return [spelled(each) for each in value]
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    elif hasattr(value, "get_config"):
        value = value.get_config()
    return {**value, "configuration": dict(value.get("configuration", {}))} if isinstance(value, dict) and "name" in value else value


@pytest.mark.parametrize("chunks", [None, {}, {"time": 6}], ids=str)
def test_datasets_are_pickled_and_computed_by_dask(chunks: Any, tmp_path: Path) -> None:
    example().to_zarr(tmp_path)
    ds = xarray.open_dataset(tmp_path, engine=AzarrBackend, chunks=chunks)
    assert (ds.t.chunks is None) == (chunks is None)
    sent = pickle.loads(pickle.dumps(ds))
    assert not sent.t._in_memory
    assert_identical(sent.compute(), example())
    assert_identical(ds.copy(deep=True).compute(), example())


async def test_opening_asks_twice_and_loading_once_for_each_chunk(no_bridge: None) -> None:
    store = CountingStore(MemoryStore(stored()))
    ds = await open_dataset(store, zarr_format=3)
    asked = [request[0] for request in store.requests]
    assert asked[0] == "zarr.json"
    assert sorted(asked[1:]) == ["real/c/0", "time/c/0", "x/c/0"]  # the first and the last time say how to decode them
    store.requests.clear()
    await ds.load_async()
    assert len(store.requests) == 3 + 1 + 1 + 1  # t has three chunks; time and x are there


async def test_groups_and_trees(no_bridge: None) -> None:
    objects: dict[str, bytes] = {}
    below = example().rename(time="day", x="y").drop_vars("real")
    await write(example(), objects)
    await write(below, objects, group="a/b")
    assert_identical(await (await open_dataset(objects, group="/a/b")).load_async(), below)
    tree = await open_datatree(objects)
    assert tree.groups == ("/", "/a", "/a/b")
    assert_identical(await tree["a/b"].to_dataset(inherit=False).load_async(), below)
    assert (await open_datatree(objects, group="a")).groups == ("/", "/b")


def test_trees_are_opened_by_xarray(tmp_path: Path) -> None:
    tree = xarray.DataTree.from_dict({"/": example(), "/a/b": example().isel(time=[0])[["height"]]})
    tree.to_zarr(tmp_path)
    assert_identical(xarray.open_datatree(tmp_path, engine=AzarrBackend).load(), tree)
    assert xarray.open_datatree(tmp_path, engine=AzarrBackend, group="a").groups == ("/", "/b")
    for group, names in {None: ["/", "/a", "/a/b"], "/": [".", "a", "a/b"], "/a": [".", "b"], "a/b": ["."]}.items():
        for engine in (AzarrBackend, "zarr"):
            assert list(xarray.open_groups(tmp_path, engine=engine, group=group)) == names
    assert_identical(xarray.open_groups(tmp_path, engine=AzarrBackend)["/a/b"].load(), tree["a/b"].to_dataset(inherit=False))


async def test_dimensions_of_netcdf_are_found_and_arrays_without_names_can_be_left_out(no_bridge: None) -> None:
    objects: dict[str, bytes] = {}
    group = await azarr.create_group(objects, zarr_format=2, attributes={"_nc3_strict": 1})
    await azarr.save(
        objects, "v", np.arange(6).reshape(2, 3), zarr_format=2, attributes={"_nczarr_array": {"dimension_references": ["/lat", "/g/lon"]}}
    )
    ds = await open_dataset(group.store)
    assert ds.sizes == {"lat": 2, "lon": 3}
    assert (ds.attrs, ds.v.attrs) == ({}, {})
    await azarr.save(objects, "w", np.arange(6), zarr_format=2)
    with pytest.raises(MetadataError, match="drop_variables leaves the array out"):
        await open_dataset(objects)
    assert list(await open_dataset(objects, drop_variables="w")) == ["v"]


async def test_what_is_not_there_is_an_error(no_bridge: None) -> None:
    for group in (None, "a/b"):
        with pytest.raises(NodeNotFound):
            await open_dataset({}, group=group)
    async with serving(stored(consolidated=False)) as server:
        with pytest.raises(StoreError, match="cannot list"):
            await open_dataset(server.url)
    objects = stored()
    objects["t/c/1/0"] = objects["t/c/1/0"][:-5]
    with pytest.raises(azarr.errors.CorruptData):
        await (await open_dataset(objects)).load_async()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("chunks", [None, {"time": 2}], ids=str)
async def test_what_is_written_is_read_by_zarr_python(zarr_format: int, chunks: Any, tmp_path: Path) -> None:
    ds = example() if chunks is None else example().chunk(chunks)
    await write(ds, tmp_path / "a", zarr_format=zarr_format)
    with pytest.raises(NodeExists, match="mode='w'"):
        await write(ds, tmp_path / "a", zarr_format=zarr_format)
    await write(await open_dataset(tmp_path / "a"), tmp_path / "b", zarr_format=zarr_format)
    assert zarr.open_group(tmp_path / "b", mode="r")["t"].dtype == "int16"
    for name in "ab":
        assert_identical(xarray.open_dataset(tmp_path / name, engine="zarr").load(), example())


async def test_regions_are_replaced_and_rows_appended() -> None:
    objects: dict[str, bytes] = {}
    ds = example().drop_vars(["name", "height", "real"])
    await write(ds, objects)
    await write(ds.isel(time=slice(2, 4)) * 0 + 280, objects, region="auto")
    expected = ds.copy(deep=True)
    expected["t"][2:4] = 280
    expected["t"][2, 1] = np.nan
    assert_identical(await (await open_dataset(objects)).load_async(), expected)
    later = ds.assign_coords(time=ds.time + np.timedelta64(6, "D"))
    for part in (slice(0, 3), slice(3, 6)):
        await write(later.isel(time=part), objects, append_dim="time")
    found = await open_dataset(objects, consolidated=True)
    assert_identical(await found.load_async(), xarray.concat([expected, later], "time"))


async def test_names_that_zarr_reserves_are_refused_before_anything_is_written() -> None:
    objects: dict[str, bytes] = {}
    with pytest.raises(InvalidKey, match="'__values__'"):
        await write(xarray.Dataset({None: ("x", [1])}), objects)
    assert objects == {}


@pytest.mark.parametrize("mode", ["w", "a"])
async def test_codecs_that_do_not_fit_are_refused_before_anything_is_written(mode: str) -> None:
    objects: dict[str, bytes] = {}
    await write(example(), objects)
    before = dict(objects)
    added = xarray.Dataset({"added": ("z", np.arange(4))})
    for wrong in ({"compressors": [{"name": "zstdd"}]}, {"filters": [{"name": "transpose", "configuration": {"order": [1, 0]}}]}):
        with pytest.raises(MetadataError, match=r"added/zarr.json: codecs"):
            await write(added, objects, mode=mode, encoding={"added": wrong})
        assert objects == before


async def test_a_chunk_of_minus_one_is_the_whole_axis() -> None:
    for chunks, expected in {(2, -1): (2, 4), -1: (6, 4)}.items():
        for data in (example(), example().chunk(time=2)):
            await write(data, objects := {}, encoding={"t": {"chunks": chunks}}, safe_chunks=False)
            assert (await open_dataset(objects)).t.encoding["chunks"] == expected
    with pytest.raises(ValueError, match=r"1 element or more, or -1 for the whole axis, not \(-2, 4\)"):
        await write(example(), {}, encoding={"t": {"chunks": (-2, 4)}})


async def test_codecs_of_zarr_python_are_taken_with_the_tuples_that_are_in_them() -> None:
    sharding = zarr.codecs.ShardingCodec(chunk_shape=(1, 2), codecs=[zarr.codecs.TransposeCodec(order=(1, 0)), zarr.codecs.BytesCodec()])
    for encoding in ({"filters": [zarr.codecs.TransposeCodec(order=(1, 0))]}, {"serializer": sharding}):
        await write(example(), objects := {}, encoding={"t": encoding})
        assert_identical(await (await open_dataset(objects)).load_async(), example())


@pytest.mark.parametrize(("kind", "name"), [(str, "vlen-utf8"), (bytes, "vlen-bytes")])
async def test_words_of_v2_that_were_read_are_written_as_they_were(kind: type[Any], name: str) -> None:
    words = np.array(["a", "bb"], kind).tolist()
    await azarr.save(objects := {}, "w", np.array(words, object), dtype=kind, zarr_format=2, dimension_names=["x"])
    await write(await open_dataset(objects), again := {}, zarr_format=2)
    document = json.loads(again["w/.zarray"])
    assert (document["dtype"], document["filters"]) == ("|O", [{"id": name}])
    assert (await (await open_dataset(again)).load_async()).w.values.tolist() == words


async def test_other_processes_of_dask_write_files_but_not_into_memory(tmp_path: Path) -> None:
    with dask.config.set(scheduler="processes"):
        await write(example().chunk(time=2), tmp_path)
        with pytest.raises(ReadOnly, match="of one process"):
            await write(example().chunk(time=2), {})
    assert_identical(xarray.open_dataset(tmp_path, engine="zarr").load(), example())


async def test_fifty_variables_are_loaded_in_one_wave(no_bridge: None) -> None:
    """The server answers when as many chunks are waited for as there are variables."""
    objects: dict[str, bytes] = {}
    await write(xarray.Dataset({f"v{number}": ("x", np.arange(4.0) + number) for number in range(MANY)}), objects)
    async with serving(objects) as server:
        waiting = asyncio.Barrier(MANY)

        async def together(request: Any, data: bytes) -> Any:
            await asyncio.wait_for(waiting.wait(), 30)
            return ranged(request, data)

        ds = await open_dataset(server.url, zarr_format=3)
        assert [key for key, _ in server.requests] == ["zarr.json"]
        server.misbehave = {f"v{number}/c/0": together for number in range(MANY)}
        await ds.load_async()
        assert len(server.requests) == 1 + MANY
    assert ds.v49.values.tolist() == [49.0, 50.0, 51.0, 52.0]


def test_the_engine_is_declared_and_never_guessed() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["xarray.backends"]
    module, _, name = declared["azarr"].partition(":")
    assert getattr(import_module(module), name) is AzarrBackend
    assert not AzarrBackend().guess_can_open("data.zarr")


def test_the_page_says_what_is_skipped_and_why() -> None:
    rows = re.findall(r"^\| `(test_\S+)` \| (.*) \|$", (ROOT / "docs/xarray.md").read_text(), re.MULTILINE)
    assert dict(rows) == test_xarray_backend.SKIPPED
