"""Every error says what, where, and what now; it is the builtin that people already catch; and it shows no secrets."""

import copy
import pickle

import pytest

from azarr import errors
from azarr.errors import (
    ChunkDecodeError,
    MetadataError,
    MissingPackage,
    NodeNotFound,
    PartialWrite,
    StoreError,
    TransportError,
    UnknownCodec,
    redact,
)

BUILTINS = {
    "MetadataError": ValueError,
    "UnknownCodec": ValueError,
    "UnknownDataType": ValueError,
    "MissingPackage": ImportError,
    "NodeNotFound": FileNotFoundError,
    "NotAnArray": TypeError,
    "NotAGroup": TypeError,
    "NodeExists": FileExistsError,
    "CaseCollision": FileExistsError,
    "InvalidKey": ValueError,
    "SelectionError": IndexError,
    "LimitExceeded": ValueError,
    "ReadOnly": PermissionError,
    "PartialWrite": OSError,
    "WriteConflict": OSError,
    "StoreError": OSError,
    "TransportError": OSError,
    "TruncatedBody": OSError,
    "RangeNotHonoured": OSError,
    "TimedOut": TimeoutError,
    "ObjectChanged": OSError,
    "CorruptData": ValueError,
    "ChunkDecodeError": ValueError,
    "ChecksumError": ValueError,
    "ShardIndexError": ValueError,
}


@pytest.mark.parametrize("name", BUILTINS)
def test_every_error_is_an_azarr_error_and_the_builtin_that_people_catch(name: str):
    assert issubclass(getattr(errors, name), errors.AzarrError)
    assert issubclass(getattr(errors, name), BUILTINS[name])


def test_the_table_above_and_the_tree_of_the_module_name_every_error():
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.AzarrError)}
    assert defined - {"AzarrError"} == set(BUILTINS)
    assert [name for name in defined if name not in str(errors.__doc__)] == []


def test_corrupt_data_are_store_errors_so_that_one_clause_catches_a_failed_read():
    assert issubclass(errors.ShardIndexError, StoreError)
    assert issubclass(errors.ChecksumError, errors.CorruptData)


def test_a_metadata_error_names_document_field_and_value():
    error = MetadataError("must be the integer 3", field="zarr_format", value="3", document="a/zarr.json")
    assert str(error) == "a/zarr.json: zarr_format: must be the integer 3, not '3'"
    assert (error.reason, error.field, error.value, error.document) == ("must be the integer 3", "zarr_format", "3", "a/zarr.json")


def test_a_metadata_error_whose_reason_names_the_value_does_not_say_it_again():
    assert str(MetadataError("there is no 'zst'", field="codecs", value="zst")) == "metadata: codecs: there is no 'zst'"
    assert str(MetadataError("3 is needed, or 'v2'", field="x", value=2)) == "metadata: x: 3 is needed, or 'v2', not 2"


def test_a_metadata_error_without_a_field_says_only_the_reason():
    assert str(MetadataError("not valid JSON")) == "metadata: not valid JSON"


def test_long_values_are_shown_in_eighty_characters():
    assert str(MetadataError("too long", field="x", value="a" * 78)) == "metadata: x: too long, not '" + "a" * 78 + "'"
    assert str(MetadataError("too long", field="x", value="a" * 79)) == "metadata: x: too long, not '" + "a" * 76 + "..."


def test_the_document_is_added_once_and_the_class_stays():
    error = UnknownCodec("one of ours is needed", field="codecs", value="zfp").within("a/zarr.json")
    assert type(error) is UnknownCodec
    assert str(error) == "a/zarr.json: codecs: one of ours is needed, not 'zfp'"
    assert error.within("b/zarr.json") is error


def test_a_missing_package_names_the_codec_and_the_line_that_installs_it():
    error = MissingPackage("the codec 'snappy'", "cramjam", "pip install 'azarr[snappy]'")
    assert str(error) == "the codec 'snappy' needs the package 'cramjam', which is not installed: pip install 'azarr[snappy]'"
    assert (error.what, error.package, error.install) == ("the codec 'snappy'", "cramjam", "pip install 'azarr[snappy]'")


def test_a_missing_node_says_where_it_was_looked_for():
    error = NodeNotFound("https://me:secret@data.org/x?token=abc", "temperature", "zarr.json, .zarray")
    assert str(error) == "no Zarr node at path 'temperature' of https://***@data.org/x?***; looked for zarr.json, .zarray"
    assert (error.store, error.path) == ("https://***@data.org/x?***", "temperature")


@pytest.mark.parametrize(
    ("store", "key", "message"),
    [
        ("", "", "the connection closed"),
        ("", "c/0", "'c/0': the connection closed"),
        ("https://data.org", "c/0", "'c/0' of https://data.org: the connection closed"),
    ],
)
def test_a_store_error_names_key_and_store_where_they_are_known(store: str, key: str, message: str):
    assert str(StoreError("the connection closed", store=store, key=key)) == message


def test_store_and_key_are_added_once_and_class_and_status_stay():
    error = TransportError("the server answered 503", status=503).within("https://data.org?key=1", "c/0")
    assert type(error) is TransportError
    assert (error.store, error.key, error.status) == ("https://data.org?***", "c/0", 503)
    assert str(error) == "'c/0' of https://data.org?***: the server answered 503"
    assert error.within("elsewhere", "c/1") is error
    assert ChunkDecodeError("100 bytes").within("memory", "c/0").status is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no secret here", "no secret here"),
        ("https://data.org/a/b.zarr", "https://data.org/a/b.zarr"),
        ("https://user:password@data.org/a", "https://***@data.org/a"),
        ("https://user:p@ss@data.org/a", "https://***@data.org/a"),
        ("s3://key@bucket, then https://data.org/x?sig=a%2Fb&t=1 failed", "s3://***@bucket, then https://data.org/x?*** failed"),
        ("HTTPStore('https://data.org/x?sig=1')", "HTTPStore('https://data.org/x?***')"),
        ("really? yes", "really? yes"),
    ],
)
def test_user_names_passwords_and_queries_of_urls_are_hidden(text: str, shown: str):
    assert redact(text) == shown
    assert str(errors.AzarrError(text)) == shown


def test_a_partial_write_says_how_each_key_stands():
    error = PartialWrite("the disk is full; of the objects that were begun: ...", done=("c/0",), failed=("c/1",), unknown=())
    assert (error.done, error.failed, error.unknown) == (("c/0",), ("c/1",), ())
    assert isinstance(error, StoreError)


@pytest.mark.parametrize(
    "error",
    [
        MetadataError("is not known", field="codecs[0].name", value="x", document="zarr.json"),
        MissingPackage("codec 'zstd'", "zstd", "pip install zstd"),
        NodeNotFound("store", "a/b", "zarr.json"),
        TransportError("refused", store="store", key="c/0", status=503, transient=True, retry_after=2.0),
        PartialWrite("stopped", done=("c/0",), failed=("c/1",), unknown=()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_in_another_process(error: errors.AzarrError):
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)


def test_a_transport_error_says_how_often_the_store_was_asked_and_keeps_what_it_knows():
    error = TransportError("the server answered 503", status=503, transient=True, retry_after=2.0).within("HTTPStore('x')", "c/0").after(3)
    assert str(error) == "'c/0' of HTTPStore('x'): the server answered 503 (after 3 attempts)"
    assert (error.status, error.transient, error.retry_after, error.attempts) == (503, True, 2.0, 3)
    assert str(error.after(1)).endswith("(after 1 attempt)")
