"""HTTP from a page: how many requests, none for permission, what cancelling leaves, and what servers do wrong. Values are right, or errors say why.

The other origin shows a page what a simple bucket shows: neither `ETag` nor `Content-Range`.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from arrays import VALUES, group
from hosting import Answer, Site, cut, dropped, encoded, encoded_on_the_way, good, no_head, no_suffixes, stalled, status, whole
from places import InPage, Raised

ORIGINS = pytest.mark.parametrize("other", [False, True], ids=["same origin", "other origin"])
LAYOUTS = pytest.mark.parametrize("layout", ["raw", "v3 zstd", "v3 sharded"])
PART = VALUES[2:, 5:].tolist()
READ = """
import azarr
async with azarr.Context(retries=azarr.Retries(first=0, attempts=attempts), timeout=timeout) as context:
    try:
        g = await azarr.open_group(url, zarr_format=3, context=context)
        found = await g.var[2:, 5:]
    except azarr.errors.AzarrError as error:
        names = ("store", "key", "status", "attempts")
        found = {name: getattr(error, name, None) for name in names} | {"error": type(error).__name__, "text": str(error)}
found
"""
SHARD, CHUNK = "var/c/0/0", "var/c/1/2"


def read(python: Any, url: str, *, timeout: float = 60, attempts: int = 3) -> Any:
    """Most values of `var` in the group at `url`, so that shards are read by ranges; or the facts of the error."""
    return python(READ, url=url, timeout=timeout, attempts=attempts)


def chunk_of(layout: str) -> str:
    return SHARD if layout == "v3 sharded" else CHUNK


def told(found: Any, error: str, url: str, key: str, attempts: int) -> None:
    """An error says what, of which URL and key, and how often it was tried."""
    assert (found["error"], found["key"], found["attempts"]) == (error, key, attempts)
    assert url in found["store"]
    assert url in found["text"]
    assert key in found["text"]


# Requests


@ORIGINS
@pytest.mark.parametrize(("selection", "count"), [("0, :5", 1), ("2:6, :20", 4), ("::5, ::33", 6), ("2:, 5:", 20)])
def test_inner_chunks_of_a_shard_take_three_requests_then_one(python: InPage, site: Site, other: bool, selection: str, count: int):
    url = site.add(site.run(group("v3 sharded")), other=other)
    code = f"import azarr\narray = await azarr.open_array(url, 'var', zarr_format=3)\narray[{selection}].plan().chunks"
    assert python(code, url=url) == count
    expected = eval(f"VALUES[{selection}]").tolist()
    for _ in range(2):
        assert python(f"await array[{selection}]") == expected
    asked = [(asked.method, asked.range is not None) for asked in site.below(url) if asked.key == site.key(url, SHARD)]
    assert asked == [("HEAD", False), ("GET", True), ("GET", True), ("GET", True)]


def test_a_whole_shard_takes_one_request(python: InPage, site: Site):
    url = site.add(site.run(group("v3 sharded")))
    assert python("import azarr\nawait azarr.open_group(url).var[...]", url=url) == VALUES.tolist()
    assert [asked.method for asked in site.below(url) if asked.key == site.key(url, SHARD)] == ["GET"]


@ORIGINS
@pytest.mark.parametrize("name", ["python", "firefox"])
@pytest.mark.parametrize("layout", ["v2 gzip", "v3 zstd", "v3 sharded"])
def test_a_browser_asks_no_server_for_permission(name: str, site: Site, other: bool, layout: str, request: pytest.FixtureRequest):
    url = site.add(site.run(group(layout)), other=other)
    place = request.getfixturevalue(name)
    assert place("import azarr\nawait azarr.open_group(url).var[5:]", url=url) == VALUES[5:].tolist()
    assert {asked.method for asked in site.below(url)} <= {"GET", "HEAD"}
    assert {asked.other for asked in site.below(url)} == {other}


# Cancelling


START = """
import asyncio, azarr
array = await azarr.open_array(url, "var", zarr_format=3)
task = asyncio.ensure_future(array[2:, 5:].read())
"""
CANCEL = """
task.cancel()
await asyncio.wait([task])
task.cancelled()
"""


@LAYOUTS
@ORIGINS
@pytest.mark.parametrize("answer", [stalled(), stalled(0.5)], ids=["before the head", "within the body"])
def test_the_server_sees_that_a_read_is_cancelled(python: InPage, site: Site, other: bool, layout: str, answer: Answer):
    url = site.add(site.run(group(layout)), other=other)
    site.answers[site.key(url, "var/c/")] = answer
    python(START, url=url)
    pending = 1 if layout == "v3 sharded" else 6  # browsers open six connections
    site.until(lambda: sum("/c/" in asked.key for asked in site.below(url)) >= pending)
    assert python(CANCEL) is True
    site.until(lambda: all(asked.aborted == ("/c/" in asked.key) and asked.done for asked in site.below(url)))


UNSENT = """
import asyncio, azarr
from azarr.transport.browser import fetch
request = fetch(url + "/var/zarr.json", headers={}, context=azarr.Context())
request.send(None)
try:
    request.throw(asyncio.CancelledError())
