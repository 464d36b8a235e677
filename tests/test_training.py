"""The example of batches for training: every sample once, every chunk once, bounded memory, and nothing left where training stops."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.testing import CountingStore
from conftest import only_this_task
from fakes import turns
from memory import measured

sys.path.append(str(Path(__file__).parents[1] / "examples" / "training"))
from batches import Batch, batches

ROWS = 230


async def made(store: Any, **options: Any) -> dict[str, azarr.Array]:
    """Arrays `x`, whose row i is (i, ..., i), and `y`, whose row i is -i, in chunks of other lengths; the store counts."""
    width = options.pop("width", 8)
    x = await azarr.create_array(store, "x", shape=(ROWS, width), dtype="float32", chunks=(10, width), **options)
    y = await azarr.create_array(store, "y", shape=(ROWS,), dtype="int64", chunks=(20,), **options)
    await x[...].write(np.arange(ROWS)[:, None])
    await y[...].write(-np.arange(ROWS), write_empty=True)
    counting = CountingStore(azarr.stores.MemoryStore(store))
    return {name: await azarr.open_array(counting, name, zarr_format=3) for name in ("x", "y")}


async def epoch(arrays: dict[str, azarr.Array], **options: Any) -> list[Batch]:
    return [batch async for batch in batches(arrays, **options)]


def samples(found: list[Batch]) -> list[int]:
    """The rows that came, in order; x and y of each belong together."""
    for batch in found:
        assert (batch["x"] == -batch["y"][:, None]).all()
    return [-int(value) for batch in found for value in batch["y"]]


@pytest.mark.parametrize("memory", ["2 KiB", "3 KiB", "1 MiB"])
async def test_every_sample_comes_once_an_epoch_and_every_chunk_is_asked_for_once(memory: str):
    arrays = await made({})
    asked = arrays["x"].store.requests
    asked.clear()
    found = await epoch(arrays, size=32, memory=memory, seed=1)
    assert [len(batch["x"]) for batch in found] == [32] * 7 + [6]
    assert sorted(samples(found)) == list(range(ROWS))
    assert samples(found) != list(range(ROWS))
    assert sorted(key for key, _ in asked) == sorted([*(f"x/c/{k}/0" for k in range(23)), *(f"y/c/{k}" for k in range(12))])


async def test_the_seed_decides_the_order():
    arrays = await made({})
    first, again, other = [samples(await epoch(arrays, size=32, seed=seed)) for seed in (5, 5, 6)]
    assert first == again
    assert first != other


async def test_parts_share_an_epoch():
    arrays = await made({})
    parts = [samples(await epoch(arrays, size=32, seed=3, part=(number, 3))) for number in range(3)]
    assert all(parts)
    assert sorted(chain(*parts)) == list(range(ROWS))


async def test_samples_that_wait_stay_within_the_memory_that_is_given():
    arrays = await made({}, width=20_000)  # 80 kB a sample, 18.4 MB in all
    with measured() as peak:
        async for batch in batches(arrays, size=16, memory="4 MB"):
            del batch
    assert peak.nbytes < 4_000_000 + 2 * 16 * 80_000 + 2_000_000  # beside them a batch, what was left over, and a chunk that is decoded
    with pytest.raises(ValueError, match="at least twice a run of whole chunks, 3,200,320 bytes, not 3,000,000"):
        await epoch(arrays, size=16, memory="3 MB")


async def test_arrays_of_other_lengths_do_not_belong_together():
    arrays = await made({})
    shorter = await azarr.create_array({}, shape=(3,), dtype="int64", chunks=(2,))
    with pytest.raises(ValueError, match=r"arrays of one length above 0, in regular chunks, are needed, not of \[3, 230\]"):
        await epoch(arrays | {"y": shorter}, size=32)


async def test_the_next_samples_are_read_while_the_first_are_used():
    arrays = await made({})
    asked = arrays["x"].store.requests
    asked.clear()
    found = batches(arrays, size=20, memory="2 KiB")  # a pool is one run: two chunks of x, one of y
    await anext(found)
    await turns(30)
    assert len(asked) >= 6
    await found.aclose()


async def test_nothing_is_left_where_training_stops():
    arrays = await made({})
    found = batches(arrays, size=20, memory="2 KiB")
    await anext(found)
    await found.aclose()
    assert only_this_task()


async def test_a_batch_is_taken_by_dlpack_without_a_copy():
    found = await epoch(await made({}), size=32)
    taken = np.from_dlpack(found[0]["x"])
    assert np.shares_memory(taken, found[0]["x"])
    assert not np.shares_memory(found[0]["x"], found[1]["x"])


async def test_a_chunk_that_cannot_be_read_is_an_error_and_no_sample():
    held: dict[str, bytes] = {}
    arrays = await made(held)
    held["x/c/7/0"] = b"damaged"
    with pytest.raises(azarr.errors.CorruptData, match="x/c/7/0"):
        await epoch(arrays, size=32)
    assert only_this_task()
