"""`crc32c`: four bytes after what they guard."""

from __future__ import annotations

import pytest
from chunks import codec, decoded, missing, modest
from hypothesis import given
from hypothesis import strategies as st

from azarr.errors import ChecksumError, ChunkDecodeError, MissingPackage

CRC = codec("crc32c")


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (bytes(32), "aa36918a"),
        (b"\xff" * 32, "43aba862"),
        (bytes(range(32)), "4e79dd46"),
        (bytes(range(31, -1, -1)), "5cdb3f11"),
        (b"", "00000000"),
    ],
)
def test_the_examples_of_rfc_3720_have_their_checksums(data: bytes, checksum: str) -> None:
    """RFC 3720, B.4: "CRC Examples"; the checksum stands in the order in which it is sent."""
    assert CRC.encode(data) == data + bytes.fromhex(checksum)
    assert decoded(CRC, data + bytes.fromhex(checksum), len(data)) == data


@modest
@given(data=st.binary(max_size=100))
def test_what_is_encoded_decodes_to_the_same(data: bytes) -> None:
    assert CRC.encoded_size(len(data)) == len(CRC.encode(data))
    assert decoded(CRC, CRC.encode(data), len(data)) == data
    assert decoded(CRC, bytearray(CRC.encode(data)), None) == data


@modest
@given(data=st.binary(min_size=1, max_size=100), bit=st.integers(0))
def test_a_flipped_bit_is_an_error(data: bytes, bit: int) -> None:
    damaged = bytearray(CRC.encode(data))
    bit %= len(damaged) * 8
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ChecksumError):
        decoded(CRC, damaged, len(data))


def test_both_checksums_are_named() -> None:
    with pytest.raises(ChecksumError) as caught:
        decoded(CRC, bytes(32) + bytes.fromhex("00000001"), 32)
    assert str(caught.value) == "crc32c is 8a9136aa, but 01000000 is stored with it"


def test_a_chunk_cut_anywhere_is_an_error() -> None:
    whole = CRC.encode(bytes(range(1, 40)))
    for end in range(len(whole)):
        with pytest.raises((ChecksumError, ChunkDecodeError)):
            decoded(CRC, whole[:end], 39)
    with pytest.raises(ChunkDecodeError, match=r"3 bytes are too few to hold a checksum"):
        decoded(CRC, whole[:3], 39)


def test_what_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "google_crc32c")
    with pytest.raises(MissingPackage) as caught:
        decoded(CRC, bytes(36), 32)
    assert str(caught.value) == "the codec 'crc32c' needs the package 'google_crc32c', which is not installed: pip install google-crc32c"
