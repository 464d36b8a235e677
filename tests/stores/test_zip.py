"""Zip files: the ones that Python makes, the ones that others make, and the ones that nobody should have made."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from kinds import zipped

import azarr
from azarr.errors import CorruptData, LimitExceeded, ObjectChanged, ReadOnly, StoreError
from azarr.limits import Limits
from azarr.stores import HTTPStore, LocalStore, MemoryStore, ZipStore, store_from
from azarr.testing import CountingStore
from documents import sharded, v3_array, v3_store
from fakes import Versioned
from memory import measured
from servers import serving

MUTATED = int(os.environ.get("AZARR_MUTATED_ZIPS", "3000"))
OBJECTS = {"zarr.json": b"{}", "a/b": bytes(range(200)), "a/c": b"c" * 1000, "empty": b""}


async def contents(store: Any) -> dict[str, bytes]:
    found = {key: await store.get(key) for key in [key async for key in store.list("")]}
    return {key: bytes(value.data) for key, value in found.items()}


def big(objects: dict[str, bytes]) -> dict[str, bytes]:
    """The same, and something at the end that is larger than what comes with the directory."""
    return {**objects, "z": bytes(300_000)}


def member(key: str, data: bytes, *, method: int = 0, flags: int = 0, extra: bytes = b"", **changes: Any) -> tuple[bytes, bytes, bytes]:
    """A local header, its data, and the entry of the directory, whose offset is yet to come; `changes` are of the entry."""
    facts = {"crc": crc32(data), "packed": len(data), "size": len(data), "name": key.encode(), "disk": 0, "wide": b""} | changes
    name = facts["name"]
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, flags, method, 0, 0, crc32(data), len(data), len(data), len(key.encode()), len(extra))
    head = struct.pack("<4s6H3I", b"PK\1\2", 20, 20, flags, method, 0, 0, facts["crc"], facts["packed"], facts["size"])
    head += struct.pack("<5HI", len(name), len(facts["wide"]), 0, facts["disk"], 0, 0)
    return local + key.encode() + extra, data, head + b"%b" + name + facts["wide"]


def archive(*members: tuple[bytes, bytes, bytes], comment: bytes = b"", offsets: dict[int, int] | None = None, **end: Any) -> bytes:
    """A zip file made by hand. `offsets` are what the directory says of some members, `end` what the end record says."""
    body, entries = b"", b""
    for number, (local, data, entry) in enumerate(members):
        entries += entry.replace(b"%b", struct.pack("<I", (offsets or {}).get(number, len(body))), 1)
        body += local + data
    facts = {"disk": 0, "first": 0, "here": len(members), "count": len(members), "length": len(entries), "offset": len(body)} | end
    return body + entries + struct.pack("<4s4H2IH", b"PK\5\6", *facts.values(), len(comment)) + comment


@pytest.mark.parametrize("comment", [b"", b"hello", b"PK\5\6", b"PK\5\6" + bytes(30), b"x" * 65535])
async def test_comments_do_not_matter_though_they_look_like_an_end(comment: bytes):
    file = io.BytesIO(zipped(OBJECTS))
    with zipfile.ZipFile(file, "a") as made:
        made.comment = comment
    assert await contents(ZipStore(file.getvalue())) == OBJECTS


async def test_a_comment_that_is_an_end_record_is_refused_as_it_could_be_the_true_one():
    with pytest.raises(CorruptData, match="more than one end record"):
        await contents(ZipStore(archive(member("a", b"1"), comment=archive())))


async def test_an_empty_archive_has_nothing():
    assert await contents(ZipStore(zipped({}))) == {}
    assert await ZipStore(zipped({})).get("zarr.json") is None


async def test_what_stands_before_an_archive_shifts_it():
    for before in (b"#!/bin/sh\n" * 100, zipped({"other": b"other"})):
        for objects in (OBJECTS, big(OBJECTS)):
            assert await contents(ZipStore(before + zipped(objects))) == objects


async def test_zip64_in_headers_and_in_the_directory():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for key, data in big(OBJECTS).items():
            with made.open(zipfile.ZipInfo(key), "w", force_zip64=True) as out:
                out.write(data)
    assert await contents(ZipStore(file.getvalue())) == big(OBJECTS)

    data, wide = b"0123", 0xFFFFFFFF
    field = struct.pack("<2H3Q", 1, 24, 4, 4, 0)
    local, _, entry = member("a", data, packed=wide, size=wide, wide=field)
    body, entry = local + data, entry.replace(b"%b", struct.pack("<I", wide))
    ends = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(entry), len(body))
    ends += struct.pack("<4sIQI", b"PK\6\7", 0, len(body) + len(entry), 1) + struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, *[0xFFFF] * 2, wide, wide, 0
    )
    for before in (b"", b"before"):
        assert await contents(ZipStore(before + body + entry + ends)) == {"a": data}
    with pytest.raises(CorruptData, match="zip64"):
        await contents(ZipStore(body + entry + ends.replace(b"PK\6\6", b"PK\6\5")))
    with pytest.raises(CorruptData, match="too short"):
        await contents(ZipStore(body + entry.replace(field, struct.pack("<2H3Q", 1, 4, 4, 4, 0)) + ends))


PACKED: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "deflated": (8, lambda data: zlib.compress(data, wbits=-15)),
    "bzip2": (12, lambda data: import_module("bz2").compress(data)),
    "zstd": (93, lambda data: b"\x28\xb5\x2f\xfd\x60" + struct.pack("<H", len(data) - 256) + (len(data) << 3 | 1).to_bytes(3, "little") + data),
    "xz": (95, lambda data: import_module("lzma").compress(data)),
}


@pytest.mark.parametrize("how", PACKED)
async def test_members_are_unpacked(how: str):
    data = bytes(range(256)) * 4
    method, pack = PACKED[how]
    packed = pack(data)
    local, _, entry = member("a", packed, method=method, size=len(data), crc=crc32(data))
    local = local[:14] + struct.pack("<3I", crc32(data), len(packed), len(data)) + local[26:]
    assert await contents(ZipStore(archive((local, packed, entry)))) == {"a": data}
    for at in range(len(packed)):
        flipped = packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :]
        try:
            found = await contents(ZipStore(archive((local, flipped, entry))))
        except CorruptData:
            continue
        assert found == {"a": data}  # bits that mean nothing


async def test_zip64_may_be_used_where_it_need_not_be():
    """As Info-ZIP writes what comes through a pipe: in the local header, and at the end."""
    data, wide = b"a\n", 0xFFFFFFFF
    local, _, entry = member("-", data, extra=struct.pack("<2H2Q", 1, 16, 2, 2))
    local = local[:18] + struct.pack("<2I", wide, wide) + local[26:]
    entry = entry.replace(b"%b", bytes(4))
    body = local + data
    ends = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 0x31E, 45, 0, 0, 1, 1, len(entry), len(body))
    ends += struct.pack("<4sIQI", b"PK\6\7", 0, len(body) + len(entry), 1)
    ends += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(body), 0)
    assert await contents(ZipStore(body + entry + ends)) == {"-": data}


async def test_other_extra_fields_do_not_matter():
    times, owner = struct.pack("<2HB2I", 0x5455, 9, 3, 1, 2), struct.pack("<2H2H", 0x7855, 4, 1000, 100)
    central = struct.pack("<2HBI2H", 0x5455, 5, 3, 1, 0x7855, 0)
    made = [member(key, data, extra=times + owner, wide=central) for key, data in (("test", b"1"), ("dir/", b""), ("dir/test", b"2"))]
    assert await contents(ZipStore(archive(*made))) == {"test": b"1", "dir/test": b"2"}


async def test_70_000_members_are_listed_and_read():
    objects = {f"c/{k}": str(k).encode() for k in range(70_000)}
    store = ZipStore(zipped(objects, deflated=False))
    assert [key async for key in store.list("")] == sorted(objects)
    assert bytes((await store.get("c/69999")).data) == b"69999"


class Unseekable(io.RawIOBase):
    """Where Python cannot go back to write sizes into a header, so that they follow the data."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
