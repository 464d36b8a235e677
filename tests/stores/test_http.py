"""HTTP: only 404 is missing, and only the bytes that were asked for are data. Everything else raises, and no secret is told."""

from __future__ import annotations

import asyncio
import gzip
import socket
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from aiohttp import web

import azarr
from azarr.errors import CorruptData, NodeNotFound, ShardIndexError, StoreError, TransportError
from azarr.stores import HTTPStore
from documents import as_bytes, sharded, v2_array, v3_array, v3_store
from oracles import BROWSER
from servers import Answer, cut, never, ranged, raw, serving, status, whole

SOON = azarr.Context(retries=azarr.Retries(first=0))
"""Sends again at once."""
SHARD = bytes(range(1, 9)) + np.array([[2 * k, 2] for k in range(4)], "<u8").tobytes()
STORE = {
    "zarr.json": as_bytes({"zarr_format": 3, "node_type": "group"}),
    **{
        f"plain/{key}": data
        for key, data in v3_store(v3_array(shape=[8], fill_value=77), {"c/0": b"\1\2\3\4", "c/1": b"\5\6\7\x08"}).items()
    },
    **{
        f"shards/{key}": data
        for key, data in v3_store(
            v3_array(shape=[8], chunk_grid={"name": "regular", "configuration": {"chunk_shape": [8]}}, codecs=sharded(2), fill_value=77),
            {"c/0": SHARD},
        ).items()
    },
    "v2/.zarray": as_bytes(v2_array(shape=[8], fill_value=77)),
    "v2/0": b"\1\2\3\4",
    "v2/1": b"\5\6\7\x08",
}
ALL = [1, 2, 3, 4, 5, 6, 7, 8]
Read = Callable[[Any], Awaitable[Any]]
CHUNK, V2_CHUNK, SHARD_KEY = "plain/c/0", "v2/0", "shards/c/0"
READS: dict[str, tuple[str, Read]] = {
    "chunk": (CHUNK, lambda url: azarr.open_array(url, "plain", context=SOON)[...].read()),
    "part of a chunk": (CHUNK, lambda url: azarr.open_array(url, "plain", context=SOON)[1].read()),
    "v2 chunk": (V2_CHUNK, lambda url: azarr.open_array(url, "v2", context=SOON)[...].read()),
    "shard": (SHARD_KEY, lambda url: azarr.open_array(url, "shards", context=SOON)[...].read()),
    "part of a shard": (SHARD_KEY, lambda url: azarr.open_array(url, "shards", context=SOON)[3:5].read()),
}
"""The key that is asked for, and a read that asks for it."""
DOCUMENTS: dict[str, tuple[str, Read]] = {
    "v3 document": ("plain/zarr.json", lambda url: azarr.open(url, "plain", context=SOON).open()),
    "group document": ("zarr.json", lambda url: azarr.open_group(url, context=SOON).open()),
    "v2 document": ("v2/.zarray", lambda url: azarr.open_array(url, "v2", context=SOON).open()),
    "v2 attributes": ("v2/.zattrs", lambda url: azarr.open_array(url, "v2", context=SOON).open()),
    "v3 probe of a v2 array": ("v2/zarr.json", lambda url: azarr.open(url, "v2", context=SOON).open()),
    "members": ("plain/zarr.json", lambda url: azarr.open_group(url, context=SOON)["plain"].open()),
}
REQUESTS = READS | DOCUMENTS


async def test_everything_reads_right_while_the_server_is_good():
    async with serving(dict(STORE)) as server:
        for path in ("plain", "shards", "v2"):
            array = await azarr.open_array(server.url, path, context=SOON)
            assert (await array[...]).tolist() == ALL
            assert (await array[2:7]).tolist() == ALL[2:7]
            assert (await array[::-1]).tolist() == ALL[::-1]


