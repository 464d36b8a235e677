"""`sharding_indexed`: many inner chunks in one object."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from chunks import BYTES, CRC32C, LITTLE, OBJECT, STRING, chain, codec, encoded, modest, spec, varying
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from azarr.codecs.sharding import ShardLayout, filled, merged, same_bits
from azarr.errors import ChecksumError, ChunkDecodeError, LimitExceeded, MetadataError, ShardIndexError
from azarr.limits import Limits
from azarr.scratch import Scratch, joined
from oracles import crc32c

ABSENT = (1 << 64) - 1
ZSTD: dict[str, Any] = {"name": "zstd"}
ARRAY = np.arange(1, 25, dtype="<u2").reshape(4, 6)
CHUNK = spec((4, 6), "<u2")


def sharded(*sizes: int, codecs: Any = (LITTLE,), index_codecs: Any = (LITTLE,), location: str = "end") -> dict[str, Any]:
    """As in a document; the index is without a checksum unless asked for."""
    lists = {"chunk_shape": list(sizes), "codecs": list(codecs), "index_codecs": list(index_codecs)}
    return {"name": "sharding_indexed", "configuration": {**lists, "index_location": location}}


def layout_of(chunk: Any, shard: dict[str, Any]) -> ShardLayout:
    return codec("sharding_indexed", **shard["configuration"]).layout(chunk)


def index(*rows: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<2Q", *row) for row in rows)


def test_a_shard_is_its_inner_chunks_and_their_index() -> None:
    array = np.array([1, 2, 0, 0, 5], "u1")
    at_end = chain(spec((5,), "u1"), sharded(1))
    rows = ((0, 1), (1, 1), (ABSENT, ABSENT), (ABSENT, ABSENT), (2, 1))
    assert encoded(at_end, array) == b"\1\2\5" + index(*rows)
    at_start = chain(spec((5,), "u1"), sharded(1, location="start"))
    rows = ((80, 1), (81, 1), (ABSENT, ABSENT), (ABSENT, ABSENT), (82, 1))
    assert encoded(at_start, array) == index(*rows) + b"\1\2\5"
    assert at_end.decode(encoded(at_end, array), Scratch()).tolist() == [1, 2, 0, 0, 5]
    assert at_start.decode(encoded(at_start, array), Scratch()).tolist() == [1, 2, 0, 0, 5]


def test_the_index_is_in_c_order_of_the_inner_chunks() -> None:
    pipeline = chain(CHUNK, sharded(2, 3))
    stored = encoded(pipeline, ARRAY)
    assert stored[-64:] == index((0, 12), (12, 12), (24, 12), (36, 12))
    assert np.frombuffer(stored[12:24], "<u2").tolist() == [4, 5, 6, 10, 11, 12]


def test_the_index_ends_with_a_checksum_where_its_codecs_say_so() -> None:
    stored = encoded(chain(spec((2,), "u1"), sharded(1, index_codecs=[LITTLE, CRC32C])), np.array([7, 8], "u1"))
    entries = index((0, 1), (1, 1))
    assert stored == b"\7\x08" + entries + crc32c(entries).to_bytes(4, "little")


@modest
@given(
    array=arrays.arrays("<u2", (4, 6), elements=st.integers(0, 2)),
    sizes=st.sampled_from([(1, 1), (2, 3), (4, 6), (4, 1)]),
    location=st.sampled_from(["start", "end"]),
    codecs=st.sampled_from(
        [[LITTLE], [LITTLE, ZSTD], [LITTLE, CRC32C], [{"name": "transpose", "configuration": {"order": [1, 0]}}, LITTLE]]
    ),
    index_codecs=st.sampled_from([[LITTLE], [{"name": "bytes", "configuration": {"endian": "big"}}, CRC32C, CRC32C]]),
    outer=st.sampled_from([[], [{"name": "transpose", "configuration": {"order": [1, 0]}}]]),
    wrappers=st.sampled_from([[], [ZSTD], [CRC32C]]),
)
def test_what_any_shard_encodes_it_decodes(
    array: Any, sizes: tuple[int, int], location: str, codecs: Any, index_codecs: Any, outer: Any, wrappers: Any
) -> None:
    inner = sizes[::-1] if outer else sizes
    shard = sharded(*inner, codecs=codecs, index_codecs=index_codecs, location=location)
    pipeline = chain(CHUNK, *outer, shard, *wrappers)
    stored = encoded(pipeline, array)
    assert len(stored) <= pipeline.bound
    assert np.array_equal(pipeline.decode(stored, Scratch()), array)


@pytest.mark.parametrize("location", ["start", "end"])
def test_shards_may_lie_in_shards(location: str) -> None:
    nested = sharded(2, 3, codecs=[sharded(1, 3, codecs=[LITTLE, ZSTD], index_codecs=[LITTLE, CRC32C])], location=location)
    pipeline = chain(CHUNK, nested)
    assert np.array_equal(pipeline.decode(encoded(pipeline, ARRAY), Scratch()), ARRAY)
    holes = ARRAY * (ARRAY > 6)
    assert np.array_equal(pipeline.decode(encoded(pipeline, holes), Scratch()), holes)


def test_inner_chunks_of_strings() -> None:
    chunk, words = varying((4,), STRING, "-"), np.array(["a", "-", "-", "-"], STRING.numpy)
    pipeline = chain(chunk, sharded(2, codecs=[{"name": "vlen-utf8"}]))
    stored = encoded(pipeline, words)
    assert stored == bytes.fromhex("02000000 01000000 61 01000000 2d") + index((0, 14), (ABSENT, ABSENT))
    assert pipeline.decode(stored, Scratch()).tolist() == ["a", "-", "-", "-"]


def test_a_shard_of_nothing_but_fill_values_is_an_index() -> None:
    pipeline = chain(spec((2,), "<f4", 1.5), sharded(1))
    assert encoded(pipeline, np.array([1.5, 1.5], "<f4")) == index((ABSENT, ABSENT), (ABSENT, ABSENT))
    assert pipeline.decode(index((ABSENT, ABSENT), (ABSENT, ABSENT)), Scratch()).tolist() == [1.5, 1.5]


def test_inner_chunks_may_lie_in_any_order_with_gaps_and_overlaps() -> None:
    pipeline = chain(spec((3,), "u1"), sharded(1))
    assert pipeline.decode(b"\7..\x08" + index((3, 1), (0, 1), (3, 1)), Scratch()).tolist() == [8, 7, 8]


def test_an_array_without_axes_has_one_inner_chunk() -> None:
    pipeline = chain(spec((), "u1"), sharded())
    assert encoded(pipeline, np.array(7, "u1")) == b"\7" + index((0, 1))
    assert pipeline.decode(b"\7" + index((0, 1)), Scratch()).tolist() == 7


# Where inner chunks lie


@pytest.mark.parametrize(("location", "byte_range"), [("start", (0, 68)), ("end", (-68, None))])
def test_the_index_lies_at_the_start_or_the_end(location: str, byte_range: tuple[int, int | None]) -> None:
    layout = layout_of(CHUNK, sharded(2, 3, index_codecs=[LITTLE, CRC32C], location=location))
    assert (layout.counts, layout.inner.chunk.shape, layout.index_size, layout.index_range) == ((2, 2), (2, 3), 68, byte_range)


def test_entries_are_where_inner_chunks_begin_and_end() -> None:
    layout = layout_of(CHUNK, sharded(2, 3))
    held = layout.read_index(index((0, 5), (5, 0), (ABSENT, ABSENT), (5, 20)), Scratch())
    assert layout.entries(held, [(1, 1), (0, 0), (1, 0), (0, 1)], 25 + 64) == [(5, 25), (0, 5), None, (5, 5)]
    assert layout.entries(held, [], None) == []


@modest
@given(coords=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 2)), max_size=40))
def test_many_entries_are_found_as_few_are(coords: list[tuple[int, int, int]]) -> None:
    layout = layout_of(spec((4, 2, 3), "u1"), sharded(1, 1, 1))
    held = layout.read_index(index(*((10 * number, 10) for number in range(24))), Scratch())
    assert layout.entries(held, coords, None) == [(10 * (6 * a + 3 * b + c), 10 * (6 * a + 3 * b + c) + 10) for a, b, c in coords]


def test_many_entries_of_an_array_without_axes_are_the_same_one() -> None:
    layout = layout_of(spec((), "u1"), sharded())
    assert layout.entries(layout.read_index(index((3, 4)), Scratch()), [()] * 20, None) == [(3, 7)] * 20


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize(
    "entry",
    [
        (1 << 63, 1 << 63),
        (ABSENT - 1, 2),
        (ABSENT - 1, 1),
        (ABSENT, 0),
        (0, ABSENT),
        (1, ABSENT - 1),
        (ABSENT, 5),
        (1 << 63, 0),
        (100, 1),
        (99, 2),
    ],
)
def test_an_entry_outside_the_shard_is_an_error(location: str, entry: tuple[int, int]) -> None:
    layout = layout_of(spec((1,), "u1"), sharded(1, location=location))
    held = layout.read_index(index(entry), Scratch())
    with pytest.raises(ShardIndexError, match=rf"an inner chunk at {entry[0]:,} of {entry[1]:,} bytes lies outside the shard"):
        layout.entries(held, [(0,)], 100 if location == "start" else 116)
    if sum(entry) >= 1 << 63:
        with pytest.raises(ShardIndexError):
            layout.entries(held, [(0,)], None)


def test_an_inner_chunk_inside_the_index_is_an_error() -> None:
    at_start, at_end = layout_of(spec((1,), "u1"), sharded(1, location="start")), layout_of(spec((1,), "u1"), sharded(1))
    with pytest.raises(ShardIndexError) as caught:
        at_start.entries(at_start.read_index(index((15, 1)), Scratch()), [(0,)], 20)
    assert str(caught.value) == "an inner chunk at 15 of 1 bytes lies outside the shard (16 to 20)"
    with pytest.raises(ShardIndexError) as caught:
        at_end.entries(at_end.read_index(index((4, 1)), Scratch()), [(0,)], 20)
    assert str(caught.value) == "an inner chunk at 4 of 1 bytes lies outside the shard (0 to 4)"


def test_a_shard_that_is_shorter_than_its_index_is_an_error() -> None:
    layout = layout_of(spec((1,), "u1"), sharded(1))
    for size in range(16):
        with pytest.raises(ShardIndexError) as caught:
            layout.index_of(bytes(size), Scratch())
        assert str(caught.value) == f"the shard has {size} bytes, fewer than its index (16)"


def test_an_index_of_another_size_is_an_error() -> None:
    with pytest.raises(ShardIndexError, match=r"the index does not decode: 15 bytes where 16 are expected"):
        layout_of(spec((1,), "u1"), sharded(1)).read_index(bytes(15), Scratch())


def test_a_damaged_index_is_an_error() -> None:
    pipeline = chain(CHUNK, sharded(2, 3, index_codecs=[LITTLE, CRC32C]))
    stored = bytearray(encoded(pipeline, ARRAY))
    stored[-10] ^= 1
    with pytest.raises(ChecksumError):
        pipeline.decode(stored, Scratch())


@pytest.mark.parametrize("location", ["start", "end"])
def test_a_shard_cut_anywhere_is_an_error(location: str) -> None:
    pipeline = chain(CHUNK, sharded(2, 3, codecs=[LITTLE, ZSTD], index_codecs=[LITTLE, CRC32C], location=location))
    whole = encoded(pipeline, ARRAY)
    for end in range(len(whole)):
        with pytest.raises((ShardIndexError, ChecksumError, ChunkDecodeError)):
            pipeline.decode(whole[:end], Scratch())


# What is refused


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"chunk_shape": None}, "chunk_shape"),
        ({"chunk_shape": [0]}, "chunk_shape"),
        ({"chunk_shape": [2.0]}, "chunk_shape"),
        ({"codecs": None}, "codecs"),
        ({"codecs": []}, "codecs"),
        ({"index_codecs": {}}, "index_codecs"),
        ({"index_location": "middle"}, "index_location"),
        ({"index_location": None}, "index_location"),
    ],
)
def test_a_bad_configuration_names_the_entry(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(MetadataError) as caught:
        codec("sharding_indexed", **{**sharded(2)["configuration"], **changes})
    assert caught.value.field == f"codecs.sharding_indexed.{field}"


def test_the_index_is_at_the_end_where_nothing_else_is_said() -> None:
    assert codec("sharding_indexed", chunk_shape=[1], codecs=["bytes"], index_codecs=[LITTLE]).at_start is False


@pytest.mark.parametrize(("sizes", "shown"), [((3, 3), "(3, 3)"), ((4,), "(4,)"), ((4, 6, 1), "(4, 6, 1)"), ((8, 6), "(8, 6)")])
def test_inner_chunks_divide_the_shard(sizes: tuple[int, ...], shown: str) -> None:
    with pytest.raises(MetadataError) as caught:
        chain(CHUNK, sharded(*sizes))
    assert str(caught.value) == f"metadata: codecs.sharding_indexed.chunk_shape: must divide the shard (4, 6), not {shown}"


@pytest.mark.parametrize("wrapper", [ZSTD, {"name": "gzip"}])
def test_the_codecs_of_an_index_have_a_fixed_size(wrapper: dict[str, Any]) -> None:
    with pytest.raises(
        MetadataError, match=r"codecs\.sharding_indexed\.index_codecs: codecs of an index have a fixed size, not \['bytes', "
    ):
        chain(CHUNK, sharded(2, 3, index_codecs=[LITTLE, wrapper]))


def test_indices_and_inner_chunks_above_a_limit_are_refused_before_they_are_made() -> None:
    with pytest.raises(LimitExceeded, match=r"a shard index would take 17,592,186,044,416 bytes; Limits\.index allows 536,870,912"):
        chain(spec((1 << 40,), "u1"), sharded(1))
    with pytest.raises(LimitExceeded, match=r"an inner chunk would take 1,000 bytes; Limits\.chunk allows 999"):
        chain(spec((2000,), "u1", limits=Limits(chunk=999)), sharded(1000))
    whole = chain(spec((2000,), "u1", limits=Limits(chunk=1000)), sharded(1000))
    with pytest.raises(LimitExceeded, match=r"a shard inside another codec would take 2,000 bytes; Limits\.chunk allows 1,000"):
        whole.decode(index((ABSENT, ABSENT), (ABSENT, ABSENT)), Scratch())


# Helpers


def test_nothing_but_the_fill_value_means_bit_for_bit() -> None:
    zeros = np.zeros((2, 2), "<f4")
    assert same_bits(zeros, spec((2, 2), "<f4", 0.0))
    assert not same_bits(-zeros, spec((2, 2), "<f4", 0.0))
    assert not same_bits(zeros, spec((2, 2), "<f4", -0.0))
    quiet, payload = np.array([0x7FC00000] * 4, "<u4").view("<f4"), np.array([0x7FC00001] * 4, "<u4").view("<f4")
    assert same_bits(payload, spec((4,), "<f4", payload[0]))
    assert not same_bits(payload, spec((4,), "<f4", quiet[0]))


@modest
@given(array=arrays.arrays("<u2", (2, 3), elements=st.integers(0, 1)), fill=st.integers(0, 1))
def test_one_other_element_is_enough(array: Any, fill: int) -> None:
    assert same_bits(array, spec((2, 3), "<u2", fill)) == bool((array == fill).all())
    assert same_bits(array.T, spec((3, 2), "<u2", fill)) == bool((array == fill).all())


def test_fill_values_of_other_kinds() -> None:
    assert same_bits(np.array(["a", "a"], STRING.numpy), varying((2,), STRING, "a"))
    assert not same_bits(np.array(["a", ""], STRING.numpy), varying((2,), STRING, "a"))
    assert same_bits(np.array([b"", b""], object), varying((2,), BYTES, b""))
    assert not same_bits(np.array([0, 1], object), varying((2,), OBJECT, 0))
    assert same_bits(np.zeros(3, "S0"), spec((3,), "S0"))
    assert same_bits(np.array(5, "u1"), spec((), "u1", 5))
    assert same_bits(np.zeros(2, [("a", "<i4"), ("b", "u1")]), spec((2,), [("a", "<i4"), ("b", "u1")]))


def test_byte_ranges_that_are_near_each_other_become_one() -> None:
    assert merged([(30, 40), (0, 10), (12, 20)], gap=2, span=100) == [(0, 20), (30, 40)]
    assert merged([(30, 40), (0, 10), (12, 20)], gap=1, span=100) == [(0, 10), (12, 20), (30, 40)]
    assert merged([(0, 10), (10, 20), (20, 30)], gap=0, span=20) == [(0, 20), (20, 30)]
    assert merged([(0, 20), (5, 8), (5, 25)], gap=0, span=100) == [(0, 25)]
    assert merged([], gap=0, span=1) == []


@modest
@given(ranges=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 50)), max_size=12), gap=st.integers(0, 20), span=st.integers(1, 100))
def test_merged_ranges_cover_what_was_asked_for(ranges: list[tuple[int, int]], gap: int, span: int) -> None:
    asked = [(start, start + size) for start, size in ranges]
    found = merged(asked, gap=gap, span=span)
    assert found == sorted(found)
    assert all(any(low <= start and stop <= high for low, high in found) for start, stop in asked)
    assert all(high - low <= max(span, 50) for low, high in found)


def test_what_stays_is_told_by_its_place_before_what_has_changed_is_asked_for() -> None:
    layout = layout_of(spec((5,), "u1"), sharded(1))
    asked = list[int]()
    parts = layout.pack([(0, 2), (2, 5), (9, 10), None, (7, 9)], [2], lambda row: (asked.append(row), b"new")[1])
    assert (next(parts), asked) == (range(5), [])
    assert (next(parts), asked) == (b"new", [2])
    assert next(parts) == range(7, 9)
    assert layout.read_index(next(parts), Scratch()).tolist()[:3] == [[0, 2], [2, 3], [5, 3]]
    assert list(parts) == []


PARTS = st.lists(st.none() | st.binary(min_size=1, max_size=5), min_size=6, max_size=6)


@given(
    held=PARTS, order=st.permutations(range(6)), gaps=st.lists(st.integers(0, 2), min_size=6, max_size=6), at_start=st.booleans(),
    changed=st.dictionaries(st.integers(0, 5), st.none() | st.binary(max_size=5)), empty=st.booleans(),
)  # fmt: skip
def test_a_shard_is_packed_of_what_is_changed_and_what_is_not(
    held: list[bytes | None], order: list[int], gaps: list[int], at_start: bool, changed: dict[int, bytes | None], empty: bool
) -> None:
    layout = layout_of(spec((6,), "u1"), sharded(1, location="start" if at_start else "end"))
    data, entries = bytes(layout.index_size) * at_start, [None] * 6
    for row, gap in zip(order, gaps, strict=True):
        if (part := held[row]) is not None:
            data += b"?" * gap
            entries[row] = (len(data), len(data) + len(part))
            data += part
    raw = np.frombuffer(data, np.uint8)
    asked = list[int]()
    packed = filled(layout.pack(entries, changed, lambda row: (asked.append(row), changed[row])[1], empty=empty), raw)
    assert asked == sorted(changed)
    expected = [changed.get(row, part) for row, part in enumerate(held)]
    if not empty and not any(part is not None for part in expected):
        assert packed == []
        return
    shard = np.frombuffer(joined(packed), np.uint8)
    assert len(shard) == layout.index_size + sum(len(part) for part in expected if part is not None)
    found = layout.all_entries(shard, Scratch())
    assert [None if entry is None else shard[slice(*entry)].tobytes() for entry in found] == expected
