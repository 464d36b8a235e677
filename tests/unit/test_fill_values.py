"""Fill values: every form of the specifications, to the last bit, and what old writers left behind."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azarr import dtypes, fill_values
from azarr.dtypes import BYTES, OBJECT, STRING, DataType
from azarr.errors import LegacyWarning, MetadataError
from azarr.tools.creation import fill_from_value
from drawing import examples

PAIR = np.dtype([("a", "<u1"), ("b", "<f4")])
FIXED = st.sampled_from(
    ["?", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16", "<M8[s]", "<m8[D]", "V3", PAIR]
)


def of(dtype: Any) -> DataType:
    return dtypes.from_numpy(dtype)


def bits(value: Any, dtype: str, **forms: bool) -> str:
    """What `value` is in memory, most significant digit first."""
    return fill_values.from_json(value, of(dtype), **forms).tobytes()[::-1].hex()


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (True, "bool", "01"),
        (False, "bool", "00"),
        (-128, "int8", "80"),
        (9223372036854775807, "int64", "7fffffffffffffff"),
        (-9223372036854775808, "int64", "8000000000000000"),
        (18446744073709551615, "uint64", "ffffffffffffffff"),
        (9007199254740993, "int64", "0020000000000001"),  # 2**53 + 1, which a parser of doubles loses
        (1, "float32", "3f800000"),
        (1.5, "float16", "3e00"),
        (-0.0, "float64", "8000000000000000"),
        (5e-324, "float64", "0000000000000001"),
        ("NaN", "float16", "7e00"),
        ("NaN", "float32", "7fc00000"),
        ("NaN", "float64", "7ff8000000000000"),
        ("Infinity", "float32", "7f800000"),
        ("-Infinity", "float64", "fff0000000000000"),
        ("0x7fc00001", "float32", "7fc00001"),
        ("0x7FA00000", "float32", "7fa00000"),  # a signalling NaN, which a conversion would make quiet
        ("0xfff8000000000001", "float64", "fff8000000000001"),
        ("0x3c00", "float16", "3c00"),
        (1e39, "float32", "7f800000"),
        ([1, "NaN"], "complex64", "7fc000003f800000"),
        (["0x7fc00001", "-Infinity"], "complex64", "ff8000007fc00001"),
        ([0.0, -0.0], "complex128", "80000000000000000000000000000000"),
    ],
)
def test_numbers_have_exactly_these_bits(value: Any, dtype: str, expected: str):
    assert bits(value, dtype) == expected


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (0, "M8[s]", np.datetime64("1970-01-01", "s")),
        (-1, "m8[D]", np.timedelta64(-1, "D")),
        ("hé", "U5", "hé"),
        ("aGk=", "S5", b"hi"),
        ([104, 105], "S5", b"hi"),
        ("AQID", "V3", np.void(b"\1\2\3")),
        ([1, 2, 255], "r24", np.void(b"\1\2\xff")),
        ({"a": 7, "b": "-Infinity"}, PAIR, np.array((7, -np.inf), PAIR)[()]),
        ("BwAAgD8=", PAIR, np.array((7, 1.0), PAIR)[()]),
        ("text of any length", STRING, "text of any length"),
        ("aGk=", BYTES, b"hi"),
        ([104, 105], BYTES, b"hi"),
        ({"any": ["JSON"]}, OBJECT, {"any": ["JSON"]}),
        (["a", "b"], OBJECT, ["a", "b"]),
    ],
)
def test_other_types_have_these_values(value: Any, dtype: Any, expected: Any):
    assert fill_values.from_json(value, of(dtype) if not isinstance(dtype, DataType) else dtype)[()] == expected


@pytest.mark.parametrize("dtype", ["M8[s]", "m8[ns]", "M8"])
@pytest.mark.parametrize("value", ["NaT", -(2**63)])
def test_no_time_is_a_word_or_the_least_integer(value: Any, dtype: str):
    assert np.isnat(fill_values.from_json(value, of(dtype)))


def test_fields_of_a_struct_keep_the_bits_of_a_nan_and_do_so_in_any_byte_order():
    stored = np.dtype([("a", ">f4"), ("b", ">f4", (2,))])
    value = {"a": "0x7fa00001", "b": "P4AAAEAAAAA="}
    found = fill_values.from_json(value, DataType("struct", stored))
    assert found.tobytes().hex() == "7fa00001" + "3f800000" + "40000000"


@pytest.mark.parametrize(
    ("value", "dtype", "form"),
    [
        (1, "bool", "true or false"),
        ("true", "bool", "true or false"),
        (True, "uint8", "an integer in its range"),
        (1.0, "uint8", "an integer in its range"),
        (256, "uint8", "an integer in its range"),
        (-1, "uint64", "an integer in its range"),
        (2**63, "int64", "an integer in its range"),
        ("1", "int8", "an integer in its range"),
        (None, "int8", "an integer in its range"),
        (True, "float32", 'a number, "NaN", "Infinity", "-Infinity", or "0x" and its bits'),
        ("nan", "float32", 'a number, "NaN", "Infinity", "-Infinity", or "0x" and its bits'),
        ("0x7fc0", "float32", 'a number, "NaN", "Infinity", "-Infinity", or "0x" and its bits'),
        (10**400, "float64", 'a number, "NaN", "Infinity", "-Infinity", or "0x" and its bits'),
        ([1], "float64", 'a number, "NaN", "Infinity", "-Infinity", or "0x" and its bits'),
        (1, "complex64", "a list of two numbers"),
        ([1], "complex64", "a list of two numbers"),
        ([1, 2, 3], "complex64", "a list of two numbers"),
        (["a", 1], "complex64", "a list of two numbers"),
        ({"real": 1, "imag": 2}, "complex64", "a list of two numbers"),
        (1.5, "M8[s]", 'an integer or "NaT"'),
        ("2020-01-01", "M8[s]", 'an integer or "NaT"'),
        (2**63, "M8[s]", 'an integer or "NaT"'),
        ("toolong", "U3", "text that fits"),
        (0, "U3", "text that fits"),
        (0, STRING, "text that fits"),
        ("not base64!", "S9", "its bytes in base64 or as a list, or the fields of a struct"),
        ("aGVsbG8=", "S3", "its bytes in base64 or as a list, or the fields of a struct"),
        ("aGk=", "V3", "its bytes in base64 or as a list, or the fields of a struct"),
        ([1, 2, 256], "V3", "its bytes in base64 or as a list, or the fields of a struct"),
        ([1, 2, True], "V3", "its bytes in base64 or as a list, or the fields of a struct"),
        (5, "V3", "its bytes in base64 or as a list, or the fields of a struct"),
        ({"a": 1}, "V3", "its bytes in base64 or as a list, or the fields of a struct"),
        ({"a": 1}, PAIR, "its bytes in base64 or as a list, or the fields of a struct"),
        ({"a": 1, "b": 0, "c": 0}, PAIR, "its bytes in base64 or as a list, or the fields of a struct"),
        ({"a": 256, "b": 0}, PAIR, "its bytes in base64 or as a list, or the fields of a struct"),
        (5, BYTES, "its bytes in base64 or as a list, or the fields of a struct"),
        ("é", BYTES, "its bytes in base64 or as a list, or the fields of a struct"),
    ],
)
def test_other_json_is_refused_and_the_right_form_is_named(value: Any, dtype: Any, form: str):
    data_type = of(dtype)
    with pytest.raises(MetadataError) as caught:
        fill_values.from_json(value, data_type)
    assert str(caught.value).startswith(f"metadata: fill_value: a fill value of {data_type.name} is {form}, not ")
    assert caught.value.value is value


LEGACY = [
    (0, "bool", "00"),
    (1.0, "bool", "01"),
    (1.0, "uint8", "01"),
    (3.0, "M8[s]", "0000000000000003"),
    ("0.0", "float32", "00000000"),
    ("nan", "float32", "7fc00000"),
    (1, "complex64", "000000003f800000"),
    ("NaN", "complex64", "000000007fc00000"),
    (["1.0", 2], "complex64", "400000003f800000"),
    (0, "U2", "0000000000000000"),
    (0, "S2", "0000"),
    (0, "V2", "0000"),
    (0, PAIR, "0000000000"),
    ({"a": 1.0, "b": "0.0"}, PAIR, "0000000001"),
]


@pytest.mark.parametrize(("value", "dtype", "expected"), LEGACY)
def test_forms_that_old_writers_left_behind_are_read_with_a_warning_in_v2(value: Any, dtype: str, expected: str):
    with pytest.warns(LegacyWarning, match=r"^the fill value .* is a form that old writers left behind$"):
        assert bits(value, dtype, v2=True) == expected


@pytest.mark.parametrize(("value", "dtype", "expected"), LEGACY)
@pytest.mark.parametrize("v2", [False, True])
def test_these_forms_are_read_without_a_warning_where_lenient_asks_for_it(value: Any, dtype: str, expected: str, v2: bool):
    assert bits(value, dtype, lenient=True, v2=v2) == expected


@pytest.mark.parametrize(("value", "dtype", "expected"), LEGACY)
def test_these_forms_are_refused_otherwise(value: Any, dtype: str, expected: str):
    with pytest.raises(MetadataError):
        bits(value, dtype)


@pytest.mark.parametrize(("dtype", "expected"), [(STRING, ""), (BYTES, b"")])
@pytest.mark.parametrize("value", [0, False])
def test_zero_as_the_fill_value_of_text_means_the_empty_text(value: Any, dtype: DataType, expected: Any):
    with pytest.warns(LegacyWarning):
        assert fill_values.from_json(value, dtype, v2=True)[()] == expected


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(2, "bool"), (True, "uint8"), (1.5, "uint8"), (256.0, "uint8"), ("zero", "float32"), (1, "U2"), (1, STRING), ({"x": 0}, PAIR)],
)
def test_what_nobody_ever_wrote_is_refused_even_where_lenient(value: Any, dtype: Any):
    with pytest.raises(MetadataError):
        fill_values.from_json(value, of(dtype), lenient=True, v2=True)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("bool", False),
        ("int32", 0),
        ("float64", 0.0),
        ("complex64", 0),
        ("U4", ""),
        ("S4", b""),
        ("V2", np.void(b"\0\0")),
        (STRING, ""),
        (BYTES, b""),
    ],
)
def test_null_in_v2_is_the_zero_of_the_data_type(dtype: Any, expected: Any):
    assert fill_values.from_json(None, of(dtype), v2=True)[()] == expected
    assert fill_values.default(of(dtype))[()] == expected


def test_an_object_without_fields_is_not_a_value_of_raw_bytes():
    with pytest.raises(MetadataError):
        fill_values.from_json({}, of("V2"), lenient=True)


def test_the_zero_of_times_is_no_time_and_of_objects_the_number():
    assert np.isnat(fill_values.default(of("M8[s]")))
    assert np.isnat(fill_values.default(of("m8[s]")))
    assert fill_values.default(OBJECT)[()] == 0


@pytest.mark.parametrize(
    ("value", "dtype", "json"),
    [
        (True, "bool", True),
        (-(2**63), "int64", -9223372036854775808),
        (0.1, "float64", 0.1),
        (np.nan, "float32", "NaN"),
        (np.inf, "float16", "Infinity"),
        (-np.inf, "float64", "-Infinity"),
        (np.uint32(0x7FA00001).view("f4"), "float32", "0x7fa00001"),
        (np.uint16(0xFE00).view("f2"), "float16", "0xfe00"),
        (complex(1, np.nan), "complex64", [1.0, "NaN"]),
        (5, "M8[s]", 5),
        ("NaT", "m8[s]", "NaT"),
        ("hé", "U5", "hé"),
        (b"hi", "S5", "aGk="),
        (b"\1\2\3", "V3", "AQID"),
        (b"\1\2\3", "r24", [1, 2, 3]),
        ((7, np.inf), PAIR, {"a": 7, "b": "Infinity"}),
        ("text", STRING, "text"),
        (b"hi", BYTES, "aGk="),
        ([1, {}], OBJECT, [1, {}]),
    ],
)
def test_the_strict_form_is_written(value: Any, dtype: Any, json: Any):
    found = fill_values.to_json(fill_from_value(value, of(dtype)), of(dtype))
    assert found == json
    assert type(found) is type(json)


@pytest.mark.parametrize(
    ("value", "dtype", "json"),
    [(np.uint32(0x7FA00001).view("f4"), "float32", "NaN"), ((7, 1.0), PAIR, "BwAAgD8="), (b"\1\2", "V2", "AQI=")],
)
def test_v2_has_no_word_for_payloads_and_base64_for_structs(value: Any, dtype: Any, json: Any):
    assert fill_values.to_json(fill_from_value(value, of(dtype)), of(dtype), v2=True) == json


def test_base64_of_a_struct_in_v2_is_its_stored_bytes():
    stored = np.dtype([("a", ">u2")])
    assert fill_values.to_json(np.array((1,), stored), DataType("struct", stored), v2=True) == "AAE="


@pytest.mark.parametrize(
    ("value", "dtype", "json"), [(1 + 2j, ">c8", [1.0, 2.0]), (7, ">M8[s]", 7), (1.5, ">f8", 1.5), ("hé", ">U3", "hé")]
)
def test_the_byte_order_of_a_fill_value_does_not_show(value: Any, dtype: str, json: Any):
    assert fill_values.to_json(np.array(value, dtype), of(dtype), v2=True) == json


@given(st.data())
@examples(300)
def test_every_bit_pattern_survives_json(data: st.DataObject):
    dtype = np.dtype(data.draw(FIXED))
    raw = data.draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize))
    fill = np.ndarray((), dtype, b"\1" if dtype == "?" and raw != b"\0" else raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = fill_values.from_json(fill_values.to_json(fill, of(dtype)), of(dtype))
    assert again.dtype == dtype
    assert again.tobytes() == fill.tobytes()


@given(st.text(max_size=10), st.binary(max_size=10))
@examples(100)
def test_text_and_bytes_survive_json(text: str, raw: bytes):
    for value, dtype in ((text, STRING), (raw, BYTES), (text.rstrip("\0"), of("U10")), (raw.rstrip(b"\0"), of("S10"))):
        json = fill_values.to_json(fill_from_value(value, dtype), dtype)
        assert fill_values.from_json(json, dtype)[()] == value


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (np.int64(5), "uint8", 5),
        (np.float64(0.5), "float32", 0.5),
        (np.array(3), "int16", 3),
        (True, "bool", True),
        (np.datetime64("2020-01-01"), "M8[s]", np.datetime64("2020-01-01", "s")),
        ("", "S3", b""),
        (b"a\0", "S3", b"a"),
        (5, STRING, "5"),
        (np.bytes_(b"hi"), BYTES, b"hi"),
        ([1, 2], OBJECT, [1, 2]),
    ],
)
def test_a_value_of_python_or_numpy_becomes_one_of_the_data_type(value: Any, dtype: Any, expected: Any):
    assert fill_from_value(value, of(dtype))[()] == expected


@pytest.mark.parametrize(
    ("value", "dtype", "reason"),
    [
        (np.int64(300), "uint8", r"it would become 44"),
        (300, "uint8", r"Python integer 300 out of bounds for uint8"),
        (1.5, "int32", r"it would become 1"),
        (2, "bool", r"it would become True"),
        ("abc", "U2", r"it would become ab"),
        (b"abc", "S2", r"it would become b'ab'"),
        (np.complex64(1j), "float32", r"Cannot cast"),
        ("five", "int32", r"invalid literal"),
        ([1, 2], "int32", r"it would become \[1 2\]"),
        ("text", BYTES, r"text"),
    ],
)
def test_a_value_that_would_change_is_refused(value: Any, dtype: Any, reason: str):
    with pytest.raises(MetadataError, match=rf"fill_value: a fill value of \w+ is needed \({reason}"):
        fill_from_value(value, of(dtype))
