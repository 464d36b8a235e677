"""Documents and chunks of which zarr-python, TensorStore and zarrs make different things, and what azarr makes of them.

Each row of the table of disagreements, and its tests:

duplicate key `shape`: test_duplicate_shape_is_refused
duplicate `fill_value`: test_duplicate_fill_value_is_refused, test_duplicate_key_inside_attributes_is_refused
bare codec name `"bytes"`: test_bare_codec_name_is_accepted
unknown codec, must_understand false: test_unknown_codec_that_need_not_be_understood_is_skipped_on_read_with_a_warning,
    test_an_unknown_codec_in_a_shard_is_skipped_on_read_and_never_written,
    test_unknown_codec_that_need_not_be_understood_is_never_written, test_no_array_is_created_with_an_unknown_codec
`shape: [true]`: test_true_is_not_a_length
`shape: [4.0]`: test_a_float_is_not_a_length
chunk length 0: test_chunk_length_zero_is_refused
fill `true` for uint8: test_true_is_not_a_fill_value_of_uint8
fill `1.0` for uint8: test_fill_value_1_0_for_uint8_is_refused_strictly, test_fill_value_1_0_for_uint8_is_accepted_in_lenient_mode
bare `NaN` in JSON: test_bare_nan_is_refused_by_default, test_bare_nan_is_read_in_lenient_mode
nesting 100,000 deep in attributes: test_nesting_of_100_000_is_a_typed_error,
    test_nesting_is_limited_to_64_outside_and_512_inside_attributes
bool byte 2 or 255: test_bool_bytes_other_than_0_and_1_are_refused, test_bool_bytes_other_than_0_and_1_are_true_in_lenient_mode
shard offset + nbytes overflows u64: test_shard_entry_that_overflows_is_an_index_error
chunk_shape 2^40, 4-byte chunk: test_chunk_of_2_to_the_40_is_refused_before_allocating
zstd header claims 1 TiB: test_zstd_header_that_claims_1_tib_is_a_limit_exceeded
rectilinear run `[1, 2^40]`: test_rectilinear_run_of_2_to_the_40_stays_symbolic,
    test_rectilinear_run_of_2_to_the_40_is_not_expanded_into_blocks,
    test_rectilinear_run_of_2_to_the_40_is_refused_where_it_would_be_expanded,
    test_rectilinear_run_of_2_to_the_40_is_refused_where_memory_is_not_enough, test_rectilinear_runs_beyond_63_bits_are_refused
vlen-utf8 count 2^32-1: test_vlen_count_is_compared_with_the_chunk_size_first
800 MB gzip bomb for a 4-byte chunk: test_gzip_bomb_is_stopped_one_byte_after_the_expected_size (of 64 MB)
consolidated key `../secret`: test_consolidated_key_that_leaves_the_group_is_refused_saying_why
short, long or empty chunk; crc mismatch; truncated shard: test_chunk_of_wrong_size_names_key_codec_and_sizes,
    test_checksum_mismatch_names_key_codec_and_both_sums, test_truncated_shard_names_key_codec_and_sizes
"""

from __future__ import annotations

import gzip
import json
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.errors import (
    AzarrError,
    ChecksumError,
    ChunkDecodeError,
    LegacyWarning,
    LimitExceeded,
    MetadataError,
    ShardIndexError,
    UnknownCodec,
)
from documents import WAYS, as_bytes, regular, sharded, v2_array, v2_store, v3_array, v3_store
from memory import address_space_of, measured
from oracles import crc32c, lz4_block, numcodecs, zstd

SMALL = 4 << 20
"""Bytes: what refusing an absurd document or chunk may take."""
Way = Callable[[dict[str, bytes]], Any]
both_ways = pytest.mark.parametrize("way", WAYS, ids=["blocking", "waiting"])


async def refusal(store: dict[str, bytes], **options: Any) -> MetadataError:
    """The error that opening `store` raises."""
    with pytest.raises(MetadataError) as caught:
        await azarr.open(store, **options)
    return caught.value


def says(error: AzarrError, *parts: str) -> bool:
    """Whether the message has all `parts`; the assertion shows those that are missing."""
    missing = [part for part in parts if part not in str(error)]
    assert not missing, f"{missing} not in {str(error)!r}"
    return True


def test_every_test_that_a_row_names_is_here():
    named = re.findall(r"test_\w+", __doc__ or "")
    assert len(named) == 34
    assert [name for name in named if name not in globals()] == []


