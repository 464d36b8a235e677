"""Names of codecs, and the classes that make them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from chunks import codec, missing

from azarr.codecs import KNOWN
from azarr.codecs.registry import CLASSES, build, load
from azarr.errors import MissingPackage, UnknownCodec
from azarr.integrations import stand_ins
from azarr.metadata import CodecSpec

NEEDED: dict[str, dict[str, Any]] = {
    "transpose": {"order": [0]},
    "sharding_indexed": {"chunk_shape": [1], "codecs": ["bytes"], "index_codecs": ["bytes"]},
}
"""What codecs cannot do without when they are made."""


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_known_codec_is_made_of_its_name_and_configuration(name: str) -> None:
    kinds = {"array-array", "array-bytes", "bytes-bytes"}
    assert build(CodecSpec(name, NEEDED.get(name, {}))).kind in kinds


def test_the_codecs_of_the_specification_and_those_of_numcodecs_are_known() -> None:
    specified = {"bytes", "transpose", "gzip", "zstd", "blosc", "crc32c", "sharding_indexed", "vlen-utf8", "vlen-bytes"}
    filters = {"delta", "fixedscaleoffset", "quantize", "packbits", "astype", "bitround", "shuffle", "fletcher32"}
    checks = {"crc32", "crc32c", "adler32", "jenkins_lookup3"}
    compressors = {"blosc", "zstd", "gzip", "zlib", "bz2", "lzma", "lz4", "zfpy", "pcodec"}
    assert specified <= KNOWN
    assert {f"numcodecs.{name}" for name in filters | checks | compressors} <= KNOWN


def test_no_name_belongs_to_two_classes() -> None:
    names = [name for several in CLASSES.values() for name in several]
    assert len(names) == len(set(names)) == len(KNOWN)


@pytest.mark.parametrize("name", ["pickle", "numcodecs.pickle", "v2:pickle"])
def test_pickle_is_never_made(name: str) -> None:
    assert name not in KNOWN
    with pytest.raises(UnknownCodec):
        codec(name)
    with pytest.raises(UnknownCodec):
        codec(name, id="delta", protocol=5)


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(UnknownCodec) as caught:
        codec("gziip")
    assert str(caught.value) == "metadata: codecs: azarr does not know the codec 'gziip'; did you mean 'gzip'?"
    with pytest.raises(UnknownCodec, match=r"azarr does not know the codec 'pickle'$"):
        codec("v2:pickle")


def test_a_package_that_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("json", "json2", "never needed").__name__ == "json"
    missing(monkeypatch, "backports")
    with pytest.raises(MissingPackage) as caught:
        load("backports.zstd", "zstd", "pip install backports.zstd")
    assert (caught.value.what, caught.value.package, caught.value.install) == (
        "the codec 'zstd'",
        "backports.zstd",
        "pip install backports.zstd",
    )
    assert str(caught.value) == "the codec 'zstd' needs the package 'backports.zstd', which is not installed: pip install backports.zstd"


def test_where_a_package_cannot_be_installed_what_stands_in_for_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_ins, "BROWSER", True)
    monkeypatch.setattr(stand_ins, "_made", {})
    missing(monkeypatch, "numcodecs")
    data = np.tile(np.arange(100, dtype="<i4"), 9)
    found = load("numcodecs.registry", "lz4", "never needed").get_codec({"id": "lz4"})
    assert isinstance(found, stand_ins.LZ4)
    encoded = found.encode(data)
    assert encoded.size < data.nbytes
    np.testing.assert_array_equal(found.decode(encoded).view("<i4"), data)
    with pytest.raises(MissingPackage, match="'numcodecs'"):
        load("numcodecs.lzma", "lzma", "never needed")
    shuffle = load("numcodecs.registry", "shuffle", "never needed").get_codec({"id": "shuffle", "elementsize": 4})
    assert shuffle.encode(np.array([1, 0x01020304], "<i4")).tolist() == [1, 4, 0, 3, 0, 2, 0, 1]
    assert shuffle.decode(shuffle.encode(data)).tobytes() == data.tobytes()
    with pytest.raises(ValueError, match="reshape"):
        shuffle.decode(b"12345")


def test_codecs_and_their_packages_are_imported_at_first_use() -> None:
    code = """if True:
        import sys, azarr.codecs
        for name in ("blosc", "streams", "crc32c", "vlen", "scale_offset", "native"):
            assert f"azarr.codecs.{name}" not in sys.modules, name
        azarr.codecs.registry.build(azarr.metadata.CodecSpec("blosc"))
        assert "azarr.codecs.blosc" in sys.modules
        for name in ("numcodecs", "google_crc32c", "cramjam", "backports.zstd", "lzma", "bz2"):
            assert name not in sys.modules, name
    """
    subprocess.run([sys.executable, "-c", code], check=True)
