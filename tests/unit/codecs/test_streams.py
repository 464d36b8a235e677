"""`gzip`, and the older compressors of v2: `zlib`, `bz2`, `lzma`."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from chunks import codec, decoded, missing, modest
from hypothesis import given
from hypothesis import strategies as st

from azarr.errors import ChunkDecodeError, MetadataError, MissingPackage
from memory import measured
from oracles import numcodecs

DATA = bytes(range(64)) * 8
RAW = {"format": 3, "filters": [{"id": lzma.FILTER_DELTA, "dist": 4}, {"id": lzma.FILTER_LZMA2, "preset": 1}]}
OTHERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip": (gzip.compress, gzip.decompress),
    "numcodecs.gzip": (numcodecs.GZip(1).encode, numcodecs.GZip(1).decode),
    "numcodecs.zlib": (zlib.compress, zlib.decompress),
    "numcodecs.bz2": (bz2.compress, bz2.decompress),
    "numcodecs.lzma": (lzma.compress, lzma.decompress),
}
LEVELS = {"gzip": (-1, 9), "numcodecs.gzip": (-1, 9), "numcodecs.zlib": (-1, 9), "numcodecs.bz2": (1, 9)}


@pytest.mark.parametrize("name", OTHERS)
@modest
@given(data=st.binary(max_size=300).map(lambda data: data * 5))
def test_what_is_encoded_decodes_to_the_same(name: str, data: bytes) -> None:
    wrapper, (compress, decompress) = codec(name), OTHERS[name]
    assert decoded(wrapper, wrapper.encode(data), len(data)) == data
    assert decoded(wrapper, wrapper.encode(data), None) == data
    assert bytes(decompress(bytes(wrapper.encode(data)))) == data
    assert decoded(wrapper, bytes(compress(data)), len(data)) == data


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("gzip", "1f8b08000000000002034bac4a2c2a02006b43e58c05000000"),
        ("numcodecs.zlib", "789c4bac4a2c2a0200064b0221"),
        ("numcodecs.bz2", "425a683931415926535909c50e93000000818020001010200030cc0932511c5dc914e1424027143a4c"),
        (
            "numcodecs.lzma",
            "fd377a585a000004e6d6b4460200210116000000742fe5a3010004617a61727200000000eaebe10a3a9c52d000011d05b82d80af1fb6f37d010000000004595a",
        ),
    ],
)
def test_known_bytes_are_read(name: str, data: str) -> None:
    assert decoded(codec(name), bytes.fromhex(data), 5) == b"azarr"


@pytest.mark.parametrize("configuration", [{}, {"format": 1, "check": 4, "preset": 2}, {"format": 2, "preset": 9 | 1 << 31}, RAW])
def test_lzma_takes_the_settings_of_numcodecs(configuration: dict[str, Any]) -> None:
    wrapper = codec("numcodecs.lzma", **configuration)
    theirs = numcodecs.LZMA(**{"preset": None, **configuration})
    assert decoded(wrapper, bytes(theirs.encode(DATA)), 512) == DATA
    assert bytes(theirs.decode(wrapper.encode(DATA))) == DATA


@pytest.mark.parametrize("name", LEVELS)
def test_levels_have_bounds_and_level_1_is_taken_where_none_is_named(name: str) -> None:
    least, most = LEVELS[name]
    assert bytes(codec(name).encode(DATA)) == bytes(codec(name, level=1).encode(DATA))
    assert decoded(codec(name, level=least), codec(name, level=most).encode(DATA), 512) == DATA
    for level in (least - 1, most + 1):
        with pytest.raises(MetadataError) as caught:
            codec(name, level=level)
        assert str(caught.value) == f"metadata: codecs.{name}.level: an integer from {least} to {most} is needed, not {level}"


@pytest.mark.parametrize(
    "configuration",
    [
        {"format": 0},
        {"format": 4},
        {"check": 99},
        {"preset": 10},
        {"preset": "9"},
        {"format": 3},
        {"format": 3, "filters": [{"id": 5}]},
        {"format": 3, "filters": 1},
    ],
)
def test_bad_settings_of_lzma_are_refused(configuration: dict[str, Any]) -> None:
    with pytest.raises(MetadataError, match=r"codecs\.numcodecs\.lzma"):
        codec("numcodecs.lzma", **configuration)


@pytest.mark.parametrize("name", OTHERS)
def test_members_one_after_the_other_are_read_as_one(name: str) -> None:
    compress = OTHERS[name][0]
    both = bytes(compress(DATA[:200])) + bytes(compress(DATA[200:]))
    assert decoded(codec(name), both, 512) == DATA
    assert decoded(codec(name), both, None) == DATA


@pytest.mark.parametrize("name", OTHERS)
def test_a_stream_cut_anywhere_is_an_error(name: str) -> None:
    wrapper = codec(name)
    for data in (DATA, b""):
        whole = bytes(wrapper.encode(data))
        for end in range(1, len(whole)):
            with pytest.raises(ChunkDecodeError, match=f"{wrapper.name} data end too early"):
                decoded(wrapper, whole[:end], len(data))
    with pytest.raises(ChunkDecodeError, match=f"{wrapper.name} gave 0 bytes where 512 are expected"):
        decoded(wrapper, b"", 512)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_of_the_format_is_an_error(name: str) -> None:
    with pytest.raises(ChunkDecodeError, match=f"not valid {name.removeprefix('numcodecs.')} data"):
        decoded(codec(name), b"this is nothing of the kind", 512)
    with pytest.raises(ChunkDecodeError):
        decoded(codec(name), bytes(codec(name).encode(DATA)) + b"trailing", 512)


@pytest.mark.parametrize("name", ["gzip", "numcodecs.zlib", "numcodecs.bz2", "numcodecs.lzma"])
def test_a_flipped_bit_is_an_error(name: str) -> None:
    damaged = bytearray(codec(name).encode(DATA))
    damaged[len(damaged) // 2] ^= 0x10
    with pytest.raises(ChunkDecodeError):
        decoded(codec(name), damaged, 512)


@pytest.mark.parametrize("name", OTHERS)
def test_another_size_than_the_expected_one_is_an_error(name: str) -> None:
    wrapper = codec(name)
    whole = wrapper.encode(DATA)
    with pytest.raises(ChunkDecodeError, match=f"{wrapper.name} gave 512 bytes where 513 are expected"):
        decoded(wrapper, whole, 513)
    for size in (511, 0):
        with pytest.raises(ChunkDecodeError, match=f"{wrapper.name} holds more than the {size} bytes that are expected"):
            decoded(wrapper, whole, size)


@pytest.mark.parametrize("name", ["gzip", "numcodecs.zlib", "numcodecs.bz2"])
def test_a_bomb_stops_at_the_expected_size(name: str) -> None:
    bomb = bytes(OTHERS[name][0](bytes(32 << 20)))
    for size in (4, None):
        with measured() as peak, pytest.raises(ChunkDecodeError, match=r"holds more than the (4|1,000) bytes"):
            decoded(codec(name), bomb, size, bound=1000)
        assert peak.nbytes < 1 << 20


def test_a_python_that_lacks_a_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "bz2", "lzma")
    with pytest.raises(
        MissingPackage, match=r"the codec 'bz2' needs the package 'bz2', which is not installed: use a Python built with bz2"
    ):
        codec("numcodecs.bz2")
    with pytest.raises(
        MissingPackage, match=r"the codec 'lzma' needs the package 'lzma', which is not installed: use a Python built with lzma"
    ):
        codec("numcodecs.lzma")
    assert decoded(codec("gzip"), gzip.compress(DATA), 512) == DATA
