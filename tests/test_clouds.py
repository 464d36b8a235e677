"""Several processes in one bucket of S3: the cloud itself checks versions, so no update is lost and each row is there once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import azarr
from azarr.stores import ObjectStore
from buckets import CREDENTIALS

WRITERS, EACH, OF_SHARDS = 4, 250, 50  # a shard is read again for each, which takes longer
OPENED = """
import asyncio, json, sys
import azarr
from azarr.stores import ObjectStore

async def opened():
    url, options = sys.argv[1], json.loads(sys.argv[2])
    return await azarr.open_array(ObjectStore(url, **options), mode="r+")
"""
INCREMENT = OPENED + """
async def main(cell, times):
    array = await opened()
    for _ in range(times):
        await array[cell].write(await array[cell] + 1)

asyncio.run(main(*map(int, sys.argv[3:])))
"""
TURN = OPENED + """
async def main(cell, times):
    array = await opened()
    for each in range(times):
        await array[cell].write((each + 1) % 2)  # so that the chunk is often one of nothing

asyncio.run(main(*map(int, sys.argv[3:])))
"""
APPEND = OPENED + """
async def main(number, times):
    array = await opened()
    for each in range(times):
        array = await array.append([[number, each]])

asyncio.run(main(*map(int, sys.argv[3:])))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The endpoint of a server in a process of its own."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


SERVER = """
import logging
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
logging.getLogger("werkzeug").setLevel(logging.ERROR)
# One request after the other: several threads of moto would look at a version and replace the object in two steps.
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
print(f"http://127.0.0.1:{server.port}", flush=True)
server.serve_forever()
"""


def bucket_in(server: str, name: str) -> tuple[str, dict[str, Any]]:
    """The URL of a new bucket, and the options of its store."""
    urllib.request.urlopen(urllib.request.Request(f"{server}/{name}", method="PUT")).close()
    return f"s3://{name}/data.zarr", {"endpoint": server, **CREDENTIALS}


async def ended(code: str, place: tuple[str, dict[str, Any]], *arguments: tuple[int, ...]) -> list[int]:
    """What processes that run `code`, one with each of `arguments`, exit with: not with 0 if a write was refused in the end."""
    commands = [[sys.executable, "-c", code, place[0], json.dumps(place[1]), *map(str, each)] for each in arguments]
    processes = [await asyncio.create_subprocess_exec(*command) for command in commands]
    return [await process.wait() for process in processes]


ENDING = """
import asyncio
import obstore.store
from azarr.stores import ObjectStore

async def main():
    store = ObjectStore(obstore.store.MemoryStore())
    for _ in range(20):
        await store.set("key", b"data")

asyncio.run(main())
"""


async def test_a_process_that_ends_right_after_its_last_write_ends_well():
    for _ in range(8):
        assert await ended(ENDING, ("", {}), *[()] * 3) == [0] * 3


LAYOUTS = pytest.mark.parametrize("options", [{"chunks": (8,)}, {"chunks": (2,), "shards": (8,)}], ids=["chunk", "shard"])


@LAYOUTS
async def test_increments_by_four_processes_in_one_object_are_all_there(server: str, options: dict[str, Any]):
    place = bucket_in(server, f"increments-{len(options)}")
    store = ObjectStore(place[0], **place[1])
    array = await azarr.create_array(store, shape=(8,), dtype="i4", **options)
    times = OF_SHARDS if "shards" in options else EACH
    assert await ended(INCREMENT, place, *((2 * number, times) for number in range(WRITERS))) == [0] * WRITERS
    assert (await array[...]).tolist() == [times, 0] * WRITERS


@LAYOUTS
async def test_an_object_that_comes_to_hold_nothing_loses_no_update(server: str, options: dict[str, Any]):
    place = bucket_in(server, f"nothing-{len(options)}")
    array = await azarr.create_array(ObjectStore(place[0], **place[1]), shape=(8,), dtype="i4", **options)
    assert await ended(TURN, place, *((2 * number, 25) for number in range(WRITERS))) == [0] * WRITERS
    assert (await array[...]).tolist() == [1, 0] * WRITERS


@pytest.mark.parametrize("options", [{"chunks": (7, 2)}, {"chunks": (5, 2), "shards": (50, 2)}], ids=["chunk", "shard"])
async def test_rows_appended_by_four_processes_are_each_there_once(server: str, options: dict[str, Any]):
    place = bucket_in(server, f"rows-{len(options)}")
    store = ObjectStore(place[0], **place[1])
    times = OF_SHARDS if "shards" in options else EACH
    await azarr.create_array(store, shape=(0, 2), dtype="i4", fill_value=-1, **options)
    assert await ended(APPEND, place, *((number, times) for number in range(WRITERS))) == [0] * WRITERS
    rows = await (await azarr.open_array(store))[...]
    assert sorted(map(tuple, rows.tolist())) == [(number, each) for number in range(WRITERS) for each in range(times)]
