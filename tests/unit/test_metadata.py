"""Array and group documents of v3: the forms of the specification, and a typed error for each other."""

import json
from typing import Any

import numpy as np
import pytest

from azarr import metadata
from azarr.document import Document
from azarr.dtypes import DataType
from azarr.errors import LegacyWarning, MetadataError, UnknownDataType
from azarr.grid import Grid, KeyEncoding
from azarr.metadata import (
    ArrayMetadata,
    CodecSpec,
    GroupMetadata,
    array_from_json,
    array_to_json,
    codecs_from_json,
    group_from_json,
    group_to_json,
    without_unknown,
)
from documents import sharded
from fakes import CountedText


def array(**changes: Any) -> Document:
    """The example of the specification, changed; a field that becomes `...` is left out."""
    document: Document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [10000, 1000],
        "dimension_names": ["rows", "columns"],
        "data_type": "float64",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1000, 100]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "fill_value": "NaN",
        "attributes": {"foo": 42, "bar": "apples", "baz": [1, 2, 3, 4]},
    }
    return {name: value for name, value in {**document, **changes}.items() if value is not ...}


def group(**changes: Any) -> Document:
    return {"zarr_format": 3, "node_type": "group", "attributes": {"spam": "ham", "eggs": 42}, **changes}


def chain(*codecs: Any) -> ArrayMetadata:
    return array_from_json(array(codecs=list(codecs)))


def test_the_example_of_the_specification_is_read():
    found = array_from_json(array())
    assert np.isnan(found.fill)
    assert found == ArrayMetadata(
        document=array(),
        shape=(10000, 1000),
        dtype=DataType("float64", np.dtype("<f8")),
        grid=Grid.regular((10000, 1000), (1000, 100)),
        key_encoding=KeyEncoding("default", "/"),
        fill=found.fill,
        codecs=(CodecSpec("bytes", {"endian": "little"}),),
        attributes={"foo": 42, "bar": "apples", "baz": [1, 2, 3, 4]},
        dimension_names=("rows", "columns"),
    )
    assert (found.ndim, found.zarr_format, found.order) == (2, 3, "C")


def test_a_document_is_written_as_it_was_read():
    assert array_to_json(array_from_json(array())) == array()
    assert group_to_json(group_from_json(group())) == group()


def test_codecs_are_written_as_objects_because_readers_of_3_0_know_no_bare_names():
    written = array_to_json(chain("bytes", {"name": "new", "must_understand": False}))
    assert written["codecs"] == [{"name": "bytes", "configuration": {}}, {"name": "new", "configuration": {}, "must_understand": False}]


def test_dimension_names_that_are_null_are_not_written():
    assert "dimension_names" not in array_to_json(array_from_json(array(dimension_names=None)))


def test_no_more_dimensions_than_numpy_has():
    def of(ndim: int) -> Document:
        grid = {"name": "regular", "configuration": {"chunk_shape": [1] * ndim}}
        return array(shape=[1] * ndim, chunk_grid=grid, dimension_names=None)

    assert array_from_json(of(64)).ndim == 64
    with pytest.raises(MetadataError, match="shape: at most 64 dimensions are needed"):
        array_from_json(of(65))


def test_optional_fields_may_be_absent():
    found = array_from_json(array(attributes=..., dimension_names=...))
    assert (found.attributes, found.dimension_names) == ({}, None)
    assert group_from_json({"zarr_format": 3, "node_type": "group"}) == GroupMetadata({}, 3)


def test_a_scalar_has_an_empty_shape():
    found = array_from_json(array(shape=[], chunk_grid={"name": "regular", "configuration": {"chunk_shape": []}}, dimension_names=[]))
    assert (found.shape, found.ndim, found.dimension_names) == ((), 0, ())


def test_axes_may_have_no_length_and_names_may_be_missing_or_the_same():
    assert array_from_json(array(shape=[0, 5])).shape == (0, 5)
    assert array_from_json(array(dimension_names=[None, "x"])).dimension_names == (None, "x")
    assert array_from_json(array(dimension_names=["x", "x"])).dimension_names == ("x", "x")


