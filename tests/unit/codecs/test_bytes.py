"""`bytes`: elements one after the other, in a byte order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chunks import STRING, codec, modest, spec, varying
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from azarr.errors import ChunkDecodeError, MetadataError
from azarr.scratch import Scratch

LITTLE, BIG, NEITHER = codec("bytes", endian="little"), codec("bytes", endian="big"), codec("bytes")
DTYPES = ["?", "i1", "u1", "<i2", "<u4", "<i8", "<f2", "<f4", "<f8", "<c8", "<c16", "<M8[s]", "<m8[ns]", "S3", "<U2", "V5"]


def raw(array: Any) -> bytes:
    return bytes(memoryview(array))


@modest
@given(data=st.data(), dtype=st.sampled_from(DTYPES), endian=st.sampled_from(["little", "big"]))
def test_what_is_encoded_decodes_to_the_same_bits(data: st.DataObject, dtype: str, endian: str) -> None:
    shape = data.draw(arrays.array_shapes(max_dims=3, max_side=4))
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    stored = data.draw(st.binary(min_size=nbytes, max_size=nbytes))
    array = (np.frombuffer(stored, "u1") & (1 if dtype == "?" else 255)).view(dtype).reshape(shape)
    chunk, serializer = spec(shape, dtype), codec("bytes", endian=endian)
    encoded = serializer.encode(array, chunk)
    assert len(raw(encoded)) == serializer.encoded_size(chunk) == nbytes
    assert raw(encoded) == array.astype(array.dtype.newbyteorder("<" if endian == "little" else ">")).tobytes()
    decoded = serializer.decode(encoded, chunk, Scratch())
    assert decoded.shape == shape
    assert decoded.astype(dtype).tobytes() == array.tobytes()


def test_elements_are_stored_in_the_order_that_endian_names() -> None:
    chunk, array = spec((2,), "<i2"), np.array([1, 258], "<i2")
    assert raw(LITTLE.encode(array, chunk)) == b"\x01\x00\x02\x01"
    assert raw(BIG.encode(array, chunk)) == b"\x00\x01\x01\x02"


def test_chunks_are_stored_in_c_order_whatever_the_memory_order_is() -> None:
    chunk = spec((2, 2), "u1")
    assert raw(NEITHER.encode(np.array([[1, 2], [3, 4]], "u1", order="F"), chunk)) == b"\x01\x02\x03\x04"
    assert NEITHER.decode(b"\x01\x02\x03\x04", chunk, Scratch()).tolist() == [[1, 2], [3, 4]]


def test_decoding_is_a_view() -> None:
    data = bytearray(8)
    array = LITTLE.decode(data, spec((2,), "<i4"), Scratch())
    data[0] = 5
    assert array.tolist() == [5, 0]


def test_times_stored_big_endian_are_swapped() -> None:
    array = BIG.decode((86400).to_bytes(8, "big"), spec((1,), "<M8[s]", np.datetime64("NaT")), Scratch())
    assert array.tolist() == [np.datetime64("1970-01-02T00:00:00").item()]
    assert array.dtype == np.dtype("<M8[s]")


@pytest.mark.parametrize(
    ("serializer", "dtype", "expected"),
    [
        (LITTLE, "<i4", True),
        (BIG, "<i4", False),
        (BIG, "u1", True),
        (NEITHER, "u1", True),
        (LITTLE, "?", False),
        (BIG, "S4", True),
        (BIG, "<U1", False),
        (LITTLE, [("x", "<i4"), ("y", "u1")], True),
        (LITTLE, [("x", "<i4"), ("y", [("z", "?")])], False),
    ],
)
def test_chunks_are_what_memory_holds_but_for_swapped_bytes_and_bools(serializer: Any, dtype: Any, expected: bool) -> None:
    assert serializer.is_memory(spec((1,), dtype)) is expected


@pytest.mark.parametrize("dtype", ["<i2", "<f4", "<c8", "<M8[s]", "<U1"])
def test_endian_is_mandatory_for_elements_of_several_bytes(dtype: str) -> None:
    with pytest.raises(MetadataError) as caught:
        NEITHER.encoded_size(spec((1,), dtype))
    assert str(caught.value) == "metadata: codecs.bytes.endian: 'little' or 'big' is needed for types of several bytes, not None"


@pytest.mark.parametrize("dtype", ["?", "u1", "S7", "V7", [("x", "<i4"), ("y", "u1")]])
def test_endian_may_be_absent_for_elements_of_one_byte_and_for_structs(dtype: Any) -> None:
    assert NEITHER.encoded_size(spec((3,), dtype)) == 3 * np.dtype(dtype).itemsize


def test_a_struct_has_one_byte_order() -> None:
    dtype = np.dtype([("x", "<i4"), ("y", [("z", "<u2")])])
    chunk, array = spec((1,), dtype), np.array([(1, (2,))], dtype)
    assert raw(BIG.encode(array, chunk)) == b"\0\0\0\1\0\2"
    assert BIG.decode(b"\0\0\0\1\0\2", chunk, Scratch()).astype(dtype).tolist() == [(1, (2,))]


def test_a_struct_of_v2_may_have_several_byte_orders() -> None:
    dtype = np.dtype([("x", "<i4"), ("y", "<u2", (2,))])
    mixed = codec("bytes", dtype=[["x", ">i4"], ["y", "<u2", [2]]])
    chunk, array = spec((1,), dtype), np.array([(1, (2, 3))], dtype)
    assert mixed.encoded_size(chunk) == 8
    assert raw(mixed.encode(array, chunk)) == b"\0\0\0\1\2\0\3\0"
    assert mixed.decode(b"\0\0\0\1\2\0\3\0", chunk, Scratch()).astype(dtype) == array
    with pytest.raises(MetadataError, match=r"codecs\.bytes\.dtype: elements of int32 are needed, not "):
        mixed.encoded_size(spec((1,), "<i4"))


@pytest.mark.parametrize("nbytes", [0, 1, 7, 9, 16])
def test_a_chunk_of_another_size_is_an_error(nbytes: int) -> None:
    with pytest.raises(ChunkDecodeError, match=rf"the chunk gave {nbytes} bytes where 8 are expected"):
        LITTLE.decode(bytes(nbytes), spec((2,), "<i4"), Scratch())


def test_a_bool_is_0_or_1() -> None:
    chunk = spec((4,), "?")
    assert NEITHER.decode(b"\0\1\1\0", chunk, Scratch()).tolist() == [False, True, True, False]
    with pytest.raises(ChunkDecodeError, match=r"a bool is 0 or 1, not 255; open with lenient=True to read others as true"):
        NEITHER.decode(b"\0\1\2\xff", chunk, Scratch())
    lenient = NEITHER.decode(b"\0\1\2\xff", spec((4,), "?", lenient=True), Scratch())
    assert lenient.tolist() == [False, True, True, True]
    assert lenient.view("u1").tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    "dtype",
    [
        [("x", "?"), ("y", "u1")],
        [("y", "u1"), ("x", [("b", "?"), ("a", "u1")])],
        [("x", "?", (2,)), ("y", "<i2"), ("z", "?", (0,))],
        [("x", [("a", "?")], (2,)), ("y", "u1")],
    ],
)
def test_a_bool_of_a_struct_is_0_or_1(dtype: Any) -> None:
    found, serializer = np.dtype(dtype), codec("bytes", endian="little")
    rows = np.zeros(2, found)
    rows["y"] = 2
    stored, chunk = rows.tobytes(), spec((2,), found)
    assert serializer.decode(stored, chunk, Scratch()).tobytes() == stored
    assert not serializer.is_memory(chunk)
    bad = bytearray(stored)
    bad[stored.index(0)] = 3
    with pytest.raises(ChunkDecodeError, match=r"a bool is 0 or 1, not 3; open with lenient=True to read others as true"):
        serializer.decode(bytes(bad), chunk, Scratch())
    bad[stored.index(0)] = 1
    expected = bytes(bad)
    bad[stored.index(0)] = 3
    assert serializer.decode(bytes(bad), spec((2,), found, lenient=True), Scratch()).tobytes() == expected


@pytest.mark.parametrize("dtype", ["S0", "U0", "V0"])
def test_elements_without_bytes_take_none(dtype: str) -> None:
    chunk = spec((2, 3), dtype)
    array = LITTLE.decode(b"", chunk, Scratch())
    assert (array.shape, array.dtype.kind, LITTLE.encoded_size(chunk)) == ((2, 3), dtype[0], 0)
    assert raw(LITTLE.encode(array, chunk)) == b""
    with pytest.raises(ChunkDecodeError, match=r"1 bytes where 0 are expected"):
        LITTLE.decode(b"\0", chunk, Scratch())


def test_strings_of_varying_length_need_another_codec() -> None:
    with pytest.raises(MetadataError) as caught:
        LITTLE.encoded_size(varying((2,), STRING))
    assert str(caught.value) == "metadata: codecs.bytes: the codec 'bytes' needs a data type of fixed size, not 'string'"


@pytest.mark.parametrize("endian", ["native", "<", True, 1])
def test_an_unknown_byte_order_is_refused(endian: Any) -> None:
    with pytest.raises(MetadataError, match=r"codecs\.bytes\.endian: one of 'little', 'big', None is needed"):
        codec("bytes", endian=endian)


def test_the_old_name_of_the_codec_is_known() -> None:
    assert codec("endian", endian="big").endian == "big"


@pytest.mark.parametrize("dtype", ["<M8", "<M8[s]", "<m8[10us]"])
def test_times_are_swapped_with_and_without_a_unit(dtype: str) -> None:
    values = np.array([1, -2], "<i8").view(dtype)
    chunk = spec((2,), dtype, np.zeros((), dtype))
    assert bytes(BIG.encode(values, chunk)) == values.view("<i8").astype(">i8").tobytes()
    assert BIG.decode(BIG.encode(values, chunk), chunk, Scratch()).view("<i8").tolist() == [1, -2]
