"""What all codecs share."""

from __future__ import annotations

from typing import Any

import pytest
from chunks import STRING, codec, spec, varying

from azarr.codecs.base import check_size, settings
from azarr.errors import ChunkDecodeError, MetadataError


def test_a_chunk_knows_its_elements_and_bytes() -> None:
    assert (spec((2, 3), "<f4").size, spec((2, 3), "<f4").nbytes) == (6, 24)
    assert (spec((), "<f8").size, spec((), "<f8").nbytes) == (1, 8)
    assert (varying((5,), STRING).size, varying((5,), STRING).nbytes) == (5, 5 * STRING.numpy.itemsize)


def test_a_size_that_is_not_the_expected_one_is_refused() -> None:
    check_size(4, 4, "the chunk")
    check_size(4, None, "the chunk")
    with pytest.raises(ChunkDecodeError, match=r"the chunk gave 3 bytes where 4,000 are expected"):
        check_size(3, 4000, "the chunk")


def test_settings_come_in_the_order_of_what_is_known() -> None:
    known: dict[str, Any] = {"level": (range(10), 1), "checksum": ((False, True), False), "filters": (None, None)}
    assert settings("zstd", {"checksum": True}, **known) == [1, True, None]
    assert settings("zstd", {"filters": [1], "level": 9}, **known) == [9, False, [1]]


@pytest.mark.parametrize("value", [10, -1, 1.0, True, "1", None, [1]])
def test_a_number_out_of_bounds_or_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(MetadataError, match=r"codecs\.gzip\.level: an integer from 0 to 9 is needed, not ") as caught:
        settings("gzip", {"level": value}, level=(range(10), 1))
    assert caught.value.value == value


@pytest.mark.parametrize("value", [0, 1, "false", None, [], {}])
def test_a_value_that_is_no_choice_is_refused_though_it_equals_one(value: Any) -> None:
    with pytest.raises(MetadataError, match=r"codecs\.zstd\.checksum: one of False, True is needed, not "):
        settings("zstd", {"checksum": value}, checksum=((False, True), False))


CODECS = {
    "bytes": "endian, dtype",
    "transpose": "order",
    "gzip": "level",
    "numcodecs.lzma": "format, check, preset, filters",
    "zstd": "level, checksum",
    "blosc": "cname, clevel, typesize, blocksize, shuffle",
    "crc32c": "none",
    "vlen-utf8": "none",
    "vlen-bytes": "none",
    "scale_offset": "offset, scale",
    "sharding_indexed": "chunk_shape, codecs, index_codecs, index_location",
}


@pytest.mark.parametrize(("name", "known"), CODECS.items())
def test_an_unknown_entry_of_a_configuration_is_refused_naming_what_is_known(name: str, known: str) -> None:
    with pytest.raises(MetadataError, match=rf"codecs\.{name}: unknown entry 'lvel'; {name} has {known}$"):
        codec(name, lvel=1)
