"""`azarr view`: what its server gives, and to whom; and the command as a process."""

import asyncio
import io
import json
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from typer.testing import CliRunner

import azarr
from azarr.cli.commands import app
from azarr.cli.object_server import PART, serve_objects
from azarr.cli.view import serve_viewer
from azarr.errors import TransportError
from azarr.stores import HTTPStore, LocalStore


async def written(folder: Path) -> LocalStore:
    await azarr.create_group(folder)
    array = await azarr.create_array(folder, "a/b", shape=(8, 8), dtype="int32", chunks=(2, 2), shards=(4, 4))
    await array[...].write(np.arange(64).reshape(8, 8))
    return LocalStore(folder)


@asynccontextmanager
async def asked(store: Any, **options: Any) -> AsyncGenerator[tuple[str, aiohttp.ClientSession]]:
    """The page of a running server, and a client."""
    async with serve_viewer(store, "x y.zarr", **options) as page, aiohttp.ClientSession() as client:
        yield page, client


async def test_the_page_is_served_with_what_it_needs(tmp_path: Path):
    async with asked(await written(tmp_path), pyodide="https://host/pyodide") as (page, client):
        for name, kind in (("", "text/html"), ("viewer.js", "javascript"), ("viewer.css", "text/css"), ("worker.js", "javascript")):
            async with client.get(page + name) as answer:
                assert answer.status == 200
                assert kind in answer.headers["Content-Type"]
        async with client.get(page + "config.json") as answer:
            assert await answer.json() == {"pyodide": "https://host/pyodide/", "azarr": "azarr.zip", "url": "data/x%20y.zarr"}


async def test_the_package_that_is_served_is_this_one(tmp_path: Path):
    async with asked(None, url="https://host/x.zarr") as (page, client), client.get(page + "azarr.zip") as answer:
        with zipfile.ZipFile(io.BytesIO(await answer.read())) as archive:
            names = archive.namelist()
            source = Path(azarr.__file__).parent / "viewer" / "worker.py"
            assert archive.read("azarr/viewer/worker.py") == source.read_bytes()
    assert {"azarr/__init__.py", "azarr/codecs/blosc.py", "azarr/transport/fetch.js"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("azarr/cli/")]


async def test_pyodide_may_be_a_folder(tmp_path: Path):
    (tmp_path / "pyodide.mjs").write_text("export {}")
    async with asked(None, pyodide=tmp_path) as (page, client):
        async with client.get(page + "config.json") as answer:
            assert (await answer.json())["pyodide"] == "pyodide/"
        async with client.get(page + "pyodide/pyodide.mjs") as answer:
            assert await answer.text() == "export {}"


async def test_azarr_reads_what_is_served_and_walks_it(tmp_path: Path):
    async with serve_viewer(await written(tmp_path), "x y.zarr") as page, azarr.Context() as context:
        store = HTTPStore(f"{page}data/x y.zarr", context=context)
        group = await azarr.open_group(store, context=context)
        assert [path async for path, _ in group.walk()] == ["a", "a/b"]
        assert np.array_equal(await group["a/b"][...], np.arange(64).reshape(8, 8))
        assert (await group["a/b"][3, 3]) == 27  # by ranges of a shard
        assert await store.get("a/b/c/9/9") is None


