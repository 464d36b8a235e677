"""Metadata documents: what others read in several ways is refused, with the name of the document."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azarr.document import dump, integers, is_list, is_object, named, one_of, parse
from azarr.errors import LimitExceeded, MetadataError
from azarr.limits import Limits
from drawing import examples

NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def lists(depth: int) -> str:
    return "[" * depth + "]" * depth


def objects(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@given(st.dictionaries(st.text(), VALUES, max_size=4))
@examples(100)
def test_what_is_written_is_read_again(document: dict[str, Any]):
    assert parse(dump(document), "zarr.json") == document


def test_documents_are_written_as_indented_utf_8():
    assert dump({"name": "höhe"}) == b'{\n  "name": "h\xc3\xb6he"\n}'


def test_what_is_written_for_a_key_can_be_read_under_it():
    deep: Any = {}
    for _ in range(100):
        deep = [deep]
    assert parse(dump({"attributes": deep}, "zarr.json"), "zarr.json") == {"attributes": deep}
    with pytest.raises(MetadataError, match=r"zarr.json: nested deeper than 64 levels"):
        dump({"codecs": deep}, "zarr.json")
    with pytest.raises(MetadataError, match=r"zarr.json: 1: each key may stand once"):
        dump({"attributes": {1: "a", "1": "b"}}, "zarr.json")
    ring: dict[str, Any] = {}
    ring["self"] = ring
    with pytest.raises(MetadataError, match=r"not to be written as JSON \(Circular reference"):
        dump(ring)


def test_what_is_too_deep_for_python_is_told(monkeypatch: pytest.MonkeyPatch):
    def dumps(*arguments: Any, **options: Any) -> str:
        raise RecursionError

    monkeypatch.setattr("json.dumps", dumps)
    with pytest.raises(MetadataError, match=r"not to be written as JSON \(nested deeper than 64 levels"):
        dump({})


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_any_buffer_is_parsed(buffer: Any):
    assert parse(buffer(b'{"zarr_format": 3}'), "zarr.json") == {"zarr_format": 3}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), "\ud800"], ids=["NaN", "inf", "set", "object", "text"])
def test_what_json_has_no_word_for_is_not_written(value: Any):
    with pytest.raises(MetadataError, match=r"not to be written as JSON .*; attributes are text, finite numbers, lists and objects"):
        dump({"attributes": {"value": value}})


def test_bare_tokens_that_were_read_are_written_again_where_that_is_asked_for():
    text = b'{\n  "attributes": [\n    NaN,\n    -Infinity\n  ]\n}'
    assert dump(parse(text, "zarr.json", lenient=True), lenient=True) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"shape": [1], "shape": [2]}', "a/zarr.json: shape: each key may stand once in an object, not '2 times'"),
        (b'{"attributes": {"x": 1, "y": 2, "x": 3, "x": 4}}', "a/zarr.json: x: each key may stand once in an object, not '3 times'"),
        (b'{"fill_value": NaN}', "a/zarr.json: fill_value: the bare token 'NaN' is not JSON; lenient=True accepts it"),
        (
            b'{"a": [{"b": 1}, {"b": -Infinity}], "c": "NaN"}',
            "a/zarr.json: a[1].b: the bare token '-Infinity' is not JSON; lenient=True accepts it",
        ),
        (b"[1, 2]", "a/zarr.json: document: the document must be a JSON object, not 'list'"),
        (b"3", "a/zarr.json: document: the document must be a JSON object, not 'int'"),
        (b'{"x": "\\ud800"}', "a/zarr.json: a string holds half of a surrogate pair, so it is no text"),
    ],
)
def test_a_document_that_is_read_in_several_ways_is_refused(text: bytes, reason: str):
    with pytest.raises(MetadataError) as caught:
        parse(text, "a/zarr.json")
    assert str(caught.value) == reason
    assert caught.value.document == "a/zarr.json"


@pytest.mark.parametrize("text", [b"", b"{", b'{"a": 1,}', b"{'a': 1}", b"\xef\xbb\xbf{}", b'{"a": "\xff"}', b'{"a": %b}' % (b"9" * 5000)])
def test_what_is_not_json_is_refused(text: bytes):
    with pytest.raises(MetadataError, match=r"^zarr\.json: not valid JSON \("):
        parse(text, "zarr.json")


def test_a_whole_surrogate_pair_is_text():
    assert parse(b'{"x": "\\ud83c\\udf0d"}', "zarr.json") == {"x": "🌍"}


def test_lenient_accepts_the_bare_tokens_that_old_writers_left_behind():
    document = parse(b'{"a": NaN, "b": [Infinity, -Infinity]}', ".zarray", lenient=True)
    assert repr(document) == "{'a': nan, 'b': [inf, -inf]}"


@pytest.mark.parametrize("nested", [lists, objects])
def test_sixty_four_levels_are_allowed(nested: Any):
    assert parse(f'{{"codecs": {nested(63)}}}'.encode(), "zarr.json")
    with pytest.raises(MetadataError, match=r"zarr\.json: nested deeper than 64 levels \(512 in attributes\)"):
        parse(f'{{"codecs": {nested(64)}}}'.encode(), "zarr.json")


@pytest.mark.parametrize("nested", [lists, objects])
@pytest.mark.parametrize("name", ["attributes", "metadata"])
def test_attributes_and_consolidated_members_may_have_512_levels_of_their_own(name: str, nested: Any):
    assert parse(f'{{"{name}": {nested(512)}}}'.encode(), "zarr.json")
    with pytest.raises(MetadataError, match="nested deeper than 64 levels"):
        parse(f'{{"{name}": {nested(513)}}}'.encode(), "zarr.json")


def test_attributes_inside_attributes_get_no_further_levels():
    with pytest.raises(MetadataError, match="nested deeper than 64 levels"):
        parse(f'{{"attributes": {{"attributes": {lists(512)}}}}}'.encode(), "zarr.json")


def test_a_zattrs_document_is_attributes_from_its_first_level():
    assert parse(f'{{"x": {lists(511)}}}'.encode(), "a/.zattrs")
    with pytest.raises(MetadataError, match="nested deeper than 64 levels"):
        parse(f'{{"x": {lists(512)}}}'.encode(), "a/.zattrs")


def test_nesting_that_the_parser_itself_cannot_follow_is_refused_in_the_same_words():
    with pytest.raises(MetadataError, match=r"zarr\.json: nested deeper than 64 levels \(512 in attributes\)"):
        parse(f'{{"attributes": {lists(100_000)}}}'.encode(), "zarr.json")


@pytest.mark.parametrize("escape", ["", '\\\\', '\\"'])
def test_brackets_in_text_are_no_nesting(escape: str):
    text = "[" * 3000 + escape
    assert parse(f'{{"x": "{text}"}}'.encode(), "zarr.json") == {"x": json.loads(f'"{text}"')}
    assert parse(f'{{"attributes": {{"x": [{"[]," * 3000}"{text}"]}}}}'.encode(), "zarr.json")
    with pytest.raises(MetadataError, match="nested deeper than 64 levels"):
        parse(f'{{"x": "{text}", "y": {lists(3000)}}}'.encode(), "zarr.json")


def test_a_document_above_its_limit_is_not_parsed():
    with pytest.raises(LimitExceeded, match=r"the document 'zarr\.json' would take 19 bytes; Limits\.metadata allows 18"):
        parse(b'{"zarr_format":  3}', "zarr.json", limits=Limits(metadata=18))


@pytest.mark.parametrize(("value", "as_object", "as_list"), [({}, True, False), ([], False, True), ("", False, False)])
def test_objects_and_lists_are_told_apart(value: Any, as_object: bool, as_list: bool):
    assert (is_object(value), is_list(value)) == (as_object, as_list)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("bytes", ("bytes", {})),
        ({"name": "crc32c"}, ("crc32c", {})),
        ({"name": "gzip", "configuration": {"level": 1}}, ("gzip", {"level": 1})),
    ],
)
def test_an_extension_is_a_name_or_an_object_with_a_name(spec: Any, expected: tuple[str, dict[str, Any]]):
    assert named(spec, "codecs[0]") == expected


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (None, "metadata: chunk_grid: a name is needed, or an object with a name, not None"),
        ({"configuration": {}}, "metadata: chunk_grid: a name is needed, or an object with a name, not {'configuration': {}}"),
        ({"name": 1}, "metadata: chunk_grid: a name is needed, or an object with a name, not {'name': 1}"),
        ({"name": "a", "must_understand": False}, "metadata: chunk_grid: only name, configuration are allowed, not ['must_understand']"),
        ({"name": "a", "configuration": []}, "metadata: chunk_grid.configuration: a configuration is an object, not []"),
    ],
)
def test_other_forms_of_an_extension_are_refused(spec: Any, reason: str):
    with pytest.raises(MetadataError) as caught:
        named(spec, "chunk_grid")
    assert str(caught.value) == reason


def test_an_extension_may_say_that_it_must_be_understood():
    assert named({"name": "a", "must_understand": True}, "chunk_grid") == ("a", {})
    for other in (1, "true", None):
        with pytest.raises(MetadataError, match=r"only name, configuration are allowed, not \['must_understand'\]"):
            named({"name": "a", "must_understand": other}, "chunk_grid")


def test_an_extension_may_have_other_keys_where_they_are_named():
    assert named({"name": "a", "must_understand": False}, "codecs[0]", "must_understand") == ("a", {})


def test_integers_become_a_tuple():
    assert integers([3, 0, 2**63 - 1], "shape", least=0) == (3, 0, 9223372036854775807)
    assert integers([], "shape", least=0, length=0) == ()


@pytest.mark.parametrize("value", [None, 3, "33", [True], [4.0], ["4"], [-1], [2**63], {"0": 1}])
def test_booleans_fractions_and_integers_out_of_bounds_are_not_integers(value: Any):
    with pytest.raises(MetadataError, match="shape: a list of integers from 0 to 9223372036854775807 is needed"):
        integers(value, "shape", least=0)


def test_the_number_of_integers_may_be_given():
    with pytest.raises(MetadataError, match=r"chunks: one entry per dimension is needed \(2\), not \[1\]"):
        integers([1], "chunks", least=1, length=2)


def test_one_of_few_values_is_given_back():
    assert one_of("F", "order", "C", "F") == "F"


@pytest.mark.parametrize(("value", "allowed"), [("c", ("C", "F")), (3.0, (3,)), (True, (1,)), (1, (True, False)), (None, ("C",))])
def test_other_values_and_other_types_are_refused(value: Any, allowed: tuple[Any, ...]):
    with pytest.raises(MetadataError) as caught:
        one_of(value, "order", *allowed)
    assert str(caught.value) == f"metadata: order: must be {' or '.join(map(repr, allowed))}, not {value!r}"


def test_duplicate_keys_are_found_among_very_many():
    pairs = ",".join(f'"{number}":0' for number in range(100_000))
    with pytest.raises(MetadataError, match="12345: each key may stand once in an object"):
        parse(f'{{{pairs},"12345":1}}'.encode(), ".zattrs")


NAMES = st.text(max_size=3) | st.sampled_from(["a", '"', "\\", ":", "NaN"])
TREES = st.recursive(
    st.none() | st.integers(0, 9) | NAMES,
    lambda below: st.lists(below, max_size=3) | st.lists(st.tuples(NAMES, below), max_size=3).map(tuple),
    max_leaves=12,
)


def _text(tree: Any) -> str:
    """JSON of `tree`, whose tuples of pairs are objects, with keys that may stand twice."""
    if isinstance(tree, tuple):
        return f"{{{', '.join(f'{json.dumps(name)}: {_text(value)}' for name, value in tree)}}}"
    return f"[{', '.join(map(_text, tree))}]" if isinstance(tree, list) else json.dumps(tree)


def _has_twins(tree: Any) -> bool:
    below = [value for _, value in tree] if isinstance(tree, tuple) else tree if isinstance(tree, list) else []
    return (isinstance(tree, tuple) and len({name for name, _ in tree}) < len(tree)) or any(map(_has_twins, below))


@given(tree=TREES)
def test_a_key_that_stands_twice_is_found_anywhere(tree: Any):
    text = _text((("attributes", tree),))
    if _has_twins(tree):
        with pytest.raises(MetadataError, match="each key may stand once in an object"):
            parse(text.encode(), ".zattrs")
    else:
        assert parse(text.encode(), ".zattrs") == json.loads(text)


def test_the_standard_parser_would_have_taken_the_last_of_two():
    assert json.loads('{"shape": [1], "shape": [2]}') == {"shape": [2]}


def test_the_object_whose_key_stands_twice_is_told_where_others_are_sound():
    with pytest.raises(MetadataError, match=r"zarr\.json: c: each key may stand once in an object, not '2 times'"):
        parse(b'{"a": {"b": 1}, "c": ":{[", "c": {"d": 2}}', "zarr.json")
