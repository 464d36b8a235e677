"""`vlen-utf8` and `vlen-bytes`: a count, then each item with its length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chunks import BYTES, OBJECT, STRING, codec, modest, spec, varying
from hypothesis import given
from hypothesis import strategies as st

from azarr.errors import ChunkDecodeError, MetadataError
from azarr.scratch import Scratch
from memory import measured
from oracles import numcodecs

TEXT, RAW = codec("vlen-utf8"), codec("vlen-bytes")
WORDS = np.array(["ab", "", "é", "日本"], STRING.numpy)
STORED = bytes.fromhex("04000000 02000000 6162 00000000 02000000 c3a9 06000000 e697a5e69cac")


def held(items: list[bytes]) -> Any:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def test_a_count_then_each_item_with_its_length() -> None:
    assert TEXT.encode(WORDS, varying((4,), STRING)) == STORED
    assert TEXT.decode(STORED, varying((4,), STRING), Scratch()).tolist() == ["ab", "", "é", "日本"]
    assert RAW.encode(held([b"ab", b""]), varying((2,), BYTES, b"")) == bytes.fromhex("02000000 02000000 6162 00000000")
    assert RAW.decode(bytes.fromhex("02000000 02000000 6162 00000000"), varying((2,), BYTES, b""), Scratch()).tolist() == [b"ab", b""]


@modest
@given(items=st.lists(st.text(max_size=5), min_size=1, max_size=12))
def test_text_that_is_encoded_decodes_to_the_same(items: list[str]) -> None:
    chunk, array = varying((len(items),), STRING), np.array(items, STRING.numpy)
    stored = TEXT.encode(array, chunk)
    found = TEXT.decode(stored, chunk, Scratch())
    assert (found.tolist(), found.dtype) == (items, STRING.numpy)
    assert bytes(numcodecs.VLenUTF8().encode(np.array(items, object))) == stored
    assert TEXT.decode(np.frombuffer(stored, "u1"), chunk, Scratch()).tolist() == items


@modest
@given(items=st.lists(st.binary(max_size=5), min_size=1, max_size=12))
def test_bytes_that_are_encoded_decode_to_the_same(items: list[bytes]) -> None:
    chunk, array = varying((len(items),), BYTES, b""), held(items)
    stored = RAW.encode(array, chunk)
    found = RAW.decode(stored, chunk, Scratch())
    assert (found.tolist(), found.dtype) == (items, np.dtype(object))
    assert bytes(numcodecs.VLenBytes().encode(array)) == stored


def test_items_are_in_c_order() -> None:
    chunk = varying((2, 2), STRING)
    stored = TEXT.encode(WORDS.reshape(2, 2), chunk)
    assert stored == STORED
    assert TEXT.decode(stored, chunk, Scratch()).tolist() == [["ab", ""], ["é", "日本"]]
    assert TEXT.encode(WORDS.reshape(2, 2).T, chunk) == TEXT.encode(WORDS[[0, 2, 1, 3]], chunk)


def test_an_array_without_axes_has_one_item() -> None:
    found = TEXT.decode(bytes.fromhex("01000000 01000000 61"), varying((), STRING), Scratch())
    assert (found.shape, found[()]) == ((), "a")


def test_a_chunk_has_no_fixed_size() -> None:
    assert TEXT.encoded_size(varying((4,), STRING)) is None
    assert RAW.encoded_size(varying((4,), BYTES, b"")) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes state no count where 4 items are expected"),
        (b"\4\0\0", "3 bytes state no count where 4 items are expected"),
        (b"\3" + STORED[1:], "30 bytes state 3 where 4 items are expected"),
        (b"\5" + STORED[1:], "30 bytes state 5 where 4 items are expected"),
        (STORED + b"\0", "the items end at byte 30 of 31"),
        (STORED[:-1], "the items end at byte 30 of 29"),
        (STORED[:20] + b"\xff\xff\xff\xff" + STORED[24:], "the items end at byte 4,294,967,319 of 30"),
        (STORED[:4] + b"\xff\xff\xff\xff" + STORED[8:], "the items are damaged ("),
        (STORED[:8] + b"\xff\xfe" + STORED[10:], "the items are damaged ('utf-8' codec can't decode byte 0xff"),
    ],
)
def test_damaged_items_are_an_error(data: bytes, message: str) -> None:
    with pytest.raises(ChunkDecodeError) as caught:
        TEXT.decode(data, varying((4,), STRING), Scratch())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("serializer", [TEXT, RAW])
def test_a_chunk_cut_anywhere_is_an_error(serializer: Any) -> None:
    chunk = varying((4,), STRING if serializer is TEXT else BYTES)
    for end in range(len(STORED)):
        with pytest.raises(ChunkDecodeError):
            serializer.decode(STORED[:end], chunk, Scratch())


@pytest.mark.parametrize("item", [3, np.int64(3), [1, 2], "text", None])
def test_what_is_no_bytes_is_not_made_into_some(item: Any) -> None:
    array = np.empty(1, object)
    array[0] = item
    with pytest.raises(TypeError, match=f"an array of bytes holds bytes, not {type(item).__name__}"):
        RAW.encode(array, varying((1,), BYTES, b""))


def test_bytes_are_any_buffer_of_bytes() -> None:
    array = np.empty(3, object)
    array[:] = [b"a", bytearray(b"bc"), memoryview(b"")]
    encoded = RAW.encode(array, varying((3,), BYTES, b""))
    assert RAW.decode(encoded, varying((3,), BYTES, b""), Scratch()).tolist() == [b"a", b"bc", b""]


def test_a_count_of_4_billion_takes_no_memory() -> None:
    with measured() as peak, pytest.raises(ChunkDecodeError, match=r"4 bytes state 4294967295 where 4 items are expected"):
        TEXT.decode(b"\xff\xff\xff\xff", varying((4,), STRING), Scratch())
    assert peak.nbytes < 100_000


@pytest.mark.parametrize(
    ("serializer", "chunk", "message"),
    [
        (TEXT, varying((4,), BYTES, b""), "codecs.vlen-utf8: this codec is for the data type string, not 'object'"),
        (RAW, varying((4,), STRING), "codecs.vlen-bytes: this codec is for the data type bytes, not 'StringDType()'"),
        (TEXT, spec((4,), "u1"), "codecs.vlen-utf8: this codec is for the data type string, not 'uint8'"),
        (RAW, varying((4,), OBJECT), "codecs.vlen-bytes: this codec is for the data type bytes, not 'object'"),
    ],
)
def test_each_codec_is_for_one_data_type(serializer: Any, chunk: Any, message: str) -> None:
    with pytest.raises(MetadataError) as caught:
        serializer.encoded_size(chunk)
    assert str(caught.value) == f"metadata: {message}"
