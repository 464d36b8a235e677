"""The command line as a user meets it: what `azarr tree`, `info` and `cat` print, for folders and over HTTP."""

import asyncio
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import azarr
from azarr.cli.commands import app
from azarr.cli.console import parted
from azarr.cli.consolidation import consolidate
from azarr.cli.selection_text import parse_selection
from azarr.cli.server import serve


def azarr_command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})


async def write_weather(store: Path) -> None:
    await azarr.create_group(store, attributes={"title": "weather"})
    await azarr.create_group(store, "coordinates")
    rain = await azarr.create_array(
        store,
        "rain",
        shape=(8, 6),
        dtype="int16",
        chunks=(2, 3),
        shards=(4, 6),
        fill_value=-1,
        dimension_names=("day", "place"),
        attributes={"units": "mm", "note": "[bold]not markup[/]"},
    )
    await rain[...].write(np.arange(48, dtype="int16").reshape(8, 6))
    place = await azarr.create_array(store, "coordinates/place", shape=(6,), dtype="float64")
    await place[...].write(np.linspace(0, 1, 6))
    await azarr.create_array(store, "answer", shape=(), dtype="int64", fill_value=42)
    await azarr.create_array(store, "huge", shape=(1_000_000, 1_000_000), dtype="float64", chunks=(1000, 1000))


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    asyncio.run(write_weather(tmp_path / "weather.zarr"))
    return tmp_path / "weather.zarr"


def rows_of(output: str) -> dict[str, str]:
    """The rows of `azarr info`: lines that start with a label; folded lines belong to the row above."""
    rows: dict[str, str] = {}
    for line in output.splitlines():
        label, text = line[:18].strip(), line[18:].strip()
        if label:
            rows[label] = text
        elif text:
            rows[next(reversed(rows))] += text
    return rows


