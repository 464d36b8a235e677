"""HTTP as servers speak it: what is lawful is read right, what is not is an error, and no answer is taken for that to another request."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from traceback import format_exception
from typing import Any

import numpy as np
import pytest

import azarr
from azarr import Context, Retries
from azarr.errors import RangeNotHonoured, TimedOut, TransportError
from azarr.stores import HTTPStore
from azarr.transport import cpython, http1
from fakes import turns
from faults import etag_of, misbehaving
from listening import listening

CLOSE, STALL = "close", "stall"
"""What a server does after what it has sent: the connection ends; or nothing more comes until the client ends it."""
Step = bytes | str | float
"""What a server sends; CLOSE or STALL; or the seconds that it waits."""
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n"


class Speaker:
    """A server that says what it is told to: the n-th request gets the n-th of `answers`, and all later ones the last."""

    def __init__(self, answers: tuple[Iterable[Step] | bytes, ...]) -> None:
        self.answers = [[answer] if isinstance(answer, bytes) else list(answer) for answer in answers]
        self.url, self.requests, self.connections = "", list[str](), 0
        self.tasks, self.changed = set[asyncio.Task[None]](), asyncio.Condition()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.create_task(self.talk(reader, writer)))

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.requests.append(head.decode("latin-1"))
                    await self.say(self.answers[min(len(self.requests), len(self.answers)) - 1], reader, writer)
            finally:
                writer.close()
        async with self.changed:
            self.connections -= 1
            self.changed.notify_all()

    async def say(self, answer: list[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for step in answer:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step == STALL:
                await reader.read()
            else:
                raise ConnectionError

    async def until_closed(self) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: not self.connections)


def speaking(
    *answers: Iterable[Step] | bytes, host: str = "127.0.0.1", name: str = "", tls: ssl.SSLContext | None = None
) -> AbstractAsyncContextManager[Speaker]:
    """A server that listens on `host`, and is called `name`."""
    return listening(Speaker(answers), host, name, tls)


async def get(speaker: Speaker, context: Context, key: str = "key", byte_range: Any = None, **options: Any) -> bytes | None:
    value = await HTTPStore(speaker.url, context=context, **options).get(key, byte_range)
    return None if value is None else bytes(value.data)


def answer(body: bytes, *headers: str, line: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([line, *headers, "", ""]).encode() + body


# What is lawful


LAWFUL: dict[str, Iterable[Step] | bytes] = {
    "a length": GOOD,
    "chunks": CHUNKED,
    "chunks with extensions and trailers": answer(b"2;x=y\r\ngo\r\n02\r\nod\r\n0\r\nX-Sum: 1\r\n\r\n", "Transfer-Encoding: chunked"),
    "an end by closing": [answer(b"good"), CLOSE],
    "an end by closing, announced": [answer(b"good", "Connection: close"), CLOSE],
    "HTTP/1.0 with a length": [answer(b"good", "Content-Length: 4", line="HTTP/1.0 200 OK"), CLOSE],
    "HTTP/1.0 without a length": [answer(b"good", line="HTTP/1.0 200 OK"), CLOSE],
    "100 first": answer(GOOD, line="HTTP/1.1 100 Continue"),
    "103 first": answer(GOOD, "Link: </style.css>", line="HTTP/1.1 103 Early Hints"),
    "103 first, then chunks": answer(CHUNKED, "Link: </style.css>", line="HTTP/1.1 103 Early Hints"),
    "no reason": answer(b"good", "Content-Length: 4", line="HTTP/1.1 200 "),
    "another reason": answer(b"good", "Content-Length: 4", line="HTTP/1.1 200 Not at all: fine"),
    "names of headers in any case": answer(b"good", "cOnTeNt-LeNgTh: 4"),
    "no space before the value": answer(b"good", "Content-Length:4"),
    "spaces and tabs around the value": answer(b"good", "Content-Length: \t 4 \t"),
    "a header twice": answer(b"good", "Content-Length: 4", "Vary: a", "Vary: b"),
    "an empty header": answer(b"good", "X-Empty:", "Content-Length: 4"),
    "a header with colons": answer(b"good", "X-Time: 12:00:00", "Content-Length: 4"),
    "a header that is not ASCII": answer(b"good", "X-Name: \u00e9", "Content-Length: 4"),
    "a head of 20 KiB": answer(b"good", "Content-Length: 4", *(f"X-{number}: {'x' * 1000}" for number in range(20))),
    "a head of 16 KiB less a few bytes": answer(
        b"good", "Content-Length: 4", *["X: " + "x" * 7000, "Y: " + "y" * 7000, "Z: " + "z" * 2300]
    ),
    "byte by byte": [bytes([each]) for each in GOOD],
    "a head, then a body": [GOOD[:-4], 0.0, GOOD[-4:]],
    "the head in two": [GOOD[:20], 0.0, GOOD[20:]],
    "line ends in two": [GOOD[:16], 0.0, GOOD[16:-5], 0.0, GOOD[-5:]],
}
"""Answers whose body is `good`."""


@pytest.mark.parametrize("name", LAWFUL)
async def test_a_lawful_answer_is_read_and_the_next_one_too(name: str):
    async with speaking(LAWFUL[name]) as speaker, Context() as context:
        for _ in range(3):
            assert await get(speaker, context) == b"good"


@pytest.mark.parametrize("name", LAWFUL)
async def test_a_lawful_answer_is_one_request_of_the_counters(name: str):
    async with speaking(LAWFUL[name]) as speaker, Context() as context:
        with pytest.raises(azarr.errors.MetadataError):  # what is good is no document
            await azarr.open_array(speaker.url, zarr_format=3, context=context)
        assert (context.counters.requests, context.counters.retries, context.counters.nbytes) == (1, 0, 4)


@pytest.mark.parametrize(("place", "asked"), [("/clé".encode(), "/cl%C3%A9"), ("/clé".encode("latin-1"), "/cl%E9")])
@pytest.mark.parametrize("framing", ["Content-Length: 0", "Transfer-Encoding: chunked"])
async def test_a_redirect_by_bytes_that_are_not_ascii_leads_to_these_bytes(place: bytes, asked: str, framing: str):
    redirect = b"HTTP/1.1 302 Found\r\nLocation: %b\r\n%b\r\n\r\n" % (place, framing.encode())
    redirects = [redirect] if framing == "Content-Length: 0" else [redirect + b"0\r\n\r\n"] * 2  # which another client understands
    async with speaking(*redirects, GOOD) as speaker, Context() as context:
        assert await get(speaker, context) == b"good"
        assert speaker.requests[-1].startswith(f"GET {asked} HTTP/1.1\r\n")


@pytest.mark.parametrize("line", ["HTTP/1.1 404 Not Found", "HTTP/1.0 404 Not Found"])
@pytest.mark.parametrize("body", [b"", b"<html>no such thing</html>"])
async def test_missing_is_missing_however_it_is_said(line: str, body: bytes):
    answers = [answer(body, f"Content-Length: {len(body)}", line=line)], [answer(body, line=line), CLOSE]
    async with speaking(*answers) as speaker, Context() as context:
        assert await get(speaker, context) is None
        assert await get(speaker, context) is None


async def test_an_empty_object_is_empty():
    for empty in (answer(b"", "Content-Length: 0"), answer(b"0\r\n\r\n", "Transfer-Encoding: chunked"), [answer(b""), CLOSE]):
        async with speaking(empty) as speaker, Context() as context:
            assert await get(speaker, context) == b""
            assert await get(speaker, context) == b""


@pytest.mark.parametrize("headers", [["Content-Length: 3"], ["Transfer-Encoding: chunked"], []])
async def test_a_range_is_read_however_its_body_is_framed(headers: list[str]):
    body = b"3\r\noo!\r\n0\r\n\r\n" if headers[:1] == ["Transfer-Encoding: chunked"] else b"oo!"
    spoken = answer(body, "Content-Range: bytes 1-3/4", 'ETag: "1"', *headers, line="HTTP/1.1 206 Partial Content")
    async with speaking([spoken, CLOSE]) as speaker, Context() as context:
        assert await get(speaker, context, byte_range=(1, 4)) == b"oo!"
        assert "Range: bytes=1-3\r\n" in speaker.requests[0]


async def test_a_large_body_is_right_to_the_last_byte():
    data = np.arange(1 << 23).tobytes()
    async with misbehaving() as server, Context() as context:
        value = await HTTPStore(server.site({"key": data}).url, context=context).get("key")
    assert value is not None
    assert len(data) == 64 << 20
    assert memoryview(value.data) == data


async def test_a_large_body_in_chunks_is_right_to_the_last_byte():
    pieces = [bytes([number % 251]) * (40_000 + number) for number in range(100)]
    framed = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    async with speaking([answer(b"", "Transfer-Encoding: chunked"), *framed, b"0\r\n\r\n"]) as speaker, Context() as context:
        assert await get(speaker, context) == b"".join(pieces)


# What is not


UNLAWFUL: dict[str, Iterable[Step] | bytes] = {
    "two lengths": answer(b"good", "Content-Length: 4", "Content-Length: 5"),
    "two lengths, the second shorter": answer(b"good", "Content-Length: 4", "Content-Length: 2"),
    "two lengths in one": answer(b"good", "Content-Length: 4, 2"),
    "a length that is none": [answer(b"good", "Content-Length: four"), CLOSE],
    "a negative length": [answer(b"good", "Content-Length: -4"), CLOSE],
    "a length with a sign": [answer(b"good", "Content-Length: +4"), CLOSE],
    "a length in other digits": [answer(b"good", "Content-Length: \u0664"), CLOSE],
    "a length and chunks": answer(b"2\r\ngo\r\n0\r\n\r\n", "Content-Length: 4", "Transfer-Encoding: chunked"),
    "a length beyond all memory": answer(b"good", f"Content-Length: {1 << 60}"),
    "a length of thousands of digits": answer(b"good", f"Content-Length: {'9' * 5000}"),
    "a body that ends too early": [answer(b"goo", "Content-Length: 4"), CLOSE],
    "chunks that end too early": [CHUNKED[:-5], CLOSE],
    "a chunk of no size": [answer(b"x\r\ngood\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), CLOSE],
    "a chunk that is longer than it says": [answer(b"3\r\ngood\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), CLOSE],
    "gzip as a framing": [answer(b"good", "Transfer-Encoding: gzip"), CLOSE],
    "no answer": [CLOSE],
    "half a head": [b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE],
    "a head without an end": [b"HTTP/1.1 200 OK\r\n", *[b"X: %b\r\n" % (b"x" * 1000)] * 1000, CLOSE],
    "one line of 1 MB": [b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1_000_000, CLOSE],
    "another protocol": [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", CLOSE],
    "HTTP/2": [answer(b"good", "Content-Length: 4", line="HTTP/2 200"), CLOSE],
    "a status of two digits": [answer(b"good", "Content-Length: 4", line="HTTP/1.1 20 OK"), CLOSE],
    "a status of four digits": [answer(b"good", "Content-Length: 4", line="HTTP/1.1 2000 OK"), CLOSE],
    "a line that is no header": [answer(b"good", "Content-Length: 4", "nonsense"), CLOSE],
    "a space before the colon": [answer(b"good", "Content-Length : 2", "Content-Length: 4"), CLOSE],
    "a header without a name": [answer(b"good", ": 2", "Content-Length: 4"), CLOSE],
    "zero bytes": [bytes(100), CLOSE],
    "a switch of protocols": [answer(b"good", "Upgrade: h2c", line="HTTP/1.1 101 Switching Protocols"), CLOSE],
}


@pytest.mark.parametrize("name", UNLAWFUL)
async def test_an_answer_that_is_not_http_is_an_error(name: str):
    async with speaking(UNLAWFUL[name]) as speaker, Context(timeout=2) as context:
        for _ in range(2):
            with pytest.raises(TransportError):
                await get(speaker, context)


FOLDED = {
    "a header that goes on": answer(b"good", "X-Long: one", "  two", "Content-Length: 4"),
    "a length that goes on": answer(b"good", "Content-Length:", " 4"),
    "the same length twice": answer(b"good", "Content-Length: 4", "Content-Length: 4"),
    "lines that end without a return": b"HTTP/1.1 200 OK\nContent-Length: 4\n\ngood",
}


@pytest.mark.parametrize("name", FOLDED)
async def test_what_clients_may_refuse_is_read_right_or_refused(name: str):
    async with speaking([FOLDED[name], CLOSE]) as speaker, Context(timeout=2) as context:
        try:
            found = await get(speaker, context)
        except TransportError as error:
            found = error
        assert found == b"good" or isinstance(found, TransportError)


@pytest.mark.parametrize("end", [b"\n\n", b"\n\r\n", b"\r\n\n"])
async def test_lines_that_end_without_a_return_are_not_waited_for(end: bytes):
    async with speaking(b"HTTP/1.1 200 OK\nContent-Length: 4" + end + b"good") as speaker, Context(timeout=60) as context, asyncio.timeout(5):
        with suppress(TransportError):
            assert await get(speaker, context) == b"good"


EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@pytest.mark.parametrize("size", [4, 1000, 1 << 20])
@pytest.mark.parametrize("surplus", [EVIL, b"\0", b"\r\n", EVIL * 2000], ids=["an answer", "a byte", "a line", "many answers"])
async def test_what_comes_behind_a_body_is_not_the_answer_to_the_next_request(size: int, surplus: bytes):
    long = answer(bytes(size), f"Content-Length: {size}") + surplus
    async with speaking([long], GOOD) as speaker, Context() as context:
        with suppress(TransportError):
            await get(speaker, context)
        assert await get(speaker, context) == b"good"


async def test_what_comes_while_nothing_is_asked_closes_the_connection():
    async with speaking([GOOD, 0.02, EVIL], GOOD) as speaker, Context() as context:
        assert await get(speaker, context) == b"good"
        await asyncio.wait_for(speaker.until_closed(), 5)
        assert await get(speaker, context) == b"good"


async def test_everything_where_a_part_was_asked_for_is_not_read_if_it_is_too_much():
    sent = [b"x" * (1 << 20)] * 64
    for framing in ([f"Content-Length: {64 << 20}"], []):
        async with speaking([answer(b"", *framing), *sent, CLOSE]) as speaker, Context() as context:
            with pytest.raises(RangeNotHonoured, match="more than 1,048,576 bytes"):
                await get(speaker, context, byte_range=(0, 10))
            await asyncio.wait_for(speaker.until_closed(), 5)


# Connections


async def test_a_connection_is_kept_for_the_next_request():
    async with speaking(GOOD) as speaker, Context() as context:
        for _ in range(5):
            assert await get(speaker, context) == b"good"
        assert (speaker.connections, len(speaker.requests)) == (1, 5)


@pytest.mark.parametrize("said", ["close", "Close", "keep-alive, close"])
async def test_a_connection_that_the_server_says_it_closes_is_not_used_again(said: str):
    async with speaking([answer(b"good", "Content-Length: 4", f"Connection: {said}")]) as speaker, Context() as context:
        for _ in range(3):
            assert await get(speaker, context) == b"good"
            await asyncio.wait_for(speaker.until_closed(), 5)


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced_without_a_word():
    async with speaking([GOOD, CLOSE]) as speaker, Context() as context:
        store = HTTPStore(speaker.url, context=context)
        for _ in range(20):
            value = await store.get("key")
            assert value is not None
            assert bytes(value.data) == b"good"


async def test_a_request_that_met_a_closed_connection_is_one_request_of_the_counters():
    store: dict[str, bytes] = {}
    await azarr.save(store, "", [1, 2, 3, 4], dtype="u1", chunks=(1,), compressors=None)
    async with misbehaving() as server, Context(requests=1) as context:
        array = await azarr.open_array(server.site(store).url, zarr_format=3, context=context)
        assert await array[0] == 1
        for number in (1, 2, 3):
            for connection in list(server.connections):  # just when the next request goes out
                connection.transport.close()
            assert await array[number] == number + 1
        assert (context.counters.requests, context.counters.retries) == (5, 0)


async def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch):
    """What lies between may have forgotten it without a word, and then nothing comes."""
    async with misbehaving() as server, Context() as context:
        store = HTTPStore(server.site({"key": b"good"}).url, context=context)
        await asyncio.gather(*(store.get("key") for _ in range(3)))
        monkeypatch.setattr(http1, "IDLE", 0.0)
        assert await store.get("key") == (b"good", etag_of(b"good"), 4)
        assert server.accepted == 4
        assert await server.within(5, lambda: len(server.connections) == 1)


async def test_a_context_that_ends_while_a_connection_is_being_made_closes_it(monkeypatch: pytest.MonkeyPatch):
    loop, gate = asyncio.get_running_loop(), asyncio.Event()
    connect = loop.create_connection

    async def late(*arguments: Any, **options: Any) -> Any:
        made = await connect(*arguments, **options)
        await gate.wait()
        return made

    async with misbehaving() as server:
        monkeypatch.setattr(loop, "create_connection", late)
        async with Context() as context:
            task = asyncio.create_task(HTTPStore(server.site({"key": b"good"}).url, context=context).get("key"))
            await server.until(lambda: server.accepted == 1)
        gate.set()
        assert await task is not None
        assert await server.within(5, lambda: not server.connections)


def test_event_loops_of_other_threads_may_end_while_one_begins():
    class Ended:
        """A loop; while it is looked at, another thread has begun one."""

        def is_closed(self) -> bool:
            of_context[object()] = None
            return True

    context = Context()
    of_context: dict[Any, Any] = {Ended(): None, Ended(): None}
    cpython._kept[context] = of_context
    with pytest.raises(TransportError):
        asyncio.run(HTTPStore("http://127.0.0.1:1", context=context).get("key"))
    assert not any(isinstance(each, Ended) for each in of_context)


async def test_many_connections_that_servers_close_are_not_remembered():
    async with speaking([GOOD, CLOSE]) as speaker, Context() as context:
        for _ in range(30):
            await get(speaker, context)
            await asyncio.wait_for(speaker.until_closed(), 5)
            await turns()
        client = cpython._running(context).plain
        assert len(client._all) <= 2


async def test_two_requests_at_once_have_a_connection_each():
    async with speaking([GOOD[:-1], 0.05, GOOD[-1:]], GOOD) as speaker, Context() as context:
        assert await asyncio.gather(*(get(speaker, context, f"key{number}") for number in range(8))) == [b"good"] * 8
        assert speaker.connections == 8


async def test_the_head_of_a_request_is_that_of_http():
    async with speaking(GOOD) as speaker, Context() as context:
        await get(speaker, context, "a b/ü%?", headers={"X-Key": "value"})
        line, *headers, _, _ = speaker.requests[0].split("\r\n")
        assert line == "GET /a%20b/%C3%BC%25%3F HTTP/1.1"
        assert dict(header.split(": ", 1) for header in headers) == {
            "Host": speaker.url.removeprefix("http://"),
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": "azarr",
            "X-Key": "value",
        }


async def test_a_header_is_sent_once_however_it_is_written():
    headers = {"user-agent": "me", "HOST": "other.test", "authorization": "Bearer a", "accept-Encoding": "identity;q=1", "range": "bytes=0-9"}
    part = answer(b"oo!", "Content-Range: bytes 1-3/4", "Content-Length: 3", 'ETag: "a"', line="HTTP/1.1 206 OK")
    async with speaking(part) as speaker, Context() as context:
        assert await get(speaker, context, byte_range=(1, 4), headers=headers, auth=("u", "p")) == b"oo!"
    assert speaker.requests[0].lower().split("\r\n")[1:-2] == [
        "host: other.test",
        "accept-encoding: identity;q=1",
        "accept: */*",
        "user-agent: me",
        "authorization: basic dtpw",
        "range: bytes=1-3",
    ]


async def test_a_header_may_have_any_letters_and_one_that_cannot_be_sent_is_not_told():
    secret = "hunter".upper()  # so that it is not in the lines of a traceback
    async with speaking(GOOD) as speaker, Context() as context:
        assert await get(speaker, context, headers={"X-Key": "ключ"}) == b"good"
        assert "ключ" in speaker.requests[0].encode("latin-1").decode()
        with pytest.raises(ValueError, match="must be text") as caught:
            await get(speaker, context, headers={"X-Key": f"{secret} \ud800"})
        assert secret not in "".join(format_exception(caught.value))


@pytest.mark.parametrize("bad", ["a\r\nX-Evil: b", "a\nX-Evil: b", "a\rX-Evil: b", "a\r\n\r\nGET /other HTTP/1.1"])
@pytest.mark.parametrize("where", ["value", "name"])
@pytest.mark.parametrize("first", [GOOD, CHUNKED], ids=["lean", "full"])
async def test_headers_with_line_breaks_are_refused_and_nothing_is_sent(bad: str, where: str, first: bytes):
    async with speaking(first) as speaker, Context() as context:
        assert await get(speaker, context) == b"good"
        count = len(speaker.requests)
        with pytest.raises((ValueError, TransportError)):
            await get(speaker, context, headers={"X-Key": bad} if where == "value" else {bad: "x"})
        assert len(speaker.requests) == count


# Addresses


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as found:
        found.bind(("::1", 0))
        return True
    return False


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", *(["[::1]"] if has_ipv6() else [])])
@pytest.mark.parametrize("spoken", [GOOD, CHUNKED], ids=["lean", "full"])
async def test_hosts_are_addresses_and_names(host: str, spoken: bytes):
    async with speaking(spoken, host="127.0.0.1" if host == "localhost" else host, name=host) as speaker, Context() as context:
        assert await get(speaker, context) == b"good"
        assert f"Host: {speaker.url.removeprefix('http://')}\r\n" in speaker.requests[-1]


class Names:
    """What names mean on this loop: every name means `addresses`. It notes which names were asked for, and which addresses were tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        loop = asyncio.get_running_loop()
        self.addresses, self.asked, self.tried, self.connect = addresses, list[str](), list[str](), loop.create_connection
        monkeypatch.setattr(loop, "getaddrinfo", self.getaddrinfo)
        monkeypatch.setattr(loop, "create_connection", self.create_connection)

    async def getaddrinfo(self, host: str, port: int, **options: Any) -> list[Any]:
        self.asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]

    async def create_connection(self, protocol: Any, host: str, *arguments: Any, **options: Any) -> Any:
        self.tried.append(host)
        return await self.connect(protocol, host, *arguments, **options)


