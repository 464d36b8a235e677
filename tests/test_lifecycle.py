"""Event loops, threads and processes come and go: each loop has connections of its own, which are closed with it or with the context."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import anyio
import pytest

import azarr
from azarr import Context
from azarr.stores import HTTPStore
from fakes import PATIENCE
from faults import FAULTS, Server, always, misbehaving

VALUES = [1, 2, 3, 4, 5, 6, 7, 8]
framings = pytest.mark.parametrize("framing", ["plain", "chunked"])
"""Answers that the lean client reads, and those that are left to the full one."""


async def stored() -> dict[str, bytes]:
    store: dict[str, bytes] = {}
    await azarr.save(store, "var", VALUES, dtype="u1", chunks=(2,))
    return store


async def site_of(server: Server, framing: str = "plain") -> str:
    site = server.site(await stored())
    if framing == "chunked":
        site.schedule = always(FAULTS["chunked"])
    return site.url


async def read(url: Any, context: Context | None = None) -> list[int]:
    return (await azarr.open_array(url, "var", zarr_format=3, context=context)[...]).tolist()


# Loops


@framings
async def test_one_loop_after_the_other(framing: str):
    async with misbehaving() as server:
        url, context = await site_of(server, framing), Context()
        store = HTTPStore(url, context=context)

        def one_after_the_other() -> list[list[int]]:
            return [asyncio.run(read(store, context)) for _ in range(3)]

        assert await asyncio.to_thread(one_after_the_other) == [VALUES] * 3
        assert await server.within(5, lambda: not server.connections)


@framings
async def test_two_loops_in_two_threads_at_once_with_one_array(framing: str):
    async with misbehaving() as server:
        url, context = await site_of(server, framing), Context(requests=4)
        array = await azarr.open_array(HTTPStore(url, context=context), "var", zarr_format=3, context=context)
        together = threading.Barrier(2)

        async def many() -> list[Any]:
            together.wait(PATIENCE)
            return await asyncio.gather(*(array[number : number + 3].read() for _ in range(10) for number in range(6)))

        for found in await asyncio.gather(*(asyncio.to_thread(asyncio.run, many()) for _ in range(2))):
            assert [each.tolist() for each in found] == [VALUES[number : number + 3] for _ in range(10) for number in range(6)]
        await context.__aexit__()
        assert await server.within(5, lambda: not server.connections)


async def test_a_loop_in_a_thread_while_another_waits_for_it():
    async with misbehaving() as server:
        url = await site_of(server)
        async with Context() as context:
            array = await azarr.open_array(HTTPStore(url, context=context), "var", zarr_format=3, context=context)

            async def inside() -> list[int]:
                return (await array[3:]).tolist()

            assert await array[0] == 1
            assert await asyncio.to_thread(asyncio.run, inside()) == VALUES[3:]
            assert await array[7] == 8


async def test_a_loop_that_was_never_closed_does_not_hold_up_another():
    """As in a notebook, whose loop lives on."""
    async with misbehaving() as server:
        url, context = await site_of(server), Context()
        store = HTTPStore(url, context=context)

        def both() -> list[list[int]]:
            loop = asyncio.new_event_loop()
            try:
                first = loop.run_until_complete(read(store, context))
                second = asyncio.run(read(store, context))
                return [first, second, loop.run_until_complete(read(store, context))]
            finally:
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.close()

        assert await asyncio.to_thread(both) == [VALUES] * 3
        assert await server.within(5, lambda: not server.connections)


# Contexts


@framings
async def test_connections_are_kept_while_the_context_lasts_and_closed_at_its_end(framing: str):
    async with misbehaving() as server:
        url = await site_of(server, framing)
        async with Context() as context:
            assert await read(url, context) == VALUES
            accepted = server.accepted
            assert len(server.connections) > 0
            assert await read(url, context) == VALUES
            assert server.accepted == accepted
        assert await server.within(5, lambda: not server.connections)


@framings
async def test_a_context_may_be_used_again_after_its_end(framing: str):
    async with misbehaving() as server:
        url, context = await site_of(server, framing), Context()
        for _ in range(3):
            async with context:
                assert await read(url, context) == VALUES
            assert await server.within(5, lambda: not server.connections)
        assert await read(url, context) == VALUES
        assert len(server.connections) > 0
        async with context:
            pass
        assert await server.within(5, lambda: not server.connections)


@framings
async def test_an_error_in_the_block_closes_connections_too(framing: str):
    async with misbehaving() as server:
        url = await site_of(server, framing)

        async def fail() -> None:
            async with Context() as context:
                await read(url, context)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await server.within(5, lambda: not server.connections)


async def test_the_end_of_one_context_leaves_the_connections_of_others():
    async with misbehaving() as server:
        url = await site_of(server)
        async with Context() as outer:
            await read(url, outer)
            count = len(server.connections)
            async with Context() as inner:
                await read(url, inner)
            assert await server.within(5, lambda: len(server.connections) == count)
            accepted = server.accepted
            await read(url, outer)
            assert server.accepted == accepted


async def test_reads_that_are_cut_by_a_timeout_leave_no_connection_open():
    async with misbehaving() as server:
        url = await site_of(server)
        async with Context() as context:
            array = await azarr.open_array(url, "var", zarr_format=3, context=context)
            server.close_gate()
            reading = asyncio.create_task(array[...].read())
            await server.until(lambda: server.busy == 4)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert await server.within(5, lambda: server.busy == 0)
            server.open_gate()
            assert (await array[...]).tolist() == VALUES


# anyio


async def test_under_anyio():
    async with misbehaving() as server:
        url = await site_of(server)

        def run() -> Any:
            return anyio.run(read, url, backend="asyncio")

        assert await asyncio.to_thread(run) == VALUES
        assert await server.within(5, lambda: not server.connections)


async def test_a_cancel_scope_of_anyio_ends_a_read_and_its_connections():
    async with misbehaving() as server:
        url = await site_of(server)
        async with Context() as context:
            array = await azarr.open_array(url, "var", zarr_format=3, context=context)
            server.close_gate()
            async with anyio.create_task_group() as group:
                group.start_soon(array[...].read)
                await server.until(lambda: server.busy == 4)
                group.cancel_scope.cancel()
            assert await server.within(5, lambda: server.busy == 0)
            server.open_gate()
            with anyio.fail_after(PATIENCE):
                assert (await array[...]).tolist() == VALUES


# Processes


async def script(text: str, url: str, folder: Path, *options: str) -> tuple[int | None, list[str], str]:
    """What a script that is told `url` ends with, prints, and says of errors."""
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    pipes: Any = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(sys.executable, *options, str(path), url, **pipes)
    try:
        printed, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode, printed.decode().splitlines(), errors.decode()


DEFAULT = """\
import asyncio, gc, sys, azarr

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60
    print((await azarr.open_array(sys.argv[1], "var", zarr_format=3)[...]).tolist())