@pytest.mark.parametrize("name", ["shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs"])
def test_mandatory_fields_are_named_where_they_are_absent(name: str):
    with pytest.raises(MetadataError, match=f"^metadata: {name}: the field is mandatory, not 'absent'$"):
        array_from_json(array(**{name: ...}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"zarr_format": 2}, "zarr_format: must be 3, not 2"),
        ({"zarr_format": 3.0}, "zarr_format: must be 3, not 3.0"),
        ({"zarr_format": "3"}, "zarr_format: must be 3, not '3'"),
        ({"zarr_format": ...}, "zarr_format: must be 3, not None"),
        ({"node_type": "group"}, "node_type: must be 'array', not 'group'"),
        ({"shape": [True, 1]}, "shape: a list of integers from 0 to 9223372036854775807 is needed, not [True, 1]"),
        ({"shape": [4.0, 1]}, "shape: a list of integers from 0 to 9223372036854775807 is needed, not [4.0, 1]"),
        ({"dimension_names": ["x"]}, "dimension_names: a list of 2 strings or nulls is needed, not ['x']"),
        ({"dimension_names": ["x", 1]}, "dimension_names: a list of 2 strings or nulls is needed, not ['x', 1]"),
        ({"dimension_names": "xy"}, "dimension_names: a list of 2 strings or nulls is needed, not 'xy'"),
        (
            {"fill_value": True},
            'fill_value: a fill value of float64 is a number, "NaN", "Infinity", "-Infinity", or "0x" and its bits, not True',
        ),
        ({"attributes": []}, "attributes: attributes are an object, not []"),
        ({"attributes": None}, "attributes: attributes are an object, not None"),
        ({"codecs": []}, "codecs: a list with at least one codec is needed, not []"),
        ({"codecs": "bytes"}, "codecs: a list with at least one codec is needed, not 'bytes'"),
        ({"storage_transformers": [{"name": "x"}]}, "storage_transformers: an empty list is needed (no transformer is known), not [{'name': 'x'}]"),
        ({"colour": "red"}, "colour: a field that azarr knows, or an object with must_understand false, is needed, not 'red'"),
        ({"colour": {"name": "red"}}, "colour: a field that azarr knows, or an object with must_understand false, is needed, not {'name': 'red'}"),
    ],
)
def test_a_broken_array_document_names_the_field_and_the_value(changes: Document, reason: str):
    with pytest.raises(MetadataError) as caught:
        array_from_json(array(**changes))
    assert str(caught.value) == f"metadata: {reason}"


def test_documents_that_differ_in_attributes_alone_share_the_rest_and_what_is_kept_of_them_is_bounded(monkeypatch: pytest.MonkeyPatch):
    first, second = array_from_json(array(attributes={"units": "K"})), array_from_json(array(attributes={"units": "m"}))
    assert first.codecs is second.codecs
    assert (first.attributes, second.attributes) == ({"units": "K"}, {"units": "m"})
    assert first.document["attributes"] == {"units": "K"}
    monkeypatch.setattr(metadata, "MOST_KNOWN", 1)
    other = array_from_json(array(codecs=["bytes", "gzip"], data_type="uint8", fill_value=1))
    assert [codec.name for codec in other.codecs] == ["bytes", "gzip"]
    assert len(metadata._known) == 1
    monkeypatch.setattr(metadata, "LONGEST_KNOWN", 10)
    assert array_from_json(array(data_type="int8", fill_value=1)).dtype.name == "int8"
    assert len(metadata._known) == 0


@pytest.mark.parametrize(("strict", "lenient"), [(1, 1.0), (0, False), (0.0, -0.0), (2, 2.0)])
def test_documents_whose_values_are_equal_in_python_alone_are_not_taken_for_alike(strict: Any, lenient: Any):
    data_type = "float32" if isinstance(strict, float) else "int32"
    assert array_from_json(array(data_type=data_type, fill_value=strict)).fill.tobytes() == np.array(strict, data_type).tobytes()
    if data_type == "float32":
        assert array_from_json(array(data_type=data_type, fill_value=lenient)).fill.tobytes() == np.array(lenient, data_type).tobytes()
    else:
        with pytest.raises(MetadataError, match="a fill value of int32 is an integer"):
            array_from_json(array(data_type=data_type, fill_value=lenient))


