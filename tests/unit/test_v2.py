"""Zarr v2 documents: the one model they become, what stands in the wild, and what is refused."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azarr import v2
from azarr.document import Document
from azarr.dtypes import BYTES, OBJECT, STRING
from azarr.errors import LegacyWarning, MetadataError, UnknownCodec, UnknownDataType
from azarr.grid import Grid, KeyEncoding
from azarr.metadata import ArrayMetadata, CodecSpec, GroupMetadata
from azarr.tools.creation import v2_dtype_to_json
from drawing import examples

POINT = [["x", "<f4"], ["y", ">f4"], ["z", "<i2", [2, 3]]]
SIMPLE = st.sampled_from(["|b1", "|i1", "<i2", ">i4", "<u8", ">f2", "<f8", ">c16", "<M8[10us]", ">m8[D]", "|S5", "<U3", ">U3", "|V7"])
FIELDS = st.recursive(
    SIMPLE,
    lambda inner: st.lists(st.tuples(inner, st.lists(st.integers(1, 3), max_size=2)), min_size=1, max_size=3).map(
        lambda parts: [[f"f{number}", part, shape] if shape else [f"f{number}", part] for number, (part, shape) in enumerate(parts)]
    ),
    max_leaves=6,
)


def array(**changes: Any) -> Document:
    """The example of the specification, changed; a field that becomes `...` is left out."""
    document: Document = {
        "chunks": [1000, 1000],
        "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
        "dtype": "<f8",
        "fill_value": "NaN",
        "filters": [{"id": "delta", "dtype": "<f8", "astype": "<f4"}],
        "order": "C",
        "shape": [10000, 10000],
        "zarr_format": 2,
    }
    return {name: value for name, value in {**document, **changes}.items() if value is not ...}


def read(attributes: Document | None = None, **changes: Any) -> ArrayMetadata:
    return v2.array_from_json(array(**changes), attributes or {})


def codecs(**changes: Any) -> list[tuple[str, Any]]:
    return [(codec.name, codec.configuration) for codec in read(**changes).codecs]


def test_the_example_of_the_specification_becomes_the_one_model():
    found = read({"units": "K"})
    assert found.shape == (10000, 10000)
    assert found.dtype.spec == "float64"
    assert found.grid == Grid.regular((10000, 10000), (1000, 1000))
    assert found.key_encoding == KeyEncoding("v2", ".")
    assert np.isnan(found.fill)
    assert found.codecs == (
        CodecSpec("bytes", {"endian": "little"}),
        CodecSpec("v2:delta", {"dtype": "<f8", "astype": "<f4"}),
        CodecSpec("numcodecs.blosc", {"cname": "lz4", "clevel": 5, "shuffle": 1, "typesize": 8}),
    )
    assert (found.attributes, found.dimension_names, found.zarr_format, found.order) == ({"units": "K"}, None, 2, "C")


def test_a_document_is_written_as_it_was_read_with_keys_that_azarr_does_not_know():
    document = array(_nczarr_array={"storage": "chunked"}, dimension_separator="/")
    assert v2.array_to_json(v2.array_from_json(document, {})) == document


@pytest.mark.parametrize("filters", [None, []])
def test_no_filters_are_null_or_an_empty_list(filters: Any):
    assert codecs(filters=filters, compressor=None) == [("bytes", {"endian": "little"})]


@pytest.mark.parametrize(
    ("dtype", "endian"), [("<f8", "little"), (">f8", "big"), ("|u1", "little"), ("|S5", "little"), (">U5", "big"), (">M8[s]", "big")]
)
def test_the_byte_order_becomes_a_part_of_the_bytes_codec(dtype: str, endian: str):
    found = read(dtype=dtype, fill_value=None, filters=None, compressor=None)
    assert found.codecs == (CodecSpec("bytes", {"endian": endian}),)
    assert found.dtype.numpy == np.dtype(dtype).newbyteorder("=")


def test_order_f_becomes_a_transpose():
    assert codecs(order="F", shape=[4, 5, 6], chunks=[2, 2, 2], filters=None, compressor=None) == [
        ("transpose", {"order": [2, 1, 0]}),
        ("bytes", {"endian": "little"}),
    ]
    assert read(order="F").order == "F"


@pytest.mark.parametrize("shape", [[], [5]])
def test_order_f_of_no_more_than_one_dimension_is_order_c(shape: list[int]):
    assert codecs(order="F", shape=shape, chunks=shape, filters=None, compressor=None) == [("bytes", {"endian": "little"})]


@pytest.mark.parametrize("separator", [".", "/"])
def test_both_separators_of_keys(separator: str):
    assert read(dimension_separator=separator).key_encoding == KeyEncoding("v2", separator)


@pytest.mark.parametrize(
    ("compressor", "codec"),
    [
        ({"id": "zlib", "level": 1}, ("numcodecs.zlib", {"level": 1})),
        ({"id": "zstd", "level": 3}, ("numcodecs.zstd", {"level": 3})),
        ({"id": "lz4", "acceleration": 1}, ("v2:lz4", {"acceleration": 1})),
        ({"id": "unheard_of"}, ("v2:unheard_of", {})),
    ],
)
def test_codecs_that_azarr_has_no_file_for_are_marked(compressor: Document, codec: tuple[str, Any]):
    assert codecs(compressor=compressor, filters=None)[1:] == [codec]


@pytest.mark.parametrize(
    ("filters", "dtype", "expected"),
    [
        ([{"id": "vlen-utf8"}], STRING, [("vlen-utf8", {})]),
        ([{"id": "vlen-bytes"}], BYTES, [("vlen-bytes", {})]),
        ([{"id": "json2", "encoding": "utf-8"}], OBJECT, [("numcodecs.json2", {"encoding": "utf-8"})]),
        ([{"id": "vlen-array", "dtype": "<i4"}], OBJECT, [("numcodecs.vlen-array", {"dtype": "<i4"})]),
        ([{"id": "vlen-utf8"}, {"id": "crc32"}], STRING, [("vlen-utf8", {}), ("v2:crc32", {})]),
    ],
)
def test_objects_have_a_filter_that_makes_bytes_of_them(filters: Any, dtype: Any, expected: Any):
    found = read(dtype="|O", filters=filters, compressor=None, fill_value=None)
    assert found.dtype is dtype
    assert [(codec.name, codec.configuration) for codec in found.codecs] == expected
    assert v2.array_to_json(found) == array(dtype="|O", filters=filters, compressor=None, fill_value=None)


def test_an_object_codec_on_other_types_is_a_filter_like_any():
    found = codecs(dtype="<U3", fill_value="", filters=[{"id": "categorize", "labels": ["a"], "dtype": "<U1"}], compressor=None)
    assert found == [("bytes", {"endian": "little"}), ("v2:categorize", {"labels": ["a"], "dtype": "<U1"})]


def test_objects_without_an_object_codec_are_refused():
    with pytest.raises(MetadataError, match=r"dtype: '\|O' needs an object codec as a filter, such as vlen-utf8"):
        read(dtype="|O", fill_value=None, filters=[{"id": "delta"}])


@pytest.mark.parametrize("changes", [{"filters": [{"id": "pickle"}], "dtype": "|O"}, {"compressor": {"id": "pickle"}}])
def test_pickle_is_never_decoded(changes: Document):
    with pytest.raises(UnknownCodec, match="azarr never decodes pickle, which runs code that the data brings along"):
        read(**changes)


def test_a_struct_keeps_the_byte_order_of_each_field_as_json_in_its_codec():
    found = read(dtype=POINT, fill_value=None, filters=None, compressor=None)
    assert found.codecs == (CodecSpec("bytes", {"dtype": [["x", "<f4"], ["y", ">f4"], ["z", "<i2", [2, 3]]]}),)
    assert json.loads(json.dumps(found.codecs[0].to_json())) == {"name": "bytes", "configuration": {"dtype": POINT}}
    assert v2.dtype_from_json(found.codecs[0].configuration["dtype"]) == np.dtype([("x", "<f4"), ("y", ">f4"), ("z", "<i2", (2, 3))])
    assert found.dtype.numpy == np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<i2", (2, 3))])
    assert found.dtype.name == "struct"


def test_base64_of_a_struct_is_its_stored_bytes():
    found = read(dtype=[["a", ">u2"], ["b", "|u1"]], fill_value="AQIH", filters=None)
    assert found.fill[()] == np.array((0x0102, 7), [("a", "u2"), ("b", "u1")])
    assert found.fill.dtype == np.dtype([("a", "<u2"), ("b", "u1")])


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("<i4", 7, 7),
        (">f8", "-Infinity", -np.inf),
        ("<c8", [1, 2], 1 + 2j),
        ("|b1", True, True),
        ("|S3", "aGk=", b"hi"),
        ("<U3", "hé", "hé"),
    ],
)
def test_fill_values(dtype: str, value: Any, expected: Any):
    assert read(dtype=dtype, fill_value=value).fill[()] == expected


def test_a_fill_value_of_null_reads_as_zero():
    assert read(fill_value=None).fill == 0


def test_fill_values_that_old_writers_left_behind_warn_unless_lenient():
    with pytest.warns(LegacyWarning, match=r"the fill value 1\.0 of int32 is a form that old writers left behind"):
        assert read(dtype="<i4", fill_value=1.0).fill == 1
    assert v2.array_from_json(array(dtype="<i4", fill_value=1.0), {}, lenient=True).fill == 1


@pytest.mark.parametrize(
    ("names", "expected"), [(["y", "x"], ("y", "x")), (["x"], None), (["x", 1], None), ("yx", None), (None, None), ([None, "x"], (None, "x"))]
)
def test_dimension_names_are_where_xarray_keeps_them(names: Any, expected: Any):
    assert read({"_ARRAY_DIMENSIONS": names}).dimension_names == expected


def test_no_more_dimensions_than_numpy_has():
    with pytest.raises(MetadataError, match="shape: at most 64 dimensions are needed"):
        read(shape=[1] * 65, chunks=[1] * 65)


@pytest.mark.parametrize("name", ["shape", "chunks", "dtype", "compressor", "fill_value", "order", "filters"])
def test_mandatory_fields_are_named_where_they_are_absent(name: str):
    with pytest.raises(MetadataError, match=f"^metadata: {name}: the field is mandatory, not 'absent'$"):
        read(**{name: ...})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"zarr_format": 3}, "zarr_format: must be 2, not 3"),
        ({"zarr_format": ...}, "zarr_format: must be 2, not None"),
        ({"shape": [True, 1]}, "shape: a list of integers from 0 to 9223372036854775807 is needed, not [True, 1]"),
        ({"chunks": [1000]}, "chunks: one entry per dimension is needed (2), not [1000]"),
        ({"chunks": [1000, 0]}, "chunks: a list of integers from 1 to 9223372036854775807 is needed, not [1000, 0]"),
        ({"order": "A"}, "order: must be 'C' or 'F', not 'A'"),
        ({"dimension_separator": None}, "dimension_separator: must be '.' or '/', not None"),
        ({"filters": {"id": "delta"}}, "filters: filters are a list, or null, not {'id': 'delta'}"),
        ({"filters": [{"name": "delta"}]}, "filters[0]: a codec is an object with an id, not {'name': 'delta'}"),
        ({"compressor": "zlib"}, "compressor: a codec is an object with an id, not 'zlib'"),
        ({"compressor": {}}, "compressor: a codec is an object with an id, not {}"),
    ],
)
def test_a_broken_document_names_the_field_and_the_value(changes: Document, reason: str):
    with pytest.raises(MetadataError) as caught:
        read(**changes)
    assert str(caught.value) == f"metadata: {reason}"


@given(FIELDS)
@examples(150)
def test_every_data_type_of_v2_comes_back_from_numpy(value: Any):
    assert v2_dtype_to_json(v2.dtype_from_json(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "",
        "float8",
        "<f4,<i4",
        "(,)f4,i4",
        "<f3",
        "<U0",
        "|S0",
        "|O",
        "<M8[fortnight]",
        {},
        {"ab": "<f4"},
        [],
        ["ab"],
        [["a"]],
        [["a", "<f4", 2]],
        [["a", "<f4", [2], [3]]],
        [["a", "<f4", [-1]]],
        [[1, "<f4"]],
        [["a", "<f4"], ["a", "<f4"]],
        [["a", "|O"]],
        [["a", [["b", "|S0"]]]],
        "<U500000000",
        [["a", "|S60000000"], ["b", "|S60000000"]],
        [["a", "|u1", [70000000]]],
    ],
)
def test_other_data_types_are_refused(value: Any):
    with pytest.raises(UnknownDataType, match=r"^metadata: dtype: a data type of Zarr v2 is needed \("):
        v2.dtype_from_json(value)


def test_the_field_whose_data_type_is_refused_is_the_one_that_is_shown():
    with pytest.raises(UnknownDataType) as caught:
        v2.dtype_from_json([["a", "<f4"], ["b", "|O"]])
    assert caught.value.value == "|O"


def test_a_group_is_read_with_keys_that_azarr_does_not_know():
    assert v2.group_from_json({"zarr_format": 2, "_nczarr_group": {}}, {"a": 1}) == GroupMetadata({"a": 1}, 2)


@pytest.mark.parametrize("document", [{}, {"zarr_format": 3}, {"zarr_format": "2"}])
def test_a_group_of_another_format_is_refused(document: Document):
    with pytest.raises(MetadataError, match="zarr_format: must be 2"):
        v2.group_from_json(document, {})


def test_consolidated_members_are_found_by_path():
    found = v2.consolidated_members(
        {
            "zarr_consolidated_format": 1,
            "metadata": {".zgroup": {"zarr_format": 2}, "a/b/.zarray": array(), "a/b/.zattrs": {"x": 1}, "a/unknown": {}},
        }
    )
    assert found == {"": {".zgroup": {"zarr_format": 2}}, "a/b": {".zarray": array(), ".zattrs": {"x": 1}}}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"metadata": {}}, "zarr_consolidated_format: must be 1, not None"),
        ({"zarr_consolidated_format": 2, "metadata": {}}, "zarr_consolidated_format: must be 1, not 2"),
        ({"zarr_consolidated_format": 1, "metadata": []}, "metadata: an object is needed, not []"),
    ],
)
def test_other_consolidated_documents_are_refused(document: Document, reason: str):
    with pytest.raises(MetadataError) as caught:
        v2.consolidated_members(document)
    assert str(caught.value) == f"metadata: {reason}"
