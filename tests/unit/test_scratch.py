"""Memory that a worker uses again."""

from __future__ import annotations

import numpy as np
import pytest

from azarr import scratch as module
from azarr.scratch import ROOM, Scratch, is_slow, joined, keep_scratch, spare_scratch, view


def test_a_slot_gives_memory_of_exactly_the_size_asked_for() -> None:
    scratch = Scratch()
    assert scratch.take("a", 10).shape == (10,)
    assert scratch.take("a", 4).shape == (4,)
    assert scratch.take("a", 0).shape == (0,)
    assert scratch.take("a", 10).dtype == np.uint8


def test_a_slot_is_used_again_and_grows_when_it_must() -> None:
    scratch = Scratch()
    first = scratch.take("a", 10)
    assert np.shares_memory(first, scratch.take("a", 4))
    assert scratch.take("a", 10) is first
    assert not np.shares_memory(first, scratch.take("a", 11))


@pytest.mark.parametrize("size", [1, 100, 4096, 1 << 16, 1 << 20, 5 << 20])
def test_memory_is_where_files_are_copied_fast(size: int) -> None:
    scratch = Scratch()
    assert not is_slow(scratch.encoded)
    assert not is_slow(scratch.take("a", size))


def test_where_files_are_copied_slowly() -> None:
    memory = np.empty(2 * 4096, np.uint8)
    page = -memory.ctypes.data % 4096
    assert [is_slow(memory[page + start :]) for start in (0, 1, 31, 32, 4095)] == [False, True, True, False, False]


def test_slots_do_not_share_memory() -> None:
    scratch = Scratch()
    assert not np.shares_memory(scratch.take((0, 1), 10), scratch.take((1, 1), 10))


def test_nbytes_counts_what_all_slots_hold() -> None:
    scratch = Scratch()
    before = scratch.nbytes
    scratch.take("a", 1000)
    scratch.take("a", 10)
    scratch.take("b", 24)
    assert scratch.nbytes - before == 1024


def test_an_array_is_made_once_for_the_same_owner() -> None:
    scratch, owner, other = Scratch(), object(), object()
    raw, array = scratch.typed(owner, (2, 3), np.dtype("<i4"))
    assert (raw.shape, array.shape, array.dtype) == ((24,), (2, 3), np.dtype("<i4"))
    assert np.shares_memory(raw, array)
    assert scratch.typed(owner, (2, 3), np.dtype("<i4"))[1] is array
    smaller = scratch.typed(other, (2,), np.dtype("<u2"))[1]
    assert (smaller.shape, smaller.dtype) == ((2,), np.dtype("<u2"))
    assert scratch.typed(owner, (2, 3), np.dtype("<i4"))[1] is not array


@pytest.mark.parametrize("data", [b"\x01\x02\x03\x04", bytearray(b"\x01\x02\x03\x04"), memoryview(b"\x01\x02\x03\x04")])
def test_a_view_of_a_buffer_has_its_bytes(data: bytes | bytearray | memoryview) -> None:
    assert view(data).tolist() == [1, 2, 3, 4]


def test_a_view_is_never_a_copy() -> None:
    held = bytearray(b"\x01\x02")
    view(held)[0] = 9
    assert held == b"\x09\x02"
    numbers = np.array([[1, 2], [3, 4]], "<u2")
    assert view(numbers).tolist() == [1, 0, 2, 0, 3, 0, 4, 0]
    assert np.shares_memory(view(numbers), numbers)
    flat = np.arange(3, dtype=np.uint8)
    assert view(flat) is flat


def test_a_view_of_two_dimensional_bytes_is_flat() -> None:
    assert view(np.array([[1, 2], [3, 4]], np.uint8)).tolist() == [1, 2, 3, 4]


def test_several_buffers_are_joined_and_one_stays_where_it_is() -> None:
    one = b"abc"
    assert joined(one) is one
    assert joined([one, np.frombuffer(b"de", np.uint8), memoryview(b"")]) == b"abcde"
    assert joined([]) == b""


def test_scratch_of_a_worker_that_ended_is_used_again_unless_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_spare", [])
    small, large = spare_scratch(), spare_scratch()
    assert small is not large
    large.take("a", module.KEPT)
    keep_scratch(large)
    keep_scratch(small)
    assert spare_scratch() is small
    assert spare_scratch() is not large


def test_around_a_part_there_is_room_and_around_nothing_else() -> None:
    scratch = Scratch()
    assert scratch.around(np.zeros(3, np.uint8)) is None
    for size in (10, 5, 100_000):
        part = scratch.part(size)
        part[:] = 7
        around = scratch.around(part)
        assert around is not None
        assert (around.size, part.size, set(around[ROOM:])) == (ROOM + size, size, {7})
        around[:ROOM] = 1
        assert set(part) == {7}
        assert scratch.around(part[1:]) is None
        assert scratch.around(part.copy()) is None
