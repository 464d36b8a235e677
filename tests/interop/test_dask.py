"""dask: arrays that it reads and stores, and clusters that copy and check; of two processes, one of which may be killed, and the client too."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import fsspec
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from typer.testing import CliRunner

import azarr
from azarr.cli.commands import app
from azarr.errors import NodeExists, ReadOnly, SelectionError, StoreError
from azarr.integrations import dask as scaling
from azarr.integrations import sync
from azarr.integrations.handles import Handle
from azarr.stores import FsspecStore, MemoryStore
from azarr.testing import CountingStore
from azarr.tools.copying import NOTE

MIB = int(os.environ.get("AZARR_CLUSTER_MIB", "64"))
"""What the cluster copies."""
VALUES = np.arange(60 * 50, dtype="i4").reshape(60, 50)
COPY = """
import asyncio, sys
from azarr.integrations.dask import copy

def told(done, total):
    print(done, flush=True)

asyncio.run(copy(*sys.argv[1:3], client=sys.argv[3], chunks=(64, 2048), memory="32 MiB", progress=told))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


def stored(store: Any, values: Any = VALUES, **options: Any) -> azarr.Array:
    return sync.run(azarr.save(store, "", values, **{"chunks": (10, 10), **options}))


def irregular() -> azarr.Array:
    """Chunks of 7, 20 and 33 rows."""
    stored(held := {}, chunks=(7, 50))
    document = json.loads(held["zarr.json"])
    document["chunk_grid"] = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[7, 20, 33], [50]]}}
    return sync.run(azarr.open_array({"zarr.json": json.dumps(document).encode()}, mode="r+")[...].open()).array


class Noting(MemoryStore):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def put(self, key: str, *given: Any) -> bool:
        self.written.append(key)
        return super().put(key, *given)


# Arrays


def test_what_dask_computes_is_what_numpy_does(tmp_path: Path):
    for options in ({}, {"shards": (20, 20)}, {"zarr_format": 2}, {"chunks": (60, 7), "dtype": "f8"}):
        x = stored(tmp_path, overwrite=True, **options).to_dask(chunks=(20, 25))
        assert x.chunks == ((20, 20, 20), (25, 25))
        np.testing.assert_array_equal((x[5:, ::-3].T + 1).compute(), VALUES[5:, ::-3].T + 1)
        keys: list[Any] = [[3, 1], np.s_[[3, 1, 59], 5], np.s_[7, [49, 0]], np.s_[None, [3, 1]], np.s_[::2, None, [3, 1]], np.array([True, False] * 30), ..., np.s_[4, None]]
        for key in keys:
            np.testing.assert_array_equal(x[key].compute(), VALUES[key])
        np.testing.assert_array_equal(x[::-1, 1:][:, ::2][[3, 1]][:, [5, 0]].compute(), VALUES[::-1, 1::2][[3, 1]][:, [5, 0]])
    assert stored({}, np.float64(3), chunks=()).to_dask().compute() == 3
    assert stored({}, np.zeros((0, 3)), chunks=(1, 3)).to_dask().compute().shape == (0, 3)
    assert stored({}, np.array(["a", "bc", ""]), chunks=(2,), dtype=str).to_dask().compute().tolist() == ["a", "bc", ""]


def test_automatic_chunks_are_whole_shards_or_where_they_are_large_whole_chunks():
    array = stored({}, shards=(20, 20))
    with dask.config.set({"array.chunk-size": 20 * 20 * 4}):
        assert array.to_dask().chunks == ((20, 20, 20), (20, 20, 10))
    with dask.config.set({"array.chunk-size": 2 * 20 * 20 * 4}):
        assert array.to_dask().chunks == ((20, 20, 20), (40, 10))
    with dask.config.set({"array.chunk-size": 20 * 20 * 4 - 1}):
        assert array.to_dask().chunks == ((10,) * 6, (20, 20, 10))
    with dask.config.set({"array.chunk-size": 1}):
        assert irregular().to_dask().chunks == ((7, 20, 33), (50,))


def test_nothing_is_read_before_it_is_computed_and_then_what_is_needed():
    counting = CountingStore(stored({}).store)
    x = scaling.from_array(azarr.open_array(counting))
    counting.requests.clear()
    corner = x[:5, :5]
    assert counting.requests == []
    assert (corner.compute() == VALUES[:5, :5]).all()
    assert [key for key, _ in counting.requests] == ["c/0/0"]


def test_the_name_is_the_same_for_the_same_and_another_for_what_differs(tmp_path: Path):
    stored(tmp_path / "a")
    stored(tmp_path / "b")
    one, again, other = (scaling.from_array(azarr.open_array(tmp_path / name)) for name in "aab")
    assert one.compute().shape == (60, 50)
    assert one.name == again.name == scaling.from_array(azarr.open_array(tmp_path / "a")).name
    assert one.name != other.name
    assert one.name != scaling.from_array(azarr.open_array(tmp_path / "a"), chunks=(30, 50)).name


