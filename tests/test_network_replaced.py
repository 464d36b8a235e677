"""An object that is replaced or deleted while it is read over HTTP: what is read of it is of one version, or an error; never of both.

The versions of a shard have their parts at the same places, so that nothing but its version tells one from the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import azarr
from azarr import Context, Retries
from azarr.errors import ObjectChanged
from documents import as_bytes, regular, sharded, v2_array, v3_array
from fakes import Conditional, is_chunk
from faults import Request, Server, Site, misbehaving
from near import HERE, every_server_is_near

OBJECTS, PARTS, LENGTH = 3, 5, 4
"""Objects, parts (inner chunks) of each, and elements of each part."""
SIZE = PARTS * LENGTH
FILL = -1
GAP = 1_100_000
"""Bytes between the inner chunks of a shard: too many to be fetched with them, so each part is a request."""
READ = np.array([place for place in range(OBJECTS * SIZE) if place % SIZE // LENGTH != 2])
"""All but the part in the middle of each object, so that no shard is asked for as a whole."""
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
MIDDLE = OBJECTS // 2
"""The object that is replaced or deleted, where only one is."""


def values(version: int, number: int) -> npt.NDArray[np.int32]:
    """What an object holds: its version in thousands, and where an element stands."""
    return np.arange(number * SIZE, (number + 1) * SIZE, dtype="<i4") + 1000 * version


def packed(parts: list[bytes], *, gap: int = 0, at_start: bool = False) -> bytes:
    """A shard of these inner chunks, so many bytes apart."""
    place, index, data = 16 * len(parts) if at_start else 0, b"", b""
    for part in parts:
        index += np.array([place + len(data), len(part)], "<u8").tobytes()
        data += part + bytes(gap)
    return index + data if at_start else data + index


def parts(version: int, number: int) -> list[bytes]:
    return [part.tobytes() for part in values(version, number).reshape(PARTS, LENGTH)]


def nested(version: int, number: int) -> bytes:
    """A shard whose inner chunks are shards, each of two."""
    halves = [[part[: len(part) // 2], part[len(part) // 2 :]] for part in parts(version, number)]
    return packed([packed(half) for half in halves], gap=GAP)


def v3(codecs: list[Any]) -> dict[str, bytes]:
    array = v3_array(shape=[OBJECTS * SIZE], data_type="int32", fill_value=FILL, chunk_grid=regular(SIZE), codecs=codecs)
    return {"zarr.json": as_bytes(array)}


KINDS: dict[str, tuple[dict[str, bytes], str, Callable[[int, int], bytes]]] = {
    "v2 chunks": (
        {".zarray": as_bytes(v2_array(shape=[OBJECTS * SIZE], chunks=[SIZE], dtype="<i4", fill_value=FILL))},
        "",
        lambda version, number: values(version, number).tobytes(),
    ),
    "chunks": (v3([LITTLE]), "c/", lambda version, number: values(version, number).tobytes()),
    "shards": (v3(sharded(LENGTH, codecs=[LITTLE])), "c/", lambda version, number: packed(parts(version, number), gap=GAP)),
    "shards, index first": (
        v3(sharded(LENGTH, codecs=[LITTLE], location="start")),
        "c/",
        lambda version, number: packed(parts(version, number), gap=GAP, at_start=True),
    ),
    "nested shards": (v3(sharded(LENGTH, codecs=sharded(LENGTH // 2, codecs=[LITTLE]))), "c/", nested),
}
"""The documents of an array, the prefix of its objects, and what makes these."""
FEW = ", by few calls"
KINDS |= {f"{kind}{FEW}": made for kind, made in KINDS.items() if "shards" in kind}
"""Parts of shards of a near server may be asked for so, in an order that threads make."""
kinds = pytest.mark.parametrize("kind", KINDS)
SERVERS: dict[str, dict[str, Any]] = {
    "strong tags": {},
    "strong tags, conditions ignored": {"conditions": False},
    "weak tags": {"validator": "weak"},
    "dates": {"validator": "date"},
}
"""What a server tells of versions."""
servers = pytest.mark.parametrize("told", SERVERS)
known = pytest.mark.parametrize("known", [False, True], ids=["", "indices known"])


@pytest.fixture(autouse=True)
def near(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    few = FEW in request.node.name
    talked = every_server_is_near(monkeypatch, least=1) if few else []
    yield
    assert bool(talked) == (few and HERE)


@lru_cache(2 * OBJECTS)
def made(kind: str, version: int, number: int) -> bytes:
    """An object of this kind. Those of shards are large, and needed again and again."""
    return KINDS[kind][2](version, number)


class Stage:
    """A site with an array of version 0. `change` is called before each request for one of its objects; `count` counts these."""

    def __init__(self, server: Server, kind: str, told: str = "strong tags") -> None:
        documents, prefix, _ = KINDS[kind]
        self.kind, self.keys, self.count = kind, [f"{prefix}{number}" for number in range(OBJECTS)], 0
        self.site = server.site(documents | self.version(0), **SERVERS[told])
        self.site.schedule = self.before
        self.change: Callable[[], None] = lambda: None

    def version(self, version: int) -> dict[str, bytes]:
        return {key: made(self.kind, version, number) for number, key in enumerate(self.keys)}

    def before(self, request: Request) -> None:
        if request.key in self.keys:
            self.change()
            self.count += 1

    def at(self, moment: int, change: Callable[[], None]) -> None:
        """Make `change` once, before the request that is this many further on."""
        moment += self.count
        self.change = lambda: change() if self.count == moment else None

    async def opened(self, context: Context, *, known: bool = False) -> azarr.Array:
        """The array; with `known`, its indices are."""
        array = await azarr.open_array(self.site.url, zarr_format=2 if ".zarray" in self.site.objects else 3, context=context)
        if known:
            assert self.versions(await array.oindex[READ]) == [0] * OBJECTS
        return array

    def versions(self, found: npt.NDArray[Any]) -> list[int | None]:
        """Of which version the elements of each object are, None for fill values; it must be one."""
        told: list[int | None] = []
        for number, block in enumerate(np.split(found, OBJECTS)):
            if (block == FILL).all():
                told.append(None)
                continue
            version = int(block[0]) // 1000
            right = values(version, number)[READ[: len(block)]]
            assert block.tolist() == right.tolist()
            told.append(version)
        return told


def context() -> Context:
    return Context(retries=Retries(first=0))


async def requests_of_a_read(kind: str, told: str) -> int:
    async with misbehaving() as server, context() as own:
        stage = Stage(server, kind, told)
        array = await stage.opened(own)
        assert stage.versions(await array.oindex[READ]) == [0] * OBJECTS
        return stage.count


@kinds
async def test_each_part_and_each_index_is_a_request(kind: str):
    assert await requests_of_a_read(kind, "strong tags") == OBJECTS * (1 if "chunks" in kind else PARTS)


@servers
@kinds
@known
async def test_object_replaced_before_any_request_is_read_as_old_or_as_new(kind: str, told: str, known: bool):
    count, seen = await requests_of_a_read(kind, told), set[int | None]()
    for moment in range(count):
        async with misbehaving() as server, context() as own:
            stage = Stage(server, kind, told)
            array = await stage.opened(own, known=known)
            stage.at(moment, lambda stage=stage: stage.site.put(stage.keys[MIDDLE], made(kind, 1, MIDDLE)))
            first, *_, last = versions = stage.versions(await array.oindex[READ])
            assert (first, last) == (0, 0)
            seen.add(versions[MIDDLE])
            stage.change = lambda stage=stage: stage.site.objects.update(stage.version(1))
            assert stage.versions(await array.oindex[READ]) == [1] * OBJECTS
    assert {1} <= seen <= {0, 1}
    assert 0 in seen or FEW in kind


@servers
@kinds
@known
async def test_all_objects_replaced_before_any_request_are_each_read_as_old_or_as_new(kind: str, told: str, known: bool):
    count, seen = await requests_of_a_read(kind, told), set[int | None]()
    for moment in range(count):
        async with misbehaving() as server, context() as own:
            stage = Stage(server, kind, told)
            array = await stage.opened(own, known=known)
            stage.at(moment, lambda stage=stage: stage.site.objects.update(stage.version(1)))
            seen.update(stage.versions(await array.oindex[READ]))
    assert {1} <= seen <= {0, 1}


@servers
@kinds
@known
async def test_object_deleted_before_any_request_is_read_as_old_or_as_fill_values_or_is_an_error(kind: str, told: str, known: bool):
    count, seen = await requests_of_a_read(kind, told), set[int | str | None]()
    for moment in range(count):
        async with misbehaving() as server, context() as own:
            stage = Stage(server, kind, told)
            array = await stage.opened(own, known=known)
            stage.at(moment, lambda stage=stage: stage.site.put(stage.keys[MIDDLE], None))
            try:
                first, *_, last = versions = stage.versions(await array.oindex[READ])
            except ObjectChanged as error:
                assert error.key == stage.keys[MIDDLE]  # noqa: PT017  # there may be none
                assert stage.site.url in str(error)  # noqa: PT017
                seen.add("error")
            else:
                assert (first, last) == (0, 0)
                seen.add(versions[MIDDLE])
    assert {None} <= seen <= {0, None, "error"}
    assert 0 in seen or FEW in kind


@kinds
async def test_objects_that_are_replaced_again_and_again_are_never_mixed(kind: str):
    """Each request, by chance, finds some objects replaced by their next version. Whoever reads until the end reads whole versions."""
    random, read, failed = Random(f"replaced {kind}"), 0, 0
    async with misbehaving() as server, context() as own:
        for _ in range(30):
            stage = Stage(server, kind, random.choice(list(SERVERS)))
            array, newest, share = await stage.opened(own), [0] * OBJECTS, random.choice([0.01, 0.03, 0.1])

            def change(stage: Stage = stage, newest: list[int] = newest, share: float = share) -> None:
                for number, key in enumerate(stage.keys):
                    if random.random() < share:
                        newest[number] += 1
                        stage.site.objects[key] = made(kind, newest[number], number)

            stage.change = change
            for _ in range(3):
                oldest = list(newest)
                try:
                    versions = stage.versions(await array.oindex[READ])
                except ObjectChanged as error:
                    assert error.key in stage.keys  # noqa: PT017  # there may be none
                    failed += 1
                else:
                    assert all(old <= (found or 0) <= new for old, found, new in zip(oldest, versions, newest, strict=True))
                    read += 1
            server.remove(stage.site)
    assert read > 30


async def test_a_server_that_tells_no_versions_is_warned_of_once():
    async with misbehaving() as server, context() as own:
        stage = Stage(server, "shards")
        stage.site.validator = "none"
        array = await stage.opened(own)
        with pytest.warns(azarr.errors.UnversionedWarning) as told:
            await array.oindex[READ]
        await array.oindex[READ]  # a second warning would be an error
        assert len(told) == 1
        assert stage.site.url in str(told[0].message)


async def test_documents_replaced_while_a_node_is_opened_are_each_read_whole():
    """The attributes of v2 are an object of their own, so an array may have those of another version, but never half of them."""
    old, new = {"title": "old", "more": ["x" * 500]}, {"title": "new", "more": ["y" * 700]}
    for moment in range(3):
        async with misbehaving() as server, context() as own:
            site: Site = server.site({".zarray": as_bytes(v2_array()), ".zattrs": as_bytes(old)})

            def change(request: Request, moment: int = moment) -> None:
                if request.number == moment:
                    request.site.put(".zattrs", as_bytes(new))

            site.schedule = change
            array = await azarr.open_array(site.url, zarr_format=2, context=own)
            assert json.loads(json.dumps(dict(array.attrs))) in (old, new)


class Whole(Conditional):
    """A store that serves no ranges, and whose objects are others each time that they are asked for."""

    ranges = False

    async def get(self, key: str, byte_range: Any = None) -> Any:
        found = await super().get(key)
        if found is not None and is_chunk(key):
            self.mapping[key] = bytes([found.data[0] + 1]) + bytes(found.data[1:])
        return found


async def test_parts_of_a_shard_that_comes_as_a_whole_for_several_jobs_are_of_one_version():
    store = Whole()
    await azarr.save(store, "", np.full(40 << 20, 1, "u1"), chunks=(1 << 20,), shards=(40 << 20,), compressors=None)
    with pytest.raises(ObjectChanged):
        await azarr.open_array(store, zarr_format=3, context=Context(requests=1))[...]