async def test_sizes_may_follow_the_data(method: int):
    file = Unseekable()
    with zipfile.ZipFile(file, "w", method) as made:
        for key, data in big(OBJECTS).items():
            made.writestr(key, data)
    assert await contents(ZipStore(file.data)) == big(OBJECTS)


async def test_folders_are_no_objects():
    assert await contents(ZipStore(archive(member("a/", b""), member("a/b", b"1")))) == {"a/b": b"1"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
async def test_of_a_name_that_is_there_twice_the_last_one_counts_as_for_zipfile():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for key, data in [("a", b"old"), ("b", b"b"), ("a", b"newer"), ("c", b"c"), ("a", b"newest")]:
            made.writestr(key, data)
    with zipfile.ZipFile(file) as made:
        expected = {name: made.read(name) for name in made.namelist()}
    store = ZipStore(file.getvalue())
    assert [key async for key in store.list("")] == ["a", "b", "c"]
    assert await contents(store) == expected == {"a": b"newest", "b": b"b", "c": b"c"}


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a\\b", "a/../b", "a//b", "./a", "", "a\0b", "../"])
async def test_names_that_are_no_keys_are_refused_when_it_is_opened(name: str):
    store = ZipStore(archive(member("good", b"1"), member(name, b"" if name.endswith("/") else b"2")))
    with pytest.raises(CorruptData, match="name that is no key"):
        await store.get("good")


BAD: dict[str, tuple[bytes, str]] = {
    "two of a name in two orders": (archive(member("a", b"1"), member("a", b"2"), offsets={0: 32, 1: 0}), "two members of the name 'a'"),
    "two of a name at one place": (archive(member("a", b"1"), member("a", b"1"), offsets={1: 0}), "overlaps"),
    "two of a name, one on another": (archive(member("a", b"1", packed=9, size=9), member("a", b"2")), "overlaps"),
    "on each other": (archive(member("a", b"12"), member("b", b"12"), offsets={1: 1}), "overlaps"),
    "the same bytes": (archive(member("a", b"12"), member("b", b"12"), offsets={1: 0}), "overlaps"),
    "over the directory": (archive(member("a", b"12", packed=3, size=3)), "overlaps"),
    "beyond the end": (archive(member("a", b"12"), offsets={0: 10**6}), "overlaps"),
    "more packed than there is": (archive(member("a", b"12", packed=9, size=2)), "cannot be"),
    "a bomb": (archive(member("a", b"12", method=8, size=10**9)), "not possible"),
    "on another disk": (archive(member("a", b"12", disk=3)), "cannot be"),
    "several disks": (archive(member("a", b"12"), disk=1, first=1), "several parts"),
    "entries elsewhere": (archive(member("a", b"12"), here=0), "several parts"),
    "too many entries": (archive(member("a", b"12"), here=2, count=2), "does not lie within"),
    "too few entries": (archive(member("a", b"12"), member("b", b"12"), here=1, count=1), "more than its entries"),
    "a directory before the start": (archive(member("a", b"12"), length=10**6), "does not lie within"),
    "a directory after its end": (archive(member("a", b"12"), offset=10**6), "does not lie within"),
    "nothing": (b"", "no zip file"),
    "something else": (b"\x89HDF" + bytes(1000), "no zip file"),
}


@pytest.mark.parametrize("case", BAD)
async def test_archives_that_contradict_themselves_are_refused_when_they_are_opened(case: str):
    data, message = BAD[case]
    with pytest.raises(CorruptData, match=message):
        await ZipStore(data).get("a")


BAD_MEMBERS: dict[str, tuple[bytes, str]] = {
    "crc": (archive(member("a", b"12", crc=1)), "says something else"),
    "data": (archive(member("a", b"12")).replace(b"a12", b"a13"), "CRC-32"),
    "name": (archive(member("b", b"12", name=b"a")), "says something else"),
    "method": (archive(member("a", b"12")).replace(b"PK\3\4\x14\0\0\0\0", b"PK\3\4\x14\0\0\0\x08"), "says something else"),
    "no header": (archive(member("a", b"12")).replace(b"PK\3\4", b"PK\3\5"), "says something else"),
    "encrypted": (archive(member("a", b"12", flags=1)), "encrypted"),
    "method 99": (archive(member("a", b"12", method=99)), "method 99"),
    "no deflated data": (archive(member("a", b"\xff\xff", method=8, size=2)), "says something else|damaged"),
}


@pytest.mark.parametrize("case", BAD_MEMBERS)
async def test_members_that_cannot_be_right_are_refused_when_they_are_read(case: str):
    data, message = BAD_MEMBERS[case]
    with pytest.raises(StoreError, match=message) as caught:
        await ZipStore(data).get("a")
    assert caught.value.key == "a"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
async def test_no_more_is_unpacked_than_was_announced(method: int):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        made.writestr("a", bytes(50_000_000))
    data = file.getvalue().replace(struct.pack("<I", 50_000_000), struct.pack("<I", 1000))
    with measured() as peak, pytest.raises(CorruptData, match="do not hold"):
        await ZipStore(data).get("a")
    assert peak.nbytes < 4_000_000
    store = ZipStore(file.getvalue(), context=azarr.Context(limits=Limits(chunk=10**6)))
    with pytest.raises(LimitExceeded):
        await store.get("a")


async def test_an_archive_that_is_cut_anywhere_is_refused():
    whole = zipped(OBJECTS)
    for keep in range(len(whole)):
        with pytest.raises(CorruptData):
            await contents(ZipStore(whole[:keep]))


async def test_a_missing_archive_is_an_error_and_not_a_missing_object(tmp_path: Path):
    for store in (ZipStore(tmp_path / "a.zip"), ZipStore(MemoryStore({}), "a.zip"), ZipStore(CountingStore(MemoryStore({})), "a.zip")):
        with pytest.raises(StoreError, match="no such archive"):
            await azarr.open(store)


@pytest.mark.parametrize("seed", range(200))
async def test_what_python_packs_is_read_as_python_reads_it(seed: int, tmp_path: Path):
    rng = random.Random(seed)
    file = io.BytesIO(b"before" * rng.choice((0, 0, 1, 1000)))
    file.seek(0, 2)
    with zipfile.ZipFile(file, "w") as made:
        for number in range(rng.choice((0, 1, 3, 10, 40))):
            info = zipfile.ZipInfo("/".join(rng.choice(("a", "b.c", "é", "日本", "0")) for _ in range(rng.randint(1, 4))) + f"/{number}")
            info.extra = struct.pack("<2H", 0x7777, size) + rng.randbytes(size) if (size := rng.choice((0, 0, 4, 9000))) else b""
            info.comment = rng.randbytes(rng.choice((0, 5)))
            data = rng.randbytes(rng.choice((0, 1, 100, 5000, 200_000))) if rng.random() < 0.5 else bytes(rng.randint(0, 100_000))
            made.writestr(info, data, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))
        made.comment = rng.randbytes(rng.choice((0, 0, 100)))
    with zipfile.ZipFile(file) as read:
        expected = {name: read.read(name) for name in read.namelist()}
    (tmp_path / "a.zip").write_bytes(file.getvalue())
    waits = ZipStore(CountingStore(MemoryStore({"x": file.getvalue()})), "x")
    for store in (waits, ZipStore(tmp_path / "a.zip")):
        for key, data in expected.items():
            start, stop = sorted((rng.randint(0, len(data) + 1), rng.randint(0, len(data) + 1)))
            for byte_range in ((start, stop), (-start, None) if start else (0, 0), None):
                value = await store.get(key, byte_range)
                assert bytes(value.data) == (data if byte_range is None else data[slice(*byte_range)])
        assert await contents(store) == expected


