"""Parts of many shards of a near server, asked for by few calls: first the indices, then the inner chunks. As `test_many_objects` has it,
what is read is what one by one would be.
"""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest

import azarr
from azarr import Retries
from azarr._engine import waiting
from azarr.errors import ChecksumError, TransportError
from azarr.transport import many
from documents import as_bytes, regular, sharded, v3_array
from faults import FAULTS, HARMLESS, TRANSIENT, Fault, Request, Site, at, everything, misbehaving, sometimes
from near import HERE, context, every_server_is_near, fresh, the_kernel_refuses

SHARDS, ROWS, COLUMNS, INNER = 100, 4, 12, 4
"""Shards, one below the other; and rows and columns of each, in inner chunks of so many columns."""
SHAPE = (SHARDS * ROWS, COLUMNS)
VALUES = np.random.default_rng(1).integers(1, 1000, SHAPE, dtype="i4")
VALUES[7 * ROWS : 9 * ROWS] = 0
VALUES[40 * ROWS : 60 * ROWS, INNER : 2 * INNER] = 0
MISSING, EMPTY = 2, 20
"""Shards that do not exist, and those that have no inner chunk in the middle."""
PLANE = np.s_[:, 5]
"""Of each shard, one inner chunk is needed."""
LITTLE, BIG = ({"name": "bytes", "configuration": {"endian": endian}} for endian in ("little", "big"))
CRC32C: dict[str, Any] = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
LAYOUTS: dict[str, list[Any]] = {
    "raw": sharded(ROWS, INNER, codecs=[LITTLE]),
    "index first": sharded(ROWS, INNER, codecs=[LITTLE], location="start"),
    "zstd, checksums": sharded(ROWS, INNER, codecs=[LITTLE, ZSTD, CRC32C], index_codecs=[LITTLE, CRC32C]),
    "big endian": sharded(ROWS, INNER, codecs=[BIG], index_codecs=[BIG]),
    "inner chunks transposed": sharded(ROWS, INNER, codecs=[{"name": "transpose", "configuration": {"order": [1, 0]}}, LITTLE]),
    "nested": sharded(ROWS, INNER, codecs=sharded(ROWS // 2, INNER // 2, codecs=[LITTLE])),
}
layouts = pytest.mark.parametrize("layout", LAYOUTS)
PASSING = [name for name, fault in FAULTS.items() if fault.kind in (TRANSIENT, HARMLESS) and name != "range of an object of unknown size"]
"""Without a size, there are no last bytes to be had of a server that, by chance, does so twice."""


@pytest.fixture(autouse=True)
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return every_server_is_near(monkeypatch)


async def stored(layout: str = "zstd, checksums", values: Any = VALUES) -> dict[str, bytes]:
    grid = regular(ROWS, COLUMNS)
    store = {"zarr.json": as_bytes(v3_array(shape=list(SHAPE), data_type="int32", fill_value=0, chunk_grid=grid, codecs=LAYOUTS[layout]))}
    await azarr.open_array(store, mode="r+")[...].write(values)
    assert len(store) == 1 + SHARDS - MISSING
    return store


# Values


@layouts
async def test_values_are_those_that_are_stored_and_fill_values_where_there_is_nothing(layout: str, exchanges: list[int]):
    async with misbehaving() as server, context() as own:
        array = await azarr.open_array(server.site(await stored(layout)).url, zarr_format=3, context=own)
        for _ in range(2):
            for where in (PLANE, np.s_[::-1, 2:6], np.s_[2:390:3, -1:], np.s_[:, 3:5]):
                np.testing.assert_array_equal(await array[where], VALUES[where])
            rows = np.random.default_rng(2).permutation(SHAPE[0])
            np.testing.assert_array_equal(await array.oindex[rows, [1, 11]], VALUES[rows][:, [1, 11]])
        assert bool(exchanges) == HERE
        await fresh(own)


@layouts
async def test_the_same_is_asked_for_as_one_by_one_and_known_indices_are_not(
    layout: str, monkeypatch: pytest.MonkeyPatch, exchanges: list[int]
):
    asked: list[list[Counter[Any]]] = []
    store = await stored(layout)
    for least in (waiting.MANY, 1 << 30):
        monkeypatch.setattr(waiting, "MANY", least)
        async with misbehaving() as server, context() as own:
            site = server.site(store)
            array = await azarr.open_array(site.url, zarr_format=3, context=own)
            asked.append([])
            for _ in range(2):
                site.requests.clear()
                np.testing.assert_array_equal(await array[PLANE], VALUES[PLANE])
                asked[-1].append(Counter(site.requests))
        assert bool(exchanges) == (HERE and least < 1 << 30)
        exchanges.clear()
    bulk, ordinary = asked
    assert bulk == ordinary
    there = SHARDS - MISSING - EMPTY
    # First the indices, and what they tell to be there; then this, and whether the others still are not.
    assert [each.total() for each in bulk] == [SHARDS + there, MISSING + EMPTY + there]


async def test_requests_and_bytes_are_counted_and_progress_is_told():
    async with misbehaving() as server, context() as own:
        site = server.site(await stored("raw"))
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        before, steps = own.counters.nbytes, list[tuple[int, int]]()
        await array[PLANE].read(progress=lambda done, total: steps.append((done, total)))
        assert own.counters.requests == len(site.requests)
        assert own.counters.retries == own.counters.failures == 0
        index, chunk = 16 * COLUMNS // INNER, 4 * ROWS * INNER
        assert own.counters.nbytes - before == (SHARDS - MISSING) * index + (SHARDS - MISSING - EMPTY) * chunk
        assert own.counters.decode_seconds > 0
    assert steps == [(number + 1, SHARDS) for number in range(SHARDS)]


async def test_few_shards_are_few_requests_however_many_chunks_they_have(exchanges: list[int]):
    store: dict[str, bytes] = {}
    values = np.arange(1, 8001, dtype="i4").reshape(8, 1000)
    await azarr.save(store, "", values, chunks=(1, 10), shards=(1, 1000))
    async with misbehaving() as server, context() as own:
        array = await azarr.open_array(server.site(store).url, zarr_format=3, context=own)
        np.testing.assert_array_equal(await array[:, 5:995], values[:, 5:995])
        assert (exchanges, server.accepted) == ([], 8)


async def test_large_indices_are_asked_for_one_by_one(exchanges: list[int]):
    """The memory for them is counted there, and there is little to gain."""
    store: dict[str, bytes] = {}
    await azarr.save(store, "", np.arange(70 * 5000, dtype="i4").reshape(70, 5000), chunks=(1, 1), shards=(1, 5000), compressors=None)
    async with misbehaving() as server, context() as own:
        array = await azarr.open_array(server.site(store).url, zarr_format=3, context=own)
        np.testing.assert_array_equal(await array[:, 7], np.arange(70) * 5000 + 7)
        assert exchanges == []


async def test_a_server_that_is_far_is_asked_so_where_all_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch, exchanges: list[int]):
    """Each inner chunk over a connection of its own; not where there are more requests, threads are few, or it takes very long."""
    monkeypatch.setattr(many, "NEAR", 0.0)
    async with misbehaving() as server:
        site = server.site(await stored())
        for far, options in ((math.inf, {}), (math.inf, {"requests": SHARDS}), (math.inf, {"workers": 2}), (0.0, {})):
            monkeypatch.setattr(many, "FAR", far)
            exchanges.clear()
            async with context(**options) as own:
                array = await azarr.open_array(site.url, zarr_format=3, context=own)
                np.testing.assert_array_equal(await array[PLANE], VALUES[PLANE])
                await fresh(own)
            few = HERE and far > 0 and not options
            assert (sum(exchanges[: len(exchanges) // 2]), bool(exchanges)) == (SHARDS * few, few)


# What goes wrong


@pytest.mark.parametrize("name", PASSING)
async def test_what_passes_by_itself_does_not_show(name: str):
    async with misbehaving() as server, context(retries=Retries(attempts=30, first=0)) as own:
        site = server.site(await stored(), random=Random(name))
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        for share in (0.01, 0.2):
            site.schedule = at(FAULTS[name], 30, 150) if name.startswith("stalled") else sometimes([FAULTS[name]], share, site.random)
            for where in (PLANE, np.s_[:, 9]):
                np.testing.assert_array_equal(await array[where], VALUES[where])
        assert site.met
        await fresh(own)
        assert await server.at_rest(1)


@pytest.mark.parametrize("seed", range(3))
async def test_all_of_them_among_many_do_not_show(seed: int):
    passing = [FAULTS[name] for name in PASSING if not name.startswith("stalled")]
    async with misbehaving() as server, context(retries=Retries(attempts=30, first=0)) as own:
        site = server.site(await stored(), random=Random(seed))
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        site.schedule = sometimes(passing, [0.002, 0.01, 0.1][seed], site.random)
        for where in (PLANE, np.s_[:, 9], np.s_[:, 3:5]):
            np.testing.assert_array_equal(await array[where], VALUES[where])
        await fresh(own)


async def test_an_error_that_lasts_is_that_of_the_ordinary_way():
    async with misbehaving() as server, context() as own:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        site.schedule = lambda request: FAULTS["status 403"] if request.key == "c/77/0" else None
        with pytest.raises(TransportError, match=r"the server answered 403.* \(after 1 attempt\)") as caught:
            await array[PLANE]
        assert caught.value.key == "c/77/0"
        await fresh(own)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("part", ["index", "inner chunk"])
async def test_damage_is_an_error_that_names_the_shard(part: str, known: bool):
    async with misbehaving() as server, context() as own:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        if known:
            await array[PLANE]
        data = bytearray(site.objects["c/70/0"])
        index = np.frombuffer(data[-52:-4], "<u8")
        data[-1 if part == "index" else int(index[2])] ^= 1
        site.put("c/70/0", bytes(data))
        with pytest.raises(ChecksumError) as caught:
            await array[PLANE]
        assert (caught.value.key, site.url in caught.value.store) == ("c/70/0", True)
        await fresh(own)
        site.put("c/70/0", site.history["c/70/0"][0])
        np.testing.assert_array_equal(await array[PLANE], VALUES[PLANE])


@pytest.mark.parametrize("told", ["strong", "weak", "date"])
async def test_shards_that_are_all_replaced_at_any_moment_are_each_of_one_version(told: str):
    """Two inner chunks of each, whose values tell the version; nothing else does, as the indices are the same."""
    versions = [await stored("raw", np.where(VALUES, version, 0)) for version in (1, 2, 3)]
    async with misbehaving() as server, context() as own:
        for moment in range(0, 280, 14):
            site = server.site(dict(versions[0]), validator=told)
            array = await azarr.open_array(site.url, zarr_format=3, context=own)
            for newer in versions[1:]:  # the indices are not known, and then they are
                asked = len(site.requests) + moment

                def replace(request: Request, site: Site = site, asked: int = asked, newer: dict[str, bytes] = newer) -> None:
                    if request.number == asked:
                        site.objects.update(newer)

                site.schedule = replace
                for shard in (await array[:, 3:5]).reshape(SHARDS, -1):
                    assert len({*shard.tolist()} - {0}) <= 1


async def test_a_server_that_serves_no_ranges_is_asked_for_whole_shards(exchanges: list[int]):
    async with misbehaving() as server, context() as own:
        site = server.site(await stored(), schedule=lambda request: Fault("no ranges", everything, HARMLESS))
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        np.testing.assert_array_equal(await array[PLANE], VALUES[PLANE])
        assert await array[0, 0] == VALUES[0, 0]
        assert bool(exchanges) == HERE
        exchanges.clear()
        np.testing.assert_array_equal(await array[PLANE], VALUES[PLANE])
        assert exchanges == []  # now that it is known


@pytest.mark.parametrize("refused", [0, 1, 3, 5, 20])
async def test_where_the_kernel_refuses_the_ordinary_way_goes_on(monkeypatch: pytest.MonkeyPatch, refused: int):
    the_kernel_refuses(monkeypatch, refused)
    async with misbehaving() as server, context() as own:
        array = await azarr.open_array(server.site(await stored()).url, zarr_format=3, context=own)
        np.testing.assert_array_equal(await array[PLANE], VALUES[PLANE])
        await fresh(own)
