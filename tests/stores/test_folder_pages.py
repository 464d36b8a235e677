"""Hierarchies without consolidated metadata, by the pages that servers make of folders."""

import functools
import threading
from collections.abc import Generator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import azarr
from azarr.errors import StoreError
from azarr.stores import HTTPStore
from azarr.tools.folder_pages import names_in

PYTHON = '<ul><li><a href="a%20b/">a b/</a></li><li><a href="zarr.json">zarr.json</a></li></ul>'
NGINX = '<pre><a href="../">../</a>\n<a href="t/">t/</a>   28-Nov-2026 08:00   -\n<a href="zarr.json">zarr.json</a></pre>'
APACHE = '<tr><th><a href="?C=N;O=D">Name</a></th></tr><tr><td><a href="/data/">Parent</a></td></tr><tr><td><a class="x" href="t/">t/</a></td></tr>'
ABSOLUTE = "<a href='/data/x.zarr/t/'>t</a> <a href='/data/x.zarr/t/deep/'>deep</a> <a href='https://elsewhere/data/x.zarr/u/'>u</a>"
LEAVING = '<a href="%2e%2e/">up</a><a href="..%2fsecret/">up</a><a href="a%2Fb/">deep</a><a href="%5C/">x</a><a href="//">x</a><a href="./">.</a><a href="t/">t</a>'


@pytest.mark.parametrize(
    ("page", "names"),
    [(PYTHON, ["a b/", "zarr.json"]), (NGINX, ["t/", "zarr.json"]), (APACHE, ["t/"]), (ABSOLUTE, ["t/"]), (LEAVING, ["t/"]), ("", [])],
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


@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_a_hierarchy_is_walked_over_a_plain_server(tmp_path: Path, served: str, zarr_format: int):
    await azarr.create_group(tmp_path, zarr_format=zarr_format)
    for path in ("a b/c", "d"):
        await azarr.create_array(tmp_path, path, shape=(2,), dtype="i4", zarr_format=zarr_format)
    async with azarr.Context() as context:
        for store in (served, azarr.Cached(HTTPStore(served, context=context))):
            group = await azarr.open_group(store, context=context)
            assert [path async for path, _ in group.walk()] == ["a b", "a b/c", "d"]


LANDING = "<title>My data</title><a href='t/'>temperature</a>"
"""A page that somebody wrote: it may name some of what is there."""


@pytest.mark.parametrize("page", [LANDING, "<title>Index of /</title>", ""])
async def test_what_is_not_the_list_of_a_folder_is_an_error_that_says_so(tmp_path: Path, served: str, page: str):
    await azarr.create_group(tmp_path / "g")
    (tmp_path / "g" / "index.html").write_text(page)
    async with azarr.Context() as context:
        group = await azarr.open_group(f"{served}/g", context=context)
        with pytest.raises(StoreError, match="what the server shows for the folder is no list of what is in it, and the group has no"):
            await group.keys()
        (tmp_path / "g" / "index.html").unlink()
        assert await group.keys() == []
