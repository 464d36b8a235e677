"""Filesystems of fsspec: whatever they answer, it is the bytes that were asked for, "missing" where that was said, or an error of azarr."""

from __future__ import annotations

import asyncio
import errno
import pickle
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
import numpy as np
import pytest
from aiohttp import web
from fsspec.asyn import AsyncFileSystem
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from kinds import unversioned

import azarr
from azarr.errors import MissingPackage, RangeNotHonoured, StoreError, TimedOut, TransportError, TruncatedBody, UnversionedWarning
from azarr.stores import FsspecStore, store_from
from servers import cut, serving, status, whole

TEN = bytes(range(10))


class Odd(fsspec.AbstractFileSystem):
    """A filesystem of one object, whose answers a test sets: an error, or what it makes of the range it was asked for."""

    protocol, cachable = "odd", False

    def __init__(self, answer: Any, size: int | None = 10) -> None:
        super().__init__()
        self.answer, self.size, self.asked = answer, size, []

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        self.asked.append((start, end))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer(start, end)

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        raise self.answer

    def info(self, path: str, **options: Any) -> Any:
        return {"name": path, "size": self.size, "type": "file"}

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        raise self.answer

    def rm_file(self, path: str) -> None:
        raise self.answer


class OddLater(AsyncFileSystem):
    """The same, asynchronous."""

    protocol, cachable = "oddlater", False

    def __init__(self, answer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.answer = answer

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        raise self.answer


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


class BotoError(Exception):
    """As botocore's `ClientError`, of which the attributes are what is looked at."""

    def __init__(self, code: str, http: int) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": http}}


class AzureError(Exception):
    """As those of `azure.core`."""

    def __init__(self, code: str, http: int) -> None:
        super().__init__(code)
        self.error_code, self.status_code = code, http


class HttpError(Exception):
    """As gcsfs has it."""

    def __init__(self, code: int) -> None:
        super().__init__("from Google")
        self.code = code


def answered(code: int) -> aiohttp.ClientResponseError:
    url: Any = "http://user:canary@host/key?token=canary"
    info: Any = aiohttp.RequestInfo(url, "GET", {}, url)  # pyright: ignore
    return aiohttp.ClientResponseError(info, (), status=code, message="no")


MISSING = [
    FileNotFoundError("key"),
    IsADirectoryError("key"),
    NotADirectoryError("key"),
    caused(FileNotFoundError("key"), KeyError("key")),
    caused(FileNotFoundError("key"), BotoError("NoSuchKey", 404)),
    caused(FileNotFoundError("key"), AzureError("BlobNotFound", 404)),
    caused(FileNotFoundError("key"), answered(404)),
]
ERRORS = [
    (PermissionError("no"), TransportError, None, False),
    (OSError(errno.EIO, "broken"), TransportError, None, False),
    (ValueError("a bug"), TransportError, None, False),
    (ConnectionResetError("gone"), TransportError, None, True),
    (TimeoutError("slow"), TimedOut, None, True),
    (FSTimeoutError(), TimedOut, None, True),
    (aiohttp.ServerDisconnectedError(), TransportError, None, True),
    (aiohttp.ClientPayloadError("cut"), TruncatedBody, None, True),
    (answered(403), TransportError, 403, False),
    (answered(404), TransportError, 404, False),
    (answered(429), TransportError, 429, True),
    (answered(500), TransportError, 500, True),
    (answered(503), TransportError, 503, True),
    (HttpError(502), TransportError, 502, True),
    (AzureError("ServerBusy", 503), TransportError, 503, True),
    (caused(PermissionError("no"), BotoError("AccessDenied", 403)), TransportError, 403, False),
    (caused(OSError(errno.EBUSY, "slow down"), BotoError("SlowDown", 503)), TransportError, 503, True),
    (caused(FileNotFoundError("no bucket"), BotoError("NoSuchBucket", 404)), TransportError, 404, False),
    (caused(FileNotFoundError("no container"), AzureError("ContainerNotFound", 404)), TransportError, 404, False),
    (caused(FileNotFoundError("key"), TimeoutError("slow")), TimedOut, None, True),
    (caused(FileNotFoundError("key"), PermissionError("no")), TransportError, None, False),
    (caused(FileNotFoundError("key"), aiohttp.ServerDisconnectedError()), TransportError, None, True),
    (caused(FileNotFoundError("key"), answered(500)), TransportError, 500, True),
]


@pytest.mark.parametrize("error", MISSING, ids=repr)
async def test_missing_is_what_the_filesystem_says_is_not_there(error: Exception) -> None:
    store = FsspecStore(Odd(error), "root")
    assert await store.get("key") is await store.get("key", (0, 2)) is await store.get("key", (-2, None)) is None
    await store.delete("key")
    assert [name async for name in store.list_dir("")] == []
    assert await FsspecStore(OddLater(error, asynchronous=True), "root").get("key") is None


@pytest.mark.parametrize(("error", "kind", "code", "transient"), ERRORS, ids=repr)
async def test_every_other_error_is_one_of_azarr(error: Exception, kind: type, code: int | None, transient: bool) -> None:
    stores = [
        FsspecStore(Odd(error), "root"),
        FsspecStore(OddLater(error, asynchronous=True), "root"),
        FsspecStore(OddLater(error), "root"),
    ]
    calls = [store.get("key", byte_range) for store in stores for byte_range in (None, (0, 2))]
    for call in [
        *calls,
        stores[0].set("key", b""),
        stores[0].delete("key"),
        anext(aiter(stores[0].list(""))),
        anext(stores[0].list_dir("a")),
    ]:
        with pytest.raises(StoreError) as caught:
            await call
        assert type(caught.value) is kind
        assert (caught.value.status, caught.value.transient) == (code, transient)
        assert "canary" not in str(caught.value)
        assert caught.value.__cause__ is None


async def test_a_server_that_ignores_ranges_is_understood_where_its_answer_is_known_to_be_everything() -> None:
    store = FsspecStore(Odd(lambda start, end: TEN), "root")
    with unversioned():
        assert bytes((await store.get("key", (2, 4))).data) == TEN[2:4]
        assert bytes((await store.get("key", (-3, None))).data) == TEN[-3:]
        assert bytes((await store.get("key", (4, None))).data) == TEN[4:]
        assert bytes((await store.get("key", (8, 99))).data) == TEN[8:]
    for size in (None, 11):
        with pytest.raises(RangeNotHonoured, match="10 bytes came where"):
            await FsspecStore(Odd(lambda start, end: TEN, size), "root").get("key", (2, 4))


@pytest.mark.parametrize("byte_range", [(2, 9), (-7, None), (3, None), (3, 99)], ids=str)
async def test_a_short_answer_is_an_error_where_there_is_more(byte_range: Any) -> None:
    store = FsspecStore(Odd(lambda start, end: TEN[start:end][:-1]), "root")
    with pytest.raises(TruncatedBody) as caught:
        await store.get("key", byte_range)
    assert caught.value.transient


@pytest.mark.parametrize("refusal", [ValueError("negative"), NotImplementedError(), answered(416), answered(501)], ids=repr)
async def test_where_ends_are_not_counted_from_the_size_is_asked_for(refusal: Exception) -> None:
    def answer(start: int, end: int | None) -> bytes:
        if start < 0:
            raise refusal
        return TEN[start:end]

    fs = Odd(answer)
    with unversioned():
        value = await FsspecStore(fs, "root").get("key", (-4, None))
    assert bytes(value.data) == TEN[6:]
    assert fs.asked == [(-4, None), (6, 10)]
    with pytest.raises(TransportError):
        await FsspecStore(Odd(answer, None), "root").get("key", (-4, None))


async def test_http_of_fsspec_is_checked_too() -> None:
    async with serving({"ten": TEN, "cut": TEN, "busy": TEN}) as server, azarr.Context() as context:
        store = FsspecStore(f"{server.url}?token=canary", context=context)
        server.misbehave |= {"ten": whole, "cut": cut(5), "busy": status(503), "secret": status(403)}
        with unversioned():
            assert bytes((await store.get("ten", (2, 4))).data) == TEN[2:4]
        assert server.requests[0] == ("ten?token=canary", "bytes=2-3")
        assert "canary" not in repr(store) + store.identity
        with pytest.raises(TruncatedBody):
            await store.get("cut")
        for key, transient in (("busy", True), ("secret", False)):
            with pytest.raises(TransportError) as caught:
                await store.get(key)
            assert caught.value.transient == transient
            assert "canary" not in str(caught.value)


async def test_a_page_of_links_is_a_listing() -> None:
    async def page(request: web.Request, data: bytes) -> web.StreamResponse:
        links = ("?C=N;O=D", "../", "/elsewhere", "a%20b", "c/", "c/d")
        return web.Response(text="".join(f'<a href="{link}">x</a>' for link in links), content_type="text/html")

    async with serving({}) as server, azarr.Context() as context:
        server.misbehave["g"] = server.misbehave["g/"] = page
        assert [name async for name in FsspecStore(server.url, context=context).list_dir("g")] == ["a b", "c/"]


async def test_that_no_versions_are_told_is_said_once() -> None:
    store = FsspecStore(Odd(lambda start, end: TEN[start:end]), "root")
    with pytest.warns(UnversionedWarning, match="tells no versions"):
        await store.get("key", (0, 4))
    await store.get("key", (0, 4))


class Bound(AsyncFileSystem):
    """A filesystem with a session, which is bound to the event loop where it is first used."""

    protocol, cachable = "bound", False
    sessions: list[Any] = []  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._session: Any = None

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        if self._session is None:
            self._session = Session()
            self.sessions.append(self._session)
        assert self._session.loop is asyncio.get_running_loop()
        assert not self._session.closed
        return TEN[start:end]


class Session:
    """Notes whether it was closed where it was made."""

    def __init__(self) -> None:
        self.loop, self.closed = asyncio.get_running_loop(), False

    async def close(self) -> None:
        assert self.loop is asyncio.get_running_loop()
        self.closed = True


@pytest.fixture
def sessions() -> list[Any]:
    fsspec.register_implementation("bound", Bound, clobber=True)
    Bound.sessions = []
    return Bound.sessions


def test_each_loop_has_a_filesystem_of_its_own_which_ends_with_it(sessions: list[Any]) -> None:
    store = FsspecStore("bound://place")

    async def read() -> int:
        return sum(len(value.data) for value in await asyncio.gather(*(store.get(f"key{k}") for k in range(5))))

    assert [asyncio.run(read()) for _ in range(3)] == [50, 50, 50]
    assert len(sessions) == 3
    assert all(session.closed for session in sessions)


async def test_the_end_of_a_context_closes_what_was_opened_with_it(sessions: list[Any]) -> None:
    async with azarr.Context() as context:
        first, second = FsspecStore("bound://a", context=context), FsspecStore("bound://b", context=context)
        await first.get("key")
        await second.get("key")
        await second.close()
        assert [session.closed for session in sessions] == [False, True]
    assert [session.closed for session in sessions] == [True, True]
    await first.get("key")  # opens it again
    await first.close()
    assert all(session.closed for session in sessions)


def test_a_filesystem_of_the_user_is_used_on_the_loop_that_it_belongs_to(sessions: list[Any]) -> None:
    fs = Bound()
    store = FsspecStore(fs, "place")
    for _ in range(2):
        assert bytes(asyncio.run(store.get("key")).data) == TEN
    assert [session.loop for session in sessions] == [fs.loop]
    assert not sessions[0].closed  # it is the user's


async def test_a_listing_is_never_an_old_one_and_has_no_folder_that_is_a_name_itself() -> None:
    fs = MemoryFileSystem()
    store = FsspecStore(fs, "/listing/below")
    await store.set("a/b", b"1")
    await store.set("a/c/d", b"2")
    fs.pipe_file("/listing/belowmore", b"not below")
    assert [name async for name in store.list_dir("a")] == ["b", "c/"]
    assert [name async for name in store.list_dir("a/b")] == []
    assert [key async for key in store.list("")] == ["a/b", "a/c/d"]
    await store.delete("a/b")
    assert [key async for key in store.list("a")] == ["a/c/d"]


async def test_azarr_opens_urls_and_mappers_of_fsspec() -> None:
    array = await azarr.create_array("memory://opened/data", "a", shape=4, dtype="i4", chunks=2)
    await array[...].write(np.arange(4))
    for source in (fsspec.get_mapper("memory://opened/data"), "memory://opened/data", FsspecStore(MemoryFileSystem(), "opened/data")):
        assert isinstance(store_from(source), FsspecStore)
        assert (await (await azarr.open_array(source, "a"))[1:]).tolist() == [1, 2, 3]
        assert await (await azarr.open_group(source)).keys() == ["a"]
    with pytest.raises(TypeError, match=r"FsspecStore\(fs, path\)"):
        azarr.open(MemoryFileSystem())


async def test_paths_at_the_root_of_a_filesystem_have_no_slash_where_it_knows_none(tmp_path: Path) -> None:
    (tmp_path / "references.json").write_text('{"version": 1, "refs": {"zarr.json": "{}", "a/c/0": "hello"}}')
    fs: Any = fsspec.filesystem("reference", fo=str(tmp_path / "references.json"))
    for store in (FsspecStore(fs), store_from(fs.get_mapper(""))):
        assert bytes((await store.get("a/c/0")).data) == b"hello"
        assert sorted([key async for key in store.list("")]) == ["a/c/0", "zarr.json"]
    root = FsspecStore(fsspec.filesystem("file"), "/")
    assert [name async for name in root.list_dir(str(tmp_path)[1:])] == ["references.json"]
    assert f"{tmp_path.parts[1]}/" in [name async for name in root.list_dir("")]


async def test_a_folder_of_a_filesystem_is_used_as_that_is(tmp_path: Path) -> None:
    store = FsspecStore(DirFileSystem(str(tmp_path), fs=fsspec.filesystem("file")))
    await store.set("a/b", TEN)
    with unversioned():
        assert bytes((await store.get("a/b", (2, 4))).data) == TEN[2:4]
    assert [key async for key in store.list("")] == ["a/b"]
    failing: Any = DirFileSystem("/x", fs=Odd(PermissionError("no")))
    with pytest.raises(TransportError):
        assert [key async for key in FsspecStore(failing).list("")] == []


async def test_a_query_stays_behind_the_path() -> None:
    async with serving({"a/b": TEN}) as server:
        assert bytes((await FsspecStore(f"{server.url}/?token=1", "a").get("b")).data) == TEN
        assert server.requests[-1][0] == "a/b?token=1"


async def test_a_chain_of_filesystems_is_made_when_it_is_first_asked(tmp_path: Path) -> None:
    store = FsspecStore(f"zip://root::file://{tmp_path}/a.zip")
    with pytest.raises(StoreError):
        await store.get("a/b")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("root/a/b", TEN)
    with unversioned():
        assert bytes((await store.get("a/b", (2, 4))).data) == TEN[2:4]
    assert await store.get("a/c") is None
    assert [key async for key in store.list("")] == ["a/b"]


def test_what_cannot_be_a_store_of_fsspec_says_what_can() -> None:
    with pytest.raises(ValueError, match="no store for the scheme 'gopher'"):
        FsspecStore("gopher://host/data")
    with pytest.raises(ValueError, match=r"'simplecache' of fsspec .* azarr.Cached\('s3://bucket/data', disk=...\)"):
        azarr.open("simplecache::s3://bucket/data")
    with pytest.raises(MissingPackage, match="the scheme 'abfs' needs the package 'adlfs'"):
        FsspecStore("abfs://container/data")
    with pytest.raises(TypeError, match="storage_options are for a URL"):
        FsspecStore(MemoryFileSystem(), "a", storage_options={"key": 1})


async def test_a_driver_that_is_missing_is_told_as_such() -> None:
    missing = caused(ImportError("odd needs its driver"), ModuleNotFoundError("No module named 'driver'", name="driver"))
    with pytest.raises(MissingPackage, match="needs the package 'driver', which is not installed: odd needs its driver"):
        await FsspecStore(Odd(missing)).get("a")


def test_urls_are_shown_with_their_host_and_without_secrets() -> None:
    shown = [repr(FsspecStore(url, "c")) for url in ("ftp://host/a", "ftp://user:secret@host:21/a/", "memory://a", "zip://a::memory://b.zip")]
    assert shown == [f"FsspecStore('{url}/c')" for url in ("ftp://host/a", "ftp://***@host:21/a", "memory://a", "zip://a")]


def test_without_fsspec_its_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(MissingPackage, match=r'pip install "azarr\[fsspec\]"'):
        FsspecStore("memory://a")


async def test_it_is_pickled_with_its_filesystem() -> None:
    for slash, store in {"": FsspecStore("memory://pickled", "data"), "/": FsspecStore(MemoryFileSystem(), "pickled/data")}.items():
        copied = pickle.loads(pickle.dumps(store))
        await copied.set("a", b"1")
        assert bytes((await store.get("a")).data) == b"1"
        assert (repr(copied), copied.identity) == (repr(store), store.identity)
        assert repr(store) == f"FsspecStore('memory://{slash}pickled/data')"
    assert FsspecStore("memory://a").identity != FsspecStore("memory://b").identity


async def test_links_are_followed_wherever_they_lead_as_the_documents_say(tmp_path: Path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_bytes(b"outside")
    (tmp_path / "root" / "link").symlink_to("../secret")
    with unversioned():
        assert bytes((await FsspecStore(f"file://{tmp_path}/root").get("link")).data) == b"outside"
    with pytest.raises(StoreError, match="leads out"):
        await azarr.stores.LocalStore(tmp_path / "root").get("link")