def test_an_unknown_data_type_says_so():
    with pytest.raises(UnknownDataType):
        array_from_json(array(data_type="float8_e4m3"))


def test_lenient_accepts_fill_values_that_old_writers_left_behind():
    document = array(data_type="int32", fill_value=1.0)
    with pytest.raises(MetadataError, match=r"a fill value of int32 is an integer in its range, not 1\.0"):
        array_from_json(document)
    assert array_from_json(document, lenient=True).fill == 1


def test_no_storage_transformers_are_none():
    assert array_from_json(array(storage_transformers=[])).shape == (10000, 1000)


def test_unknown_fields_that_need_not_be_understood_are_kept():
    extra = {"colour": {"must_understand": False, "name": "red"}}
    assert array_to_json(array_from_json(array(**extra)))["colour"] == extra["colour"]
    assert group_from_json(group(**extra)).extra == extra
    assert group_to_json(group_from_json(group(**extra)))["colour"] == extra["colour"]


@pytest.mark.parametrize(
    ("value", "codec"),
    [
        ("bytes", CodecSpec("bytes")),
        ({"name": "gzip", "configuration": {"level": 5}}, CodecSpec("gzip", {"level": 5})),
        ({"name": "numcodecs.zlib", "must_understand": True}, CodecSpec("numcodecs.zlib")),
        ({"name": "new-codec_1", "must_understand": False}, CodecSpec("new-codec_1", {}, required=False)),
        ("https://codec.org/gzip", CodecSpec("https://codec.org/gzip")),
        ("urn:example:gzip", CodecSpec("urn:example:gzip")),
    ],
)
def test_a_codec_is_a_name_or_an_object_with_a_name(value: Any, codec: CodecSpec):
    assert codecs_from_json([value], "codecs") == (codec,)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "codecs[1]: a name is needed, or an object with a name, not None"),
        ("Gzip", "codecs[1].name: a name of an extension is needed, not 'Gzip'"),
        ("v2:shuffle", "codecs[1].name: a name of an extension is needed, not 'v2:shuffle'"),
        ({"name": ""}, "codecs[1].name: a name of an extension is needed, not ''"),
        ({"id": "gzip"}, "codecs[1]: a name is needed, or an object with a name, not {'id': 'gzip'}"),
        ({"name": "gzip", "level": 5}, "codecs[1]: only name, configuration, must_understand are allowed, not ['level']"),
        ({"name": "gzip", "configuration": 5}, "codecs[1].configuration: a configuration is an object, not 5"),
        ({"name": "gzip", "must_understand": 0}, "codecs[1].must_understand: must be True or False, not 0"),
    ],
)
def test_a_broken_codec_names_its_place_and_the_value(value: Any, reason: str):
    with pytest.raises(MetadataError) as caught:
        codecs_from_json(["bytes", value], "codecs")
    assert str(caught.value) == f"metadata: {reason}"


def test_codecs_are_json():
    codecs = [CodecSpec("bytes", {"endian": "big"}), CodecSpec("new", {"x": [1]}, required=False)]
    assert json.dumps([codec.to_json() for codec in codecs]) == (
        '[{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "new", "configuration": {"x": [1]}, "must_understand": false}]'
    )


def test_unknown_codecs_that_need_not_be_understood_are_skipped_with_a_warning():
    metadata = chain("bytes", {"name": "new", "must_understand": False}, "gzip")
    with pytest.warns(LegacyWarning, match="a of memory: the unknown codec 'new' is skipped, as must_understand is false"):
        found = without_unknown(metadata, frozenset(("bytes", "gzip")), "a of memory")
    assert [codec.name for codec in found.codecs] == ["bytes", "gzip"]


def test_known_and_required_codecs_stay():
    metadata = chain("bytes", {"name": "gzip", "must_understand": False}, "new")
    assert without_unknown(metadata, frozenset(("bytes", "gzip")), "a") == metadata