def mutated(rng: random.Random, data: bytes) -> bytes:
    """`data` with a byte changed, a part cut out, or one put in place of another."""
    at, kind = rng.randrange(len(data)), rng.randrange(4)
    if kind < 2:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8) if kind else rng.randrange(256)]) + data[at + 1 :]
    length, other = rng.choice((1, 2, 4, 30, 46, 200)), rng.randrange(len(data))
    return data[:at] + data[at + length :] if kind == 2 else data[:at] + data[other : other + length] + data[at + length :]


async def test_of_damaged_archives_nothing_wrong_is_read():
    """What the directory names is right or an error. AZARR_MUTATED_ZIPS=100000 python -m pytest tests/stores/test_zip.py -k damaged"""
    rng = random.Random(1)
    objects = {
        "zarr.json": b'{"zarr": 3}' * 9,
        "a/c/0": rng.randbytes(100),
        "a/c/1": rng.randbytes(70) + bytes(90),
        "a/é": b"x" * 500,
        "e": b"",
    }
    sources = [zipped(objects), b"before" * 9 + zipped(objects, deflated=False)]
    file = Unseekable()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for key, data in objects.items():
            made.writestr(key, data)
    sources.append(file.data)
    told, right = 0, 0
    with measured() as peak:
        for _ in range(MUTATED):
            store = ZipStore(mutated(rng, rng.choice(sources)))
            for key, data in objects.items():
                try:
                    value = await store.get(key)
                    part = await store.get(key, (-20, None))
                except StoreError as error:
                    told += bool(error.store and error.key)
                except LimitExceeded:
                    told += 1
                else:  # of a name that was changed, nothing says that it was there
                    assert value is None or bytes(value.data) == data
                    assert part is None or len(part.data) == min(20, len(data))
                    right += 1
    assert told > MUTATED
    assert right > MUTATED
    assert peak.nbytes < 3_000_000