async def test_the_next_address_is_tried_where_one_refuses_and_the_good_one_is_remembered(monkeypatch: pytest.MonkeyPatch):
    async with speaking([GOOD, CLOSE], name="host.test") as speaker, Context() as context:
        names = Names(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")
        for _ in range(3):
            assert await get(speaker, context) == b"good"
            await asyncio.wait_for(speaker.until_closed(), 5)
        assert names.tried == ["127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.1", "127.0.0.1"]
        assert names.asked == ["host.test"]


async def test_where_all_addresses_refuse_it_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch):
    async with speaking(GOOD, name="host.test") as speaker, Context() as context:
        names = Names(monkeypatch, "127.0.0.2", "127.0.0.3")
        with pytest.raises(TransportError, match=r"no connection \(ConnectionRefusedError") as caught:
            await get(speaker, context)
        assert caught.value.transient
        assert names.tried == ["127.0.0.2", "127.0.0.3"]


async def test_where_all_addresses_refuse_the_name_is_asked_for_again(monkeypatch: pytest.MonkeyPatch):
    async with speaking(GOOD, name="host.test") as speaker, Context() as context:
        names = Names(monkeypatch, "127.0.0.2")
        with pytest.raises(TransportError):
            await get(speaker, context)
        names.addresses = ("127.0.0.1",)  # it has moved
        assert await get(speaker, context) == b"good"
        assert names.asked == ["host.test"] * 2