def test_a_handle_is_pickled_small_and_handles_of_one_store_share_it(tmp_path: Path):
    array = stored(tmp_path, shards=(20, 20))
    pickled = pickle.dumps(Handle(array))
    one, other = pickle.loads(pickled), pickle.loads(pickled)
    assert len(pickled) < 3000
    assert one.array.store is other.array.store
    assert one.array.access.context is other.array.access.context
    assert (one[2:4] == VALUES[2:4]).all()


@pytest.mark.parametrize("options", [{"chunks": (7, 9)}, {"chunks": (4, 5), "shards": (16, 15)}, None], ids=["chunks", "shards", "irregular"])
def test_no_two_tasks_store_into_one_object(options: dict[str, Any] | None):
    array = irregular() if options is None else sync.run(azarr.create_array({}, shape=(60, 50), dtype="i4", **options))
    noting = Noting()
    target = azarr.Array(array.metadata, array.access._replace(store=noting), "")
    scaling.store(da.from_array(VALUES + 1, chunks=(11, 13)), target)
    assert (sync.run(target[...]) == VALUES + 1).all()
    assert sorted(noting.written) == sorted(set(noting.written))
    assert len(noting.written) == array.metadata.grid.nchunks


def test_a_region_is_stored_and_all_else_stays():
    array = stored({})
    expected = VALUES.copy()
    expected[3:28, 15:] = -1
    assert scaling.store(da.full((25, 35), -1, chunks=(3, 35)), array, region=(slice(3, 28), slice(15, None))) is array
    assert (sync.run(array[...]) == expected).all()
    for region in ((slice(3, 29), slice(15, None)), (slice(0, 50, 2), slice(15, None)), (slice(25),)):
        with pytest.raises(SelectionError):
            scaling.store(da.full((25, 35), -1), array, region=region)


def test_a_new_array_has_the_chunks_of_what_is_stored_later(tmp_path: Path):
    array, delayed = scaling.store_later(da.from_array(VALUES, chunks=(16, 50)), tmp_path, "x/y", compressors="gzip")
    assert (array.chunks, array.dtype, array.path) == ((16, 50), np.dtype("i4"), "x/y")
    assert sync.run(array[...]).max() == 0
    delayed.compute()
    assert (sync.run(array[...]) == VALUES).all()
    with pytest.raises(NodeExists):
        scaling.store(da.from_array(VALUES), tmp_path, "x/y")


def test_what_other_processes_would_store_into_their_own_copy_of_a_memory_is_refused():
    wrapped = zarr.storage.FsspecStore(AsyncFileSystemWrapper(fsspec.filesystem("memory"), asynchronous=True), path="/w")
    stores = [{}, azarr.Cached({}), zarr.storage.MemoryStore(), wrapped, FsspecStore("memory://dask"), FsspecStore(fsspec.filesystem("memory"), "/d")]
    for store in stores:
        array, later = scaling.store_later(da.from_array(VALUES, chunks=(20, 50)), store)
        with pytest.raises(ReadOnly, match="of one process"):
            later.compute(scheduler="processes")
        later.compute(scheduler="threads")
        assert (sync.run(array[...]) == VALUES).all()
    assert (stored({}).to_dask().compute(scheduler="processes") == VALUES).all()


def test_workers_read_and_store(tmp_path: Path, cluster: LocalCluster):
    with Client(cluster):
        array = scaling.store(stored(tmp_path / "a").to_dask(chunks=(20, 50)).T * 2, tmp_path / "b")
        assert (sync.run(array[...]) == VALUES.T * 2).all()
        (tmp_path / "a/c/0/0").write_bytes(b"damaged")
        damaged = scaling.from_array(azarr.open_array(tmp_path / "a"), chunks=(30, 50))
        with pytest.raises(StoreError, match=r"c/0/0.*of LocalStore"):
            damaged.compute()


# Trees