except asyncio.CancelledError:
    await azarr.open_group(url, zarr_format=3)
"""


def test_a_request_that_is_cancelled_before_python_has_returned_is_not_sent(python: InPage, site: Site):
    url = site.add(site.run(group("raw")))
    python(UNSENT, url=url)
    assert [asked.key for asked in site.below(url)] == [site.key(url, "zarr.json")]


@pytest.mark.parametrize("name", ["python", "worker"])
def test_requests_in_the_queue_never_leave_the_page_once_they_are_cancelled(name: str, site: Site, request: pytest.FixtureRequest):
    place = request.getfixturevalue(name)
    url = site.add(site.run(group("raw", np.zeros((10, 13), "u1"), chunks=(1, 1), fill_value=1)))
    site.answers[site.key(url, "var/c/")] = stalled()
    place(START, url=url)
    assert place("array[2:, 5:].plan().chunks") == 64
    assert place("await asyncio.sleep(0.1)\n" + CANCEL) is True
    another = site.add(site.run(group("raw")))
    assert read(place, another) == PART  # what was in the queue before would have left it
    assert 0 < sum("/c/" in asked.key for asked in site.below(url)) <= 16


# What servers do wrong


@ORIGINS
@LAYOUTS
@pytest.mark.parametrize("code", [403, 500, 503])
def test_a_status_that_stays_is_an_error(python: InPage, site: Site, other: bool, layout: str, code: int):
    url = site.add(site.run(group(layout)), other=other)
    site.answers[site.key(url, chunk_of(layout))] = status(code)
    found = read(python, url)
    told(found, "TransportError", url, chunk_of(layout), 1 if code == 403 else 3)
    assert found["status"] == code


@ORIGINS
@LAYOUTS
def test_a_missing_object_is_the_fill_value(python: InPage, site: Site, other: bool, layout: str):
    url = site.add(site.run(group(layout)), other=other)
    site.answers[site.key(url, chunk_of(layout))] = status(404)
    expected = VALUES.copy()
    expected[(slice(None), slice(None)) if layout == "v3 sharded" else (slice(5, 10), slice(20, 30))] = 0
    assert read(python, url) == expected[2:, 5:].tolist()


@ORIGINS
@LAYOUTS
@pytest.mark.parametrize(("fault", "times"), [(partial(status, 503), 2), (partial(status, 500), 1), (partial(cut, 0.5), 1), (partial(cut, 0.0), 2)])
def test_what_passes_is_asked_again(python: InPage, site: Site, other: bool, layout: str, fault: Any, times: int):
    url = site.add(site.run(group(layout)), other=other)
    site.answers[site.key(url, chunk_of(layout))] = fault(times=times)
    assert read(python, url) == PART


@ORIGINS
@LAYOUTS
@pytest.mark.parametrize("share", [0.0, 0.9])
def test_a_body_that_is_cut_is_an_error(python: InPage, site: Site, other: bool, layout: str, share: float):
    url = site.add(site.run(group(layout)), other=other)
    site.answers[site.key(url, chunk_of(layout))] = cut(share)
    told(read(python, url), "TruncatedBody", url, chunk_of(layout), 3)


@ORIGINS
@LAYOUTS
def test_a_connection_that_breaks_is_an_error(python: InPage, site: Site, other: bool, layout: str):
    url = site.add(site.run(group(layout)), other=other)
    site.answers[site.key(url, chunk_of(layout))] = dropped
    found = read(python, url)
    told(found, "TransportError", url, chunk_of(layout), 3)
    assert "Failed to fetch" in found["text"]


@ORIGINS
@LAYOUTS
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_server_that_stalls_is_an_error(python: InPage, site: Site, other: bool, layout: str, share: float):
    url = site.add(site.run(group(layout)), other=other)
    site.answers[site.key(url, chunk_of(layout))] = stalled(share)
    told(read(python, url, timeout=0.3, attempts=2), "TimedOut", url, chunk_of(layout), 2)
    site.until(lambda: all(asked.done for asked in site.below(url)))


def test_refused_by_cors_the_error_says_so(fresh: InPage, site: Site):
    url = site.add(site.run(group("raw")), other=True)
    site.cors = False
    found = read(fresh, url)
    told(found, "TransportError", url, "zarr.json", 1)
    assert "CORS" in found["text"]


def test_a_chunk_that_cors_hides_is_no_missing_chunk(python: InPage, site: Site):
    """Servers were seen that answer 404 without the header that lets a page see it."""
    url = site.add(site.run(group("raw")), other=True)

    async def hidden(request: web.Request, data: bytes) -> web.StreamResponse:
        site.cors = False
        return good(request, None)

    site.answers[site.key(url, CHUNK)] = hidden
    assert read(python, url, attempts=1)["error"] == "TransportError"


WITH_HEADERS = """
import azarr
try:
    found = bytes((await azarr.stores.HTTPStore(url, headers=headers).get(key)).data).decode()
