"""Filters and compressors by their numcodecs id."""

from __future__ import annotations

import json
import struct
from typing import Any

import msgpack
import numcodecs
import numcodecs.registry
import numpy as np
import pytest
from chunks import LITTLE, OBJECT, STRING, chain, codec, decoded, encoded, missing, modest, spec, varying
from hypothesis import given
from hypothesis import strategies as st
from numcodecs.abc import Codec

from azarr import fill_values
from azarr.codecs.registry import CHECKS, FILTERS
from azarr.errors import ChunkDecodeError, MetadataError, MissingPackage
from azarr.scratch import Scratch
from memory import measured

NUMBERS = np.arange(100, 112, dtype="<i4").reshape(3, 4)
DATA = NUMBERS.tobytes()
LABELS = {"labels": ["red", "green", "blue"], "dtype": "|O", "astype": "|u1"}

# v3: filters of arrays


FILTERED: dict[str, tuple[dict[str, Any], str, list[float], str]] = {
    "numcodecs.delta": ({"dtype": "<i4", "astype": "<i2"}, "<i4", [100, 101, 103], "<i2"),
    "numcodecs.fixedscaleoffset": ({"offset": 1, "scale": 10, "dtype": "<f8", "astype": "|u1"}, "<f8", [1.5, 2.5, 3.0], "|u1"),
    "numcodecs.quantize": ({"digits": 1, "dtype": "<f4"}, "<f4", [1.5, 2.5, 3.0], "<f4"),
    "numcodecs.packbits": ({}, "|b1", [1, 0, 1], "|u1"),
    "numcodecs.astype": ({"encode_dtype": ">f4", "decode_dtype": "<f8"}, "<f8", [1.5, 2.5, 3.0], "<f4"),
    "numcodecs.delta ": ({"dtype": ">f8", "astype": ">f4"}, "<f8", [1.5, 2.5, 4.0], "<f4"),
    "numcodecs.bitround": ({"keepbits": 9}, "<f4", [1.5, 2.5, 3.0], "<f4"),
    "bitround": ({"keepbits": 9}, "<f4", [1.5, 2.5, 3.0], "<f4"),
}


@pytest.mark.parametrize("name", FILTERED)
def test_a_filter_of_arrays_does_what_numcodecs_does(name: str) -> None:
    configuration, dtype, values, stored = FILTERED[name]
    name = name.strip()
    ours, chunk, array = codec(name, **configuration), spec((3,), dtype), np.array(values, dtype)
    native = {entry: value.replace(">", "<") if isinstance(value, str) else value for entry, value in configuration.items()}
    theirs = numcodecs.get_codec({"id": name.removeprefix("numcodecs."), **native})
    encoded = ours.encode(array, chunk)
    assert encoded.dtype == ours.resolve(chunk).dtype == np.dtype(stored)
    assert encoded.shape == ours.resolve(chunk).shape
    made = np.asarray(theirs.encode(array))
    assert encoded.tobytes() == (made.view(stored) if "bitround" in name else made.astype(stored)).tobytes()
    decoded = ours.decode(encoded, chunk)
    assert (decoded.tolist(), decoded.dtype, decoded.shape) == (values, np.dtype(dtype), (3,))