async def test_new_connections_do_not_make_an_address_younger_and_the_good_one_stays_the_first(monkeypatch: pytest.MonkeyPatch):
    async with speaking([GOOD, CLOSE], name="host.test") as speaker, Context() as context:
        names = Names(monkeypatch, "127.0.0.2", "127.0.0.1")
        looked_up = list[float]()
        for _ in range(3):
            assert await get(speaker, context) == b"good"
            await asyncio.wait_for(speaker.until_closed(), 5)
            looked_up += [since for since, _ in cpython._running(context).plain._addresses.values()]
        assert looked_up[0] == looked_up[1] == looked_up[2]
        monkeypatch.setattr(http1, "ADDRESSES_LAST", 0.0)
        assert await get(speaker, context) == b"good"
        assert names.asked == ["host.test"] * 2
        assert names.tried == ["127.0.0.2"] + ["127.0.0.1"] * 4


async def test_a_name_that_is_looked_up_for_too_long_is_timed_out(monkeypatch: pytest.MonkeyPatch):
    async def getaddrinfo(*arguments: Any, **options: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with Context(timeout=0.1) as context:
        with pytest.raises(TimedOut, match=r"no connection within 0\.1 seconds"):
            await HTTPStore("http://host.test", context=context).get("key")


async def test_an_address_is_not_looked_up(monkeypatch: pytest.MonkeyPatch):
    async def getaddrinfo(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(arguments)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    for host in ("127.0.0.1", "[::1]"):
        async with speaking(GOOD, host=host) as speaker, Context() as context:
            assert await get(speaker, context) == b"good"


async def test_a_name_is_asked_for_once_by_many_requests(monkeypatch: pytest.MonkeyPatch):
    async with speaking(GOOD, name="host.test") as speaker, Context() as context:
        names = Names(monkeypatch, "127.0.0.1")
        await asyncio.gather(*(get(speaker, context, f"key{number}") for number in range(20)))
        assert names.asked == ["host.test"]


async def test_a_name_that_means_nothing_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch):
    async def getaddrinfo(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with Context(retries=Retries(attempts=2, first=0)) as context:
        with pytest.raises(TransportError, match=r"no connection \(gaierror: Name or service not known\) \(after 2 attempts\)"):
            await azarr.open_array("http://host.test/data", zarr_format=3, context=context)


# Proxies


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One that names no proxies."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
async def test_the_proxy_of_the_environment_is_asked(name: str, environment: pytest.MonkeyPatch):
    async with speaking(GOOD) as proxy, Context() as context:
        environment.setenv(name, proxy.url.replace("://", "://someone:hunter2@"))
        store = HTTPStore("http://host.test/data?a=b", context=context)
        for _ in range(2):
            assert (await store.get("key") or (b"",))[0] == b"good"
        first, *headers = proxy.requests[-1].split("\r\n")
        assert first == "GET http://host.test/data/key?a=b HTTP/1.1"
        assert "Proxy-Authorization: Basic c29tZW9uZTpodW50ZXIy" in headers


async def test_a_proxy_that_refuses_is_an_error_that_does_not_tell_its_password(environment: pytest.MonkeyPatch):
    spoken = answer(b"", "Content-Length: 0", line="HTTP/1.1 407 Proxy Authentication Required")
    for scheme in ("http", "https"):
        async with speaking(spoken) as proxy, Context() as context:
            environment.setenv(f"{scheme}_proxy", proxy.url.replace("://", "://someone:hunter2@"))
            with pytest.raises(TransportError, match="407") as caught:
                await HTTPStore(f"{scheme}://host.test/data", context=context).get("key")
            assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "host"),
    [
        ({"http_proxy": "127.0.0.1:1"}, "127.0.0.1"),
        ({"http_proxy": "127.0.0.1:1"}, "localhost"),
        ({"http_proxy": "127.0.0.1:1", "no_proxy": "other.test, .host.test"}, "a.host.test"),
        ({"http_proxy": "127.0.0.1:1", "no_proxy": "*"}, "host.test"),
        ({"https_proxy": "127.0.0.1:1"}, "host.test"),
        ({"http_proxy": ""}, "host.test"),
        ({"http_proxy": "socks5://127.0.0.1:1"}, "host.test"),
    ],
)
async def test_where_no_proxy_is_meant_none_is_asked(names: dict[str, str], host: str, environment: pytest.MonkeyPatch):
    for name, value in names.items():
        environment.setenv(name, value)
    async with speaking(GOOD, name=host) as speaker, Context() as context:
        Names(environment, "127.0.0.1")
        assert await get(speaker, context) == b"good"


