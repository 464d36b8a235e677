"""Data types: every name of the specification, and the NumPy dtype it means, both ways."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azarr import dtypes
from azarr.dtypes import BYTES, OBJECT, STRING, DataType
from azarr.errors import MetadataError, UnknownDataType
from drawing import examples
from fakes import CountedText

MOST = "at most 67108864"
CORE = {
    "bool": "|b1",
    "int8": "|i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "|u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
    "complex64": "<c8",
    "complex128": "<c16",
}


def as_fields(parts: list[Any]) -> list[tuple[str, Any]]:
    return [(f"f{number}", part) for number, part in enumerate(parts)]


NUMPY = st.one_of(
    st.sampled_from(list(CORE.values())),
    st.builds("{}{}".format, st.sampled_from(["<U", "S", "V"]), st.integers(1, 40)),
    st.builds("{}[{}{}]".format, st.sampled_from(["<M8", "<m8"]), st.integers(1, 99), st.sampled_from(["Y", "D", "h", "ms", "as"])),
    st.sampled_from(["<M8", "<m8"]),
)
STRUCTS = st.recursive(NUMPY, lambda inner: st.lists(inner, min_size=1, max_size=3).map(as_fields), max_leaves=5)


def extension(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def struct(*fields: Any) -> dict[str, Any]:
    return extension("struct", fields=list(fields))


@pytest.mark.parametrize("name", CORE)
def test_core_data_types_are_what_numpy_calls_the_same(name: str):
    assert dtypes.from_json(name) == DataType(name, np.dtype(CORE[name]))
    assert dtypes.from_numpy(CORE[name]).spec == name
    assert dtypes.from_numpy(name).spec == name


@pytest.mark.parametrize(
    ("spec", "numpy"),
    [
        ("complex_float32", "<c8"),
        ("complex_float64", "<c16"),
        ("r8", "V1"),
        ("r24", "V3"),
        ("r536870912", "V67108864"),
        ({"name": "int8", "must_understand": True}, "i1"),
        (extension("numpy.datetime64", unit="s", scale_factor=2**31 - 1), "<M8[2147483647s]"),
        (extension("fixed_length_utf32", length_bytes=20), "<U5"),
        (extension("null_terminated_bytes", length_bytes=7), "S7"),
        (extension("raw_bytes", length_bytes=3), "V3"),
        (extension("numpy.datetime64", unit="s", scale_factor=10), "<M8[10s]"),
        (extension("numpy.datetime64", unit="μs", scale_factor=1), "<M8[us]"),
        (extension("numpy.datetime64", unit="generic", scale_factor=1), "<M8"),
        (extension("numpy.timedelta64", unit="D"), "<m8[D]"),
        ({"name": "float32"}, "<f4"),
        (struct({"name": "a", "data_type": "uint8"}, {"name": "b", "data_type": "float64"}), [("a", "u1"), ("b", "<f8")]),
        (extension("structured", fields=[["a", "uint8"], ["b", extension("raw_bytes", length_bytes=2)]]), [("a", "u1"), ("b", "V2")]),
        (struct({"name": "a", "data_type": struct({"name": "x", "data_type": "bool"})}), [("a", [("x", "?")])]),
    ],
)
def test_registered_extensions_have_the_dtype_they_describe(spec: Any, numpy: Any):
    found = dtypes.from_json(spec)
    assert found == DataType(spec, np.dtype(numpy))
    assert found.fixed


@pytest.mark.parametrize(
    ("spec", "found", "name", "numpy"),
    [
        ("string", STRING, "string", np.dtypes.StringDType()),
        ("variable_length_bytes", BYTES, "variable_length_bytes", np.dtype(object)),
        ({"name": "bytes", "configuration": {}}, DataType("bytes", np.dtype(object), "bytes"), "bytes", np.dtype(object)),
    ],
)
def test_strings_and_bytes_of_any_length_are_not_fixed(spec: Any, found: DataType, name: str, numpy: Any):
    assert dtypes.from_json(spec) == found
    assert (found.name, found.numpy, found.fixed) == (name, numpy, False)


def test_the_name_is_known_without_the_configuration():
    assert dtypes.from_json("int8").name == "int8"
    assert dtypes.from_json(extension("raw_bytes", length_bytes=3)).name == "raw_bytes"


def test_objects_of_v2_are_neither_fixed_nor_known_to_v3():
    assert not OBJECT.fixed
    with pytest.raises(UnknownDataType):
        dtypes.from_json("object")


@pytest.mark.parametrize("spec", ["float8_e4m3", "int3", "r", "r0", "r12", "r-8", "r08", "r8000000000", "r536870920", "Float32", "", extension("int2")])
def test_other_names_are_unknown_data_types(spec: Any):
    with pytest.raises(UnknownDataType, match=r"data_type: a data type that azarr knows is needed \(of raw bits, a multiple of 8\)"):
        dtypes.from_json(spec)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (None, "data_type: a name is needed, or an object with a name, not None"),
        (["int8"], "data_type: a name is needed, or an object with a name, not ['int8']"),
        ({"name": "int8", "must_understand": False}, "data_type: only name, configuration are allowed, not ['must_understand']"),
        (extension("fixed_length_utf32"), f"data_type.length_bytes: a positive multiple of 4 is needed, {MOST}, not None"),
        (extension("fixed_length_utf32", length_bytes=6), f"data_type.length_bytes: a positive multiple of 4 is needed, {MOST}, not 6"),
        (extension("raw_bytes", length_bytes=0), f"data_type.length_bytes: a positive integer is needed, {MOST}, not 0"),
        (extension("raw_bytes", length_bytes=True), f"data_type.length_bytes: a positive integer is needed, {MOST}, not True"),
        (extension("raw_bytes", length_bytes=2**31), f"data_type.length_bytes: a positive integer is needed, {MOST}, not 2147483648"),
        (extension("null_terminated_bytes", length_bytes=2**26 + 1), f"data_type.length_bytes: a positive integer is needed, {MOST}, not 67108865"),
        (extension("numpy.datetime64", unit="s", scale_factor=0), "data_type.scale_factor: a positive integer is needed, at most 2147483647, not 0"),
        (struct(), "data_type.fields: a struct has a list of fields, at least one, not []"),
        (extension("struct"), "data_type.fields: a struct has a list of fields, at least one, not None"),
        (struct("ab"), "data_type.fields: a field has a name of its own, and a data type, not 'ab'"),
        (struct(["a"]), "data_type.fields: a field has a name of its own, and a data type, not ['a']"),
        (struct({"data_type": "int8"}), "data_type.fields: a field has a name of its own, and a data type, not {'data_type': 'int8'}"),
        (struct(["", "int8"]), "data_type.fields: a field has a name of its own, and a data type, not ['', 'int8']"),
        (struct(["a", "int8"], ["a", "int8"]), "data_type.fields: a field has a name of its own, and a data type, not ['a', 'int8']"),
        (
            struct(*([name, extension("raw_bytes", length_bytes=2**25)] for name in "abc")),
            "data_type.fields: a struct has at most 67108864 bytes, not 100663296",
        ),
        (struct(["a", "string"]), "data_type.a: fields of a struct have a fixed size, not 'string'"),
        (struct(["a", None]), "data_type.a: a name is needed, or an object with a name, not None"),
    ],
)
def test_a_broken_data_type_names_the_field_and_the_value(spec: Any, reason: str):
    with pytest.raises(MetadataError) as caught:
        dtypes.from_json(spec)
    assert str(caught.value) == f"metadata: {reason}"


def test_each_field_of_a_struct_is_compared_with_no_other():
    names = [CountedText(f"f{number}") for number in range(1000)]
    CountedText.compared = 0
    assert len(dtypes.from_json(struct(*([name, "int8"] for name in names))).numpy.names or ()) == 1000
    assert CountedText.compared < 10_000


def test_a_unit_of_time_is_one_that_numpy_has():
    with pytest.raises(MetadataError, match=r"data_type\.unit: must be 'Y' or 'M' or .* or 'generic', not 'fortnight'"):
        dtypes.from_json(extension("numpy.datetime64", unit="fortnight", scale_factor=1))


@given(STRUCTS)
@examples(150)
def test_every_numpy_dtype_that_has_a_name_comes_back_from_it(dtype: Any):
    found = dtypes.from_numpy(dtype)
    assert found.numpy == np.dtype(dtype)
    assert dtypes.from_json(found.spec) == found


@given(STRUCTS)
@examples(50)
def test_byte_order_is_not_a_part_of_a_data_type(dtype: Any):
    swapped = np.dtype(dtype).newbyteorder()
    assert dtypes.native(swapped) == np.dtype(dtype)
    assert dtypes.from_numpy(swapped) == dtypes.from_numpy(dtype)


@pytest.mark.parametrize(
    ("dtype", "spec"),
    [
        (str, "string"),
        (np.dtypes.StringDType(), "string"),
        ("string", "string"),
        (bytes, "variable_length_bytes"),
        ("bytes", "bytes"),
        ("r16", "r16"),
        (float, "float64"),
        (">i4", "int32"),
        ("U5", extension("fixed_length_utf32", length_bytes=20)),
        ("M8[10us]", extension("numpy.datetime64", unit="us", scale_factor=10)),
        ([("a", "i1")], struct({"name": "a", "data_type": "int8"})),
        (extension("raw_bytes", length_bytes=3), extension("raw_bytes", length_bytes=3)),
        (STRING, "string"),
    ],
)
def test_an_array_is_created_with_what_numpy_takes_as_a_dtype_or_a_name_of_zarr(dtype: Any, spec: Any):
    assert dtypes.from_numpy(dtype).spec == spec


@pytest.mark.parametrize("dtype", ["U", "S", "V", np.dtype(str)])
def test_a_dtype_without_a_length_is_refused_because_numpy_would_make_it_one(dtype: Any):
    with pytest.raises(MetadataError, match="data_type: a length is needed, such as 'U10'; str and bytes are of any length"):
        dtypes.from_numpy(dtype)


@pytest.mark.parametrize("dtype", [object, "longdouble", [("a", "O")]])
def test_a_dtype_that_zarr_has_no_name_for_is_refused(dtype: Any):
    with pytest.raises(UnknownDataType, match=r"data_type: no Zarr data type for the NumPy dtype '\w+'$"):
        dtypes.from_numpy(dtype)


def test_subarrays_in_structs_are_of_v2_alone():
    with pytest.raises(MetadataError, match="data_type: Zarr v3 has no subarray fields; use zarr_format=2"):
        dtypes.from_numpy([("a", "f4", (2, 3))])
