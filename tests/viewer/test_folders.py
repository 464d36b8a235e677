"""Hierarchies without consolidated metadata, by the pages that servers make of folders."""

import functools
import threading
from collections.abc import Generator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import azarr
from azarr.errors import StoreError
from azarr.viewer.folders import IndexedHTTPStore, names_in

PYTHON = '<ul><li><a href="a%20b/">a b/</a></li><li><a href="zarr.json">zarr.json</a></li></ul>'
NGINX = '<pre><a href="../">../</a>\n<a href="t/">t/</a>   28-Nov-2026 08:00   -\n<a href="zarr.json">zarr.json</a></pre>'
APACHE = '<tr><th><a href="?C=N;O=D">Name</a></th></tr><tr><td><a href="/data/">Parent</a></td></tr><tr><td><a class="x" href="t/">t/</a></td></tr>'
ABSOLUTE = "<a href='/data/x.zarr/t/'>t</a> <a href='/data/x.zarr/t/deep/'>deep</a> <a href='https://elsewhere/data/x.zarr/u/'>u</a>"


@pytest.mark.parametrize(
    ("page", "names"), [(PYTHON, ["a b/", "zarr.json"]), (NGINX, ["t/", "zarr.json"]), (APACHE, ["t/"]), (ABSOLUTE, ["t/"]), ("", [])]
)
def test_names_are_those_right_below(page: str, names: list[str]):
    assert names_in(page, "https://host/data/x.zarr/") == names


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_hierarchy_is_walked_over_a_plain_server(tmp_path: Path, served: str):
    await azarr.create_group(tmp_path)
    await azarr.create_array(tmp_path, "a b/c", shape=(2,), dtype="i4")
    await azarr.create_array(tmp_path, "d", shape=(2,), dtype="i4")
    async with azarr.Context() as context:
        group = await azarr.open_group(IndexedHTTPStore(served, context=context), context=context)
        assert [path async for path, _ in group.walk()] == ["a b", "a b/c", "d"]
        keys = [key async for key in IndexedHTTPStore(served, context=context).list("d")]
        assert keys == ["d/zarr.json"]


async def test_a_server_that_shows_no_folders_is_an_error_that_says_so(tmp_path: Path, served: str):
    await azarr.create_group(tmp_path / "g")
    async with azarr.Context() as context:
        store = IndexedHTTPStore(f"{served}/nowhere", context=context)
        with pytest.raises(StoreError, match="does not show what is in the folder"):
            [name async for name in store.list_dir("")]