# TLS


class Authority:
    """A certificate for `localhost` and 127.0.0.1 that signs itself."""

    def __init__(self, openssl: str, folder: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> None:
        self.certificate, key = folder / "certificate.pem", folder / "key.pem"
        options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test"]
        files = ["-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run([openssl, "req", *options, "-addext", f"subjectAltName={names}", *files], check=True, capture_output=True)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self.certificate, key)


tls = pytest.mark.parametrize("openssl", [found] if (found := shutil.which("openssl")) else [])
"""Where there is the command that makes certificates."""


@tls
async def test_a_certificate_that_nobody_vouches_for_is_a_lasting_error_that_says_so(openssl: str, tmp_path: Path):
    authority = Authority(openssl, tmp_path)
    async with speaking(GOOD, name="localhost", tls=authority.server) as speaker, Context() as context:
        with pytest.raises(TransportError, match=r"no connection: self.signed certificate \(after 1 attempt\)") as caught:
            await azarr.open_array(speaker.url, zarr_format=3, context=context)
        assert not caught.value.transient
        assert speaker.requests == []


@tls
async def test_a_certificate_of_another_host_is_a_lasting_error_that_says_so(openssl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    authority = Authority(openssl, tmp_path, "DNS:other.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    async with speaking(GOOD, name="localhost", tls=authority.server) as speaker, Context() as context:
        with pytest.raises(TransportError, match="Hostname mismatch, certificate is not valid for 'localhost'") as caught:
            await get(speaker, context)
        assert not caught.value.transient
        assert speaker.requests == []


@tls
async def test_over_tls_all_is_as_without(openssl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    authority, large = Authority(openssl, tmp_path), bytes(range(256)) * (1 << 14)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    answers = [GOOD, answer(large, f"Content-Length: {len(large)}"), [bytes([each]) for each in GOOD], [GOOD, CLOSE], GOOD]
    async with speaking(*answers, name="localhost", tls=authority.server) as speaker:
        async with Context() as context:
            for expected in (b"good", large, b"good", b"good", b"good"):
                assert await get(speaker, context) == expected
            assert speaker.connections == 1
        await asyncio.wait_for(speaker.until_closed(), 5)


async def test_a_server_that_does_not_speak_tls_is_an_error_that_says_so():
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server, Context() as context:
        with pytest.raises(TransportError, match=r"no connection \(SSLError: .*wrong version number"):
            await HTTPStore(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", context=context).get("key")


async def test_a_server_that_never_speaks_tls_is_timed_out():
    async with speaking(GOOD) as speaker, Context(timeout=0.2) as context:
        speaker.url = speaker.url.replace("http:", "https:")
        with pytest.raises(TimedOut, match=r"no connection within 0\.2 seconds"):
            await get(speaker, context)
        await asyncio.wait_for(speaker.until_closed(), 5)


# Time


STALLS: dict[str, tuple[list[Step], str]] = {
    "before the answer": ([STALL], "no answer|0"),
    "in the head": ([GOOD[:10], STALL], "no answer|0"),
    "after the head": ([GOOD[:-4], STALL], "0 of 4 bytes|0"),
    "in the body": ([GOOD[:-1], STALL], "3 of 4 bytes|3"),
}


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("first", [GOOD, CHUNKED], ids=["lean", "full"])
async def test_a_server_that_stops_for_too_long_is_timed_out(stall: str, first: bytes):
    steps, came = STALLS[stall]
    async with speaking(first, first, steps) as speaker, Context(timeout=0.5) as context:
        assert await get(speaker, context) == b"good"
        if len(speaker.requests) < 2:
            assert await get(speaker, context) == b"good"
        with pytest.raises(TimedOut, match=rf"not a byte for 0\.5 seconds, after ({came})") as caught:
            await get(speaker, context)
        assert caught.value.transient
        assert isinstance(caught.value, TimeoutError)


async def test_a_server_that_is_slow_but_does_not_stop_is_waited_for():
    steps: list[Step] = [step for each in GOOD[-6:] for step in (0.1, bytes([each]))]
    for first in (GOOD, CHUNKED):
        async with speaking(first, first, [GOOD[:-6], *steps]) as speaker, Context(timeout=0.5) as context:
            for _ in range(3):
                assert await get(speaker, context) == b"good"


async def test_a_request_that_timed_out_is_sent_again_over_another_connection():
    async with speaking([STALL], [GOOD[:-1], STALL], CHUNKED) as speaker, Context(timeout=0.1, retries=Retries(first=0)) as context:
        with pytest.raises(azarr.errors.MetadataError):
            await azarr.open_array(speaker.url, zarr_format=3, context=context)
        assert (context.counters.requests, context.counters.retries) == (3, 2)


async def test_a_host_that_takes_no_connection_is_timed_out(monkeypatch: pytest.MonkeyPatch):
    async def connect(*arguments: Any, **options: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
    async with Context(timeout=0.1) as context:
        with pytest.raises(TimedOut, match=r"no connection within 0\.1 seconds"):
            await HTTPStore("http://127.0.0.1:1", context=context).get("key")


async def test_a_timeout_of_the_user_ends_a_request_and_its_connection():
    async with speaking([STALL]) as speaker, Context() as context:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await get(speaker, context)
        await asyncio.wait_for(speaker.until_closed(), 5)