def test_a_filter_keeps_the_shape_of_the_chunk() -> None:
    delta, chunk = codec("numcodecs.delta"), spec((3, 4), "<i4")
    encoded = delta.encode(NUMBERS, chunk)
    assert encoded.tolist() == [[100, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert np.array_equal(delta.decode(encoded, chunk), NUMBERS)


def test_packed_bits_are_a_count_of_padding_and_the_bits() -> None:
    packbits, chunk = codec("numcodecs.packbits"), spec((2, 5), "?")
    array = np.array([[1, 0, 0, 0, 0], [0, 0, 1, 1, 1]], "?")
    assert packbits.resolve(chunk).shape == (3,)
    assert packbits.encode(array, chunk).tolist() == [6, 0b10000001, 0b11000000]
    assert np.array_equal(packbits.decode(packbits.encode(array, chunk), chunk), array)


@pytest.mark.parametrize(
    ("name", "entry"), [("numcodecs.delta", "dtype"), ("numcodecs.quantize", "dtype"), ("numcodecs.astype", "decode_dtype")]
)
def test_the_data_type_of_the_array_stands_in_for_one_that_is_not_named(name: str, entry: str) -> None:
    settings = {"numcodecs.delta": {}, "numcodecs.quantize": {"digits": 1}, "numcodecs.astype": {"encode_dtype": "<f4"}}[name]
    assert getattr(codec(name, **settings).codec(np.dtype("<f8")), entry) == np.dtype("<f8")


def test_a_chain_of_filters_decodes_to_what_was_encoded() -> None:
    filters = [
        {"name": "numcodecs.delta", "configuration": {"dtype": "<i4"}},
        {"name": "numcodecs.astype", "configuration": {"encode_dtype": "<i2"}},
    ]
    pipeline = chain(spec((3, 4), "<i4"), *filters, LITTLE, {"name": "numcodecs.shuffle", "configuration": {"elementsize": 2}})
    assert pipeline.encoded_size == 24
    assert np.array_equal(pipeline.decode(encoded(pipeline, NUMBERS), Scratch()), NUMBERS)


@pytest.mark.parametrize("name", ["nonsense", "|O", 5, ["<i4"]])
def test_what_is_no_data_type_of_stored_elements_is_refused(name: Any) -> None:
    with pytest.raises(MetadataError, match=r"codecs\.numcodecs\.delta: not a data type of filters"):
        codec("numcodecs.delta", dtype="<i4", astype=name)


def test_a_filter_that_gives_another_number_of_elements_is_an_error() -> None:
    with pytest.raises(ChunkDecodeError, match=r"numcodecs\.packbits \(in elements\) gave 8 bytes where 10 are expected"):
        codec("numcodecs.packbits").decode(np.array([0, 1], "u1"), spec((10,), "?"))


# v2: filters of bytes


V2: dict[str, dict[str, Any]] = {
    "v2:delta": {"dtype": "<i4", "astype": "<i2"},
    "v2:fixedscaleoffset": {"offset": 0, "scale": 1, "dtype": "<i4", "astype": "<i8"},
    "v2:packbits": {},
    "v2:astype": {"encode_dtype": "<f8", "decode_dtype": "<i4"},
    "v2:shuffle": {"elementsize": 4},
    "v2:fletcher32": {},
    "v2:crc32": {"location": "end"},
    "v2:crc32c": {},
    "v2:adler32": {},
    "v2:jenkins_lookup3": {"initval": 0, "prefix": None},
    "v2:base64": {},
    "v2:lz4": {"acceleration": 1},
}
GROWS = {"v2:shuffle": 0, "v2:fletcher32": 4, "v2:crc32": 4, "v2:crc32c": 4, "v2:adler32": 4, "v2:jenkins_lookup3": 4}


@pytest.mark.parametrize("name", V2)
def test_a_filter_of_bytes_does_what_numcodecs_does(name: str) -> None:
    data = bytes(np.arange(48, dtype="u1") % 2) if name == "v2:packbits" else DATA
    ours, theirs = (
        codec(name, **V2[name]),
        numcodecs.get_codec({"id": name[3:], **{key: value for key, value in V2[name].items() if value is not None}}),
    )
    stored = np.asarray(theirs.encode(np.frombuffer(data, "u1"))).tobytes()
    assert bytes(memoryview(ours.encode(data))) == stored
    assert decoded(ours, stored, 48) == data
    assert decoded(ours, stored, None) == data
    assert ours.encoded_size(48) == (48 + GROWS[name] if name in GROWS else None)
    assert name not in GROWS or len(stored) == 48 + GROWS[name]


@modest
@given(
    data=st.binary(min_size=1, max_size=60),
    name=st.sampled_from(["numcodecs.crc32", "numcodecs.adler32", "numcodecs.fletcher32", "numcodecs.lz4"]),
)
def test_bytes_that_are_encoded_decode_to_the_same(data: bytes, name: str) -> None:
    data *= 2 if name == "numcodecs.fletcher32" else 1
    assert decoded(codec(name), codec(name).encode(data), len(data)) == data


@pytest.mark.parametrize("name", ["numcodecs.crc32", "numcodecs.adler32", "numcodecs.fletcher32", "numcodecs.jenkins_lookup3", "v2:crc32c"])
def test_a_checksum_that_does_not_match_is_an_error(name: str) -> None:
    damaged = bytearray(codec(name).encode(DATA))
    damaged[10] ^= 1
    with pytest.raises(ChunkDecodeError, match=f"{name} cannot decode this"):
        decoded(codec(name), damaged, 48)


@pytest.mark.parametrize("name", ["v2:lz4", "numcodecs.base64", "numcodecs.crc32", "numcodecs.fletcher32"])
def test_data_cut_anywhere_are_an_error(name: str) -> None:
    whole = bytes(memoryview(codec(name).encode(DATA)))
    for end in range(len(whole)):
        with pytest.raises(ChunkDecodeError, match=name):
            decoded(codec(name), whole[:end], 48)


def test_an_lz4_block_that_claims_2_gib_takes_no_memory() -> None:
    claim = struct.pack("<I", 0x7FFFFFFF) + bytes(codec("numcodecs.lz4").encode(DATA))[4:]
    for size, most in ((48, "48"), (None, "1,000")):
        with measured() as peak, pytest.raises(ChunkDecodeError, match=rf"lz4 states a size above the {most} bytes that are expected"):
            decoded(codec("numcodecs.lz4"), claim, size, bound=1000)
        assert peak.nbytes < 100_000


def test_a_filter_that_would_make_objects_of_bytes_is_refused() -> None:
    with pytest.raises(MetadataError, match=r"codecs\.v2:categorize: a filter gives numbers or bytes here"):
        decoded(codec("v2:categorize", **LABELS), b"\1\2\3", 3)


def test_categories_of_fixed_length_are_read_in_v2() -> None:
    categorize = codec("v2:categorize", labels=["red", "green"], dtype="<U5", astype="|u1")
    assert decoded(categorize, b"\2\1\0", 60) == np.array(["green", "red", ""], "<U5").tobytes()


# Objects, and compressors of arrays


def test_items_of_json2_are_read_and_written() -> None:
    items = np.array([{"a": 1}, None, "é", 2.5], object)
    chunk, ours = varying((4,), OBJECT, None), codec("numcodecs.json2")
    assert bytes(memoryview(ours.encode(items, chunk))) == numcodecs.JSON().encode(items)
    assert ours.decode(numcodecs.JSON().encode(items), chunk, Scratch()).tolist() == [{"a": 1}, None, "é", 2.5]


def test_items_of_json2_may_have_a_shape_of_their_own() -> None:
    nested = numcodecs.JSON().encode(np.array([["a", "b"], ["c", "d"]], object))
    assert codec("numcodecs.json2").decode(nested, varying((2, 2), OBJECT, None), Scratch()).tolist() == [["a", "b"], ["c", "d"]]
    assert codec("numcodecs.json2").decode(nested, varying((4, 1), OBJECT, None), Scratch()).tolist() == [["a"], ["b"], ["c"], ["d"]]


@pytest.mark.parametrize("end", [["|O", [1 << 40]], ["|O", [3]], ["|O", 4], ["|O", [-2, -2]], ["|O", ["4"]], [], ["|O", [4, 1]]])
def test_a_shape_of_json2_that_is_not_the_chunks_takes_no_memory(end: list[Any]) -> None:
    data = json.dumps([1, 2, 3, 4, *end]).encode()
    with measured() as peak, pytest.raises(ChunkDecodeError, match=r"numcodecs\.json2 cannot decode this"):
        codec("numcodecs.json2").decode(data, varying((4,), OBJECT, None), Scratch())
    assert peak.nbytes < 1 << 20


@pytest.mark.parametrize("name", ["json2", "msgpack2"])
@pytest.mark.parametrize("item", ["abc", ["a", "b"], {"a": [1]}, None])
def test_an_object_without_axes_is_read_and_written(name: str, item: Any) -> None:
    chunk, ours, array = varying((), OBJECT, None), codec(f"numcodecs.{name}"), fill_values.of_object(item, OBJECT.numpy)
    parts = [item, "|O", []]
    for stored in (ours.encode(array, chunk), json.dumps(parts).encode() if name == "json2" else msgpack.packb(parts)):
        found = ours.decode(stored, chunk, Scratch())
        assert (found.shape, found.dtype, found[()]) == ((), OBJECT.numpy, item)


def test_json2_cut_anywhere_is_an_error() -> None:
    whole = json.dumps(["a", "b", "|O", [2]]).encode()
    for end in range(len(whole)):
        with pytest.raises(ChunkDecodeError):
            codec("numcodecs.json2").decode(whole[:end], varying((2,), OBJECT, None), Scratch())


def test_categories_are_objects_again() -> None:
    items, chunk = np.array(["green", "red", "", "blue"], object), varying((2, 2), OBJECT, None)
    ours = codec("numcodecs.categorize", **LABELS)
    assert bytes(memoryview(ours.encode(items.reshape(2, 2), chunk))) == b"\2\1\0\3"
    assert ours.decode(b"\2\1\0\3", chunk, Scratch()).tolist() == [["green", "red"], ["", "blue"]]
    with pytest.raises(ChunkDecodeError, match=r"numcodecs\.categorize \(in elements\) gave 3 bytes where 4 are expected"):
        ours.decode(b"\2\1\0", chunk, Scratch())


def test_arrays_of_varying_length_are_read_and_written() -> None:
    items, chunk = np.empty(2, object), varying((2,), OBJECT, None)
    items[:] = [np.array([1, 2, 3], "<i4"), np.array([], "<i4")]
    ours = codec("numcodecs.vlen-array", dtype="<i4")
    stored = encoded(chain(chunk, {"name": "numcodecs.vlen-array", "configuration": {"dtype": "<i4"}}), items)
    assert stored == bytes.fromhex("02000000 0c000000 010000000200000003000000 00000000")
    assert [item.tolist() for item in ours.decode(stored, chunk, Scratch())] == [[1, 2, 3], []]
    for end in range(len(stored)):
        with pytest.raises(ChunkDecodeError):
            ours.decode(stored[:end], chunk, Scratch())


def test_a_count_of_vlen_array_that_is_not_the_chunks_takes_no_memory() -> None:
    data = (1 << 20).to_bytes(4, "little") + bytes(16)
    with measured() as peak, pytest.raises(ChunkDecodeError, match=r"numcodecs\.vlen-array \(in elements\) gave 1,048,576 .* where 2 are"):
        codec("numcodecs.vlen-array", dtype="<i4").decode(data, varying((2,), OBJECT, None), Scratch())
    assert peak.nbytes < 1 << 20


class Backwards(Codec):
    """A compressor of arrays, for want of one whose package is small."""

    codec_id = "zfpy"

    def encode(self, buf: Any) -> bytes:
        return np.ascontiguousarray(buf)[::-1].tobytes()

    def decode(self, buf: Any, out: Any = None) -> Any:
        return np.frombuffer(buf, "<i4")[::-1]


def test_a_compressor_of_arrays_is_a_serializer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(numcodecs.registry.codec_registry, "zfpy", Backwards)
    pipeline = chain(spec((3,), "<i4"), {"name": "numcodecs.zfpy"}, {"name": "gzip"})
    assert pipeline.encoded_size is None
    stored = encoded(pipeline, np.array([1, 2, 3], "<i4"))
    assert decoded(codec("gzip"), stored, 12) == np.array([3, 2, 1], "<i4").tobytes()
    assert pipeline.decode(stored, Scratch()).tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["zfpy", "pcodec"])
def test_a_compressor_of_arrays_is_given_elements_in_v2(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(numcodecs.registry.codec_registry, name, Backwards)
    ours = codec(f"v2:{name}", dtype="<i4")
    stored = ours.encode(np.array([1, 2, 3], "<i4").tobytes())
    assert bytes(memoryview(stored)) == np.array([3, 2, 1], "<i4").tobytes()
    assert decoded(ours, stored, 12) == np.array([1, 2, 3], "<i4").tobytes()


def test_bits_are_rounded_in_v2() -> None:
    values = np.array([1.0, 1.1, -3.3], "<f4")
    stored = codec("v2:bitround", dtype="<f4", keepbits=3).encode(values.tobytes())
    assert bytes(memoryview(stored)) == numcodecs.BitRound(keepbits=3).encode(values.copy()).tobytes()


# What is refused


@pytest.mark.parametrize(
    ("name", "configuration", "nbytes"),
    [("v2:bitround", {"keepbits": 3, "dtype": "<i4"}, 8), ("v2:bitround", {"keepbits": 3, "dtype": "<f4"}, 7), ("v2:shuffle", {"elementsize": "x"}, 8)],
)
def test_what_numcodecs_cannot_encode_is_an_error_that_names_the_codec(name: str, configuration: dict[str, Any], nbytes: int) -> None:
    with pytest.raises(ChunkDecodeError, match=rf"{name} cannot encode this \(.+\)"):
        codec(name, **configuration).encode(bytes(nbytes))


@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("numcodecs.delta", {"dtype": "nonsense"}),
        ("v2:delta", {}),
        ("v2:shuffle", {"size": 4}),
        ("numcodecs.bitround", {"keepbits": -1}),
        ("numcodecs.quantize", {"digits": 1, "dtype": "<i4"}),
    ],
)
def test_a_configuration_that_numcodecs_refuses_is_an_error_of_the_document(name: str, configuration: dict[str, Any]) -> None:
    with pytest.raises(MetadataError, match=rf"codecs\.{name}: ") as caught:
        codec(name, **configuration).codec()
    assert caught.value.value == configuration