async def test_404_is_missing_and_other_statuses_only_where_the_caller_lists_them():
    async with serving(dict(STORE)) as server:
        server.misbehave[CHUNK] = status(403)
        store = HTTPStore(server.url, missing=(403, 404))
        assert (await azarr.open_array(store, "plain", context=SOON)[...]).tolist() == [77] * 4 + ALL[4:]
        assert await store.get("nothing") is None
        code = 404
        server.misbehave = dict.fromkeys((CHUNK, V2_CHUNK, SHARD_KEY), status(code, body=b"<html>no such thing</html>"))
        assert (await azarr.open_array(server.url, "plain", context=SOON)[...]).tolist() == [77] * 4 + ALL[4:]
        assert (await azarr.open_array(server.url, "v2", context=SOON)[...]).tolist() == [77] * 4 + ALL[4:]
        assert (await azarr.open_array(server.url, "shards", context=SOON)[...]).tolist() == [77] * 8
        assert (await azarr.open_array(server.url, "shards", context=SOON)[3:5]).tolist() == [77, 77]
        server.misbehave = dict.fromkeys(STORE, status(code))
        with pytest.raises(NodeNotFound):
            await azarr.open(server.url, "plain", context=SOON)


@pytest.mark.parametrize(
    "code", [204, 304, 400, 401, 402, 403, 405, 406, 408, 410, 412, 416, 418, 421, 425, 429, 451, 500, 501, 502, 503, 504, 507, 520]
)
@pytest.mark.parametrize("request_of", REQUESTS)
async def test_every_other_status_is_a_transport_error_never_a_fill_value(request_of: str, code: int):
    key, read = REQUESTS[request_of]
    async with serving(dict(STORE)) as server:
        server.misbehave[key] = status(code)
        with pytest.raises(TransportError) as caught:
            await read(server.url)
    assert caught.value.status == code
    assert caught.value.key == key
    assert str(code) in str(caught.value)


async def test_answer_to_a_range_with_everything_is_sliced():
    async with serving(dict(STORE)) as server:
        server.misbehave[SHARD_KEY] = whole
        array = await azarr.open_array(server.url, "shards", context=SOON)
        assert (await array[3:5]).tolist() == [4, 5]
        assert (await array[7]) == 8
        assert (await array[...]).tolist() == ALL
        store = HTTPStore(server.url)
        assert bytes((await store.get(SHARD_KEY, (2, 5))).data) == b"\3\4\5"
        assert bytes((await store.get(SHARD_KEY, (-64, None))).data) == SHARD[8:]


def shifted(shift: int) -> Answer:
    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        return ranged(request, data, shift=shift)

    return answer


