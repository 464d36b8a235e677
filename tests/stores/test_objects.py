"""Clouds: what the errors of their stores become, which objects are stores, and what is replaced on a condition. The rest is the contract's."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import obstore.store
import pytest

import azarr
from azarr import Cached, Context, Retries
from azarr.errors import MissingPackage, ObjectChanged, RangeNotHonoured, StoreError, TimedOut, TransportError, TruncatedBody
from azarr.stores import ConditionalStore, HTTPStore, Listing, ObjectStore, PinningStore, store_from
from azarr.stores.base import UNCHANGED
from buckets import CREDENTIALS, bucket_of

QUICK = Context(retries=Retries(attempts=3, first=0))


def head(status: str, length: int, *lines: str) -> bytes:
    said = (f"HTTP/1.1 {status}", "Connection: close", f"Content-Length: {length}", 'ETag: "a"', "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", *lines)
    return "\r\n".join((*said, "", "")).encode()


@asynccontextmanager
async def answering(*answers: bytes, context: Context = QUICK, begun: asyncio.Event | None = None) -> AsyncGenerator[tuple[ObjectStore, list[str]]]:
    """A store whose server gives these answers in turn, of which the last goes on; and what it was asked for. An empty one never comes."""
    left, asked = list(answers), list[str]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            asked.append(request.partition(" http")[0])
            await reader.readexactly(int(request.partition("content-length: ")[2].partition("\r")[0] or 0))
            if begun is not None:
                begun.set()
            if data := left.pop(0) if len(left) > 1 else left[0]:
                writer.write(data)
                await writer.drain()
            else:
                await reader.read()
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        endpoint = "http://{}:{}".format(*server.sockets[0].getsockname())
        yield ObjectStore("s3://bucket/p", endpoint=endpoint, context=context, **CREDENTIALS), asked


async def cloud(objects: dict[str, bytes], **options: Any) -> ObjectStore:
    bucket, endpoint = await bucket_of(objects, public=False)
    return ObjectStore(f"s3://{bucket}", **{"endpoint": endpoint, **CREDENTIALS, **options})


# Which it is


def test_objects_of_obspec_and_urls_of_azure_are_opened_as_such_stores():
    opened = store_from(obstore.store.MemoryStore(), QUICK)
    assert isinstance(opened, ObjectStore)
    assert opened.context is QUICK
    assert repr(opened) == "ObjectStore(<MemoryStore>)"
    for protocol in (ConditionalStore, Listing, PinningStore):
        assert isinstance(opened, protocol)
    assert repr(store_from("abfs://container@account.dfs.core.windows.net/a")) == "ObjectStore('abfs://***@account.dfs.core.windows.net/a')"


@pytest.mark.parametrize(("url", "options"), [("zz://bucket", {}), ("s3://bucket", {"bogus": 1}), ("az://container", {})])
def test_what_obstore_does_not_know_is_a_value_error(url: str, options: Any):
    with pytest.raises(ValueError, match=url):
        ObjectStore(url, **options)


def test_objects_without_the_verbs_or_with_options_are_refused():
    with pytest.raises(TypeError, match="verbs of obspec"):
        ObjectStore(object())
    with pytest.raises(TypeError, match="no options"):
        ObjectStore(obstore.store.MemoryStore(), region="here")


def test_a_package_that_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(MissingPackage, match=r'pip install "azarr\[cloud\]"'):
        ObjectStore("s3://bucket")


def test_secrets_are_not_shown_and_only_pickled_when_that_is_asked_for():
    made = ObjectStore("s3://bucket/a", "b", **CREDENTIALS)
    assert repr(made) == "ObjectStore('s3://bucket/a', 'b')"
    with pytest.raises(TypeError, match="pickle_secrets"):
        pickle.dumps(made)
    again = pickle.loads(pickle.dumps(ObjectStore("s3://bucket/a", pickle_secrets=True, **CREDENTIALS)))
    assert again.options == CREDENTIALS
    assert "canary" not in made.identity
    plain = pickle.loads(pickle.dumps(ObjectStore("s3://bucket/a")))
    assert (plain.source, plain.identity) == ("s3://bucket/a", ObjectStore("s3://bucket/a").identity)


def test_objects_share_nothing_on_disk_as_they_do_not_say_what_they_reach():
    assert ObjectStore(obstore.store.MemoryStore()).identity != ObjectStore(obstore.store.MemoryStore()).identity
    assert ObjectStore("s3://bucket", **CREDENTIALS).identity != ObjectStore("s3://bucket").identity


# Errors


NO_KEY, NO_BUCKET = (f"<Error><Code>NoSuch{what}</Code></Error>" for what in ("Key", "Bucket"))


async def test_what_is_not_in_the_bucket_is_missing_and_a_bucket_that_is_not_there_is_an_error():
    store = await cloud({"a": b"x"})
    assert await store.get("b") is None
    gone = ObjectStore("s3://no-such-bucket", **store.options)
    for verb in (gone.get("a"), gone.get("a", (0, 1)), gone.set("a", b"x"), gone.replace("a", b"x", None), gone.replace("a", b"x", '"b"'), gone.delete("a")):
        with pytest.raises(TransportError, match="no such bucket") as caught:
            await verb
        assert not caught.value.transient
    for names in (gone.list(""), gone.list_dir("")):
        with pytest.raises(TransportError, match="no such bucket"):
            [name async for name in names]


@pytest.mark.parametrize(("status", "transient"), [(400, False), (401, False), (403, False), (408, True), (429, True), (500, True), (503, True)])
async def test_statuses_are_told_and_transient_where_the_same_request_may_help(status: int, transient: bool):
    async with answering(head(f"{status} No", 0)) as (store, asked):
        for verb in (store.get("x"), store.get("x", (0, 4)), store.set("x", b"1")):
            with pytest.raises(TransportError) as caught:
                await verb
            assert (caught.value.status, caught.value.transient) == (status, transient)
            assert "Debug" not in str(caught.value)
            assert "canary" not in str(caught.value)
        assert len(asked) == 3


async def test_a_failed_request_is_sent_as_often_as_the_context_says_and_no_oftener():
    async with answering(head("503 No", 0)) as (store, asked):
        with pytest.raises(TransportError, match="after 3 attempts"):
            await azarr.open_array(store, zarr_format=3, context=QUICK)
        assert len(asked) == 3


CUT = head("200 OK", 10) + b"01234"
ANSWERS: dict[str, tuple[bytes, Any, type[Exception]]] = {
    "cut": (CUT, None, TruncatedBody),
    "a cut part": (head("206 Part", 4, "Content-Range: bytes 2-5/10") + b"23", (2, 6), TruncatedBody),
    "a short part": (head("206 Part", 2, "Content-Range: bytes 2-5/10") + b"23", (2, 6), TruncatedBody),
    "another part": (head("206 Part", 2, "Content-Range: bytes 4-5/10") + b"45", (2, 6), RangeNotHonoured),
    "a part that ends early": (head("206 Part", 2, "Content-Range: bytes 2-3/10") + b"23", (2, 6), RangeNotHonoured),
    "everything, and too much": (head("200 OK", 1 << 30) + b"0", (2, 6), RangeNotHonoured),
    "encoded": (head("200 OK", 5, "Content-Encoding: gzip") + b"01234", None, TransportError),
    "nothing": (head("500 No", 0), None, TransportError),
}


@pytest.mark.parametrize(("answer", "byte_range", "error"), ANSWERS.values(), ids=ANSWERS)
async def test_what_is_not_the_bytes_that_were_asked_for_is_an_error(answer: bytes, byte_range: Any, error: type[Exception]):
    async with answering(answer) as (store, _):
        with pytest.raises(error):
            await store.get("x", byte_range)


async def test_a_server_without_ranges_is_understood_and_asked_for_whole_objects_from_then_on():
    async with answering(head("200 OK", 10) + b"0123456789") as (store, asked):
        for byte_range, expected in (((2, 6), b"2345"), ((-3, None), b"789"), ((8, 99), b"89"), ((20, 30), b"")):
            value = await store.get("x", byte_range)
            assert value is not None
            assert (bytes(value.data), value.size) == (expected, 10)
        assert not store.ranges
        assert len(asked) == 8


async def test_a_server_that_does_not_answer_is_waited_for_as_long_as_the_context_says():
    async with answering(b"", context=Context(timeout=0.05)) as (store, _):
        with pytest.raises(TimedOut) as caught:
            await store.get("x")
        assert caught.value.transient


async def test_a_connection_that_is_refused_is_transient():
    async with answering(b"") as (store, _):
        pass
    with pytest.raises(TransportError) as caught:
        await store.get("x")
    assert (caught.value.transient, caught.value.status) == (True, None)


async def test_errors_of_objects_are_not_transient_as_they_were_repeated_there():
    inner = obstore.store.S3Store("bucket", endpoint="http://127.0.0.1:1", client_options={"allow_http": True}, retry_config={"max_retries": 0}, **CREDENTIALS)
    with pytest.raises(TransportError) as caught:
        await ObjectStore(inner).get("x")
    assert not caught.value.transient


# Versions


@pytest.mark.parametrize("make", [obstore.store.MemoryStore, None], ids=["memory", "S3"])
async def test_reads_are_pinned_and_objects_replaced_only_if_they_are_of_the_version(make: Callable[[], Any] | None):
    store = await cloud({}) if make is None else ObjectStore(make())
    assert await store.replace("a", b"first", None)
    assert not await store.replace("a", b"other", None)
    value = await store.get("a")
    assert value is not None
    assert await store.get_if("a", unless=value.version) is UNCHANGED
    assert await store.get_if("a", (1, 3), match=value.version) == (b"ir", value.version, 5)
    assert await store.replace("a", b"second", value.version)
    assert not await store.replace("a", b"third", value.version)
    assert not await store.replace("gone", b"third", value.version)
    for byte_range in (None, (0, 2), (-2, None)):
        with pytest.raises(ObjectChanged):
            await store.get_if("a", byte_range, match=value.version)
    assert await store.get_if("b", match=value.version) is None
    newer = await store.get_if("a", unless=value.version)
    assert newer is not None
    assert bytes(newer.data) == b"second"
    assert not await store.replace("a", None, value.version)
    assert await store.replace("a", None, newer.version)
    assert await store.replace("a", None, None)
    assert await store.get("a") is None


async def test_a_store_without_conditions_fails_clearly_or_is_told_to_do_without(tmp_path: Path):
    for conditional in (True, False):
        store = ObjectStore(obstore.store.LocalStore(tmp_path), conditional=conditional)
        array = await azarr.create_array(store, f"a{conditional}", shape=(4,), dtype="u1", chunks=(4,), compressors=None)
        await array[...].write([1, 2, 3, 4])
        if conditional:
            with pytest.raises(StoreError, match="conditional=False"):
                await array[1].write(9)
        else:
            await array[1].write(9)
        assert (await array[...]).tolist() == [1, 2 if conditional else 9, 3, 4]


async def test_a_conditional_put_that_was_refused_as_too_much_is_sent_again_and_others_are_not():
    async with answering(head("503 Slow Down", 0), head("200 OK", 0)) as (store, asked):
        assert await store.replace("x", b"1", '"a"')
        assert len(asked) == 2
    async with answering(head("500 No", 0)) as (store, asked):
        with pytest.raises(TransportError, match="after 1 attempt"):
            await store.replace("x", b"1", '"a"')
        assert len(asked) == 1


@pytest.mark.parametrize("options", [{"chunks": (4,)}, {"chunks": (2,), "shards": (4,)}], ids=["chunk", "shard"])
async def test_an_object_that_is_written_to_in_part_until_it_holds_nothing_stays(options: dict[str, Any]):
    inner = obstore.store.MemoryStore()
    for store in (ObjectStore(inner), Cached(ObjectStore(inner))):
        array = await azarr.create_array(store, shape=(8,), dtype="u1", overwrite=True, **options)
        await array[1].write(5)
        await array[1].write(0)
        await array[4:].write(0)
        await array[6].write(0)
        assert sorted([key async for key in store.list("c")]) == ["c/0"]
        assert not (await array[...]).any()
        await array[:4].write(0)
        assert [key async for key in store.list("c")] == []


class Held(ObjectStore):
    """A store that stores chunks once it is told to."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.asked, self.told = asyncio.Event(), asyncio.Event()

    async def _put(self, path: str, data: Any, mode: Any) -> bool:
        if path.startswith("c/"):
            self.asked.set()
            await self.told.wait()
        return await super()._put(path, data, mode)


