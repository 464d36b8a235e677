"""The demo: its data and statistics, its server, its picture, and the story as a newcomer sees it."""

import struct
import subprocess
import sys
from pathlib import Path

import aiohttp
import netCDF4
import numpy as np
import pytest

import azarr
from azarr.cli import demo
from azarr.cli.climate import FILES, area_mean, calendar_years, read_climate, warming_curve, warming_map
from azarr.cli.server import Answer, Traffic, serve


def run_demo(*arguments: str | Path, code: str = "") -> subprocess.CompletedProcess[str]:
    """`azarr demo` in a process of its own, without a terminal; `code` runs before it."""
    start = f"{code}\nfrom azarr.cli.app import main; main()"
    command = [sys.executable, "-W", "error", "-c", start, "demo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def size_of_png(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def test_the_data_are_240_years_of_two_scenarios():
    climate = read_climate()
    a1b, e1 = climate["air_temperature"], climate["E1/air_temperature"]
    assert a1b.values.shape == e1.values.shape == (240, 37, 49)
    assert a1b.dimensions == ("time", "latitude", "longitude")
    assert (a1b.attributes["units"], a1b.attributes["standard_name"]) == ("K", "air_temperature")
    years = calendar_years(climate["time"].values)
    np.testing.assert_array_equal(years, np.arange(1860, 2100))
    np.testing.assert_array_equal(a1b.values[years < 2000], e1.values[years < 2000])
    assert (a1b.values[-1] != e1.values[-1]).any()


def test_the_coast_has_land_where_there_is_land():
    climate = read_climate()
    land, latitude, longitude = (climate[f"coast/{name}"].values for name in ("land", "latitude", "longitude"))

    def is_land(north: float, west: float) -> bool:
        distance = np.hypot(latitude - north, longitude - (360 - west))
        return bool(land[np.unravel_index(distance.argmin(), distance.shape)])

    assert is_land(39.0, 98.0)  # Kansas.
    assert not is_land(25.0, 90.0)  # The Gulf of Mexico.
    assert not is_land(33.0, 65.0)  # Bermuda's sea.


def test_years_have_360_days_of_24_hours():
    np.testing.assert_array_equal(calendar_years(np.array([-1, 0, 8639, 8640])), [1969, 1970, 1970, 1971])


def test_cells_weigh_as_the_cosine_of_their_latitude():
    temperature = np.array([[[1.0, 3.0], [8.0, 8.0]]], dtype="float32")  # Row means 2 and 8, weights 1 and 1/2.
    np.testing.assert_allclose(area_mean(temperature, np.array([0.0, 60.0], dtype="float32")), [4.0])


def test_warming_is_relative_to_the_first_30_years():
    latitude = np.array([0.0, 60.0])
    temperature = np.full((60, 2, 3), 280, dtype="float32")
    temperature[30:, 1] += 3
    np.testing.assert_allclose(warming_map(temperature), [[0, 0, 0], [3, 3, 3]])
    np.testing.assert_allclose(warming_curve(temperature, latitude), [0] * 30 + [1] * 30, atol=1e-12)


async def test_the_server_counts_requests_and_the_bytes_it_sends(tmp_path: Path):
    folder = tmp_path / "data.zarr"
    folder.mkdir()
    (folder / "chunk").write_bytes(bytes(range(100)))
    async with serve(folder) as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/chunk") as response:
            assert await response.read() == bytes(range(100))
        async with session.get(f"{server.url}/chunk", headers={"Range": "bytes=10-19"}) as response:
            assert (response.status, await response.read()) == (206, bytes(range(10, 20)))
        async with session.get(f"{server.url}/chunk", headers={"Range": "bytes=-5"}) as response:
            assert (response.status, await response.read()) == (206, bytes(range(95, 100)))
        async with session.head(f"{server.url}/chunk") as response:
            assert response.content_length == 100
        async with session.get(f"{server.url}/missing") as response:
            assert response.status == 404
            missing = len(await response.read())
    assert server.url.startswith("http://127.0.0.1:")
    assert server.answers == [
        Answer("GET", "/data.zarr/chunk", None, 200, 100),
        Answer("GET", "/data.zarr/chunk", "bytes=10-19", 206, 10),
        Answer("GET", "/data.zarr/chunk", "bytes=-5", 206, 5),
        Answer("HEAD", "/data.zarr/chunk", None, 200, 0),
        Answer("GET", "/data.zarr/missing", None, 404, missing),
    ]
    assert server.traffic == Traffic(5, 115 + missing)


async def test_the_server_shows_nothing_beside_its_folder(tmp_path: Path):
    (tmp_path / "data.zarr").mkdir()
    (tmp_path / "secret").write_text("secret")
    async with serve(tmp_path / "data.zarr") as server, aiohttp.ClientSession() as session:
        root = server.url.removesuffix("/data.zarr")
        for path in ("/secret", "/data.zarr/..%2Fsecret", "/data.zarr/%2e%2e/secret"):
            async with session.get(f"{root}{path}", allow_redirects=False) as response:
                assert response.status in (403, 404)


def test_the_demo_runs_the_two_lines_that_it_shows():
    source = Path(demo.__file__).read_text("utf-8")
    assert "    g = azarr.open_group(server.url)\n    part = await g.air_temperature[5:]\n" in source


def test_the_demo_tells_its_story_and_draws_a_picture(tmp_path: Path):
    picture = tmp_path / "pictures" / "demo.png"
    done = run_demo("--out", picture)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    first = next(index for index, line in enumerate(lines) if line.startswith("g = azarr.open_group("))
    assert lines[first].startswith('g = azarr.open_group("http://127.0.0.1:')
    assert lines[first].endswith('/climate.zarr")')
    assert lines[first + 1] == "part = await g.air_temperature[5:]"
    assert "(235, 37, 49) float32" in done.stdout
    assert done.stdout.count("100% 1.7/1.7 MB") == 2
    assert "A1B  +4.52 K" in lines
    assert "E1  +2.44 K" in lines
    assert f"picture: {picture}" in lines
    assert "\x1b" not in done.stdout
    assert size_of_png(picture) == (1972, 773)


async def test_what_the_demo_keeps_is_the_data_bit_by_bit(tmp_path: Path):
    for _ in range(2):  # The second run replaces what the first kept.
        done = run_demo("--out", tmp_path / "demo.png", "--keep", tmp_path / "kept")
        assert (done.returncode, done.stderr) == (0, "")
    group = await azarr.open_group(tmp_path / "kept" / "climate.zarr")
    array = await group.air_temperature
    with netCDF4.Dataset(FILES / "A1B_north_america.nc") as dataset:
        expected = np.ma.getdata(dataset["air_temperature"][...])
    values = await array[...]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, expected)
    assert (array.chunks, array.shards) == ((10, 37, 49), (60, 37, 49))
    assert array.dimension_names == ("time", "latitude", "longitude")
    assert array.attrs["units"] == "K"


@pytest.mark.parametrize("package", ["aiohttp", "iris_sample_data", "matplotlib", "netCDF4"])
def test_without_the_extra_one_line_tells_how_to_install_it(tmp_path: Path, package: str):
    done = run_demo("--out", tmp_path / "demo.png", code=f"import sys; sys.modules[{package!r}] = None")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert package in done.stderr
    assert "pip install 'azarr[cli,demo]'" in done.stderr


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    done = run_demo("--out", tmp_path / "file" / "demo.png")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
