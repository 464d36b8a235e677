"""The chain of codecs that a chunk goes through."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from chunks import CRC32C, LITTLE, STRING, chain, encoded, modest, spec, varying
from hypothesis import given
from hypothesis import strategies as st

from azarr.codecs import native
from azarr.errors import ChecksumError, ChunkDecodeError, MetadataError
from azarr.scratch import Scratch
from memory import measured

BIG: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "big"}}
ZSTD: dict[str, Any] = {"name": "zstd", "configuration": {"level": 1}}
GZIP: dict[str, Any] = {"name": "gzip", "configuration": {"level": 1}}
ZLIB: dict[str, Any] = {"name": "numcodecs.zlib"}
BLOSC: dict[str, Any] = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4}}
TURNED: dict[str, Any] = {"name": "transpose", "configuration": {"order": [1, 0]}}
BASE64: dict[str, Any] = {"name": "v2:base64"}
WIDER: dict[str, Any] = {"name": "v2:astype", "configuration": {"encode_dtype": "<f8", "decode_dtype": "<i4"}}
ARRAY = np.arange(12, dtype="<i4").reshape(3, 4)
CHUNK = spec((3, 4), "<i4")


@modest
@given(
    filters=st.lists(
        st.sampled_from([TURNED, {"name": "numcodecs.delta"}, {"name": "scale_offset", "configuration": {"offset": 1}}]), max_size=3
    ),
    serializer=st.sampled_from([LITTLE, BIG]),
    wrappers=st.lists(st.sampled_from([ZSTD, GZIP, ZLIB, BLOSC, CRC32C, BASE64, {"name": "numcodecs.adler32"}]), max_size=3),
    into=st.booleans(),
)
def test_what_any_chain_encodes_it_decodes(
    scratch: Scratch, filters: list[dict[str, Any]], serializer: dict[str, Any], wrappers: list[dict[str, Any]], into: bool
) -> None:
    pipeline = chain(CHUNK, *filters, serializer, *wrappers)
    stored = encoded(pipeline, ARRAY)
    assert pipeline.encoded_size in (None, len(stored))
    assert len(stored) <= pipeline.bound
    out = np.empty((3, 4), "<i4") if into else None
    assert np.array_equal(pipeline.decode(stored, scratch, out), ARRAY)
    raw = np.empty(48, np.uint8)
    pipeline.unpack(stored, raw, scratch)
    assert raw.tobytes() == ARRAY.tobytes()


@pytest.mark.parametrize("wrapper", [ZSTD, BLOSC, GZIP])
def test_the_last_step_decodes_into_the_result(wrapper: dict[str, Any]) -> None:
    pipeline, out = chain(CHUNK, LITTLE, wrapper), np.empty((3, 4), "<i4")
    assert pipeline.decode(encoded(pipeline, ARRAY), Scratch(), out) is out
    assert np.array_equal(out, ARRAY)


def test_the_last_of_several_steps_decodes_into_the_result() -> None:
    pipeline, out = chain(CHUNK, LITTLE, ZSTD, CRC32C), np.empty((3, 4), "<i4")
    assert pipeline.decode(encoded(pipeline, ARRAY), Scratch(), out) is out
    assert np.array_equal(out, ARRAY)


@pytest.mark.parametrize(
    "codecs", [[LITTLE], [BIG], [LITTLE, ZSTD], [LITTLE, GZIP], [LITTLE, ZSTD, CRC32C], [LITTLE, CRC32C], [TURNED, LITTLE, ZSTD]]
)
def test_a_chunk_is_unpacked_into_given_bytes(codecs: list[dict[str, Any]]) -> None:
    pipeline, raw = chain(CHUNK, *codecs), np.empty(48, np.uint8)
    pipeline.unpack(np.frombuffer(encoded(pipeline, ARRAY), np.uint8), raw, Scratch())
    assert raw.tobytes() == ARRAY.tobytes()


def test_a_result_that_is_not_asked_for_elsewhere_lies_in_scratch_until_the_next() -> None:
    pipeline, scratch = chain(CHUNK, LITTLE, ZSTD), Scratch()
    first = pipeline.decode(encoded(pipeline, ARRAY), scratch)
    second = pipeline.decode(encoded(pipeline, ARRAY + 1), scratch)
    assert np.shares_memory(first, second)
    assert np.array_equal(second, ARRAY + 1)


def test_chains_that_share_a_scratch_do_not_mix_their_results() -> None:
    scratch, other = Scratch(), spec((2, 2), "<u2")
    one, two = chain(CHUNK, LITTLE, ZSTD), chain(other, LITTLE, ZSTD)
    for _ in range(2):
        assert np.array_equal(one.decode(encoded(one, ARRAY), scratch), ARRAY)
        assert two.decode(encoded(two, np.array([[1, 2], [3, 4]], "<u2")), scratch).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("codecs", "raw"), [([LITTLE], True), ([BIG], False), ([LITTLE, ZSTD], False), ([LITTLE, CRC32C], False), ([TURNED, LITTLE], False)]
)
def test_a_reader_may_skip_decoding_where_stored_bytes_are_memory(codecs: list[dict[str, Any]], raw: bool) -> None:
    assert chain(CHUNK, *codecs).raw is raw


@pytest.mark.parametrize(
    ("codecs", "size"),
    [
        ([LITTLE], 48),
        ([LITTLE, CRC32C], 52),
        ([LITTLE, CRC32C, CRC32C], 56),
        ([LITTLE, ZSTD], None),
        ([LITTLE, ZSTD, CRC32C], None),
        ([TURNED, BIG], 48),
    ],
)
def test_the_encoded_size_is_known_where_every_codec_has_a_fixed_one(codecs: list[dict[str, Any]], size: int | None) -> None:
    assert chain(CHUNK, *codecs).encoded_size == size


def test_a_slower_chain_takes_longer() -> None:
    chains = [[LITTLE], [LITTLE, CRC32C], [LITTLE, BLOSC], [LITTLE, ZSTD], [LITTLE, GZIP], [LITTLE, GZIP, {"name": "numcodecs.bz2"}]]
    seconds = [chain(spec((1000, 1000), "<f8"), *codecs).seconds for codecs in chains]
    assert seconds == sorted(seconds)
    assert chain(varying((10,), STRING), {"name": "vlen-utf8"}).seconds > 1e-3


@pytest.mark.parametrize(
    ("codecs", "shown"),
    [
        ([ZSTD], "['zstd (bytes-bytes)']"),
        ([ZSTD, LITTLE], "['zstd (bytes-bytes)', 'bytes (array-bytes)']"),
        ([LITTLE, TURNED], "['bytes (array-bytes)', 'transpose (array-array)']"),
        ([LITTLE, LITTLE], "['bytes (array-bytes)', 'bytes (array-bytes)']"),
        ([TURNED], "['transpose (array-array)']"),
    ],
)
def test_a_chain_in_another_order_is_refused(codecs: list[dict[str, Any]], shown: str) -> None:
    with pytest.raises(MetadataError) as caught:
        chain(CHUNK, *codecs)
    message = "array-array codecs, one array-bytes, then bytes-bytes codecs are needed"
    assert str(caught.value) == f"metadata: codecs: {message}, not {shown}"


@pytest.mark.parametrize("codecs", [[LITTLE], [LITTLE, CRC32C], [TURNED, BIG, CRC32C]])
def test_a_chunk_of_another_size_than_its_codecs_make_is_an_error(codecs: list[dict[str, Any]]) -> None:
    pipeline = chain(CHUNK, *codecs)
    size = pipeline.encoded_size
    assert size is not None
    for wrong in (0, 1, size - 1, size + 1):
        with pytest.raises(ChunkDecodeError) as caught:
            pipeline.decode(bytes(wrong), Scratch())
        assert str(caught.value) == f"{wrong} bytes where {size} are expected"


@pytest.mark.parametrize(
    "codecs", [[LITTLE, ZSTD], [LITTLE, BLOSC], [LITTLE, GZIP], [LITTLE, ZSTD, CRC32C], [LITTLE, CRC32C, GZIP], [TURNED, BIG, BLOSC]]
)
@pytest.mark.parametrize("into", [False, True])
def test_a_chunk_cut_anywhere_is_an_error(scratch: Scratch, codecs: list[dict[str, Any]], into: bool) -> None:
    pipeline = chain(CHUNK, *codecs)
    whole = encoded(pipeline, ARRAY)
    for end in range(len(whole)):
        with pytest.raises((ChunkDecodeError, ChecksumError)):
            pipeline.decode(whole[:end], scratch, np.empty((3, 4), "<i4") if into else None)


@pytest.mark.parametrize("filters", [[WIDER], [BASE64], [BASE64, BASE64], [WIDER, BASE64]])
def test_filters_of_v2_may_make_a_chunk_longer_before_it_is_compressed(filters: list[dict[str, Any]]) -> None:
    chunk = spec((1 << 17,), "<i4")
    array = np.random.default_rng(0).integers(0, 1 << 30, 1 << 17, "<i4")
    pipeline = chain(chunk, LITTLE, *filters, ZLIB)
    assert np.array_equal(pipeline.decode(encoded(pipeline, array), Scratch()), array)


@pytest.mark.parametrize("codecs", [[LITTLE, ZLIB], [LITTLE, BASE64, ZLIB], [BIG, GZIP, ZLIB], [LITTLE, ZLIB, CRC32C]])
def test_a_bomb_stops_near_the_size_of_the_chunk(codecs: list[dict[str, Any]]) -> None:
    bomb: Any = zlib.compress(bytes(64 << 20))
    if codecs[-1] is CRC32C:
        bomb = chain(spec((len(bomb),), "u1"), LITTLE, CRC32C).encode(np.frombuffer(bomb, "u1"))
    with measured() as peak, pytest.raises(ChunkDecodeError, match=r"zlib holds more than the [\d,]+ bytes that are expected"):
        chain(CHUNK, *codecs).decode(bomb, Scratch())
    assert peak.nbytes < 1 << 20


def test_strings_may_be_compressed_too() -> None:
    chunk, words = varying((3,), STRING), np.array(["a", "", "bcd"], STRING.numpy)
    pipeline = chain(chunk, {"name": "vlen-utf8"}, ZSTD, CRC32C)
    assert pipeline.decode(encoded(pipeline, words), Scratch()).tolist() == ["a", "", "bcd"]
    assert pipeline.bound > 1 << 30


def test_a_chain_of_any_length_is_made() -> None:
    assert chain(varying((3,), STRING), {"name": "vlen-utf8"}, *[GZIP] * 7000).bound == (1 << 63) - 1


def test_an_array_without_axes_and_elements_without_bytes_are_chunks_too() -> None:
    scalar, nothing = chain(spec((), "<f8"), LITTLE, ZSTD), chain(spec((2,), "S0"), LITTLE, ZSTD)
    assert scalar.decode(encoded(scalar, np.array(1.5)), Scratch()).tolist() == 1.5
    assert nothing.decode(encoded(nothing, np.zeros(2, "S0")), Scratch()).tolist() == [b"", b""]


def test_several_chunks_are_decoded_by_one_call_where_a_codec_can_and_none_is_missing(scratch: Scratch) -> None:
    chunk = spec((64,), "<u2")
    values = [np.arange(64, dtype="<u2") // number for number in (8, 9, 10)]
    for wrapper, can in ((BLOSC, native.library() is not None), (GZIP, False), (None, False)):
        pipeline = chain(chunk, LITTLE, *([] if wrapper is None else [wrapper]))
        data = [encoded(pipeline, each) for each in values]
        memory, out, starts = scratch.part(600), np.zeros((3, 128), np.uint8), [100, 260, 420]
        for start, each in zip(starts, data, strict=True):
            memory[start : start + len(each)] = np.frombuffer(each, np.uint8)
        sizes = list(map(len, data))
        assert pipeline.unpack_many(memory, starts, sizes, out, scratch) == can
        assert not can or np.array_equal(out.view("<u2"), values)
        assert not pipeline.unpack_many(memory, starts, [sizes[0], None, sizes[2]], out, scratch)
        assert not pipeline.unpack_many(memory, [], [], out[:0], scratch)
        assert not pipeline.unpack_many(memory.copy(), starts, sizes, out, scratch)