for _ in range(2):
    asyncio.run(main())
gc.collect()
"""


@framings
async def test_connections_of_the_default_context_close_with_the_loop_and_nobody_is_warned(framing: str, tmp_path: Path):
    async with misbehaving() as server:
        url = await site_of(server, framing)
        assert await script(DEFAULT, url, tmp_path, "-X", "dev", "-W", "error") == (0, [str(VALUES)] * 2, "")
        assert await server.within(5, lambda: not server.connections)


LEFT_OPEN = """\
import asyncio, sys, azarr

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60
    array = await azarr.open_array(sys.argv[1], "var", zarr_format=3)
    asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
    await array[...]

try:
    asyncio.run(main())
except asyncio.CancelledError:
    print("cancelled")
"""


@framings
async def test_a_loop_that_ends_in_the_middle_of_a_read_warns_nobody(framing: str, tmp_path: Path):
    async with misbehaving() as server:
        url = await site_of(server, framing)
        assert await script(LEFT_OPEN, url, tmp_path, "-X", "dev", "-W", "error") == (0, ["cancelled"], "")
        assert await server.within(5, lambda: not server.connections)


FORKED = """\
import asyncio, os, sys, azarr

async def read():
    return (await azarr.open_array(sys.argv[1], "var", zarr_format=3)[...]).tolist()

print(asyncio.run(read()), flush=True)
if (child := os.fork()) == 0:
    print("child", asyncio.run(read()), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], asyncio.run(read()))
"""


@framings
async def test_a_forked_process_reads_on_a_loop_of_its_own(framing: str, tmp_path: Path):
    async with misbehaving() as server:
        url = await site_of(server, framing)
        assert (await script(FORKED, url, tmp_path))[:2] == (0, [str(VALUES), f"child {VALUES}", f"0 {VALUES}"])


FORKED_BETWEEN = """\
import asyncio, os, sys, azarr
from azarr.errors import StoreError

async def read():
    return (await azarr.open_array(sys.argv[1], "var", zarr_format=3)[...]).tolist()

loop = asyncio.new_event_loop()
print(loop.run_until_complete(read()), flush=True)
if (child := os.fork()) == 0:
    try:
        loop.run_until_complete(read())
    except StoreError as error:
        print("child:", error.reason, flush=True)
    print("child", asyncio.run(read()), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], loop.run_until_complete(read()))