async def test_duplicate_shape_is_refused():
    for name, make, document in (("zarr.json", v3_store, v3_array()), (".zarray", v2_store, v2_array())):
        text = json.dumps(document).replace('"shape": [4]', '"shape": [4], "shape": [8]')
        error = await refusal(make(text))
        assert (error.document, error.field, error.value) == (name, "shape", "2 times")
        assert says(error, name, "shape", "2 times")


async def test_duplicate_fill_value_is_refused():
    for name, make, document in (("zarr.json", v3_store, v3_array()), (".zarray", v2_store, v2_array())):
        text = json.dumps(document).replace('"fill_value": 0', '"fill_value": 0, "fill_value": 1')
        error = await refusal(make(text))
        assert (error.document, error.field, error.value) == (name, "fill_value", "2 times")
        assert says(error, name, "fill_value", "2 times")


async def test_duplicate_key_inside_attributes_is_refused():
    error = await refusal(v3_store(json.dumps(v3_array(attributes={"a": {"b": 1}})).replace('"b": 1', '"b": 1, "b": 1')))
    assert says(error, "zarr.json", "b", "2 times")


@both_ways
async def test_bare_codec_name_is_accepted(way: Way):
    array = await azarr.open_array(way(v3_store(v3_array(codecs=["bytes"]), {"c/0": b"\1\2\3\4"})))
    assert (await array[...]).tolist() == [1, 2, 3, 4]


UNKNOWN = [{"name": "example.sparkle", "configuration": {"glitter": 9}, "must_understand": False}]


@both_ways
async def test_unknown_codec_that_need_not_be_understood_is_skipped_on_read_with_a_warning(way: Way):
    store = way(v3_store(v3_array(codecs=[{"name": "bytes"}, *UNKNOWN]), {"c/0": b"\1\2\3\4"}))
    with pytest.warns(LegacyWarning, match=r"example\.sparkle"):
        array = await azarr.open_array(store)
    assert (await array[...]).tolist() == [1, 2, 3, 4]
    assert [codec.name for codec in array.codecs] == ["bytes", "example.sparkle"]


async def test_unknown_codec_that_need_not_be_understood_is_never_written():
    store = v3_store(v3_array(codecs=[{"name": "bytes"}, *UNKNOWN]), {"c/0": b"\1\2\3\4"})
    with pytest.warns(LegacyWarning):
        array = await azarr.open_array(store, mode="r+")
    with pytest.raises(UnknownCodec) as caught:
        await array[...].write(np.zeros(4, "u1"))
    assert says(caught.value, "zarr.json", "codecs", "example.sparkle")
    assert store["c/0"] == b"\1\2\3\4"


@both_ways
async def test_an_unknown_codec_in_a_shard_is_skipped_on_read_and_never_written(way: Way):
    data = shard(b"\1\2\3\4", (0, 2), (2, 2))
    store = v3_store(v3_array(codecs=sharded(2, codecs=["bytes", *UNKNOWN])), {"c/0": data})
    with pytest.warns(LegacyWarning, match=r"example\.sparkle"):
        array = await azarr.open_array(way(store))
    assert (await array[...]).tolist() == [1, 2, 3, 4]
    with pytest.warns(LegacyWarning):
        array = await azarr.open_array(store, mode="r+")
    with pytest.raises(UnknownCodec):
        await array[...].write(np.zeros(4, "u1"))
    assert store["c/0"] == data


async def test_no_array_is_created_with_an_unknown_codec():
    for codec in (UNKNOWN[0], {"name": "example.sparkle"}):
        store: dict[str, bytes] = {}
        with pytest.raises(MetadataError, match=r"codecs"):
            await azarr.create_array(store, shape=(4,), dtype="uint8", compressors=[codec])
        assert store == {}


async def test_unknown_codec_that_must_be_understood_is_refused():
    for codec in ({"name": "example.sparkle"}, {"name": "example.sparkle", "must_understand": True}, "example.sparkle"):
        error = await refusal(v3_store(v3_array(codecs=[{"name": "bytes"}, codec])))
        assert isinstance(error, UnknownCodec)
        assert says(error, "zarr.json", "codecs", "example.sparkle")


async def test_true_is_not_a_length():
    for name, store in (("zarr.json", v3_store(v3_array(shape=[True]))), (".zarray", v2_store(v2_array(shape=[True])))):
        error = await refusal(store)
        assert (error.document, error.field, error.value) == (name, "shape", [True])
        assert says(error, name, "shape", "[True]")