async def test_requests_at_the_server_are_two_to_open_and_one_for_a_chunk():
    noise = np.random.default_rng(0).integers(0, 256, 600_000, "uint8")
    document = v3_array(shape=[600_000], chunk_grid={"name": "regular", "configuration": {"chunk_shape": [200_000]}})
    chunks = {f"c/{k}": noise[200_000 * k : 200_000 * (k + 1)].tobytes() for k in range(3)}
    async with serving({"a.zip": zipped(v3_store(document, chunks), deflated=False)}) as server:
        array = await azarr.open(f"{server.url}/a.zip")
        assert len(server.requests) == 2  # the directory, with what is near it; the document, which is at the beginning
        assert np.array_equal(await array[200_000:400_000], noise[200_000:400_000])
        assert len(server.requests) == 3
        assert np.array_equal(await array[...], noise)
        assert len(server.requests) == 6
        assert all(asked is not None for _, asked in server.requests)
        assert {each["if-match"] for each in server.headers[1:]} == {server.headers[1]["if-match"]}


async def test_what_azarr_makes_is_opened_by_one_request_however_many_ask():
    async with ZipStore.create(file := io.BytesIO()) as made:
        for name in ("a", "b"):
            array = await azarr.create_array(made, name, shape=400_000, dtype="uint8", chunks=200_000, compressors=None)
            await array[...].write(np.arange(400_000, dtype="uint8"))
    async with serving({"a.zip": file.getvalue()}) as server:
        store = ZipStore(f"{server.url}/a.zip?token=secret")
        assert "secret" not in repr(store)
        one, other = await asyncio.gather(azarr.open(store, "a"), azarr.open(store, "b"))
        assert await (await azarr.open_group(store)).keys() == ["a", "b"]
        assert [name async for name in store.list_dir("a/c")] == ["0", "1"]
        assert server.requests == [("a.zip?token=secret", "bytes=-131072")]
        assert (await one[300_000], await other[5]) == (300_000 % 256, 5)