@pytest.mark.parametrize("options", [{"chunks": (4,)}, {"chunks": (4,), "shards": (8,)}, {"chunks": (2,), "shards": (8,)}], ids=str)
async def test_rows_that_another_process_stored_behind_reserved_ones_stay(options: dict[str, Any]):
    inner = obstore.store.MemoryStore()
    slow, quick = Held(inner), ObjectStore(inner)
    await azarr.create_array(quick, shape=(0,), dtype="u1", **options)
    first = asyncio.create_task((await azarr.open_array(slow, mode="r+")).append(np.array([1], "u1")))
    await slow.asked.wait()
    await (await azarr.open_array(quick, mode="r+")).append(np.array([2, 3, 4, 5, 6], "u1"))
    slow.told.set()
    await first
    assert (await (await azarr.open_array(quick))[...]).tolist() == [1, 2, 3, 4, 5, 6]


# Loops


def test_one_store_serves_one_event_loop_after_the_other():
    store = ObjectStore(obstore.store.MemoryStore())

    async def both(value: int) -> int:
        array = await azarr.create_array(store, shape=(4,), dtype="i4", chunks=(2,), overwrite=True)
        await array[...].write(value)
        return int((await array[...]).sum())

    assert [asyncio.run(both(value)) for value in (1, 2)] == [4, 8]