"""


@framings
async def test_a_forked_process_that_goes_on_with_the_loop_of_its_parent_is_told_not_to(framing: str, tmp_path: Path):
    async with misbehaving() as server:
        url = await site_of(server, framing)
        code, printed, _ = await script(FORKED_BETWEEN, url, tmp_path)
        assert code == 0
        assert printed == [
            str(VALUES),
            "child: the process was forked while this event loop ran; connections cannot be shared: run a loop of its own",
            f"child {VALUES}",
            f"0 {VALUES}",
        ]


FORKED_WHILE_WRITING = """\
import asyncio, os, threading, azarr

class Slow(azarr.stores.MemoryStore):
    slow, begun, go = True, threading.Event(), threading.Event()

    def put(self, key, data, version="*"):
        if self.slow and key == "c/0":
            self.begun.set()
            self.go.wait()
        return super().put(key, data, version)

async def written(value):
    await asyncio.wait_for(array[...].write(value), 10)
    return (await array[...]).tolist()

store = Slow()
array = asyncio.run(azarr.create_array(store, shape=(2,), dtype="u1", chunks=(2,)))
thread = threading.Thread(target=lambda: print(asyncio.run(written(1))))
thread.start()
store.begun.wait()
if (child := os.fork()) == 0:
    store.slow = False
    print("child", asyncio.run(written(2)), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], flush=True)
store.go.set()
thread.join()
"""


async def test_a_process_that_is_forked_while_a_chunk_is_written_writes_it_too(tmp_path: Path):
    code, printed, _ = await script(FORKED_WHILE_WRITING, "", tmp_path)
    assert (code, printed) == (0, ["child [2, 2]", "0", "[1, 1]"])


CLOSED_WHILE_WRITING = """\
import asyncio, azarr

class Stuck:
    def __init__(self):
        self.inner, self.stuck = azarr.stores.MemoryStore(), True
        self.begun = asyncio.Event()
        self.get, self.delete = self.inner.get, self.inner.delete

    async def set(self, key, data):
        if self.stuck and key == "c/0":
            self.begun.set()
            await asyncio.Event().wait()
        await self.inner.set(key, data)

async def begin():
    tasks = [asyncio.create_task(array[...].write(1)), asyncio.create_task(array[...].write(2))]
    await store.begun.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    return tasks

store = Stuck()
array = asyncio.run(azarr.create_array(store, shape=(2,), dtype="u1", chunks=(2,)))
loop = asyncio.new_event_loop()
tasks = loop.run_until_complete(begin())
print([task.done() for task in tasks])
loop.close()
store.stuck = False
asyncio.run(asyncio.wait_for(array[...].write(3), 10))
print(asyncio.run(array[...].read()).tolist())
"""


async def test_a_loop_that_was_closed_while_a_chunk_was_written_does_not_hold_up_others(tmp_path: Path):
    code, printed, _ = await script(CLOSED_WHILE_WRITING, "", tmp_path)
    assert (code, printed) == (0, ["[False, False]", "[3, 3]"])


async def test_a_loop_that_has_ended_is_not_kept(tmp_path: Path):
    async def write_and_read() -> weakref.ref[asyncio.AbstractEventLoop]:
        for store in ({}, tmp_path):
            assert (await (await azarr.save(store, "", VALUES, chunks=(2,), overwrite=True))[...]).tolist() == VALUES
        return weakref.ref(asyncio.get_running_loop())

    loops = [await asyncio.to_thread(asyncio.run, write_and_read()) for _ in range(3)]
    gc.collect()
    assert [loop() for loop in loops] == [None, None, None]


FORKED_INSIDE = """\
import asyncio, os, sys, azarr

async def main():
    array = await azarr.open_array(sys.argv[1], "var", zarr_format=3)
    print((await array[...]).tolist(), flush=True)
    if (child := os.fork()) == 0:
        try:
            await array[...]
        except Exception as error:
            print("child:", error, flush=True)
        os._exit(0)
    code = await asyncio.to_thread(os.waitpid, child, 0)
    print(code[1], (await array[...]).tolist())

asyncio.run(main())
"""


async def test_a_process_that_is_forked_inside_a_running_loop_is_not_in_it(tmp_path: Path):
    """Python itself says so, and nothing hangs."""
    async with misbehaving() as server:
        code, printed, _ = await script(FORKED_INSIDE, await site_of(server), tmp_path)
        assert code == 0
        assert printed == [str(VALUES), "child: no running event loop", f"0 {VALUES}"]