async def test_a_float_is_not_a_length():
    for name, store in (("zarr.json", v3_store(v3_array(shape=[4.0]))), (".zarray", v2_store(v2_array(shape=[4.0])))):
        for lenient in (False, True):
            error = await refusal(store, lenient=lenient)
            assert (error.document, error.field, error.value) == (name, "shape", [4.0])
            assert says(error, name, "shape", "[4.0]")


async def test_chunk_length_zero_is_refused():
    def rectilinear(*entries: Any) -> dict[str, Any]:
        return {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": list(entries)}}

    for store, name, field, value in (
        (v3_store(v3_array(chunk_grid=regular(0))), "zarr.json", "chunk_grid.chunk_shape", "[0]"),
        (v3_store(v3_array(chunk_grid=rectilinear(0))), "zarr.json", "chunk_grid.chunk_shapes", "0"),
        (v3_store(v3_array(chunk_grid=rectilinear([4, 0]))), "zarr.json", "chunk_grid.chunk_shapes", "0"),
        (v3_store(v3_array(chunk_grid=rectilinear([[0, 3], 4]))), "zarr.json", "chunk_grid.chunk_shapes", "[0, 3]"),
        (v3_store(v3_array(codecs=sharded(0))), "zarr.json", "sharding_indexed.chunk_shape", "[0]"),
        (v2_store(v2_array(chunks=[0])), ".zarray", "chunks", "[0]"),
    ):
        error = await refusal(store)
        assert says(error, name, field, value)
        assert error.document == name


async def test_true_is_not_a_fill_value_of_uint8():
    for name, store in (("zarr.json", v3_store(v3_array(fill_value=True))), (".zarray", v2_store(v2_array(fill_value=True)))):
        for lenient in (False, True):
            error = await refusal(store, lenient=lenient)
            assert (error.document, error.field, error.value) == (name, "fill_value", True)
            assert says(error, name, "fill_value", "True", "uint8")


async def test_fill_value_1_0_for_uint8_is_refused_strictly():
    error = await refusal(v3_store(v3_array(fill_value=1.0)))
    assert (error.document, error.field, error.value) == ("zarr.json", "fill_value", 1.0)
    assert says(error, "zarr.json", "fill_value", "1.0", "uint8")
    error = await refusal(v3_store(v3_array(fill_value=1.5)), lenient=True)
    assert says(error, "zarr.json", "fill_value", "1.5", "uint8")


async def test_fill_value_1_0_for_uint8_is_accepted_in_lenient_mode():
    for store in (v3_store(v3_array(fill_value=1.0)), v2_store(v2_array(fill_value=1.0))):
        assert (await azarr.open_array(store, lenient=True)[...]).tolist() == [1, 1, 1, 1]


async def test_fill_value_1_0_of_old_v2_writers_is_read_with_a_warning():
    with pytest.warns(LegacyWarning, match=r"1\.0"):
        assert (await azarr.open_array(v2_store(v2_array(fill_value=1.0)))[...]).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
async def test_bare_nan_is_refused_by_default(token: str):
    for name, store in (
        ("zarr.json", v3_store(v3_array(data_type="float32", fill_value=float(token)))),
        (".zarray", v2_store(v2_array(dtype="<f4", fill_value=float(token)))),
    ):
        error = await refusal(store)
        assert (error.document, error.field, error.value) == (name, "fill_value", token)
        assert says(error, name, "fill_value", token, "lenient")


async def test_bare_nan_in_attributes_is_refused_by_default():
    error = await refusal(v3_store(v3_array(attributes={"bounds": [0, float("nan")]})))
    assert says(error, "zarr.json", "attributes.bounds[1]", "NaN")
    error = await refusal(v2_store() | {".zattrs": b'{"missing": NaN}'})
    assert says(error, ".zattrs", "missing", "NaN")


async def test_bare_nan_is_read_in_lenient_mode():
    store = v2_store(v2_array(dtype="<f4", fill_value=float("nan"))) | {".zattrs": b'{"low": -Infinity}'}
    array = await azarr.open_array(store, lenient=True)
    assert np.isnan(await array[...]).all()
    assert array.attrs["low"] == -np.inf
    store = v3_store(v3_array(data_type="uint8", attributes={"low": [-np.inf]}))
    assert (await azarr.open_array(store, lenient=True)).attrs["low"] == [-np.inf]
    error = await refusal(v3_store(v3_array(fill_value=float("nan"))), lenient=True)
    assert says(error, "zarr.json", "fill_value", "nan")


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
async def test_nesting_of_100_000_is_a_typed_error(opening: str, closing: str):
    deep = opening * 100_000 + "0" + closing * 100_000
    text = json.dumps(v3_array(attributes="HERE")).replace('"HERE"', f'{{"deep": {deep}}}')
    with measured() as peak:
        error = await refusal(v3_store(text))
    assert error.document == "zarr.json"
    assert says(error, "zarr.json", "nested", "64", "512")
    assert peak.nbytes < SMALL + len(text)
    error = await refusal(v2_store() | {".zattrs": f'{{"deep": {deep}}}'.encode()})
    assert says(error, ".zattrs", "nested", "64", "512")


async def test_nesting_is_limited_to_64_outside_and_512_inside_attributes():
    def with_attributes(depth: int) -> str:
        return json.dumps(v3_array(attributes={"deep": 0})).replace('"deep": 0', f'"deep": {nested(depth - 1)}')

    def with_extra(depth: int) -> str:
        return json.dumps(v3_array(extra={"must_understand": False, "deep": 0})).replace('"deep": 0', f'"deep": {nested(depth - 2)}')

    assert (await azarr.open_array(v3_store(with_attributes(512)))).shape == (4,)
    assert says(await refusal(v3_store(with_attributes(513))), "zarr.json", "512")
    assert (await azarr.open_array(v3_store(with_extra(64)))).shape == (4,)
    assert says(await refusal(v3_store(with_extra(65))), "zarr.json", "64")


async def test_attributes_inside_attributes_have_no_depth_of_their_own():
    inside = f'{{"attributes": {nested(100)}}}'
    outside = '{"a":' * 470 + inside + "}" * 470
    text = json.dumps(v3_array(attributes="HERE")).replace('"HERE"', outside)
    assert says(await refusal(v3_store(text)), "zarr.json", "512")


@both_ways
@pytest.mark.parametrize("byte", [2, 255])
async def test_bool_bytes_other_than_0_and_1_are_refused(way: Way, byte: int):
    for store in (
        v3_store(v3_array(data_type="bool", fill_value=False), {"c/0": bytes([0, 1, byte, 0])}),
        v2_store(v2_array(dtype="|b1", fill_value=False), {"0": bytes([0, 1, byte, 0])}),
    ):
        array = await azarr.open_array(way(store))
        with pytest.raises(ChunkDecodeError) as caught:
            await array[...]
        assert says(caught.value, "c/0" if array.zarr_format == 3 else "'0'", "bool", str(byte), "lenient")


@both_ways
@pytest.mark.parametrize("byte", [2, 255])
async def test_bool_bytes_other_than_0_and_1_are_true_in_lenient_mode(way: Way, byte: int):
    store = way(v3_store(v3_array(data_type="bool", fill_value=False), {"c/0": bytes([0, 1, byte, 0])}))
    found = await azarr.open_array(store, lenient=True)[...]
    assert found.view("u1").tolist() == [0, 1, 1, 0]


ABSENT = (1 << 64) - 1


def shard(data: bytes, *entries: tuple[int, int]) -> bytes:
    return data + b"".join(struct.pack("<QQ", *entry) for entry in entries)


@both_ways
@pytest.mark.parametrize(
    ("offset", "nbytes"),
    [(ABSENT - 1, 2), (ABSENT - 1, 1 << 63), (1, ABSENT), (1 << 63, 1 << 63), (1 << 62, 2), (0, 1 << 62), (ABSENT, 2), (2, ABSENT)],
)
async def test_shard_entry_that_overflows_is_an_index_error(way: Way, offset: int, nbytes: int):
    store = v3_store(v3_array(codecs=sharded(2)), {"c/0": shard(b"\1\2", (0, 2), (offset, nbytes))})
    array = await azarr.open_array(way(store))
    for selection in (array[2:], array[...], array[3]):
        with measured() as peak, pytest.raises(ShardIndexError) as caught:
            await selection
        assert says(caught.value, "c/0")
        assert re.search(rf"{offset:,}|{offset + nbytes:,}", str(caught.value)), str(caught.value)
        assert peak.nbytes < SMALL
    assert (await array[:2]).tolist() == [1, 2]


@both_ways
async def test_chunk_of_2_to_the_40_is_refused_before_allocating(way: Way):
    huge = 1 << 40
    inner_index = sharded(huge // 4)
    for store in (
        v3_store(v3_array(chunk_grid=regular(huge)), {"c/0": b"\1\2\3\4"}),
        v3_store(v3_array(chunk_grid=regular(huge), codecs=inner_index), {"c/0": b"\1\2\3\4"}),
        v3_store(v3_array(chunk_grid=regular(huge), codecs=sharded(2)), {"c/0": b"\1\2\3\4"}),
        v2_store(v2_array(chunks=[huge]), {"0": b"\1\2\3\4"}),
    ):
        with measured() as peak, pytest.raises(LimitExceeded) as caught:
            await azarr.open_array(way(store))[...]
        assert re.search(r"\d{1,3}(,\d{3})+ bytes", str(caught.value)), str(caught.value)
        assert says(caught.value, "Limits.")
        assert peak.nbytes < SMALL


def zstd_frame_that_claims(size: int) -> bytes:
    """A frame whose header states `size` bytes, with one raw block of four."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0b11_1_00000]) + size.to_bytes(8, "little")
    return header + (4 << 3 | 1).to_bytes(3, "little") + b"\1\2\3\4"


@both_ways
@pytest.mark.parametrize("native", [True, False], ids=["libblosc2", "stdlib"])
async def test_zstd_header_that_claims_1_tib_is_a_limit_exceeded(way: Way, native: bool, monkeypatch: pytest.MonkeyPatch):
    if not native:
        monkeypatch.setattr("azarr.codecs.streams.decoder", lambda name, scratch: None)
    text = struct.pack("<II", 1, 3) + b"abc"
    for document, honest in (
        (v3_array(codecs=[{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 1, "checksum": False}}]), b"\1\2\3\4"),
        (
            v3_array(data_type="string", fill_value="", shape=[1], chunk_grid=regular(1), codecs=["vlen-utf8", "zstd"]),
            text,
        ),
    ):
        assert zstd.decompress(zstd.compress(honest)) == honest
        array = await azarr.open_array(way(v3_store(document, {"c/0": zstd.compress(honest)})))
        assert (await array[...]).tolist() in ([1, 2, 3, 4], ["abc"])
        array = await azarr.open_array(way(v3_store(document, {"c/0": zstd_frame_that_claims(1 << 40)})))
        with measured() as peak, pytest.raises(LimitExceeded) as caught:
            await array[...]
        assert says(caught.value, "c/0", "zstd", f"{1 << 40:,}")
        assert peak.nbytes < SMALL


HUGE = 1 << 40


def rectilinear(runs: list[list[int]]) -> dict[str, Any]:
    return {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [runs]}}


@both_ways
async def test_rectilinear_run_of_2_to_the_40_stays_symbolic(way: Way):
    document = v3_array(shape=[HUGE], chunk_grid=rectilinear([[1, HUGE]]), fill_value=9)
    with measured() as peak:
        array = await azarr.open_array(way(v3_store(document, {f"c/{HUGE - 1}": b"\7", "c/5": b"\5"})))
        assert array.nchunks == HUGE
        assert array[...].plan().chunks == HUGE
        assert (await array[HUGE - 2 :]).tolist() == [9, 7]
        assert (await array[4:7]).tolist() == [9, 5, 9]
        assert (await array[:: HUGE // 2]).tolist() == [9, 9]
    assert peak.nbytes < SMALL


@both_ways
async def test_rectilinear_run_of_2_to_the_40_is_not_expanded_into_blocks(way: Way):
    array = await azarr.open_array(way(v3_store(v3_array(shape=[HUGE], chunk_grid=rectilinear([[1, HUGE]]), fill_value=9))))
    with measured() as peak, pytest.raises(LimitExceeded) as caught:
        await anext(array.blocks())
    assert says(caught.value, f"{HUGE:,}", "blocks")
    assert [block.data.tolist() async for block in array[HUGE - 3 :].blocks(ordered=True)] == [[9], [9], [9]]
    assert peak.nbytes < SMALL


@both_ways
async def test_rectilinear_run_of_2_to_the_40_is_refused_where_it_would_be_expanded(way: Way):
    document = v3_array(shape=[HUGE], chunk_grid=rectilinear([[1, HUGE]]))
    array = await azarr.open_array(way(v3_store(document)), context=azarr.Context(limits=azarr.Limits(result=1 << 30)))
    with measured() as peak, pytest.raises(LimitExceeded) as caught:
        await array[...]
    assert says(caught.value, f"{HUGE:,}", "Limits.result", f"{1 << 30:,}")
    array = await azarr.open_array(way(v3_store(document | {"shape": [HUGE << 5], "chunk_grid": rectilinear([[1, HUGE << 5]])})))
    with measured() as peak, pytest.raises(LimitExceeded) as caught:
        await array[...]
    assert says(caught.value, f"{HUGE << 5:,}", "Limits.result")
    assert peak.nbytes < SMALL


@both_ways
async def test_rectilinear_run_of_2_to_the_40_is_refused_where_memory_is_not_enough(way: Way):
    array = await azarr.open_array(way(v3_store(v3_array(shape=[HUGE], chunk_grid=rectilinear([[1, HUGE]])))))
    with address_space_of(64 << 30), pytest.raises(LimitExceeded) as caught:
        await array[...]
    assert says(caught.value, f"{HUGE:,} bytes", "memory")


async def test_rectilinear_runs_beyond_63_bits_are_refused():
    with measured() as peak, pytest.raises(AzarrError) as caught:
        await azarr.open_array(v3_store(v3_array(shape=[HUGE], chunk_grid=rectilinear([[HUGE, HUGE]]))))
    assert isinstance(caught.value, (LimitExceeded, MetadataError))
    assert says(caught.value, "zarr.json", "chunk_grid", str(HUGE * HUGE))
    assert peak.nbytes < SMALL


@both_ways
async def test_vlen_count_is_compared_with_the_chunk_size_first(way: Way):
    for data_type, fill, codec in (("string", "", "vlen-utf8"), ("variable_length_bytes", "", "vlen-bytes")):
        document = v3_array(data_type=data_type, fill_value=fill, codecs=[codec])
        array = await azarr.open_array(way(v3_store(document, {"c/0": struct.pack("<I", (1 << 32) - 1) + b"\0" * 16})))
        with measured() as peak, pytest.raises(ChunkDecodeError) as caught:
            await array[...]
        assert says(caught.value, "c/0", codec, "4294967295", "4 items")
        assert peak.nbytes < SMALL


def gzip_bomb(size: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    step = b"\0" * (1 << 20)
    return b"".join([*(compressor.compress(step) for _ in range(size >> 20)), compressor.flush()])


@both_ways
async def test_gzip_bomb_is_stopped_one_byte_after_the_expected_size(way: Way):
    bomb = gzip_bomb(64 << 20)
    assert len(bomb) < 1 << 20
    document = v3_array(codecs=[{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 9}}])
    array = await azarr.open_array(way(v3_store(document, {"c/0": bomb})))
    with measured() as peak, pytest.raises(ChunkDecodeError) as caught:
        await array[...]
    assert says(caught.value, "c/0", "gzip", "4 bytes")
    assert peak.nbytes < SMALL


@pytest.mark.parametrize("bad", ["../secret", "a/../../secret", "/secret", "a//b", "a/./b", "..", "a\\..\\b"])
async def test_consolidated_key_that_leaves_the_group_is_refused_saying_why(bad: str):
    group = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    members = {"inside": v3_array(), bad: v3_array()}
    inline = {"consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": members}}
    error = await refusal({"zarr.json": as_bytes(group | inline)})
    assert says(error, "zarr.json", "consolidated_metadata", repr(bad), "below its group")
    members = {".zgroup": {"zarr_format": 2}, "inside/.zarray": v2_array(), f"{bad}/.zarray": v2_array()}
    zmetadata = as_bytes({"zarr_consolidated_format": 1, "metadata": members})
    for rest in ({}, {".zgroup": b'{"zarr_format": 2}'}):
        error = await refusal({".zmetadata": zmetadata, **rest})
        assert says(error, ".zmetadata", "consolidated_metadata", repr(bad), "below its group")


VALUES = np.arange(64, dtype="<u4")
TEXTS = struct.pack("<I", 64) + b"".join(struct.pack("<I", 1) + b"x" for _ in range(64))
NUMBERS = v3_array(data_type="uint32", shape=[64], chunk_grid=regular(64))
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CHAINS: dict[str, tuple[dict[str, Any], bytes]] = {
    "bytes": (NUMBERS | {"codecs": [LITTLE]}, VALUES.tobytes()),
    "gzip": (NUMBERS | {"codecs": [LITTLE, "gzip"]}, gzip.compress(VALUES.tobytes())),
    "zstd": (NUMBERS | {"codecs": [LITTLE, "zstd"]}, zstd.compress(VALUES.tobytes())),
    "blosc": (NUMBERS | {"codecs": [LITTLE, "blosc"]}, numcodecs.Blosc("lz4", 5, 1).encode(VALUES)),
    "crc32c": (
        NUMBERS | {"codecs": [LITTLE, "crc32c"]},
        VALUES.tobytes() + struct.pack("<I", crc32c(VALUES.tobytes())),
    ),
    "numcodecs.zlib": (NUMBERS | {"codecs": [LITTLE, "numcodecs.zlib"]}, zlib.compress(VALUES.tobytes())),
    "numcodecs.lz4": (NUMBERS | {"codecs": [LITTLE, "numcodecs.lz4"]}, lz4_block(VALUES.tobytes())),
    "vlen-utf8": (NUMBERS | {"data_type": "string", "fill_value": "", "codecs": ["vlen-utf8"]}, TEXTS),
}


@both_ways
@pytest.mark.parametrize("codec", CHAINS)
@pytest.mark.parametrize("damage", ["short", "long", "empty"])
async def test_chunk_of_wrong_size_names_key_codec_and_sizes(way: Way, codec: str, damage: str):
    document, good = CHAINS[codec]
    array = await azarr.open_array(way(v3_store(document, {"c/0": good})))
    assert (await array[...]).tolist() in (list(range(64)), ["x"] * 64)
    bad = {"short": good[:-1], "long": good + b"\0", "empty": b""}[damage]
    array = await azarr.open_array(way(v3_store(document, {"c/0": bad})))
    for selection in (array[...], array[:1], array[5]):
        with pytest.raises((ChunkDecodeError, ChecksumError)) as caught:
            await selection
        assert says(caught.value, "c/0", codec, f"{len(bad):,} bytes")
        assert caught.value.key == "c/0"
        assert re.search(r"\b(256|64|260)\b", str(caught.value)), str(caught.value)  # what it should have been


@both_ways
@pytest.mark.parametrize("inner", [False, True], ids=["chunk", "inner chunk"])
async def test_checksum_mismatch_names_key_codec_and_both_sums(way: Way, inner: bool):
    document, good = CHAINS["crc32c"]
    bad = bytes([good[0] ^ 1]) + good[1:]
    if inner:
        document = document | {"codecs": sharded(64, codecs=document["codecs"])}
        good, bad = (shard(data, (0, len(data))) for data in (good, bad))
    assert (await azarr.open_array(way(v3_store(document, {"c/0": good})))[...]).tolist() == list(range(64))
    array = await azarr.open_array(way(v3_store(document, {"c/0": bad})))
    stated = crc32c(VALUES.tobytes())
    actual = crc32c(b"\1" + VALUES.tobytes()[1:])
    with pytest.raises(ChecksumError) as caught:
        await array[...]
    assert says(caught.value, "c/0", "crc32c", f"{stated:08x}", f"{actual:08x}")


@both_ways
@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("checked", [False, True], ids=["plain index", "crc32c index"])
async def test_truncated_shard_names_key_codec_and_sizes(way: Way, location: str, checked: bool):
    index_codecs = [LITTLE, {"name": "crc32c"}] if checked else [LITTLE]
    codecs = sharded(2, index_codecs=index_codecs, location=location)
    size = 36 if checked else 32
    start = size if location == "start" else 0
    index = b"".join(struct.pack("<QQ", start + offset, 2) for offset in (0, 2))
    if checked:
        index += struct.pack("<I", crc32c(index))
    good = index + b"\1\2\3\4" if location == "start" else b"\1\2\3\4" + index
    array = await azarr.open_array(way(v3_store(v3_array(codecs=codecs), {"c/0": good})))
    assert (await array[...]).tolist() == [1, 2, 3, 4]
    for length in range(len(good)):
        array = await azarr.open_array(way(v3_store(v3_array(codecs=codecs), {"c/0": good[:length]})))
        for selection in (array[...], array[2:]):
            with pytest.raises((ShardIndexError, ChecksumError)) as caught:
                await selection
            assert caught.value.key == "c/0"
            assert says(caught.value, "c/0", "index" if isinstance(caught.value, ChecksumError) or length < size else "shard")