async def test_a_tree_is_copied_as_it_is_or_otherwise_and_verified(tmp_path: Path, cluster: LocalCluster):
    source = tmp_path / "a"
    await azarr.create_group(source, attributes={"title": "all"})
    await azarr.save(source, "x/y", VALUES, chunks=(7, 8), shards=(14, 16))
    await azarr.save(source, "x/words", np.array(["", "b", "cc"]), dtype=str, chunks=(2,))
    await azarr.save(source, "scalar", np.float32(3))
    await azarr.consolidate(source)
    files = {path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    told: list[tuple[int, int]] = []
    for name, options in (("b", {}), ("c", {"shards": None, "compressors": "gzip"}), ("d", {"zarr_format": 2})):
        copied = await scaling.copy(source, tmp_path / name, client=cluster.scheduler_address, progress=lambda *now: told.append(now), **options)
        assert dict(copied.attrs) == {"title": "all"}
        assert ((await copied["x/y"][...]) == VALUES).all()
        assert (await copied["x/words"][...]).tolist() == ["", "b", "cc"]
        assert told[-1][0] == told[-1][1] == sum([node.nbytes async for _, node in copied.walk() if isinstance(node, azarr.Array)])
    assert {path.relative_to(tmp_path / "b"): path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()} == files
    (tmp_path / "b/x/y/c/1/2").write_bytes(files[Path("x/y/c/1/2")][:-1])
    mine, theirs = await azarr.verify(tmp_path / "b"), await scaling.verify(tmp_path / "b", client=cluster.scheduler_address)
    assert str(theirs) == str(mine)
    assert list(theirs.damaged) == ["x/y/c/1/2"]


async def test_what_workers_cannot_write_to_is_refused(tmp_path: Path, cluster: LocalCluster):
    await azarr.save(tmp_path / "a", "", VALUES)
    with pytest.raises(ReadOnly, match="of one process"):
        await scaling.copy(tmp_path / "a", {}, client=cluster.scheduler_address)
    with pytest.raises(TypeError, match="copy has no option order"):
        await scaling.copy(tmp_path / "a", tmp_path / "b", client=cluster.scheduler_address, order="F")
    with pytest.raises(azarr.errors.AzarrError, match="no scheduler answers"), dask.config.set({"distributed.comm.timeouts.connect": "100ms"}):
        await scaling.copy(tmp_path / "a", tmp_path / "b", client="tcp://127.0.0.1:9")


async def test_a_task_writes_nothing_where_the_note_of_its_copy_is_not(tmp_path: Path, cluster: LocalCluster):
    await azarr.save(tmp_path / "a", "", VALUES, chunks=(10, 10))

    def told(done: int, total: int) -> None:
        (tmp_path / "b" / NOTE).unlink(missing_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("azarr.integrations.cluster.AT_LEAST", 1)
        patch.setattr("azarr.integrations.cluster.AHEAD", 0)
        patch.setattr("azarr.integrations.cluster.MOST", 1)
        with pytest.raises(StoreError, match="a worker does not see that this copy is under way; the folder must be one"):
            await scaling.copy(tmp_path / "a", tmp_path / "b", client=cluster.scheduler_address, progress=told)
    assert not (tmp_path / "b/zarr.json").exists()
    assert len([path for path in (tmp_path / "b").rglob("*") if path.is_file()]) == 1


async def test_a_copy_survives_a_killed_worker_and_goes_on_after_a_killed_client(tmp_path: Path, cluster: LocalCluster):
    source, target = tmp_path / "a", tmp_path / "b"
    rows = MIB * 2**20 // (2048 * 8)
    array = await azarr.create_array(source, shape=(rows, 2048), dtype="i8", chunks=(256, 256), compressors=None)
    for begin in range(0, rows, 4096):
        stop = min(begin + 4096, rows)
        await array[begin:stop].write(np.random.default_rng(begin).integers(0, 2**40, (stop - begin, 2048)))
    client = await asyncio.create_subprocess_exec(sys.executable, "-c", COPY, source, target, cluster.scheduler_address, stdout=asyncio.subprocess.PIPE)
    assert client.stdout is not None
    first = int(await client.stdout.readline())
    client.send_signal(signal.SIGKILL)
    await client.wait()
    assert 0 < first < array.nbytes
    assert (target / NOTE).exists()
    assert not (target / "zarr.json").exists()
    workers = [worker.pid for worker in cluster.workers.values()]
    steps: list[int] = []

    def told(done: int, total: int) -> None:
        if len(steps) == 1:
            os.kill(workers[0], signal.SIGKILL)
        steps.append(done)

    copied = await scaling.copy(source, target, client=cluster.scheduler_address, chunks=(64, 2048), memory="32 MiB", progress=told)
    assert steps[-1] == array.nbytes
    assert len(steps) > 2
    assert (copied.chunks, sorted(path.name for path in target.iterdir())) == ((64, 2048), ["c", "zarr.json"])
    for begin in range(0, rows, 4096):
        stop = min(begin + 4096, rows)
        np.testing.assert_array_equal(await copied[begin:stop], np.random.default_rng(begin).integers(0, 2**40, (stop - begin, 2048)))
    assert (await scaling.verify(target, client=cluster.scheduler_address)).ok


def test_the_commands_take_a_scheduler(tmp_path: Path, cluster: LocalCluster):
    stored(tmp_path / "a")
    address = cluster.scheduler_address
    copied = CliRunner().invoke(app, ["copy", str(tmp_path / "a"), str(tmp_path / "b"), "--chunks", "60,10", "--scheduler", address])
    assert (copied.exit_code, copied.output.split()[0]) == (0, "<Array")
    checked = CliRunner().invoke(app, ["verify", str(tmp_path / "b"), "--scheduler", address])
    nbytes = sum(path.stat().st_size for path in (tmp_path / "b/c").rglob("*") if path.is_file())
    assert (checked.exit_code, checked.output) == (0, f"1 nodes, 5 objects with 5 chunks, {nbytes:,} bytes: 0 damaged, 0 unknown keys\n")