@pytest.mark.parametrize("wait", [True, False])
async def test_shards_are_read_in_parts(wait: bool):
    count = 50
    inner = [bytes([k]) * 10_000 for k in range(count)]
    index = np.array([[10_000 * k, 10_000] for k in range(count)], "<u8").tobytes()
    document = v3_array(
        shape=[1_000_000], codecs=sharded(10_000), chunk_grid={"name": "regular", "configuration": {"chunk_shape": [500_000]}}
    )
    counting = CountingStore(
        MemoryStore({"x": zipped(v3_store(document, {"c/0": b"".join(inner) + index, "c/1": b"".join(inner) + index}), deflated=False)})
    )
    store = ZipStore(counting, "x") if wait else ZipStore(counting.inner, "x")
    array = await azarr.open_array(store, zarr_format=3)
    before = counting.nbytes
    assert (await array[99_999:100_001]).tolist() == [9, 10]
    assert hasattr(store, "reader") != wait
    if wait:
        assert len(counting.requests) == 2 + 3  # the local header, the index, and what was asked for
        assert counting.nbytes - before < 30_000


async def test_another_version_of_the_archive_is_not_read():
    held = Versioned({"x": zipped(big({"a": b"old", "b": b"old"}), deflated=False)})
    store = ZipStore(held, "x")
    assert bytes((await store.get("a")).data) == b"old"
    held.put("x", zipped(big({"a": b"new", "b": b"new"}), deflated=False))
    for _ in range(2):
        with pytest.raises(ObjectChanged, match="open it again"):
            await store.get("b")
    held.put("x", None)
    with pytest.raises(ObjectChanged):
        await store.get("b")
    objects = {"a.zip": zipped(big({"a": b"old"}), deflated=False)}
    async with serving(objects) as server:
        store = ZipStore(f"{server.url}/a.zip")
        assert bytes((await store.get("a")).data) == b"old"
        objects["a.zip"] = zipped(big({"a": b"new"}), deflated=False)
        with pytest.raises(ObjectChanged):
            await store.get("a")


