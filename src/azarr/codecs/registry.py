"""Names of codecs to the modules that make them. Imports a codec when a document names it, and not before.

EXTENSION_POINT: a codec is one line in `CODECS`; its module has a class with `from_configuration(name, configuration)`.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from azarr.errors import MetadataError, MissingPackage, UnknownCodec
from azarr.metadata import CodecSpec

__all__ = ["KNOWN", "build", "load"]

CODECS: dict[str, tuple[str, str]] = {
    "bytes": ("bytes", "Bytes"),
    "endian": ("bytes", "Bytes"),
    "transpose": ("transpose", "Transpose"),
    "scale_offset": ("scale_offset", "ScaleOffset"),
    "vlen-utf8": ("vlen", "VLenText"),
    "vlen-bytes": ("vlen", "VLenBytes"),
    "sharding_indexed": ("sharding", "Sharding"),
    "gzip": ("deflate", "Gzip"),
    "zstd": ("zstd", "Zstd"),
    "blosc": ("blosc", "Blosc"),
    "crc32c": ("crc32c", "Crc32c"),
    "numcodecs.blosc": ("blosc", "Blosc"),
    "numcodecs.zstd": ("zstd", "Zstd"),
    "numcodecs.gzip": ("deflate", "Gzip"),
    "numcodecs.zlib": ("deflate", "Zlib"),
    "numcodecs.bz2": ("deflate", "Bz2"),
    "numcodecs.lzma": ("deflate", "Lzma"),
    "numcodecs.vlen-array": ("foreign", "ForeignObjects"),
    "numcodecs.json2": ("foreign", "ForeignObjects"),
    "numcodecs.msgpack2": ("foreign", "ForeignObjects"),
    "numcodecs.categorize": ("foreign", "ForeignObjects"),
    "numcodecs.zfpy": ("foreign", "ForeignSerializer"),
    "numcodecs.pcodec": ("foreign", "ForeignSerializer"),
}
FILTERS = ("delta", "fixedscaleoffset", "quantize", "packbits", "astype", "bitround")
CHECKS = ("shuffle", "fletcher32", "crc32", "crc32c", "adler32", "jenkins_lookup3", "base64", "lz4")
CODECS |= {f"numcodecs.{name}": ("foreign", "ForeignFilter") for name in FILTERS}
CODECS |= {f"numcodecs.{name}": ("foreign", "ForeignBytes") for name in CHECKS}
CODECS |= {f"v2:{name}": ("foreign", "ForeignBytes") for name in (*FILTERS, *CHECKS, "categorize", "zfpy", "pcodec")}
CODECS["bitround"] = ("foreign", "ForeignFilter")
KNOWN = frozenset(CODECS)
"""`v2:` marks filters of v2 arrays, which work on bytes where the v3 codecs of that name work on arrays."""

def build(spec: CodecSpec) -> Any:
    """The codec that `spec` names. Errors: `UnknownCodec`; `MetadataError` for a configuration that it does not take."""
    if spec.name not in CODECS:
        raise UnknownCodec("azarr does not know this codec", field="codecs", value=spec.name.removeprefix("v2:"))
    module, name = CODECS[spec.name]
    return getattr(import_module(f"azarr.codecs.{module}"), name).from_configuration(spec.name, spec.configuration)


def load(module: str, codec: str, install: str) -> ModuleType:
    """An optional package at its first use, or `MissingPackage`, which names the codec and the line that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingPackage(f"the codec {codec!r}", module.partition(".")[0], install) from error


def ordered(specs: tuple[CodecSpec, ...]) -> tuple[list[Any], Any, list[Any]]:
    """The codecs of a chain by kind. The spec: array-array codecs, then exactly one array-bytes codec, then bytes-bytes codecs."""
    first: list[Any] = []
    middle: Any = None
    last: list[Any] = []
    for position, spec in enumerate(specs):
        codec = build(spec)
        if codec.kind == "array-bytes" and middle is None:
            middle = codec
        elif codec.kind == "array-array" and middle is None:
            first.append(codec)
        elif codec.kind == "bytes-bytes" and middle is not None:
            last.append(codec)
        else:
            raise MetadataError("codecs are array-array ones, one array-bytes, then bytes-bytes", field=f"codecs[{position}]", value=spec.name)
    if middle is None:
        raise MetadataError("one array-bytes codec is needed", field="codecs", value=[spec.name for spec in specs])
    return first, middle, last

