"""Names of codecs to the classes that make them. Imports a codec when a document names it, and not before.

EXTENSION_POINT: a codec is one name in `CLASSES`, and a class (one of the kinds in `base`) made of a name and a configuration.
"""

from importlib import import_module
from typing import Any

from azarr.errors import MissingPackage, UnknownCodec
from azarr.metadata import CodecSpec

FILTERS = ("delta", "fixedscaleoffset", "quantize", "packbits", "astype", "bitround")
CHECKS = ("shuffle", "fletcher32", "crc32", "crc32c", "adler32", "jenkins_lookup3", "base64", "lz4")
CLASSES = {
    "codecs.bytes.Bytes": ("bytes", "endian"),
    "codecs.transpose.Transpose": ("transpose",),
    "integrations.scale_offset.ScaleOffset": ("scale_offset",),
    "codecs.vlen.VLen": ("vlen-utf8", "vlen-bytes"),
    "codecs.sharding.Sharding": ("sharding_indexed",),
    "codecs.streams.Stream": ("gzip", "numcodecs.gzip", "numcodecs.zlib", "numcodecs.bz2"),
    "codecs.streams.Lzma": ("numcodecs.lzma",),
    "codecs.streams.Zstd": ("zstd", "numcodecs.zstd"),
    "codecs.blosc.Blosc": ("blosc", "numcodecs.blosc"),
    "codecs.crc32c.Crc32c": ("crc32c",),
    "integrations.numcodecs.ForeignFilter": ("bitround", *(f"numcodecs.{name}" for name in FILTERS)),
    "integrations.numcodecs.ForeignSerializer": tuple(
        f"numcodecs.{name}" for name in ("vlen-array", "json2", "msgpack2", "categorize", "zfpy", "pcodec")
    ),
    "integrations.numcodecs.ForeignBytes": (
        *(f"numcodecs.{name}" for name in CHECKS),
        *(f"v2:{name}" for name in (*FILTERS, *CHECKS, "categorize", "zfpy", "pcodec")),
    ),
}
"""`v2:` marks filters of v2 arrays, which work on bytes where the v3 codecs of that name work on arrays. `pickle` is not here, nor ever."""
CODECS = {name: place for place, names in CLASSES.items() for name in names}
KNOWN = frozenset(CODECS)


def build(spec: CodecSpec) -> Any:
    """The codec that `spec` names. Errors: `UnknownCodec`; `MetadataError` for a configuration that it does not take."""
    if spec.name not in CODECS:
        likely = import_module("azarr.tools.mistakes").likely(name := spec.name.removeprefix("v2:"), CODECS)
        raise UnknownCodec(f"azarr does not know the codec {name!r}{likely}", field="codecs", value=name)
    module, _, name = CODECS[spec.name].rpartition(".")
    return getattr(import_module(f"azarr.{module}"), name)(spec.name, spec.configuration)


def load(module: str, codec: str, install: str) -> Any:
    """An optional package at its first use, or what stands in for it; else `MissingPackage`, which names the codec and what installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        others: Any = import_module("azarr.integrations.stand_ins")
        if (found := others.stand_in(module)) is not None:
            return found
        package = module if module.startswith("backports.") else module.partition(".")[0]
        raise MissingPackage(f"the codec {codec!r}", package, others.install_line(codec, package, install)) from error