@pytest.mark.parametrize(("name", "package"), [("zfpy", "zfpy"), ("pcodec", "pcodec"), ("crc32c", "crc32c")])
def test_a_codec_that_numcodecs_has_not_names_its_package(monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    monkeypatch.setattr(numcodecs.registry, "codec_registry", {})
    monkeypatch.setattr(numcodecs.registry, "entries", {})
    with pytest.raises(MissingPackage) as caught:
        codec(f"numcodecs.{name}").codec()
    assert str(caught.value) == f"the codec 'numcodecs.{name}' needs the package {package!r}, which is not installed: pip install {package}"


def test_what_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "numcodecs", "msgpack")
    with pytest.raises(MissingPackage) as caught:
        decoded(codec("v2:lz4"), b"\4\0\0\0data", 4)
    assert str(caught.value) == "the codec 'v2:lz4' needs the package 'numcodecs', which is not installed: pip install numcodecs"
    with pytest.raises(MissingPackage, match=r"the codec 'numcodecs.msgpack2' needs the package 'msgpack', .*: pip install msgpack$"):
        codec("numcodecs.msgpack2").decode(b"\x90", varying((1,), OBJECT, None), Scratch())


@pytest.mark.parametrize("prefix", ["numcodecs.", "v2:"])
@pytest.mark.parametrize("name", [*FILTERS, *CHECKS, "categorize"])
def test_an_id_in_the_configuration_never_makes_another_codec(prefix: str, name: str) -> None:
    settings: dict[str, dict[str, Any]] = {
        "delta": {"dtype": "<i4"},
        "fixedscaleoffset": {"offset": 0, "scale": 1, "dtype": "<f4"},
        "quantize": {"digits": 1, "dtype": "<f4"},
        "astype": {"encode_dtype": "<i4", "decode_dtype": "<i4"},
        "bitround": {"keepbits": 3},
        "categorize": LABELS,
    }
    found = codec(prefix + name, id="pickle", **settings.get(name, {})).codec()
    assert found.codec_id == name


def test_strings_are_objects_to_numcodecs() -> None:
    items = np.array(["a", "bc"], STRING.numpy)
    stored = codec("numcodecs.json2").encode(items, varying((2,), STRING))
    assert json.loads(bytes(memoryview(stored))) == ["a", "bc", "|O", [2]]
