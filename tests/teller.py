"""Reads over HTTP with secrets of every kind, from sites that are good or fail, and tells all that Python can be made to tell about it.

For test_secrets.py, which runs this in a process of its own: URLs are the arguments; `--leak` tells the first one as it is.
Everything is logged, and the event loop of asyncio's debug mode shows every call that it makes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import azarr
from azarr import Context, Retries
from azarr.errors import AzarrError
from azarr.stores import HTTPStore

SECRET_HEADERS = {"X-Api-Key": os.environ["CANARY_HEADER"], "Cookie": f"session={os.environ['CANARY_HEADER']}"}
AUTH = (os.environ["CANARY_USER"], os.environ["CANARY_PASSWORD"])
failures = 0


def tell(*things: object) -> None:
    """Show things as `print`, a notebook, an f-string and a pickle do."""
    for each in things:
        print(repr(each), str(each), f"{each}", getattr(each, "_repr_html_", lambda: "")())
        try:
            print(pickle.dumps(each))
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            print(f"not pickled: {error}")


def tell_error(error: BaseException) -> None:
    global failures
    failures += 1
    tell(error, vars(error), error.args)
    traceback.print_exception(error)
    logging.getLogger("program").error("it failed", exc_info=error)
    while error.__cause__ is not None:
        error = error.__cause__
        tell(error, vars(error))


async def told(work: Callable[[], Awaitable[Any]]) -> Any:
    """The result of `work`, which is told, or None."""
    try:
        found = await work()
    except (AzarrError, ValueError) as error:
        tell_error(error)
        return None
    tell(found)
    return found


async def use(store: Any, context: Context) -> None:
    reference = azarr.open_group(store, zarr_format=3, context=context)
    tell(reference, reference["array"], reference["array"][2:])
    array = await told(lambda: azarr.open_array(store, zarr_format=3, context=context).open())
    if array is not None:
        tell(array.store, array[3:], array[3:].plan(), array.attrs)
        for selection in (..., (slice(3, 6), slice(9, 22)), (7, 20)):
            await told(array[selection].read)
        task = asyncio.create_task(array[2:].read(), name="a read")
        print(task)
        await asyncio.wait([task])
        print(task)
        if task.exception() is None:
            async for block in array[2:].blocks():
                print(block)


async def cached(url: str, context: Context) -> None:
    """What a cache leaves on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            store = azarr.Cached(HTTPStore(url, headers=SECRET_HEADERS, context=context), disk=folder)
            await use(store, context)
        for path in sorted(Path(folder).rglob("*")):
            print(path, path.read_bytes() if path.is_file() else "")


async def main(urls: list[str]) -> None:
    loop = asyncio.get_running_loop()
    assert loop.get_debug()
    loop.slow_callback_duration = 0
    context = Context(timeout=1, retries=Retries(attempts=2, first=0), on_event=print)
    async with context:
        with_user = [url.replace("://", f"://{AUTH[0]}:{AUTH[1]}@") for url in urls[::2]]
        with_headers = [HTTPStore(url, headers=SECRET_HEADERS, auth=AUTH, context=context) for url in (urls[0], *urls[1::2])]
        await asyncio.gather(*(use(store, context) for store in (*with_user, *with_headers)))
        await cached(urls[0], context)
        tell(context, context.counters, context.stores, dict(context.stores))
    for bad in ("ftp://{}:{}@host/data?{}", "http://{}:{}@:80/?{}", "http://{}:{}@[::/?{}", "http://{}:{}@host:port/?{}"):
        url = bad.format(*AUTH, urls[0].partition("?")[2])
        await told(lambda url=url: azarr.open_array(url).open())
    print(f"{failures} failures")


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    logging.captureWarnings(True)
    given = [argument for argument in sys.argv[1:] if argument != "--leak"]
    asyncio.run(main(given))
    if "--leak" in sys.argv:
        print(given[0])