async def test_ranges_and_versions(tmp_path: Path):
    store = await written(tmp_path)
    (tmp_path / "object").write_bytes(b"0123456789")
    async with asked(store) as (page, client):
        url = f"{page}data/x y.zarr/object"
        for header, status, stated, body in (
            ("bytes=2-4", 206, "bytes 2-4/10", b"234"),
            ("bytes=7-", 206, "bytes 7-9/10", b"789"),
            ("bytes=-3", 206, "bytes 7-9/10", b"789"),
            ("bytes=8-99", 206, "bytes 8-9/10", b"89"),
            ("bytes=99-", 416, "bytes */10", None),
            ("bytes=-0", 416, "bytes */10", None),
            ("bytes=5-3", 200, None, b"0123456789"),
            ("bytes=0-1,4-5", 200, None, b"0123456789"),
        ):
            async with client.get(url, headers={"Range": header}) as answer:
                assert (answer.status, answer.headers.get("Content-Range")) == (status, stated), header
                assert body is None or await answer.read() == body
        async with client.head(url) as answer:
            tag = answer.headers["ETag"]
            assert answer.headers["Content-Length"] == "10"
        async with client.get(url, headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
        (tmp_path / "object").write_bytes(b"another")
        async with client.get(url, headers={"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (200, b"another")
        async with client.get(url, headers={"If-Match": tag}) as answer:
            assert answer.status == 412


async def test_what_is_larger_than_a_part_comes_whole_and_in_any_range(tmp_path: Path):
    data = np.random.default_rng(0).bytes(2 * PART + 3)
    (tmp_path / "object").write_bytes(data)
    (tmp_path / "empty").write_bytes(b"")
    async with serve_objects(LocalStore(tmp_path)) as url, aiohttp.ClientSession() as client:
        for header, expected in (("", data), (f"bytes=5-{PART + 5}", data[5 : PART + 6]), (f"bytes=-{PART + 1}", data[-PART - 1 :]), ("bytes=7-", data[7:])):
            async with client.get(f"{url}object", headers={"Range": header} if header else {}) as answer:
                assert await answer.read() == expected
        async with client.get(f"{url}empty") as answer:
            assert (answer.status, await answer.read()) == (200, b"")


async def test_only_what_does_not_exist_is_404(tmp_path: Path):
    async with asked(await written(tmp_path)) as (page, client):
        data = f"{page}data/x y.zarr/"
        for path, status in (("nothing", 404), ("nothing/", 404), ("a%2F..%2Fb", 400), ("%2Fetc%2Fpasswd", 400)):
            async with client.get(data + path if "%" not in path else aiohttp.client.URL(data + path, encoded=True)) as answer:
                assert answer.status == status, path


async def test_a_folder_without_its_slash_is_its_page_and_links_of_it_lead_where_they_should(tmp_path: Path):
    async with asked(await written(tmp_path)) as (page, client), client.get(f"{page}data/x y.zarr/a/b") as answer:
        assert [step.status for step in answer.history] == [301]
        assert str(answer.url) == f"{page}data/x%20y.zarr/a/b/"
        assert "./zarr.json" in await answer.text()


async def test_who_does_not_know_the_path_gets_nothing(tmp_path: Path):
    async with asked(await written(tmp_path)) as (page, client):
        root = page.rsplit("/", 2)[0]
        for path in ("/", "/config.json", "/data/x y.zarr/zarr.json", "/other/config.json"):
            async with client.get(root + path) as answer:
                assert answer.status == 404
        for path in ("worker.py", "../cli/view.py", "data/other.zarr/zarr.json"):
            async with client.get(page + path) as answer:
                assert answer.status == 404


@pytest.mark.parametrize("cors", [False, True])
async def test_pages_of_other_sites_read_only_if_that_is_allowed(tmp_path: Path, cors: bool):
    async with asked(await written(tmp_path), cors=cors) as (page, client):
        for path in ("zarr.json", "nothing", "a/"):
            async with client.get(f"{page}data/x y.zarr/{path}") as answer:
                assert answer.headers.get("Access-Control-Allow-Origin") == ("*" if cors else None)
        async with client.get(page) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers


class Refusing:
    """A store whose server refuses, or cannot be reached."""

    def __init__(self, status: int | None) -> None:
        self.status = status

    async def get(self, key: str, byte_range: Any = None) -> None:
        raise TransportError("no", status=self.status)


@pytest.mark.parametrize(("status", "passed"), [(403, 403), (503, 503), (None, 502)])
async def test_errors_of_the_store_are_passed_on(status: int | None, passed: int):
    async with asked(Refusing(status)) as (page, client), client.get(f"{page}data/x y.zarr/a") as answer:
        assert answer.status == passed


async def test_a_url_can_be_read_through_this_machine(tmp_path: Path):
    await written(tmp_path)
    async with serve_viewer(LocalStore(tmp_path), "far") as far, azarr.Context() as context:
        remote = azarr.stores.HTTPStore(f"{far}data/far", context=context)
        async with serve_viewer(remote, "near") as near:
            array = await azarr.open_array(azarr.stores.HTTPStore(f"{near}data/near", context=context), "a/b", context=context)
            assert (await array[3, 3]) == 27


def test_the_help_names_all_options():
    text = CliRunner().invoke(app, ["view", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for option in ("--port", "--no-open", "--pyodide", "--relay", "--cors"):
        assert option in text


def test_what_is_not_there_is_an_error_of_one_line(tmp_path: Path):
    result = CliRunner().invoke(app, ["view", str(tmp_path / "nothing"), "--no-open"])
    assert result.exit_code == 1
    assert result.stderr.startswith("azarr: no Zarr node")


def test_the_command_serves_until_it_is_interrupted_and_tells_no_secrets(tmp_path: Path):
    asyncio.run(written(tmp_path / "x.zarr"))
    for url, shown in ((str(tmp_path / "x.zarr"), str(tmp_path / "x.zarr")), ("https://me:word@host/x.zarr?token=abc", "https://***@host/x.zarr?***")):
        command = [sys.executable, "-W", "error", "-m", "azarr.cli", "view", url, "--no-open"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=as_at_a_terminal) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"(\S+) is shown at (http://127\.0\.0\.1:\d+/\S+/) until you press Ctrl-C\n", line)
            assert found is not None, line
            assert found[1] == shown
            assert json.loads(asyncio.run(fetched(found[2] + "config.json")))["azarr"] == "azarr.zip"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0


def as_at_a_terminal() -> None:
    """Ctrl-C ends the process, even where a shell runs the tests in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


async def fetched(url: str) -> bytes:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return await answer.read()