def test_a_codec_is_not_skipped_because_another_of_its_name_may_be():
    metadata = chain("bytes", {"name": "new", "must_understand": False}, "new")
    with pytest.warns(LegacyWarning):
        found = without_unknown(metadata, frozenset(("bytes",)), "a")
    assert found.codecs == (CodecSpec("bytes"), CodecSpec("new"))


def test_codecs_inside_of_shards_are_skipped_as_those_outside():
    new = {"name": "new", "must_understand": False}
    inner = sharded(2, codecs=["bytes", new, *sharded(1, codecs=["bytes", new, {"name": "gzip", "must_understand": False}])])
    metadata = chain(*sharded(4, codecs=inner))
    with pytest.warns(LegacyWarning, match="a of memory: the unknown codec 'new' is skipped") as told:
        found = without_unknown(metadata, frozenset(("bytes", "gzip", "sharding_indexed")), "a of memory")
    assert len(told) == 2
    assert '"new"' not in json.dumps(found.codecs[0].to_json())
    kept = found.codecs[0].configuration["codecs"][0]["configuration"]["codecs"]
    assert [each["name"] for each in kept] == ["bytes", "sharding_indexed"]
    assert kept[1]["configuration"]["codecs"][1] == {"name": "gzip", "configuration": {}, "must_understand": False}
    assert metadata.codecs[0].configuration["codecs"] == inner


def test_shards_without_unknown_codecs_and_broken_ones_stay():
    for codec in (*sharded(4), {"name": "sharding_indexed"}, {"name": "sharding_indexed", "configuration": {"codecs": 3}}):
        metadata = chain(codec)
        assert without_unknown(metadata, frozenset(("bytes", "sharding_indexed")), "a") is metadata


def test_each_codec_that_is_skipped_is_compared_with_no_other():
    names = [CountedText(f"new{number}") for number in range(300)]
    metadata = chain("bytes")._replace(codecs=(*[CodecSpec("bytes")] * 300, *(CodecSpec(name, {}, required=False) for name in names)))
    CountedText.compared = 0
    with pytest.warns(LegacyWarning):
        found = without_unknown(metadata, frozenset(("bytes",)), "a")
    assert found.codecs == (CodecSpec("bytes"),) * 300
    assert CountedText.compared < 3000


def test_a_group_is_read():
    assert group_from_json(group()) == GroupMetadata({"spam": "ham", "eggs": 42}, 3)
    assert group_from_json(group()).consolidated is None


def test_consolidated_metadata_are_kept_unparsed_and_not_written_again():
    inline = {"kind": "inline", "must_understand": False, "metadata": {"a": array(), "a/b": {"broken": True}}}
    found = group_from_json(group(consolidated_metadata=inline))
    assert found.consolidated == {"a": array(), "a/b": {"broken": True}}
    assert group_to_json(found) == group()


def test_consolidated_metadata_that_are_null_are_none():
    assert group_from_json(group(consolidated_metadata=None)).consolidated is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"zarr_format": 2}, "zarr_format: must be 3, not 2"),
        ({"node_type": "array"}, "node_type: must be 'group', not 'array'"),
        ({"attributes": "x"}, "attributes: attributes are an object, not 'x'"),
        ({"shape": []}, "shape: a field that azarr knows, or an object with must_understand false, is needed, not []"),
        ({"consolidated_metadata": []}, 'consolidated_metadata: kind "inline" and an object metadata are needed, not []'),
        (
            {"consolidated_metadata": {"kind": "file", "metadata": {}}},
            "consolidated_metadata: kind \"inline\" and an object metadata are needed, not {'kind': 'file', 'metadata': {}}",
        ),
        (
            {"consolidated_metadata": {"kind": "inline", "metadata": None}},
            "consolidated_metadata: kind \"inline\" and an object metadata are needed, not {'kind': 'inline', 'metadata': None}",
        ),
    ],
)
def test_a_broken_group_document_names_the_field_and_the_value(changes: Document, reason: str):
    with pytest.raises(MetadataError) as caught:
        group_from_json(group(**changes))
    assert str(caught.value) == f"metadata: {reason}"
