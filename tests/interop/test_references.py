"""A NetCDF file is read by references that Kerchunk and VirtualiZarr made of it, over HTTP: bit-equal to what netCDF4 reads of the file itself.

The server counts: of what is read, at most a twentieth is not of the chunks that were asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import obstore.store
import pytest
from kerchunk.df import refs_to_dataframe
from obspec_utils.registry import ObjectStoreRegistry
from virtualizarr import open_virtual_dataset
from virtualizarr.parsers import HDFParser

import azarr
from azarr.errors import CorruptData, LimitExceeded
from azarr.stores import ReferenceStore
from netcdf import make_file, references
from prose import ROOT, blocks
from servers import Served, serving

# What the peers warn of among themselves is not azarr's.
pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")]
VARIABLES = ("air_temperature", "rounded", "sea", "time", "latitude", "longitude", "forecast_period", "height", "forecast_reference_time")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`a.nc`; the references to it are made by several."""
    folder = tmp_path_factory.mktemp("references")
    make_file(folder / "a.nc")
    return folder


@pytest.fixture(scope="module")
def truth(folder: Path) -> dict[str, Any]:
    with netCDF4.Dataset(folder / "a.nc") as dataset:
        dataset.set_auto_maskandscale(False)
        return {name: dataset[name][...] for name in VARIABLES}


def virtual(folder: Path) -> Any:
    registry = ObjectStoreRegistry({"file://": obstore.store.LocalStore()})
    return open_virtual_dataset(f"file://{folder}/a.nc", registry=registry, parser=HDFParser(), loadable_variables=[], decode_times=False)


def moved(document: dict[str, Any], folder: Path, to: str) -> dict[str, Any]:
    """The references, to the file where it is served."""
    text = json.dumps(document)
    assert f"{folder}/a.nc" in text
    return json.loads(text.replace(f"file://{folder}/a.nc", to).replace(f"{folder}/a.nc", to))


def chunks_of(refs: dict[str, Any], name: str, only: str = "") -> int:
    """Bytes of the chunks of a variable, or of one of them."""
    entries = {
        key.removeprefix(f"{name}/").removeprefix("c/").replace("/", "."): value
        for key, value in refs.items()
        if key.startswith(f"{name}/")
    }
    return sum(value[2] for key, value in entries.items() if isinstance(value, list) and only in ("", key))


def sent(server: Served) -> int:
    """Bytes that were asked for of the file since the last time."""
    ranges = [asked[6:].split("-") for key, asked in server.requests if key == "a.nc" and asked is not None]
    assert all(asked is not None for key, asked in server.requests if key == "a.nc")
    server.requests.clear()
    return sum(int(last) + 1 - int(first) for first, last in ranges)


@pytest.fixture(params=["kerchunk", "kerchunk inline", "virtualizarr", "virtualizarr v3"])
def document(request: pytest.FixtureRequest, folder: Path) -> Iterator[dict[str, Any]]:
    if request.param.startswith("virtualizarr"):
        yield virtual(folder).vz.to_kerchunk(format="dict", zarr_format=3 if "v3" in request.param else 2)
    else:
        yield references(folder / "a.nc", 500 if "inline" in request.param else 0)


@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
async def test_json_references_over_http_read_bit_equal(document: dict[str, Any], relative: bool, folder: Path, truth: dict[str, Any]):
    async with serving({"a.nc": (folder / "a.nc").read_bytes()}) as server:
        document = moved(document, folder, "a.nc" if relative else f"{server.url}/a.nc")
        server.objects["refs.json"] = json.dumps(document).encode()
        group = await azarr.open_group(f"{server.url}/refs.json")
        assert set(VARIABLES) <= set(await group.keys())
        assert server.requests == [("refs.json", None)]
        for name, expected in truth.items():
            array = await group[name]
            values = await array[...]
            assert (values.dtype, values.shape) == (expected.dtype, expected.shape)
            assert values.tobytes() == expected.tobytes()
            asked_for, requests = chunks_of(document["refs"], name), len(server.requests)
            assert (read := sent(server)) <= 1.05 * asked_for, (name, read, asked_for)
            assert requests <= 40
        part = await (await group["air_temperature"])[30:40, :19, 30:]
        assert np.array_equal(part, truth["air_temperature"][30:40, :19, 30:])
        assert sent(server) <= 1.05 * chunks_of(document["refs"], "air_temperature", "1.0.1")


async def test_references_on_disk_read_bit_equal(document: dict[str, Any], folder: Path, truth: dict[str, Any]):
    (folder / "refs.json").write_text(json.dumps(document))
    group = await azarr.open_group(folder / "refs.json")
    for name, expected in truth.items():
        assert (await (await group[name])[...]).tobytes() == expected.tobytes()


async def test_what_the_documents_make_references_by_makes_them(folder: Path, truth: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    document = ROOT / "docs/browser.md"
    [making] = [block.code for block in blocks(document, document.read_text(encoding="utf-8")) if "SingleHdf5ToZarr" in block.code]
    monkeypatch.chdir(folder)
    exec(making, {})
    for name, expected in truth.items():
        assert (await (await azarr.open_array("refs.json", name))[...]).tobytes() == expected.tobytes()


SCALARS = ("height", "forecast_reference_time")
"""VirtualiZarr makes no tables with arrays that have no axes."""


@pytest.mark.parametrize("rows", [7, 100_000], ids=["many tables", "one table"])
@pytest.mark.parametrize("maker", ["kerchunk", "virtualizarr"])
async def test_tables_read_bit_equal(maker: str, rows: int, folder: Path, truth: dict[str, Any]):
    tables, refs = folder / f"{maker}{rows}.parq", references(folder / "a.nc")["refs"]
    if maker == "kerchunk":
        refs_to_dataframe(references(folder / "a.nc", 100), str(tables), record_size=rows)
    else:
        virtual(folder).drop_vars(SCALARS).vz.to_kerchunk(str(tables), format="parquet", record_size=rows)
    written = {f"{tables.name}/{path.relative_to(tables).as_posix()}": path.read_bytes() for path in tables.rglob("*") if path.is_file()}
    variables = [name for name in VARIABLES if maker == "kerchunk" or name not in SCALARS]
    async with serving({"a.nc": (folder / "a.nc").read_bytes(), **written}) as server:
        served = ReferenceStore(f"{server.url}/{tables.name}", stores={folder: server.url})
        for store in (ReferenceStore(tables), served):
            group = await azarr.open_group(store)
            assert set(variables) <= set(await group.keys())
            for name in variables:
                assert (await (await group[name])[...]).tobytes() == truth[name].tobytes()
        asked = [key for key, _ in server.requests if key != "a.nc"]
        assert len(asked) == len(set(asked))  # each table once
        assert sent(server) <= 1.05 * sum(chunks_of(refs, name) for name in variables)
        for name in ("air_temperature", "time"):
            assert [key async for key in served.list(name)] == sorted(key for key in refs if key.startswith(f"{name}/"))


async def test_a_table_that_is_none_is_an_error(folder: Path):
    tables = folder / "damaged.parq"
    refs_to_dataframe(references(folder / "a.nc"), str(tables), record_size=10_000)
    (tables / "rounded/refs.0.parq").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(CorruptData, match="not a file of Parquet"):
        await (await azarr.open_array(tables, "rounded"))[...]
    assert (await (await azarr.open_array(tables, "time"))[...]).size
    context = azarr.Context(limits=azarr.Limits(metadata=100_000))
    with pytest.raises(LimitExceeded):
        await ReferenceStore(tables, context=context).get("air_temperature/0.0.0")
