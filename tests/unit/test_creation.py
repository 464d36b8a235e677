"""From the arguments of `create_array` to the documents that are stored, word for word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from azarr import metadata as v3
from azarr import v2
from azarr.document import Document
from azarr.dtypes import STRING
from azarr.errors import MetadataError
from azarr.tools.creation import array_metadata, auto_chunks

DEFAULTS: dict[str, Any] = {
    "chunks": "auto",
    "shards": None,
    "filters": None,
    "serializer": "auto",
    "compressors": "auto",
    "fill_value": None,
    "dimension_names": None,
    "attributes": None,
    "zarr_format": 3,
    "order": "C",
    "chunk_key_encoding": None,
}
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 3, "checksum": False}}


def created(shape: Any = (4,), dtype: Any = "float32", **options: Any) -> Document:
    """The document of an array that is created so."""
    metadata = array_metadata(shape=shape, dtype=dtype, **{**DEFAULTS, **options})
    return v3.array_to_json(metadata) if metadata.zarr_format == 3 else v2.array_to_json(metadata)


def codecs(*given: Any, **options: Any) -> list[Document]:
    return created(compressors=list(given), **options)["codecs"]


def test_the_defaults_are_little_endian_zstd_in_one_chunk_of_at_most_a_mebibyte():
    assert created((4, 6), attributes={"units": "K"}) == {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 6],
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 6]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [LITTLE, ZSTD],
        "attributes": {"units": "K"},
    }


def test_the_defaults_of_v2_are_zstd_and_dots():
    assert created((4, 6), zarr_format=2) == {
        "zarr_format": 2,
        "shape": [4, 6],
        "chunks": [4, 6],
        "dtype": "<f4",
        "compressor": {"id": "zstd", "level": 3},
        "fill_value": 0.0,
        "order": "C",
        "filters": None,
        "dimension_separator": ".",
    }


def test_automatic_chunks_are_about_a_mebibyte_and_of_even_sides():
    assert auto_chunks((10, 10), 8) == [10, 10]
    assert auto_chunks((4096, 4096), 1) == [1024, 1024]
    assert auto_chunks((5, 1_000_001), 8) == [5, 15626]
    assert auto_chunks((0, 3), 8) == [1, 3]
    assert auto_chunks((), 8) == []
    assert auto_chunks((3, 2), 1 << 30) == [1, 1]


@pytest.mark.parametrize(
    ("shards", "chunks"),
    [((6, 6), [6, 6]), ((1024, 1024), [512, 512]), ((999, 1001), [999, 143]), ((6, 1_000_003), [1, 1_000_003]), ((), [])],
)
def test_automatic_chunks_of_shards_divide_the_shard(shards: Any, chunks: Any):
    configuration = created(shards, shards=shards)["codecs"][0]["configuration"]
    assert configuration["chunk_shape"] == chunks


def test_lengths_are_any_integers_one_or_several():
    assert created(np.int64(4), chunks=np.int8(2))["shape"] == [4]
    document = created(np.array([4, 6]), chunks=(np.int64(2), 3))
    assert (document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]) == ([4, 6], [2, 3])


@pytest.mark.parametrize("lengths", [{"shape": (4.0,)}, {"chunks": 2.5}, {"shards": (4.0,)}], ids=["shape", "chunks", "shards"])
def test_a_length_that_is_no_integer_is_a_type_error(lengths: dict[str, Any]):
    with pytest.raises(TypeError, match=r"^(shape|chunks|shards): an integer, or one for each axis, is needed"):
        created(**lengths)


def test_shards_hold_chunks_and_a_checked_index():
    assert created((8, 8), chunks=(2, 2), shards=(4, 4), compressors=None)["codecs"] == [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [2, 2],
                "codecs": [LITTLE],
                "index_codecs": [LITTLE, {"name": "crc32c"}],
                "index_location": "end",
            },
        }
    ]


def test_codecs_by_name_are_stored_with_all_that_the_specification_asks_for():
    assert codecs("zstd") == [LITTLE, ZSTD]
    assert codecs("gzip") == [LITTLE, {"name": "gzip", "configuration": {"level": 5}}]
    blosc = {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}
    assert codecs("blosc") == [LITTLE, {"name": "blosc", "configuration": blosc}]
    assert codecs({"name": "blosc", "configuration": {"cname": "zstd", "clevel": 9, "typesize": 2}}) == [
        LITTLE,
        {"name": "blosc", "configuration": {**blosc, "cname": "zstd", "clevel": 9, "typesize": 2}},
    ]
    assert [codec["name"] for codec in codecs("gzip", "crc32c")] == ["bytes", "gzip", "crc32c"]


def test_the_element_size_that_blosc_is_told_is_that_of_the_bytes_it_sees():
    assert codecs("blosc", dtype="complex128")[1]["configuration"]["typesize"] == 16
    assert codecs("blosc", dtype=str)[1]["configuration"]["typesize"] == 1
    assert codecs("blosc", dtype="S300")[1]["configuration"]["typesize"] == 1


def test_codecs_by_name_in_v2_are_stored_with_all_that_readers_ask_for():
    assert created(zarr_format=2, compressors="blosc")["compressor"] == {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
    assert created(zarr_format=2, compressors="gzip")["compressor"] == {"id": "gzip", "level": 5}
    assert created(zarr_format=2, compressors=None)["compressor"] is None


def test_a_codec_in_the_words_of_v3_is_stored_in_those_of_v2():
    blosc = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle", "typesize": 4}}
    assert created(zarr_format=2, compressors=blosc)["compressor"] == {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 2, "blocksize": 0}
    zlib = {"name": "numcodecs.zlib", "configuration": {"level": 4}}
    assert created(zarr_format=2, compressors=[zlib])["compressor"] == {"id": "zlib", "level": 4}


def test_a_codec_in_the_words_of_numcodecs_is_stored_as_it_is():
    delta = {"id": "delta", "dtype": "<f4"}
    document = created(zarr_format=2, filters=[delta], compressors={"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": -1, "blocksize": 0})
    assert document["filters"] == [delta]
    assert document["compressor"]["shuffle"] == -1


def test_v2_has_no_shards_one_compressor_and_its_own_keys():
    for options in ({"shards": (4,)}, {"compressors": ["zstd", "crc32c"]}, {"chunk_key_encoding": "default"}):
        with pytest.raises(MetadataError, match="zarr_format: 3 is needed for shards, several compressors, and other key encodings than 'v2', not 2"):
            created(zarr_format=2, **options)


def test_a_serializer_of_ones_own_is_stored():
    big = {"name": "bytes", "configuration": {"endian": "big"}}
    assert created(serializer=big, compressors=None)["codecs"] == [big]


def test_fortran_order_is_a_transpose_in_v3_and_a_field_in_v2():
    assert created((2, 3, 4), order="F", compressors=None)["codecs"] == [{"name": "transpose", "configuration": {"order": [2, 1, 0]}}, LITTLE]
    assert created((2, 3), order="F", zarr_format=2)["order"] == "F"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, {"name": "default", "configuration": {"separator": "/"}}),
        (".", {"name": "default", "configuration": {"separator": "."}}),
        ("v2", {"name": "v2", "configuration": {"separator": "."}}),
        ({"name": "v2", "configuration": {"separator": "/"}}, {"name": "v2", "configuration": {"separator": "/"}}),
    ],
)
def test_keys_are_encoded_as_asked_for(given: Any, stored: Document):
    assert created(chunk_key_encoding=given)["chunk_key_encoding"] == stored


def test_keys_of_v2_have_the_separator_asked_for():
    assert created(zarr_format=2, chunk_key_encoding="/")["dimension_separator"] == "/"


def test_dimension_names_are_a_field_in_v3_and_an_attribute_in_v2():
    assert created((2, 3), dimension_names=("y", None))["dimension_names"] == ["y", None]
    metadata = array_metadata(shape=(2, 3), dtype="i4", **{**DEFAULTS, "zarr_format": 2, "dimension_names": ("y", "x"), "attributes": {"units": "K"}})
    assert metadata.attributes == {"units": "K", "_ARRAY_DIMENSIONS": ["y", "x"]}
    assert metadata.dimension_names == ("y", "x")


def test_strings_and_bytes_of_any_length_have_serializers_of_their_own():
    assert created(dtype=str, compressors=None)["codecs"] == [{"name": "vlen-utf8", "configuration": {}}]
    assert created(dtype=bytes, compressors=None)["codecs"] == [{"name": "vlen-bytes", "configuration": {}}]
    for dtype, data_type in ((str, "string"), (STRING, "string"), ("string", "string"), (np.dtypes.StringDType(), "string"), (bytes, "variable_length_bytes")):
        assert created(dtype=dtype)["data_type"] == data_type


def test_strings_and_bytes_of_any_length_are_objects_with_a_filter_in_v2():
    for dtype, codec in ((str, "vlen-utf8"), ("string", "vlen-utf8"), (bytes, "vlen-bytes")):
        document = created(dtype=dtype, zarr_format=2)
        assert (document["dtype"], document["filters"]) == ("|O", [{"id": codec}])
    assert created(dtype=str, zarr_format=2, filters=[{"id": "vlen-utf8"}])["filters"] == [{"id": "vlen-utf8"}]


def test_codecs_are_stored_with_the_data_types_that_other_readers_need():
    filters = ["numcodecs.delta", {"name": "numcodecs.astype", "configuration": {"encode_dtype": "<f8"}}, {"name": "numcodecs.quantize", "configuration": {"digits": 1}}]
    stored = created(filters=[*filters, "scale_offset"], compressors=None, shards=[4], chunks=[2])["codecs"][0]["configuration"]["codecs"]
    assert [each["configuration"] for each in stored[:-1]] == [
        {"dtype": "<f4"},
        {"encode_dtype": "<f8", "decode_dtype": "<f4"},
        {"digits": 1, "dtype": "<f8"},
        {"offset": 0, "scale": 1},
    ]
    packed = created(dtype="?", filters=["numcodecs.packbits", "numcodecs.delta"], compressors=None)["codecs"]
    assert packed[1]["configuration"] == {"dtype": "|u1"}
    old = created(dtype=">i4", zarr_format=2, filters=["delta", {"id": "astype", "encode_dtype": "<i8"}, "delta"])
    assert [each.get("dtype", each.get("decode_dtype")) for each in old["filters"]] == [">i4", ">i4", "<i8"]


@pytest.mark.parametrize(
    ("name", "configuration"), [("quantize", {}), ("bitround", {}), ("delta", {"foo": 1}), ("delta", {"dtype": "nonsense"}), ("shuffle", {"size": 4})]
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_numcodecs_refuses_is_not_stored(name: str, configuration: dict[str, Any], zarr_format: int):
    kind = "compressors" if name == "shuffle" else "filters"
    with pytest.raises(MetadataError, match=rf"codecs\..*{name}: "):
        created(zarr_format=zarr_format, **{kind: [{"name": f"numcodecs.{name}", "configuration": configuration}]})


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_names_that_other_writers_have_for_complex_numbers_are_known(zarr_format: int):
    document = created(dtype="complex_float32", zarr_format=zarr_format)
    assert document["data_type" if zarr_format == 3 else "dtype"] == ("complex64" if zarr_format == 3 else "<c8")


def test_byte_order_is_kept_in_v2():
    assert created(dtype=">i2", zarr_format=2)["dtype"] == ">i2"
    assert created(dtype=">i2")["codecs"][0] == LITTLE


def test_structs_of_v2_may_hold_arrays():
    dtype = np.dtype([("n", ">i2"), ("xyz", "<f4", (3,))])
    document = created(dtype=dtype, zarr_format=2, fill_value=np.array((258, (1, 2, 3)), dtype))
    assert document["dtype"] == [["n", ">i2"], ["xyz", "<f4", [3]]]
    assert document["fill_value"] == "AQIAAIA/AAAAQAAAQEA="


def test_fill_values_are_stored_in_their_strict_form():
    assert created(fill_value=float("nan"))["fill_value"] == "NaN"
    assert created(fill_value=np.array([0x7FC00001], "u4").view("f4")[0])["fill_value"] == "0x7fc00001"
    assert created(dtype="M8[s]", zarr_format=2)["fill_value"] in ("NaT", -(2**63))
    assert created(dtype="u1", fill_value=7)["fill_value"] == 7


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"order": "K"}, "order: "),
        ({"chunks": "large"}, "chunks: "),
        ({"chunks": (0,)}, "chunk_shape: "),
        ({"chunks": (2, 2)}, "chunks: one length for each axis"),
        ({"shape": (-1,)}, "shape: "),
        ({"fill_value": "a"}, "fill_value: "),
        ({"dtype": "u1", "fill_value": 256}, "fill_value: "),
        ({"dimension_names": ("x", "y")}, "dimension_names: "),
        ({"chunk_key_encoding": "hashed"}, "chunk_key_encoding"),
        ({"compressors": [{"level": 1}]}, "codecs: "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused_and_names_the_field(options: dict[str, Any], reason: str):
    with pytest.raises(MetadataError) as caught:
        created(**{"shape": (4,), "dtype": "float32", **options})
    assert reason in str(caught.value)
