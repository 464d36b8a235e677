"""`zstd`, decoded by libblosc2 and by the standard library (or its backport) alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chunks import codec, decoded, missing, modest
from hypothesis import given
from hypothesis import strategies as st

from azarr.codecs import native
from azarr.errors import ChunkDecodeError, LimitExceeded, MetadataError, MissingPackage
from azarr.scratch import Scratch
from memory import measured
from oracles import numcodecs, zstd

PLAIN = codec("zstd", level=3, checksum=False)
CHECKED = codec("zstd", level=3, checksum=True)
DATA = bytes(range(64)) * 8
SKIPPABLE = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
"""A frame of Zstandard that holds no data, which a decoder skips."""


@modest
@given(data=st.binary(max_size=300).map(lambda data: data * 5), level=st.integers(-5, 19), checksum=st.booleans())
def test_what_is_encoded_decodes_to_the_same(scratch: Scratch, data: bytes, level: int, checksum: bool) -> None:
    wrapper = codec("zstd", level=level, checksum=checksum)
    chunk = wrapper.encode(data)
    assert decoded(wrapper, chunk, len(data), scratch) == data
    assert decoded(wrapper, chunk, None, scratch) == data
    assert not data or bytes(numcodecs.Zstd().decode(chunk)) == data


def test_a_known_frame_is_read(scratch: Scratch) -> None:
    assert decoded(PLAIN, bytes.fromhex("28b52ffd2405290000617a617272ccae23eb"), 5, scratch) == b"azarr"


def test_what_numcodecs_encodes_is_read(scratch: Scratch) -> None:
    assert decoded(codec("numcodecs.zstd", level=1), bytes(numcodecs.Zstd(1).encode(DATA)), 512, scratch) == DATA


def test_frames_one_after_the_other_are_read_as_one(scratch: Scratch) -> None:
    both = zstd.compress(DATA[:200]) + SKIPPABLE + zstd.compress(DATA[200:])
    assert decoded(PLAIN, both, 512, scratch) == DATA
    assert decoded(PLAIN, both, None, scratch) == DATA


def test_a_frame_that_does_not_state_its_size_is_read(scratch: Scratch) -> None:
    compressor = zstd.ZstdCompressor()
    streamed = compressor.compress(DATA) + compressor.flush()
    assert zstd.get_frame_info(streamed).decompressed_size is None
    assert decoded(PLAIN, streamed, 512, scratch) == DATA


def test_the_result_is_written_into_the_memory_that_is_given() -> None:
    out = np.empty(512, np.uint8)
    assert PLAIN.decode(PLAIN.encode(DATA), 512, 512, out, Scratch()) is out
    assert out.tobytes() == DATA


def test_a_checksum_is_stored_where_asked_for_and_verified(scratch: Scratch) -> None:
    assert len(CHECKED.encode(DATA)) == len(PLAIN.encode(DATA)) + 4
    damaged = bytearray(CHECKED.encode(DATA))
    damaged[-1] ^= 1
    with pytest.raises(ChunkDecodeError, match=r"zstd data are damaged|not valid zstd data"):
        decoded(CHECKED, damaged, 512, scratch)


@pytest.mark.parametrize("whole", [PLAIN.encode(DATA), CHECKED.encode(DATA), PLAIN.encode(DATA[:200]) + PLAIN.encode(DATA[200:])])
def test_a_frame_cut_anywhere_is_an_error(scratch: Scratch, whole: bytes) -> None:
    for end in range(len(whole)):
        with pytest.raises(ChunkDecodeError, match="zstd"):
            decoded(PLAIN, whole[:end], 512, scratch)


@pytest.mark.parametrize("size", [511, 513, 1])
def test_another_size_than_the_expected_one_is_an_error(scratch: Scratch, size: int) -> None:
    with pytest.raises(ChunkDecodeError, match=rf"zstd (data are damaged, or do not hold {size} bytes|gave|holds more)"):
        decoded(PLAIN, PLAIN.encode(DATA), size, scratch)


def test_data_where_nothing_is_expected_are_an_error(scratch: Scratch) -> None:
    assert decoded(PLAIN, PLAIN.encode(b""), 0, scratch) == b""
    with pytest.raises(ChunkDecodeError, match=r"zstd holds more than the 0 bytes that are expected"):
        decoded(PLAIN, PLAIN.encode(b"x"), 0, scratch)


def test_a_bomb_stops_at_the_expected_size(scratch: Scratch) -> None:
    bomb = zstd.compress(bytes(64 << 20))
    for size in (4, None):
        with measured() as peak, pytest.raises(ChunkDecodeError, match="zstd"):
            decoded(PLAIN, bomb, size, scratch, bound=1000)
        assert peak.nbytes < 1 << 20


def test_a_header_that_claims_a_terabyte_takes_no_memory(scratch: Scratch) -> None:
    claim = bytes.fromhex("28b52ffde0") + (1 << 40).to_bytes(8, "little") + b"\x01\x00\x00"
    for size in (4, None):
        with measured() as peak, pytest.raises(LimitExceeded, match=r"the zstd frame states to hold would take 1,099,511,627,776 bytes"):
            decoded(PLAIN, claim, size, scratch)
        assert peak.nbytes < 1 << 20


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("level", 23, "an integer from -131072 to 22 is needed, not 23"),
        ("level", "3", "an integer from -131072 to 22 is needed, not '3'"),
        ("checksum", 1, "one of False, True is needed, not 1"),
    ],
)
def test_a_bad_configuration_names_the_entry(entry: str, value: Any, message: str) -> None:
    with pytest.raises(MetadataError) as caught:
        codec("zstd", **{entry: value})
    assert str(caught.value) == f"metadata: codecs.zstd.{entry}: {message}"


def test_what_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    frame = PLAIN.encode(DATA)
    missing(monkeypatch, "backports")
    message = "the codec 'zstd' needs the package 'backports.zstd', which is not installed: pip install backports.zstd"
    for use in (lambda: decoded(PLAIN, frame, 512), lambda: PLAIN.encode(DATA)):
        with pytest.raises(MissingPackage) as caught:
            use()
        assert str(caught.value) == message
