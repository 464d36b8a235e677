"""Opens, lists, reads and streams what is at a path or URL, or has a cache forget what it has on disk, and prints every blocking call that the event loop's thread made.

An audit hook hears each file that is opened, folder that is listed, name that is resolved, sleep, and module that is imported, wherever in
Python or C it happens. It cannot be taken away again, so this runs in a process of its own (see test_engine.py). Modules of azarr and
of the standard library are small and load once; those of other packages may take long. Reads of open files raise no event, so they are
listened to by name: only those that refuse to wait may be made, of files that were opened by a call that refuses to wait.
"""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any

import azarr
from azarr.integrations import page_cache

BLOCKING = {
    "open",
    "os.listdir",
    "os.scandir",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "socket.getaddrinfo",
    "time.sleep",
    "subprocess.Popen",
}
HOMES = (str(Path(azarr.__file__).parent), sysconfig.get_path("stdlib"))
heard: list[str] = []
listening = threading.local()


def hook(event: str, arguments: tuple[object, ...]) -> None:
    if event in BLOCKING and getattr(listening, "on", False) and not is_own_module(str(arguments[0])):
        heard.append(f"{event} {arguments[:2]}")


def is_own_module(path: str) -> bool:
    return path.startswith(HOMES) and "site-packages" not in path.removeprefix(HOMES[0])


def listen_to(name: str, *, allowed: int | None = None) -> None:
    really = getattr(os, name)

    def heard_of(*arguments: Any) -> Any:
        if getattr(listening, "on", False) and (allowed is None or arguments[3:] != (allowed,)):
            heard.append(f"os.{name} {arguments[2:]}")
        return really(*arguments)

    setattr(os, name, heard_of)


async def use(source: str, *, block: bool) -> None:
    listening.on = True
    if block:
        Path(__file__).read_bytes()
    listable = "://" not in source
    for _ in range(2):  # the first time, things are imported
        group = await azarr.open_group(source, zarr_format=None)
        if listable:
            assert await group.keys() == ["g"]
            assert str(await group.tree())
        for name in ("t", "u", "v"):
            array = await group[f"g/{name}"]
            assert (await array[...]).sum() == 4096 * 4095 // 2
            assert (await array[3:40, ::7]).shape == (37, 10)
            assert (await array.oindex[[1, 5, 60], [2, 63]]).shape == (3, 2)
            assert sum([block.data.size async for block in array[5:].blocks()]) == 59 * 64
    listening.on = False


async def forget(folder: str) -> None:
    """Write to an array through a cache that has all of it on disk, and read a chunk that turns out to be damaged."""
    inner = dict[str, bytes]()
    store = azarr.Cached(azarr.stores.MemoryStore(inner), disk=folder, recheck=False)
    array = await azarr.create_array(store, "t", shape=(8,), dtype="int32", chunks=(4,), compressors="zstd", fill_value=7)
    await array[:4].write(1)
    assert (await array[:4]).tolist() == [1] * 4
    inner["t/c/1"] = b"damaged"
    before = set(Path(folder).glob("*/*"))
    listening.on = True
    await array[:4].write(2)
    try:
        await array[4:]
    except azarr.errors.ChunkDecodeError:
        listening.on = False
    assert set(Path(folder).glob("*/*")) < before


async def main() -> None:
    if "--forget" in sys.argv:
        await forget(sys.argv[1])
    else:
        await use(sys.argv[1], block="--block" in sys.argv)


if __name__ == "__main__":
    sys.addaudithook(hook)
    for reading in ("read", "readv", "pread"):
        listen_to(reading)
    listen_to("preadv", allowed=page_cache.NOWAIT or None)
    asyncio.run(main())
    print("\n".join(heard) or "quiet")
