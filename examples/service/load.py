"""Many clients at once ask a service for points and tiles of an array; prints how long answers took, and what memory the service took.

    python examples/service/load.py [--clients 200] [--each 20]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np

import azarr

SHAPE, CHUNKS = (32, 2048, 2048), (1, 1024, 1024)
"""Of float32: 512 MiB in chunks of 4 MiB."""


async def write_data(store: object) -> None:
    """An array `v` whose element [t, y, x] is t + y."""
    await azarr.create_group(store)
    array = await azarr.create_array(store, "v", shape=SHAPE, chunks=CHUNKS, dtype="float32", attributes={"units": "K"})
    for time_ in range(SHAPE[0]):
        await array[time_].write(np.broadcast_to(time_ + np.arange(SHAPE[1])[:, None], SHAPE[1:]))


@dataclass
class Service:
    """A service that runs: its URL, and its process."""

    url: str
    pid: int

    def memory(self, which: str = "VmRSS") -> int:
        """Bytes of memory; `VmHWM` for the most that it was."""
        found = re.search(rf"^{which}:\s*(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) << 10


@asynccontextmanager
async def running(url: str, **settings: str) -> AsyncGenerator[Service, None]:
    """The service of this folder, at any free port, in a process of its own. `settings` are what service.py takes from the environment."""
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(Path(__file__).parent), "service:app", "--port", "0", "--no-access-log"]
    command += ["--timeout-graceful-shutdown", "1"]  # where a read hangs that nobody cancelled
    environment = os.environ | {"AZARR_URL": url} | settings
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    told = asyncio.create_task(_copied(process.stderr, ready := asyncio.get_running_loop().create_future()))
    try:
        yield Service(await ready, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await told


async def _copied(lines: asyncio.StreamReader, ready: asyncio.Future[str]) -> None:
    """Copy what the service says, and take its address from it."""
    async for line in lines:
        if (found := re.search(r"running on (http://\S+)", line.decode())) and not ready.done():
            ready.set_result(found[1])
        sys.stderr.write(line.decode())
    if not ready.done():
        ready.set_exception(RuntimeError("the service ended before it was ready"))


async def client(session: aiohttp.ClientSession, url: str, each: int, chance: random.Random) -> list[float]:
    """`each` requests, one after the other: points, which are checked, and tiles. The seconds that each took."""
    took = list[float]()
    for number in range(each):
        t, y, x = (chance.randrange(length) for length in SHAPE)
        tile = f"/tile/v/{y // 256}/{x // 256}.png?at={t}&low=0&high=2100"
        began = time.perf_counter()
        async with session.get(url + (tile if number % 2 else f"/point/v?at={t},{y},{x}")) as response:
            body = await response.read()
            took.append(time.perf_counter() - began)
            assert response.status == 200, (response.status, body)
            assert body.startswith(b"\x89PNG") if number % 2 else await response.json() == {"value": t + y, "units": "K"}
    return took


async def load(url: str, clients: int, each: int) -> list[float]:
    """The seconds of all requests of so many clients at once, in order of size."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        tasks = [group.create_task(client(session, url, each, random.Random(number))) for number in range(clients)]
    return sorted(seconds for task in tasks for seconds in task.result())


async def main(clients: int, each: int) -> None:
    """The service, its load, and what is printed."""
    with tempfile.TemporaryDirectory() as folder:
        await write_data(folder)
        async with running(folder) as service:
            before, began = service.memory(), time.perf_counter()
            took = await load(service.url, clients, each)
            rate = len(took) / (time.perf_counter() - began)
            after = service.memory("VmHWM")
    print(f"{clients} clients, {len(took)} requests, {rate:.0f} a second")
    print(f"p50 {1000 * took[len(took) // 2]:.0f} ms, p99 {1000 * took[len(took) * 99 // 100]:.0f} ms")
    print(f"memory: {before >> 20} MiB at the start, {after >> 20} MiB at most")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--each", type=int, default=20)
    asyncio.run(main(**vars(parser.parse_args())))
