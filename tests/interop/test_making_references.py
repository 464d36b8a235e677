"""`azarr reference` makes references to NetCDF files by kerchunk, and azarr reads over them what netCDF4 reads of the files themselves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from typer.testing import CliRunner

import azarr
from azarr.cli.commands import app
from azarr.cli.references import make_references
from azarr.errors import AzarrError
from azarr.stores.references import ReferenceStore, TargetRefused
from servers import serving

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")]


def values_of(seed: int) -> dict[str, Any]:
    drawn = np.random.default_rng(seed)
    return {"t": drawn.normal(size=(50, 60)).astype("f4"), "n": drawn.integers(0, 9000, (50, 60), "i4"), "g/m": drawn.normal(size=(50, 60))}


def make_file(path: Path, seed: int = 0, *, groups: bool = True, fletcher32: bool = False) -> Path:
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("y", 50)
        file.createDimension("x", 60)
        for name, values in values_of(seed).items():
            if groups or "/" not in name:
                packed: dict[str, Any] = {"zlib": True, "shuffle": name == "n", "fletcher32": fletcher32}
                file.createVariable(name, values.dtype, ("y", "x"), chunksizes=(20, 30), **packed)[...] = values
        file.title = "made"
    return path


def command(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "azarr.cli", "reference", *map(str, arguments)]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False)


async def assert_same(store: Any, seed: int, path: str = "", *, groups: bool = True) -> None:
    group = await azarr.open_group(store, path)
    assert group.attrs["title"] == "made"
    for name, values in values_of(seed).items():
        if groups or "/" not in name:
            found = await group[name][...]
            assert (found.dtype, found.tobytes()) == (values.dtype, values.tobytes())


def test_one_file_is_read_beside_its_references_on_disk_and_where_both_are_served(tmp_path: Path) -> None:
    make_file(tmp_path / "a b.nc")
    done = command("a b.nc", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a b.json: 18 chunks of 1 file\n", "")
    document = json.loads((tmp_path / "a b.json").read_text())
    assert {entry[0] for entry in document["refs"].values() if isinstance(entry, list)} == {"a b.nc"}

    async def check() -> None:
        await assert_same(tmp_path / "a b.json", 0)
        async with serving({path.name: path.read_bytes() for path in tmp_path.iterdir()}) as server:
            await assert_same(f"{server.url}/a%20b.json", 0)

    asyncio.run(check())
    again = CliRunner().invoke(app, ["reference", str(tmp_path / "a b.nc")], env={"COLUMNS": "500"})
    assert again.exit_code == 2
    assert "is there already; --overwrite replaces it" in again.stderr
    assert CliRunner().invoke(app, ["reference", str(tmp_path / "a b.nc"), "--overwrite"]).exit_code == 0


def test_several_files_are_a_group_each_by_paths_below_the_document_or_absolute(tmp_path: Path) -> None:
    (tmp_path / "data/below").mkdir(parents=True)
    files = [make_file(tmp_path / "data/below/one.nc", 1), make_file(tmp_path / "two.nc", 2)]
    done = command(*files, "-o", "data/refs.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "data/refs.json: 36 chunks of 2 files\n")
    assert done.stderr.count("\n") == 1
    assert "ReferenceStore(place, targets=[...])" in done.stderr

    async def check() -> None:
        await assert_same(tmp_path / "data/refs.json", 1, "one")
        assert sorted(await (await azarr.open_group(tmp_path / "data/refs.json")).keys()) == ["one", "two"]
        with pytest.raises(TargetRefused):
            await azarr.open_array(tmp_path / "data/refs.json", "two/t")[...]
        await assert_same(ReferenceStore(tmp_path / "data/refs.json", targets=[tmp_path / "two.nc", tmp_path / "data"]), 2, "two")

    asyncio.run(check())


async def test_a_file_of_a_url_is_named_by_it(tmp_path: Path) -> None:
    file = make_file(tmp_path / "a.nc").read_bytes()
    async with serving({"a.nc": file}) as server:
        count = await asyncio.to_thread(make_references, [f"{server.url}/a.nc"], tmp_path / "refs.json")
        assert count == 18
        await assert_same(ReferenceStore(tmp_path / "refs.json", targets=server.url), 0)
        with pytest.raises(ValueError, match="with its secrets"):
            make_references([f"{server.url}/a.nc?token=secret"], tmp_path / "other.json")


def test_tables_hold_one_file_without_groups(tmp_path: Path) -> None:
    make_references([str(make_file(tmp_path / "a.nc", groups=False))], tmp_path / "refs.parq")
    asyncio.run(assert_same(tmp_path / "refs.parq", 0, groups=False))
    with pytest.raises(ValueError, match="tables have no groups"):
        make_references([str(make_file(tmp_path / "g.nc"))], tmp_path / "g.parq")


def test_what_cannot_be_referred_to_is_an_error_of_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "bad.nc").write_bytes(b"no HDF5 at all")
    done = command("bad.nc", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("azarr: no references to bad.nc: ")
    assert CliRunner().invoke(app, ["reference", str(tmp_path / "nothing.nc")]).exit_code == 1
    make_file(tmp_path / "a.nc")
    (tmp_path / "x").mkdir()
    make_file(tmp_path / "x/a.nc")
    with pytest.raises(ValueError, match="the same name"):
        make_references([str(tmp_path / "a.nc"), str(tmp_path / "x/a.nc")], tmp_path / "bad.json")
    with pytest.raises(ValueError, match="another name"):
        make_references([str(tmp_path / "a%20b.nc")], tmp_path / "bad.json")

    make_file(tmp_path / "a.nc", fletcher32=True)
    with pytest.raises(AzarrError, match=r"no references to .*a\.nc: .*fletcher32"):
        make_references([str(tmp_path / "a.nc")], tmp_path / "bad.json")
    assert not list(tmp_path.glob("*.json"))
