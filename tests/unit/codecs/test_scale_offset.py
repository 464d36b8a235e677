"""`scale_offset`: stored = (value - offset) * scale, in the arithmetic of the data type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chunks import LITTLE, STRING, chain, codec, encoded, modest, spec, varying
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from azarr.errors import ChunkDecodeError, MetadataError
from azarr.scratch import Scratch


def test_integers_are_shifted_and_scaled() -> None:
    scaled, chunk = codec("scale_offset", offset=5, scale=2), spec((3,), "<i2")
    assert scaled.encode(np.array([5, 6, -5], "<i2"), chunk).tolist() == [0, 2, -20]
    assert scaled.decode(np.array([0, 2, -20], "<i2"), chunk).tolist() == [5, 6, -5]
    assert scaled.decode(np.array([0, 2, -20], "<i2"), chunk).dtype == np.dtype("<i2")


def test_floats_are_computed_in_their_own_precision() -> None:
    scaled, chunk = codec("scale_offset", offset=0.1, scale=10.0), spec((2,), "<f4")
    values = np.array([0.3, 100.7], "<f4")
    stored = scaled.encode(values, chunk)
    assert stored.dtype == np.dtype("<f4")
    assert stored.tobytes() == ((values - np.float32(0.1)) * np.float32(10)).tobytes()
    assert scaled.decode(stored, chunk).tobytes() == (stored / np.float32(10) + np.float32(0.1)).tobytes()
    assert scaled.decode(stored.astype(">f4"), chunk).dtype == np.dtype("<f4")


def test_numbers_may_be_written_as_fill_values_are() -> None:
    scaled = codec("scale_offset", offset="0x40000000", scale=1)
    assert scaled.decode(np.zeros(1, "<f4"), spec((1,), "<f4")).tolist() == [2.0]
    infinite = codec("scale_offset", offset="-Infinity", scale=1)
    assert infinite.decode(np.array([np.inf, 1], "<f4"), spec((2,), "<f4")).astype(str).tolist() == ["nan", "-inf"]


@modest
@given(values=arrays.arrays("<i8", 4), offset=st.integers(-(1 << 63), (1 << 63) - 1), scale=st.sampled_from([1, -1, 3, 1 << 40]))
def test_integers_that_are_stored_decode_to_the_same_or_are_refused(values: Any, offset: int, scale: int) -> None:
    scaled, chunk = codec("scale_offset", offset=offset, scale=scale), spec((4,), "<i8")
    fits = all(-(1 << 63) <= (value - offset) * scale < 1 << 63 for value in values.tolist())
    if fits:
        assert np.array_equal(scaled.decode(scaled.encode(values, chunk), chunk), values)
    else:
        with pytest.raises(ChunkDecodeError, match=r"scale_offset: a value does not fit int64"):
            scaled.encode(values, chunk)


def test_what_would_wrap_around_is_an_error() -> None:
    chunk = spec((1,), "u1")
    with pytest.raises(ChunkDecodeError, match=r"scale_offset: a value does not fit uint8"):
        codec("scale_offset", offset=200).decode(np.array([100], "u1"), chunk)
    with pytest.raises(ChunkDecodeError, match=r"scale_offset: a value does not fit uint8"):
        codec("scale_offset", offset=200).encode(np.array([100], "u1"), chunk)


def test_a_stored_value_that_no_value_gives_is_an_error() -> None:
    with pytest.raises(ChunkDecodeError, match=r"scale_offset: a stored value is not a multiple of 3"):
        codec("scale_offset", scale=3).decode(np.array([6, 7], "<i4"), spec((2,), "<i4"))


def test_without_offset_and_scale_nothing_changes() -> None:
    chunk, values = spec((2,), "<f8"), np.array([1.5, -0.0])
    assert codec("scale_offset").resolve(chunk) == chunk
    assert codec("scale_offset").decode(values, chunk).tolist() == [1.5, 0.0]


def test_elements_without_axes_are_shifted_and_scaled() -> None:
    scaled, chunk = codec("scale_offset", offset=5, scale=2), spec((), "<i2")
    assert scaled.encode(np.array(6, "<i2"), chunk).tolist() == 2
    assert scaled.decode(np.array(2, "<i2"), chunk).tolist() == 6
    with pytest.raises(ChunkDecodeError, match=r"scale_offset: a value does not fit uint8"):
        codec("scale_offset", offset=5).encode(np.array(4, "u1"), spec((), "u1"))


SHARDS = {
    "name": "sharding_indexed",
    "configuration": {"chunk_shape": [2], "codecs": [LITTLE], "index_codecs": [LITTLE], "index_location": "end"},
}


@pytest.mark.parametrize(("dtype", "stored"), [("<i2", [4, 6]), ("<f4", [4.0, 6.0])])
def test_inner_chunks_of_a_shard_are_absent_where_all_is_the_fill_value_as_it_is_stored(dtype: str, stored: list[Any]) -> None:
    """As zarr-python does, to which the chain has the fill value 2 * (7 - 5) behind this codec."""
    scaled = {"name": "scale_offset", "configuration": {"offset": 5, "scale": 2}}
    pipeline, values = chain(spec((6,), dtype, 7), scaled, SHARDS), np.array([7, 7, 7, 8, 4, 4], dtype)
    shard = encoded(pipeline, values)
    assert shard[: 2 * values.itemsize] == np.array(stored, dtype).tobytes()
    assert np.frombuffer(shard[-48:], "<u8")[:2].tolist() == [(1 << 64) - 1] * 2
    assert np.array_equal(pipeline.decode(shard, Scratch()), values)


def test_a_fill_value_that_cannot_be_stored_is_missed_only_where_an_inner_chunk_is_absent() -> None:
    scaled = {"name": "scale_offset", "configuration": {"offset": 5}}
    alone, pipeline = chain(spec((2,), "u1", 4), scaled, LITTLE), chain(spec((4,), "u1", 4), scaled, SHARDS)
    assert alone.decode(b"\0\1", Scratch()).tolist() == [5, 6]
    shard = encoded(pipeline, np.array([5, 6, 7, 8], "u1"))
    assert pipeline.decode(shard, Scratch()).tolist() == [5, 6, 7, 8]
    with pytest.raises(ChunkDecodeError, match=r"an inner chunk is absent, and a codec around the shard has no form for the fill value"):
        pipeline.decode(shard[:-32] + b"\xff" * 16 + shard[-16:], Scratch())


def test_a_fill_value_that_is_of_no_number_of_another_filter_is_no_error() -> None:
    floats = {"name": "numcodecs.astype", "configuration": {"encode_dtype": "<i2"}}
    pipeline = chain(spec((2,), "<f4", np.nan), floats, {"name": "scale_offset", "configuration": {"offset": 5}}, LITTLE)
    assert pipeline.decode(b"\0\0\1\0", Scratch()).tolist() == [5.0, 6.0]


@pytest.mark.parametrize(
    ("configuration", "dtype", "message"),
    [
        ({"scale": 0}, "<f4", "codecs.scale_offset.scale: a scale other than 0 is needed, not 0"),
        ({"scale": 0.0}, "<f4", "codecs.scale_offset.scale: a scale other than 0 is needed, not 0.0"),
        ({"offset": 1}, "?", "codecs.scale_offset: scale_offset is for integers and floats, not 'bool'"),
        ({"offset": 1}, "<c8", "codecs.scale_offset: scale_offset is for integers and floats, not 'complex64'"),
    ],
)
def test_a_scale_of_zero_and_other_data_types_are_refused(configuration: dict[str, Any], dtype: str, message: str) -> None:
    with pytest.raises(MetadataError) as caught:
        codec("scale_offset", **configuration).resolve(spec((1,), dtype))
    assert str(caught.value) == f"metadata: {message}"


@pytest.mark.parametrize(
    "configuration", [{"offset": 256}, {"offset": -1}, {"offset": 1.5}, {"scale": "1"}, {"scale": None}, {"offset": True}]
)
def test_what_is_no_number_of_the_data_type_is_refused(configuration: dict[str, Any]) -> None:
    with pytest.raises(MetadataError):
        codec("scale_offset", **configuration).resolve(spec((1,), "u1"))


def test_strings_are_refused() -> None:
    with pytest.raises(MetadataError, match=r"scale_offset is for integers and floats"):
        codec("scale_offset", offset=1).resolve(varying((1,), STRING))