except azarr.errors.TransportError as error:
    found = str(error)
found
"""


@pytest.mark.parametrize("place", ["python", "node"])
def test_headers_do_not_go_where_a_redirect_leads(place: str, site: Site, request: pytest.FixtureRequest):
    python = request.getfixturevalue(place)
    url, elsewhere = site.add({}), site.add({"plain": b"found", "signed": b"found"}, other=True)

    async def leading(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{elsewhere}/{request.path.rpartition('/')[2]}"})

    site.answers[site.key(url)] = leading
    refused = python(WITH_HEADERS, url=url, key="plain", headers={"X-Key": "hunter2"})
    assert "or it redirects, where a browser would send the headers along" in refused
    assert site.below(elsewhere) == []
    assert python(WITH_HEADERS, url=url, key="plain", headers={}) == "found"
    assert python(WITH_HEADERS, url=url, key="signed", headers={"Authorization": "hunter2"}) == "found"
    assert site.below(url)[-1].headers["Authorization"] == "hunter2"
    assert [asked.key for asked in site.below(elsewhere)] == [site.key(elsewhere, "plain"), site.key(elsewhere, "signed")]
    assert not any("Authorization" in asked.headers for asked in site.below(elsewhere))


def test_a_refused_connection_is_an_error_at_once(python: InPage):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/data.zarr"
        told(read(python, url), "TransportError", url, "zarr.json", 1)


@ORIGINS
@LAYOUTS
@pytest.mark.parametrize("answer", [whole, no_suffixes, no_head, encoded, encoded_on_the_way], ids=lambda answer: answer.__name__)
def test_servers_with_limits_are_read(python: InPage, site: Site, other: bool, layout: str, answer: Answer):
    url = site.add(site.run(group(layout)), other=other)
    site.answers[site.key(url, "var/c/")] = answer
    found = read(python, url)
    if (other, layout, answer.__name__) in UNREADABLE:
        error, attempts = UNREADABLE[other, layout, answer.__name__]
        told(found, error, url, SHARD, attempts)
    else:
        assert found == PART


UNREADABLE = {
    (True, "v3 sharded", "no_head"): ("RangeNotHonoured", 1),  # where the index lies is told by nothing that the page sees
    (True, "v3 sharded", "encoded"): ("TransportError", 3),  # nor that it is encoded: the browser says that the network failed
}
"""Parts of shards on the other origin, by what servers do, and the error, with how often it was tried."""


@ORIGINS
@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("layout", ["v3 sharded", "raw"])
def test_an_object_that_is_replaced_is_old_or_new(python: InPage, site: Site, other: bool, layout: str, at: int):
    """From request `at` on, the server has the other version, of another length."""
    after = VALUES[::-1] * 2
    after[0] = 7
    url = site.add(site.run(group(layout)), other=other)
    new, asked = site.run(group(layout, after)), []

    async def replaced(request: web.Request, data: bytes) -> web.StreamResponse:
        asked.append(request.method)
        return good(request, data if len(asked) <= at else new[SHARD])

    site.answers[site.key(url, SHARD)] = replaced
    found = np.array(read(python, url))
    whole_object = (slice(None), slice(None)) if layout == "v3 sharded" else (slice(3), slice(5))
    assert any(np.array_equal(found[whole_object], values[2:, 5:][whole_object]) for values in (VALUES, after))


def test_no_more_is_fetched_of_a_server_without_ranges_than_is_useful(python: InPage, site: Site):
    """4 MiB are more than what is worth one chunk of 1 KiB."""
    values = np.frombuffer(np.random.default_rng(5).bytes(4 << 20), "u1")
    url = site.add(site.run(group("raw", values, chunks=(1 << 10,), shards=(4 << 20,))))
    site.answers[site.key(url, "var/c/")] = whole
    with pytest.raises(Raised) as raised:
        python("import azarr\narray = await azarr.open_array(url, 'var', zarr_format=3)\nawait array[:10]", url=url)
    assert raised.value.name == "RangeNotHonoured"


# What is not there


def test_a_missing_codec_tells_the_line_that_installs_it(fresh: InPage, site: Site):
    url = site.add(site.run(group("blosc")))
    with pytest.raises(Raised) as raised:
        fresh("import azarr\nawait azarr.open_group(url).var[5:]", url=url)
    assert raised.value.name == "MissingPackage"
    line = raised.value.text.partition("which is not installed: ")[2]
    fresh(line)
    assert fresh("await azarr.open_group(url).var[5:]") == VALUES[5:].tolist()


# The bridge


def test_sync_runs_where_the_browser_can_wait(python: InPage, site: Site):
    url = site.add(site.run(group("v3 sharded")))
    code = "import azarr\nfrom azarr.integrations import sync\nsync.run(azarr.open_group(url).var[5:])"
    assert python(code, url=url) == VALUES[5:].tolist()


CALLED_BY_JAVASCRIPT = """
import asyncio, azarr, js
from azarr.integrations import sync
from pyodide.ffi import create_once_callable
answered = asyncio.get_running_loop().create_future()

def call():
    try:
        answered.set_result(sync.run(azarr.open_array(url, "var")))
    except azarr.errors.AzarrError as error:
        answered.set_result(str(error))

js.setTimeout(create_once_callable(call), 0)
await answered
"""


def test_sync_raises_where_plain_javascript_called(python: InPage, site: Site):
    url = site.add({})
    assert "JSPI" in python(CALLED_BY_JAVASCRIPT, url=url)
    assert site.below(url) == []