def assert_fails_in_one_line(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("azarr: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


TREE = """\
/
├── answer () int64
├── coordinates
│   └── place (6,) float64
├── huge (1000000, 1000000) float64
└── rain (day: 8, place: 6) int16
"""


def test_tree_shows_groups_and_arrays(weather: Path):
    assert azarr_command("tree", weather).stdout == TREE


def test_info_tells_all_of_an_array(weather: Path):
    result = azarr_command("info", weather / "rain")
    assert result.exit_code == 0, result.output
    rows = rows_of(result.stdout)
    assert json.loads(rows.pop("attributes")) == {"units": "mm", "note": "[bold]not markup[/]"}
    assert rows == {
        "path": str(weather / "rain"),
        "format": "Zarr v3 array",
        "shape": "(8, 6)",
        "dtype": "int16",
        "chunks": "(2, 3)",
        "shards": "(4, 6)",
        "codecs": 'sharding_indexed {"chunk_shape": [2, 3], "index_location": "end"}'
        'codecs:bytes {"endian": "little"}zstd {"level": 3, "checksum": false}'
        'index_codecs:bytes {"endian": "little"}crc32c',
        "fill value": "-1",
        "dimension names": "day, place",
        "bytes": "96 (96 bytes)",
        "number of chunks": "8",
    }


def test_info_of_a_group_tells_its_attributes(weather: Path):
    rows = rows_of(azarr_command("info", weather).stdout)
    assert json.loads(rows.pop("attributes")) == {"title": "weather"}
    assert rows == {"path": str(weather), "format": "Zarr v3 group"}


async def write_stations(store: Path) -> None:
    names = await azarr.create_array(store, "names", shape=(2,), dtype=str, zarr_format=2)
    await names[...].write(np.array(["Oslo", "[red]Bergen[/]"], dtype=np.dtypes.StringDType()))
    point = np.dtype([("x", "int32"), ("y", "float64")])
    await azarr.create_array(store, "points", shape=(2,), dtype=point, zarr_format=2)


def test_arrays_of_v2_are_told_and_printed_too(tmp_path: Path):
    asyncio.run(write_stations(tmp_path))
    names = rows_of(azarr_command("info", tmp_path / "names").stdout)
    assert (names["format"], names["shards"], names["fill value"]) == ("Zarr v2 array", "none", "''")
    assert names["codecs"].startswith("vlen-utf8")
    assert azarr_command("cat", tmp_path / "names").stdout == "['Oslo' '[red]Bergen[/]']\n"
    points = rows_of(azarr_command("info", tmp_path / "points").stdout)
    assert points["dtype"] == "[('x', '<i4'), ('y', '<f8')]"
    assert azarr_command("cat", tmp_path / "points").stdout == "[(0, 0.) (0, 0.)]\n"


def test_cat_prints_all_values_without_a_selection(weather: Path):
    assert azarr_command("cat", weather / "coordinates/place").stdout == "[0.  0.2 0.4 0.6 0.8 1. ]\n"


@pytest.mark.parametrize(
    ("selection", "printed"),
    [
        ("5:,0", "[30 36 42]\n"),
        ("5:,::2", "[[30 32 34]\n [36 38 40]\n [42 44 46]]\n"),
        ("-1", "[42 43 44 45 46 47]\n"),
        ("-1,-2:", "[46 47]\n"),
        ("..., 1", "[ 1  7 13 19 25 31 37 43]\n"),
        ("[0, ::-2]", "[5 3 1]\n"),
        ("2,3", "15\n"),
        ("8:", "[]\n"),
    ],
)
def test_cat_prints_what_the_selection_selects(weather: Path, selection: str, printed: str):
    assert (
        azarr_command("cat", weather / "rain", selection).stdout.replace(", shape=(0, 6), dtype=int16", "") == printed
    )


def test_cat_prints_an_array_without_axes(weather: Path):
    assert azarr_command("cat", weather / "answer").stdout == "42\n"


def test_cat_reads_a_part_of_an_array_larger_than_memory(weather: Path):
    assert azarr_command("cat", weather / "huge", "999999,:3").stdout == "[0. 0. 0.]\n"


def test_cat_refuses_to_read_more_than_a_screen_can_use(weather: Path):
    assert_fails_in_one_line(azarr_command("cat", weather / "huge"), "8.0 TB", "select less")


def test_selections_of_bad_syntax_are_errors_of_use(weather: Path):
    result = azarr_command("cat", weather / "rain", "5:,day")
    assert result.exit_code == 2
    assert "'day' in '5:,day'" in result.stderr


@pytest.mark.parametrize("command", ["tree", "info", "cat"])
def test_urls_that_no_store_is_for_are_errors_of_use(command: str):
    result = azarr_command(command, "gopher://host/data.zarr")
    assert result.exit_code == 2
    assert "no store for the scheme 'gopher'" in result.stderr


@pytest.mark.parametrize("text", ["1:2:3:4", "1,,2", ",", "1.5", "day", "--option"])
def test_what_is_no_selection_is_refused(text: str):
    with pytest.raises(ValueError, match="is not an integer, a slice such as 5: or ::2"):
        parse_selection(text)


@pytest.mark.parametrize("command", ["cat", "stats", "plot"])
def test_a_step_of_zero_is_an_error_of_use(weather: Path, command: str):
    result = azarr_command(command, weather / "rain", "0,::0")
    assert (result.exit_code, "has a step of 0" in result.stderr) == (2, True)


def test_what_stands_in_a_zip_file_or_in_references_is_reached(weather: Path, tmp_path: Path):
    files = {path.relative_to(weather).as_posix(): path for path in weather.rglob("*") if path.is_file()}
    with zipfile.ZipFile(tmp_path / "weather.zip", "w") as archive:
        for name, path in files.items():
            archive.write(path, name)
    documents = {name: path.read_text() for name, path in files.items() if name.endswith("zarr.json")}
    (tmp_path / "weather.json").write_text(json.dumps({"version": 1, "refs": documents | {"coordinates/place/c/0": "base64:AAAA"}}))
    (tmp_path / "folder.zip").symlink_to(weather)
    for place in (tmp_path / "weather.zip", f"file://{tmp_path}/weather.zip", tmp_path / "folder.zip"):
        assert azarr_command("cat", f"{place}/rain", "0,:3").stdout == "[0 1 2]\n"
        assert azarr_command("tree", f"{place}/coordinates/").stdout.splitlines()[-1] == "└── place (6,) float64"
        assert azarr_command("verify", f"{place}/rain").exit_code == 0
    assert azarr_command("cat", tmp_path / "weather.json/answer").stdout == "42\n"
    assert parted("https://data.zip/a.zarr/b") == ("https://data.zip/a.zarr/b", "")
    assert parted("https://host/a.zip/b?key=1") == ("https://host/a.zip?key=1", "b")
    assert parted("zip://a::https://host/a.zip/b") == ("zip://a::https://host/a.zip/b", "")


def test_selections_that_do_not_fit_are_one_line(weather: Path):
    assert_fails_in_one_line(azarr_command("cat", weather / "rain", "8"), "8")
    assert_fails_in_one_line(azarr_command("cat", weather / "rain", "0,0,0"))


def test_a_group_has_no_values_to_print(weather: Path):
    assert_fails_in_one_line(azarr_command("cat", weather))


@pytest.mark.parametrize("command", ["tree", "info", "cat"])
def test_a_place_without_a_node_is_one_line(tmp_path: Path, command: str):
    assert_fails_in_one_line(azarr_command(command, tmp_path / "nothing.zarr"), "nothing.zarr")


@pytest.mark.parametrize("command", ["tree", "info", "cat"])
def test_a_damaged_document_is_one_line(weather: Path, command: str):
    (weather / "zarr.json").write_text("{")
    assert_fails_in_one_line(azarr_command(command, weather), "zarr.json")


async def test_every_command_reads_over_http(weather: Path):
    consolidate(weather)
    async with serve(weather) as server:
        tree = await asyncio.to_thread(azarr_command, "tree", server.url)
        info = await asyncio.to_thread(azarr_command, "info", f"{server.url}/rain")
        cat = await asyncio.to_thread(azarr_command, "cat", f"{server.url}/rain", "5:,0")
    assert tree.stdout == TREE
    assert rows_of(info.stdout)["path"] == f"{server.url}/rain"
    assert cat.stdout == "[30 36 42]\n"


async def test_a_tree_over_http_needs_consolidated_metadata(weather: Path):
    async with serve(weather) as server:
        result = await asyncio.to_thread(azarr_command, "tree", server.url)
    assert_fails_in_one_line(result, "cannot list", "no consolidated metadata")


async def test_a_server_that_is_gone_is_one_line(weather: Path):
    async with serve(weather) as server:
        pass
    assert_fails_in_one_line(await asyncio.to_thread(azarr_command, "tree", server.url), "127.0.0.1")


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_extra_one_line_tells_how_to_install_it(package: str):
    done = run_python(f"import sys; sys.modules[{package!r}] = None; from azarr.cli.app import main; main()")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"azarr: the command line needs the package {package!r}, which is not installed: pip install 'azarr[cli]'\n"
    )


def run_module(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "azarr.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_module_is_the_command(weather: Path):
    done = run_module("cat", weather / "rain", "-1,-1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "47\n", "")


def test_a_warning_is_one_line_beside_the_values(weather: Path):
    document = json.loads((weather / "answer" / "zarr.json").read_bytes())
    document["codecs"].append({"name": "example.note", "must_understand": False})
    (weather / "answer" / "zarr.json").write_text(json.dumps(document))
    done = run_module("cat", weather / "answer")
    assert (done.returncode, done.stdout) == (0, "42\n")
    assert done.stderr.startswith("azarr: warning: ")
    assert "'example.note' is skipped" in done.stderr
    assert done.stderr.count("\n") == 1


def elements(store: Path, name: str) -> list[object]:
    return np.asarray(asyncio.run(azarr.load(store, name))).tolist()


def without_huge(weather: Path) -> Path:
    asyncio.run(azarr.delete(weather, "huge"))
    return weather


def test_copy_copies_all_as_it_is(weather: Path, tmp_path: Path):
    target = tmp_path / "copy"
    result = azarr_command("copy", weather, target)
    assert (result.exit_code, result.stdout) == (0, f"<Group / (v3) in LocalStore('{target}')>\n"), result.output
    assert azarr_command("tree", target).stdout == TREE
    files = {path.relative_to(weather): path.read_bytes() for path in weather.rglob("*") if path.is_file()}
    assert {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()} == files


def test_copy_stores_otherwise_what_is_said(weather: Path, tmp_path: Path):
    options = ["--chunks", "4,2", "--shards", "none", "--compressor", "none", "--memory", "1 MiB", "--path", "a/rain"]
    assert azarr_command("copy", weather / "rain", tmp_path / "copy", *options).exit_code == 0
    rows = rows_of(azarr_command("info", tmp_path / "copy/a/rain").stdout)
    assert (rows["chunks"], rows["codecs"]) == ("(4, 2)", 'bytes {"endian": "little"}')
    assert elements(tmp_path / "copy", "a/rain") == elements(weather, "rain")
    second = azarr_command("copy", without_huge(weather), tmp_path / "second", "--zarr-format", "2", "--chunks", "auto", "--compressor", "blosc")
    assert second.exit_code == 0, second.output
    assert (tmp_path / "second/rain/.zarray").exists()
    assert elements(tmp_path / "second", "rain") == elements(weather, "rain")


def test_copy_replaces_nothing_unless_told(weather: Path, tmp_path: Path):
    for _ in range(2):
        result = azarr_command("copy", weather, tmp_path / "copy", "--overwrite")
        assert result.exit_code == 0, result.output
    assert_fails_in_one_line(azarr_command("copy", weather, tmp_path / "copy"), "something stands at /", "overwrite")


@pytest.mark.parametrize("arguments", [["--chunks", "4;2"], ["--memory", "much"]])
def test_copy_refuses_what_is_no_size(arguments: list[str], weather: Path, tmp_path: Path):
    result = azarr_command("copy", weather / "rain", tmp_path / "copy", *arguments)
    assert result.exit_code == 2
    assert "is not a" in result.stderr
    assert not (tmp_path / "copy").exists()


def test_copy_says_what_is_wrong(weather: Path, tmp_path: Path):
    assert_fails_in_one_line(azarr_command("copy", tmp_path / "nothing", tmp_path / "copy"), "no Zarr node")
    result = azarr_command("copy", weather, "gopher://host/x")
    assert result.exit_code == 2
    assert "no store for the scheme" in result.stderr


def test_verify_says_that_all_is_well(weather: Path):
    result = azarr_command("verify", weather)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("6 nodes, 3 objects with 9 chunks, ")
    assert result.stdout.endswith("0 damaged, 0 unknown keys\n")


def test_verify_lists_what_is_damaged_and_what_is_unknown(weather: Path):
    shard = weather / "rain/c/0/0"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    (weather / "notes.txt").write_text("remember")
    result = azarr_command("verify", weather)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].endswith("1 damaged, 1 unknown keys")
    assert lines[1].startswith("damaged: rain/c/0/0: ")
    assert lines[2] == "unknown: notes.txt"


def test_verify_says_what_is_wrong(tmp_path: Path):
    assert_fails_in_one_line(azarr_command("verify", tmp_path), "no Zarr node")
    result = azarr_command("verify", "gopher://host/x")
    assert result.exit_code == 2


def test_a_bar_is_drawn_on_a_terminal_alone(weather: Path, tmp_path: Path):
    assert azarr_command("verify", weather).stderr == ""
    terminal = CliRunner().invoke(app, ["verify", str(weather)], env={"COLUMNS": "120", "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"})
    assert terminal.exit_code == 0
    assert "3/3" in terminal.stderr
