"""A read over HTTP holds its result, and what the budget allows."""

from __future__ import annotations

import asyncio
import sys

from documents import as_bytes, regular, v3_array
from faults import misbehaving

CHUNKS, NBYTES = 16_384, 2048
READ = """
import asyncio, re, sys, azarr

def resident(field):
    return int(re.search(field + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) << 10

async def main():
    async with azarr.Context(memory="2 MiB") as context:
        array = await azarr.open_array(sys.argv[1], zarr_format=3, context=context)
        await array[: 64 * 2048]  # the connections and the codecs are there
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")  # the peak is counted from here on
        before = resident("VmRSS")
        values = await array[...]
        print(resident("VmHWM") - before - values.nbytes)
        assert values.min() == values.max() == 7

asyncio.run(main())
"""


async def test_sixteen_thousand_small_chunks_take_the_result_and_the_bytes_in_flight():
    document = v3_array(shape=[CHUNKS * NBYTES], chunk_grid=regular(NBYTES))
    chunk = bytes([7]) * NBYTES
    async with misbehaving() as server:
        site = server.site({"zarr.json": as_bytes(document), **{f"c/{number}": chunk for number in range(CHUNKS)}})
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", READ, site.url, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
        assert process.returncode == 0
        assert len(site.requests) == 1 + 64 + CHUNKS
    # The budget, and 6 MiB for heads, tasks and what Python keeps. All chunks together would be 32 MiB.
    assert int(told) < (2 << 20) + (6 << 20)
