"""Every command as a process: what it prints, as text and as JSON, and its exit status."""

import asyncio
import json
import os
import re
import signal
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import azarr
from azarr.cli.commands import app


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "azarr.cli", *map(str, arguments)]


def azarr_run(*arguments: str | Path, status: int = 0, **environment: str) -> str:
    """What the command prints."""
    told = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", **environment}
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False, env=told)
    assert done.returncode == status, done.stderr
    return done.stdout + (done.stderr if status else "")


def here(*arguments: str | Path, status: int = 0, **environment: str) -> str:
    """The same without a process, which takes its time to start."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "100", "NO_COLOR": "1", **environment})
    assert done.exit_code == status, done.output
    return done.stdout + (done.stderr if status else "")


def azarr_json(*arguments: str | Path) -> Any:
    return json.loads(here(*arguments, "--json"))


async def write(store: Path) -> None:
    await azarr.create_group(store, attributes={"title": "weather"})
    await azarr.save(store, "a/names", np.array(["x", "y"]))
    names = ("time", "lat", "lon")
    rain = await azarr.create_array(store, "rain", shape=(2, 3, 4), dtype="float32", chunks=(1, 3, 2), dimension_names=names, fill_value=-1,
                                    attributes={"units": "mm", "_FillValue": -9.0})  # fmt: skip
    values = np.arange(24, dtype="float32").reshape(2, 3, 4)
    values[1, 0] = [np.nan, -9, -1, np.inf]
    await rain[...].write(values)
    await azarr.save(store, "lat", np.array([10.0, 20, 30]), attributes={"units": "degrees_north"}, dimension_names=["lat"])


def azarr_process_json(*arguments: str | Path) -> Any:
    return json.loads(azarr_run(*arguments, "--json"))


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("data") / "weather.zarr"
    asyncio.run(write(store))
    return store


def test_without_arguments_it_says_what_to_do_first():
    first = azarr_run()
    lines = [line.split()[:2] for line in first.splitlines() if line.startswith("  azarr ")]
    assert lines == [["azarr", "demo"], ["azarr", "tree"], ["azarr", "plot"]]
    assert "azarr --help" in first
    assert here("--version") == f"{azarr.__version__}\n"


def test_the_shell_completes_commands():
    completed = azarr_run(_AZARR_COMPLETE="complete_bash", COMP_WORDS="azarr re", COMP_CWORD="1")
    assert completed.split() == ["rechunk", "reference"]
    assert "--install-completion" in here("--help")


def test_commands_that_do_not_exist_are_errors_of_use():
    assert "No such command" in here("paint", status=2)


def test_info_and_tree_and_ls_as_json(weather: Path):
    info = azarr_process_json("info", weather / "rain")
    assert (info["shape"], info["fill_value"], info["chunks"], info["attributes"]["units"]) == ([2, 3, 4], -1.0, [1, 3, 2], "mm")
    tree = azarr_json("tree", weather)
    assert [(node["path"], node["node_type"]) for node in tree] == [("a", "group"), ("a/names", "array"), ("lat", "array"), ("rain", "array")]
    assert [node["path"] for node in azarr_json("ls", weather)] == ["a", "lat", "rain"]


def test_ls_has_a_line_for_each_member(weather: Path):
    assert azarr_run("ls", weather) == "a/\nlat   (3,)       float64  24 bytes\nrain  (2, 3, 4)  float32  96 bytes\n"


def test_cat_as_json_has_all_values_in_json_that_every_program_reads(weather: Path):
    assert azarr_process_json("cat", weather / "rain", "-1,0") == ["NaN", -9.0, -1.0, "Infinity"]


def test_stats(weather: Path):
    found = azarr_json("stats", weather / "rain", "...,:3")
    valid = np.array([0, 1, 2, 4, 5, 6, 8, 9, 10, -1, 16, 17, 18, 20, 21, 22], "float32")
    assert (found["min"], found["max"], found["count"], found["nan"], found["missing"], found["fill"]) == (-1, 22, 18, 1, 1, 1)
    assert np.allclose([found["mean"], found["std"]], [valid.mean(), valid.std()])
    without = azarr_json("stats", weather / "rain", "...,:3", "--without-fill", "--memory", "64 KiB")
    assert (without["min"], without["missing"]) == (0, 2)
    rows = dict(line.split() for line in azarr_run("stats", weather / "lat").splitlines() if line.strip())
    assert rows == {"min": "10.0", "max": "30.0", "mean": "20.0", "std": "8.16496580927726", "count": "3", "nan": "0", "missing": "0", "fill": "0"}
    assert "statistics are of numbers" in here("stats", weather / "a/names", status=1)


def test_plot_draws_in_the_terminal_north_up(weather: Path):
    drawn = azarr_run("plot", weather / "rain", "0", LINES="8").splitlines()
    assert drawn[-5:] == ["###%%@@@@@", "---==+++**", "---==+++**", "     ...::", "0.11 mm to 10.89 mm; lat: 10 to 30 °N; lon: 4"]
    colours = here("plot", weather / "rain", "0", NO_COLOR="", FORCE_COLOR="1", COLORTERM="truecolor", TTY_COMPATIBLE="1")
    assert "\x1b[38;2;" in colours
    assert "▀" in colours
    line = here("plot", weather / "rain", "0,0").splitlines()
    assert len(line) == 14
    assert line[1] == " " * 75 + "█" * 25
    assert line[12] == "▁" * 25 + "█" * 75


def test_plot_writes_png(weather: Path, tmp_path: Path):
    for selection, shape in (("1", [3, 4]), ("0,:,2", [3])):
        out = tmp_path / "rain.png"
        told = azarr_json("plot", weather / "rain", selection, "--out", out)
        assert (told["out"], told["shape"]) == (str(out), shape)
        data = out.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", data[16:24]) == (1200, 750)
    assert "a picture has one axis or two, such as '0, :, :'" in here("plot", weather / "rain", "...", status=1)


def test_copy_rechunk_consolidate_and_verify(weather: Path, tmp_path: Path):
    copied = azarr_process_json("copy", weather / "rain", tmp_path / "copy", "--path", "b/rain")
    assert (copied["path"], copied["shape"], copied["chunks"]) == ("b/rain", [2, 3, 4], [1, 3, 2])
    rechunked = azarr_process_json("rechunk", weather / "rain", tmp_path / "re", "--chunks", "2,3,2", "--shards", "2,3,4")
    assert (rechunked["chunks"], rechunked["shards"]) == ([2, 3, 2], [2, 3, 4])
    values = [asyncio.run(azarr.load(store)) for store in (weather / "rain", tmp_path / "re")]
    assert np.array_equal(*values, equal_nan=True)
    assert azarr_run("consolidate", tmp_path / "copy") == f"{tmp_path / 'copy'}: the metadata of 2 nodes\n"
    report = azarr_process_json("verify", tmp_path / "copy")
    assert (report["ok"], report["nodes"], report["damaged"]) == (True, 3, {})


def test_damage_is_told_as_json_with_exit_status_1(weather: Path, tmp_path: Path):
    here("copy", weather / "rain", tmp_path / "copy")
    (tmp_path / "copy/c/0/0/0").write_bytes(b"?")
    report = json.loads(here("verify", tmp_path / "copy", "--json", status=1))
    assert (report["ok"], list(report["damaged"])) == (False, ["c/0/0/0"])


def test_reference_says_what_is_missing(tmp_path: Path):
    assert "pip install 'azarr[reference-making]'" in azarr_run("reference", tmp_path / "a.nc", "--json", status=1)


def test_demo_as_json(tmp_path: Path):
    told = azarr_process_json("demo", "--out", tmp_path / "demo.png")
    assert told["picture"] == str(tmp_path / "demo.png")
    assert {name: round(kelvin, 1) for name, kelvin in told["kelvin"].items()} == {"A1B": 4.5, "E1": 2.4}


@contextmanager
def serving(*arguments: str | Path) -> Generator[dict[str, str]]:
    """What the command tells as JSON, while it serves; then it is interrupted, as by Ctrl-C."""
    with subprocess.Popen(command(*arguments, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=as_at_a_terminal) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, ("", ""))


def as_at_a_terminal() -> None:
    """Ctrl-C ends the process, even where a shell runs the tests in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_what_is_served_is_walked_and_looked_at_by_the_other_commands(weather: Path):
    with serving("serve", weather.parent, "--port", "0") as told:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", told["url"])
        url = f"{told['url']}weather.zarr"
        assert azarr_run("tree", url) == here("tree", weather)
        assert here("plot", f"{url}/rain", "0").splitlines()[-1].endswith("lat: 10 to 30 °N; lon: 4")
        checks = {check["name"]: check["ok"] for check in azarr_process_json("doctor", url)}
        assert checks == {"opens": True, "consolidated": False, "reachable": True, "ranges": True, "last bytes": True, "versions": True, "browsers": True, "folders": True}
        asked = urllib.request.Request(f"{url}/zarr.json", method="OPTIONS", headers={"Origin": "https://x", "Access-Control-Request-Headers": "range"})
        with urllib.request.urlopen(asked) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
            assert "Range" in answer.headers["Access-Control-Allow-Headers"]


def test_what_cannot_be_served_is_an_error(tmp_path: Path):
    assert "is no folder" in here("serve", tmp_path / "nothing", status=2)


def test_view_as_json(weather: Path):
    with serving("view", weather, "--no-open") as told, urllib.request.urlopen(told["url"]) as page:
        assert (told["path"], page.status) == (str(weather), 200)


def test_doctor_tells_what_is_installed():
    checks = {check["name"]: check for check in azarr_json("doctor")}
    assert checks["azarr"]["text"] == azarr.__version__
    assert (checks["numpy"]["ok"], checks["numpy"]["text"]) == (True, f"{np.__version__}; needed")
    assert "threads" in checks


def test_doctor_fails_where_there_is_nothing(tmp_path: Path):
    assert "no Zarr node" in here("doctor", tmp_path, status=1)