async def test_what_is_opened_goes_by_the_name(tmp_path: Path):
    (tmp_path / "folder.zip").mkdir()
    for place, kind in {
        "https://host/a.zip": ZipStore,
        "https://host/a.ZIP?x=y": ZipStore,
        "https://host/a?x=y.zip": HTTPStore,
        "https://host/a.zip/": HTTPStore,
        "s3://bucket/a.zip": ZipStore,
        "zip://::https://host/a": ZipStore,
        str(tmp_path / "a.zip"): ZipStore,
        (tmp_path / "a.zip").as_uri(): ZipStore,
        str(tmp_path / "folder.zip"): LocalStore,
        (tmp_path / "folder.zip").as_uri(): LocalStore,
    }.items():
        assert type(store_from(place)) is kind, place
    assert repr(store_from("https://host/d/a%20b.zip?t=secret")) == "ZipStore(HTTPStore('https://host/d/?***'), 'a b.zip')"
    assert repr(store_from("s3://bucket/a.zip")) == "ZipStore(BucketStore('s3://bucket/'), 'a.zip')"
    with pytest.raises(ValueError, match=r"azarr.open\(azarr.stores.ZipStore\('https://host/a.zip\?\*\*\*'\), 'in'\)"):
        azarr.open("zip://in::https://host/a.zip?secret")
    with pytest.raises(TypeError, match="an archive is"):
        ZipStore(3)
    with pytest.raises(ReadOnly):
        await azarr.create_group(tmp_path / "a.zip")


def test_stores_of_one_place_are_equal_and_small_where_they_are_pickled(tmp_path: Path):
    for place in (tmp_path / "a.zip", "https://host/a.zip"):
        store = ZipStore(place)
        again = pickle.loads(pickle.dumps(store))
        assert store == again == ZipStore(place)
        assert hash(store) == hash(again)
        assert store != ZipStore("https://host/b.zip")
        assert len(pickle.dumps(store)) < 1000
    assert "secret" not in pickle.dumps(ZipStore("https://host/a.zip?secret")).decode("latin-1")


async def test_a_tree_is_copied_into_an_archive_which_python_reads_too(tmp_path: Path):
    values = np.arange(600, dtype="int32").reshape(20, 30)
    array = await azarr.create_array(tmp_path / "t", "g/a", shape=(20, 30), dtype="int32", chunks=(4, 7))
    await array[...].write(values)
    path = tmp_path / "t.zip"
    path.write_bytes(b"old")
    async with ZipStore.create(path) as made:
        await azarr.copy(tmp_path / "t", made)
        await (await azarr.open_array(made, "g/a", mode="r+")).update_attrs({"units": "m"})
        await made.set("gone", b"gone")
        await made.delete("gone")
        assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir() if each.name not in ("t", "t.zip")] == []
    read = await azarr.open_array(path, "g/a")
    assert np.array_equal(await read[...], values)
    assert read.attrs["units"] == "m"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(set(archive.namelist())) == [key async for key in ZipStore(path).list("")]
    with pytest.raises(ReadOnly, match="has ended"):
        await made.set("more", b"")


async def test_a_block_that_fails_leaves_the_old_archive_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"old")
    with pytest.raises(KeyError):  # noqa: PT012  # the block is what is tested
        async with ZipStore.create(path) as made:
            await made.set("a", b"new")
            raise KeyError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.zip"]
    with pytest.raises(StoreError, match="FileNotFoundError"):
        async with ZipStore.create(tmp_path / "nowhere" / "a.zip"):
            pass


class Full(io.BytesIO):
    """A disk that has no room for what is large."""

    def write(self, data: Any) -> int:
        if len(data) > 1000:
            raise OSError(28, "No space left on device")
        return super().write(data)


async def test_what_could_not_be_written_is_in_no_archive():
    with pytest.raises(StoreError, match="there is no archive"):  # noqa: PT012  # the block is what is tested
        async with ZipStore.create(Full()) as made:
            await made.set("a", b"1")
            with pytest.raises(StoreError, match="No space left"):
                await made.set("b", bytes(2000))
            assert await made.get("b") is None