def test_a_read_that_is_cancelled_leaves_nothing_behind():
    async def cancelled() -> None:
        begun = asyncio.Event()
        async with answering(b"", begun=begun) as (store, _):
            reading = asyncio.create_task(azarr.open_array(store, zarr_format=3).open())
            await begun.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert len(asyncio.all_tasks()) <= 2  # this one, and that of the server

    asyncio.run(cancelled(), debug=True)


async def test_a_tree_in_a_bucket_is_written_listed_copied_and_verified():
    store = await cloud({})
    values = np.arange(600, dtype="i4").reshape(20, 30)
    array = await azarr.create_array(store, "g/a", shape=(20, 30), dtype="i4", chunks=(5, 10), shards=(10, 20))
    await array[...].write(values)
    await array.update_attrs({"units": "m"})
    grown = await array.append(values[:3])
    assert grown.shape == (23, 30)
    assert (await azarr.verify(store)).ok
    copied: dict[str, bytes] = {}
    await azarr.copy(store, copied)
    assert np.array_equal(await (await azarr.open_array(copied, "g/a"))[...], np.concatenate([values, values[:3]]))
    await azarr.delete(store, "g")
    assert [key async for key in store.list("")] == ["zarr.json"]


async def test_a_store_over_http_remains_what_it_was():
    assert isinstance(store_from("https://host/a"), HTTPStore)


async def test_links_in_a_local_store_of_obstore_are_followed_wherever_they_lead_as_the_documents_say(tmp_path: Path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_bytes(b"outside")
    (tmp_path / "root" / "link").symlink_to("../secret")
    value = await ObjectStore(obstore.store.LocalStore(tmp_path / "root")).get("link")
    assert value is not None
    assert bytes(value.data) == b"outside"