def claiming(content_range: str | None, body: bytes, **headers: str) -> Answer:
    """206 with this Content-Range and body, whatever was asked for."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        stated = {} if content_range is None else {"Content-Range": content_range}
        return web.Response(status=206, body=body, headers=stated | headers)

    return answer


SIZE = len(SHARD)
INDEX_AT = f"bytes 8-{SIZE - 1}/{SIZE}"
WRONG_RANGES: dict[str, Answer] = {
    **{f"shifted by {shift}": shifted(shift) for shift in (-64, -8, -1, 1, 8)},
    "from the beginning": claiming(f"bytes 0-63/{SIZE}", SHARD[:64]),
    "longer": claiming(f"bytes 7-{SIZE - 1}/{SIZE}", SHARD[7:]),
    "shorter": claiming(f"bytes 9-{SIZE - 1}/{SIZE}", SHARD[9:]),
    "fewer bytes than it says": claiming(INDEX_AT, SHARD[8:-1]),
    "more bytes than it says": claiming(INDEX_AT, SHARD[8:] + b"\0"),
    "no Content-Range": claiming(None, SHARD[8:]),
    "nonsense for Content-Range": claiming("bytes eight-last/all", SHARD[8:]),
    "other units": claiming(INDEX_AT.replace("bytes", "items"), SHARD[8:]),
    "several parts": claiming(None, b"--x\r\n\r\n" + SHARD[8:], **{"Content-Type": "multipart/byteranges; boundary=x"}),
    "unknown size, end elsewhere": claiming("bytes 0-63/*", SHARD[:64]),
}


@pytest.mark.parametrize("wrong", WRONG_RANGES)
async def test_206_with_another_range_is_refused(wrong: str):
    async with serving(dict(STORE)) as server:
        server.misbehave[SHARD_KEY] = WRONG_RANGES[wrong]
        with pytest.raises((TransportError, ShardIndexError)) as caught:
            await azarr.open_array(server.url, "shards", context=SOON)[3:5]
        assert caught.value.key == SHARD_KEY
        with pytest.raises(TransportError):
            await HTTPStore(server.url).get(SHARD_KEY, (8, SIZE))


async def test_range_of_inner_chunks_that_is_another_range_is_refused():
    async with serving(dict(STORE)) as server:
        array = await azarr.open_array(server.url, "shards", context=SOON)
        assert (await array[0]) == 1  # the index is known now
        for shift in (*range(-3, 0), *range(1, 65)):
            server.misbehave[SHARD_KEY] = shifted(shift)
            with pytest.raises(TransportError) as caught:
                await array[3:5]
            assert caught.value.key == SHARD_KEY


async def test_206_to_a_request_for_everything_is_refused():
    async with serving(dict(STORE)) as server:
        server.misbehave[CHUNK] = claiming("bytes 0-3/4", b"\1\2\3\4")
        with pytest.raises(TransportError, match="206"):
            await azarr.open_array(server.url, "plain", context=SOON)[...]


async def test_range_behind_the_end_is_empty_and_so_a_truncated_shard_is_an_index_error():
    async with serving(STORE | {SHARD_KEY: b""}) as server:
        for selection in (slice(None), slice(3, 5)):
            with pytest.raises(ShardIndexError) as caught:
                await azarr.open_array(server.url, "shards", context=SOON)[selection]
            assert caught.value.key == SHARD_KEY


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
@pytest.mark.parametrize("request_of", REQUESTS)
async def test_content_encoding_is_refused(request_of: str, encoding: str):
    key, read = REQUESTS[request_of]

    async def encoded(request: web.Request, data: bytes) -> web.StreamResponse:
        answer = ranged(request, data)
        assert isinstance(answer.body, bytes)
        return web.Response(
            status=answer.status, body=gzip.compress(answer.body), headers=dict(answer.headers) | {"Content-Encoding": encoding}
        )

    async with serving(dict(STORE)) as server:
        server.misbehave[key] = encoded
        with pytest.raises(TransportError) as caught:
            await read(server.url)
        assert caught.value.key == key
        assert encoding in str(caught.value)
        assert all(headers["accept-encoding"] == "identity" for headers in server.headers)


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", "aws-chunked", "aws-chunked, identity"])
async def test_content_encodings_that_are_none_are_accepted(encoding: str):
    async def identity(request: web.Request, data: bytes) -> web.StreamResponse:
        answer = ranged(request, data)
        answer.headers["Content-Encoding"] = encoding
        return answer

    async with serving(dict(STORE)) as server:
        server.misbehave = dict.fromkeys(STORE, identity)
        assert (await azarr.open_array(server.url, "shards", context=SOON)[3:5]).tolist() == [4, 5]


@pytest.mark.parametrize("request_of", [name for name, (key, _) in REQUESTS.items() if key in STORE])
async def test_body_shorter_than_announced_is_refused_wherever_it_is_cut(request_of: str):
    """Unless it comes whole in the end: a range may be shorter than `keep`, and Chromium asks for the rest of a body, of the same version."""
    key, read = REQUESTS[request_of]
    for keep in range(0, len(STORE[key]), max(1, len(STORE[key]) // 24)):
        async with serving(dict(STORE)) as server:
            right = await read(server.url)
        async with serving(dict(STORE)) as server:
            server.misbehave[key] = cut(keep)
            try:
                found = await read(server.url)
            except StoreError as error:
                assert error.key == key  # noqa: PT017
            else:
                assert BROWSER or request_of == "part of a shard"
                assert (found.tolist() == right.tolist()) if request_of in READS else (found.attrs == right.attrs)


@pytest.mark.parametrize("keep", range(4))
async def test_short_body_of_unannounced_length_is_refused(keep: int):
    async with serving(dict(STORE)) as server:
        server.misbehave[CHUNK] = raw("HTTP/1.1 200 OK\nConnection: close", b"\1\2\3\4"[:keep])
        with pytest.raises(CorruptData) as caught:
            await azarr.open_array(server.url, "plain", context=SOON)[...]
        assert caught.value.key == CHUNK
        server.misbehave[SHARD_KEY] = raw(
            f"HTTP/1.1 206 Partial Content\nConnection: close\nContent-Range: {INDEX_AT}", SHARD[8 : 8 + keep]
        )
        with pytest.raises(TransportError):
            await azarr.open_array(server.url, "shards", context=SOON)[3:5]


@pytest.mark.parametrize(
    "answer",
    [raw("", b""), raw("NONSENSE", b""), raw("HTTP/1.1 999999 What", b""), raw("HTTP/1.1 200 OK\nContent-Length: minus one", b"\1\2\3\4")],
    ids=["closed", "not HTTP", "no status", "no length"],
)
@pytest.mark.parametrize("request_of", ["chunk", "part of a shard", "v3 document"])
async def test_answer_that_is_not_http_is_a_transport_error(request_of: str, answer: Answer):
    key, read = REQUESTS[request_of]
    async with serving(dict(STORE)) as server:
        server.misbehave[key] = answer
        with pytest.raises(TransportError) as caught:
            await read(server.url)
        assert caught.value.key == key


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def test_connection_refused_is_a_transport_error():
    url = f"http://127.0.0.1:{free_port()}/data"
    for read in (azarr.open(url, context=SOON), azarr.open_group(url, context=SOON), azarr.open_array(url, "x", context=SOON)[...]):
        with pytest.raises(TransportError) as caught:
            await read
        assert caught.value.status is None
        assert "127.0.0.1" in str(caught.value)


async def test_server_that_goes_away_between_requests_is_a_transport_error():
    async with serving(dict(STORE)) as server:
        array = await azarr.open_array(server.url, "plain", context=SOON)
        assert (await array[0]) == 1
    with pytest.raises(TransportError):
        await array[...]


async def test_cancelled_read_closes_its_connections():
    started, ended = asyncio.Event(), asyncio.Event()
    answer = never(started)

    async def watched(request: web.Request, data: bytes) -> web.StreamResponse:
        try:
            return await answer(request, data)
        finally:
            ended.set()

    async with serving(dict(STORE)) as server:
        server.misbehave[CHUNK] = watched
        array = await azarr.open_array(server.url, "plain", context=SOON)
        task = asyncio.create_task(array[...].read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 10)
        assert (await array[4:]).tolist() == ALL[4:]


async def test_connections_are_kept():
    ports: set[int] = set()

    async def note(request: web.Request, data: bytes) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return ranged(request, data)

    async with serving(dict(STORE)) as server:
        server.misbehave = dict.fromkeys(STORE, note)
        array = await azarr.open_array(server.url, "plain", zarr_format=3, context=SOON)
        for _ in range(20):
            assert (await array[0]) == 1
    assert len(ports) <= 2


async def test_two_loops_one_after_the_other_each_have_connections_of_their_own():
    async def read(url: str) -> list[int]:
        return (await azarr.open_array(url, "plain", context=SOON)[...]).tolist()

    async with serving(dict(STORE)) as server:
        for _ in range(2):
            assert await asyncio.to_thread(asyncio.run, read(server.url)) == ALL


# Secrets


TOKEN = "X-Sig=canary%2Fsecret%3D%3D&se=2026-01-01T00%3A00%3A00Z&x=a+b%2Bc"
CANARIES = ("canary", "2026-01-01", "hunter2", "X-Sig")


def secret(url: str) -> str:
    return url.replace("://", "://someone:hunter2@") + f"?{TOKEN}"


def untold(*texts: str) -> bool:
    told = [(canary, text) for text in texts for canary in CANARIES if canary in text]
    assert not told
    return True


def told_by(error: BaseException) -> str:
    """All that a user could see of an error: its message, repr, and traceback with the errors that caused it."""
    return "\n".join([str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)])


async def test_query_tokens_stay_in_every_request_as_they_were_written():
    async with serving(dict(STORE)) as server:
        group = await azarr.open_group(f"{server.url}?{TOKEN}", context=SOON)
        assert (await group["shards"][3:5]).tolist() == [4, 5]
        assert (await group["plain"][...]).tolist() == ALL
        assert len(server.requests) > 5
        assert {key.partition("?")[2] for key, _ in server.requests} == {TOKEN}


async def test_headers_are_sent_and_not_told():
    async with serving(dict(STORE)) as server:
        store = HTTPStore(server.url, headers={"Authorization": "Bearer hunter2"})
        array = await azarr.open_array(store, "plain", context=SOON)
        assert (await array[...]).tolist() == ALL
        assert {headers.get("authorization") for headers in server.headers} == {"Bearer hunter2"}
        server.misbehave[CHUNK] = status(401)
        with pytest.raises(TransportError) as caught:
            await array[...]
    assert untold(repr(store), repr(array), told_by(caught.value))


async def test_secrets_of_a_url_are_in_no_repr():
    async with serving(dict(STORE)) as server:
        reference = azarr.open_group(secret(server.url), context=SOON)
        group = await reference
        array = await group["plain"]
        texts = [
            repr(each)
            for each in (reference, reference["plain"], reference["plain"][3:], group, group["plain"], array, array[3:], array.store)
        ]
        texts += [str(array[3:].plan()), array._repr_html_(), group._repr_html_()]
    assert untold(*texts)


async def redirected_forever(request: web.Request, data: bytes) -> web.StreamResponse:
    raise web.HTTPFound(str(request.rel_url))


async def redirected_nowhere(request: web.Request, data: bytes) -> web.StreamResponse:
    raise web.HTTPFound(f"nowhere://host/?{TOKEN}")


FAILURES: dict[str, Answer] = {
    "503": status(503),
    "cut": cut(1),
    "closed": raw("", b""),
    "not HTTP": raw("NONSENSE", b""),
    "encoded": claiming("bytes 0-3/4", b"", **{"Content-Encoding": "br"}),
    "redirected forever": redirected_forever,
    "redirected nowhere": redirected_nowhere,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("request_of", ["chunk", "part of a shard", "v3 document"])
async def test_secrets_of_a_url_are_in_no_error(request_of: str, failure: str):
    key, read = REQUESTS[request_of]
    async with serving(dict(STORE)) as server:
        server.misbehave[key] = FAILURES[failure]
        with pytest.raises(TransportError) as caught:
            await read(secret(server.url))
    assert untold(told_by(caught.value))


async def test_secrets_of_a_url_are_in_no_error_without_a_server():
    url = secret(f"http://127.0.0.1:{free_port()}/data")
    for read in (azarr.open(url, context=SOON), azarr.open_array(url, "x", context=SOON)[...]):
        with pytest.raises(TransportError) as caught:
            await read
        assert untold(told_by(caught.value))
    for bad in (secret("gopher://host/data"), secret("http:///")):
        with pytest.raises(ValueError) as refused:
            azarr.open(bad, context=SOON)
        assert untold(told_by(refused.value))


async def test_node_not_found_tells_no_secret():
    async with serving({}) as server:
        with pytest.raises(NodeNotFound) as caught:
            await azarr.open_group(secret(server.url), context=SOON)
    assert untold(told_by(caught.value))


async def test_a_shard_that_was_replaced_since_its_index_was_read_is_read_anew_by_many_jobs():
    values = np.arange(4096, dtype="u2")
    objects: dict[str, bytes] = {}
    made = await azarr.create_array(objects, shape=4096, dtype="u2", chunks=64, shards=4096, compressors=None)
    await made[...].write(values)
    async with serving(objects) as server:
        array = await azarr.open_array(server.url, context=azarr.Context(memory="2 KiB"))
        assert (await array[::100]).tolist() == values[::100].tolist()
        await made[...].write(values[::-1])
        server.requests.clear()
        assert (await array[1:4095]).tolist() == values[::-1][1:4095].tolist()
        assert len(server.requests) > 10
