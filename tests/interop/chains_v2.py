"""Zarr v2 chains: filters and compressors by numcodecs id, for each peer that writes v2. Tables, no I/O."""

import functools

from recipe import Json
from scenario import CNAMES, FIXED, Chain, Maker, Place, Random, Scenario, constant, kind_of, pick

# tensorstore and zarrista are built with snappy; numcodecs, and so zarr-python, is not.
SNAPPY: dict[str, Json] = {
    f"blosc-snappy-{shuffle}": {"id": "blosc", "cname": "snappy", "clevel": 5, "shuffle": shuffle, "blocksize": 0} for shuffle in (0, 1, 2)
}
V2_COMPRESSORS: dict[str, Json] = {
    "none": None,
    **{
        f"blosc-{cname}-{shuffle}": {"id": "blosc", "cname": cname, "clevel": 5, "shuffle": shuffle, "blocksize": 0}
        for cname in CNAMES
        for shuffle in (-1, 0, 1, 2)
    },
    "blosc-stored": {"id": "blosc", "cname": "lz4", "clevel": 0, "shuffle": 1, "blocksize": 0},
    "blosc-blocks": {"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 1, "blocksize": 256},
    "zstd": {"id": "zstd", "level": 3},
    "zstd-checksum": {"id": "zstd", "level": 1, "checksum": True},
    "gzip": {"id": "gzip", "level": 6},
    "zlib": {"id": "zlib", "level": 1},
    "bz2": {"id": "bz2", "level": 9},
    "lzma": {"id": "lzma", "format": 1, "check": -1, "preset": None, "filters": None},
    "lzma-alone": {"id": "lzma", "format": 2, "check": -1, "preset": 1, "filters": None},
    "lzma-raw": {
        "id": "lzma",
        "format": 3,
        "check": -1,
        "preset": None,
        "filters": [{"id": 3, "dist": 4}, {"id": 33, "preset": 1}],
    },
    "lz4": {"id": "lz4", "acceleration": 1},
}
TENSORSTORE_V2_COMPRESSORS: dict[str, Json] = {
    name: document
    for name, document in V2_COMPRESSORS.items()
    if name.split("-")[0] in ("none", "blosc", "zstd", "gzip", "zlib", "bz2") and name != "zstd-checksum"
}


def _delta(rng: Random, place: Place) -> Json:
    return {"id": "delta", "dtype": place.dtype, "astype": place.dtype}


def _delta_smaller(rng: Random, place: Place) -> Json:
    return {"id": "delta", "dtype": place.dtype, "astype": place.dtype[:2] + str(place.itemsize // 2)}


def _fixed_scale_offset(rng: Random, place: Place) -> Json:
    return {"id": "fixedscaleoffset", "offset": 3, "scale": 8, "dtype": place.dtype, "astype": "<i4"}


def _quantize(rng: Random, place: Place) -> Json:
    return {"id": "quantize", "digits": 2, "dtype": place.dtype, "astype": place.dtype}


def _quantize_smaller(rng: Random, place: Place) -> Json:
    return {"id": "quantize", "digits": 2, "dtype": place.dtype, "astype": "<f4"}


def _astype(rng: Random, place: Place) -> Json:
    smaller = place.dtype[:2] + str(place.itemsize // 2)
    return {"id": "astype", "encode_dtype": smaller, "decode_dtype": place.dtype}


def _bitround(rng: Random, place: Place) -> Json:
    return {"id": "bitround", "keepbits": int(rng.integers(1, 10))}


def shuffle(rng: Random, place: Place) -> Json:
    return {"id": "shuffle", "elementsize": place.itemsize}


def _categorize(rng: Random, place: Place) -> Json:
    labels = ["red", "green", "blue"]
    return {"id": "categorize", "labels": labels, "dtype": place.dtype, "astype": "|u1"}


def _checksum(codec: str) -> Maker:
    def make(rng: Random, place: Place) -> Json:
        location = (None, "start", "end")[int(rng.integers(3))]
        return {"id": codec} if location is None else {"id": codec, "location": location}

    return make


# name: (maker, kinds, item sizes, values, lossy)
ARRAY_FILTERS: dict[str, tuple[Maker, str, tuple[int, ...], str, bool]] = {
    "delta": (_delta, "iu", (), "any", False),
    "delta-smaller": (_delta_smaller, "i", (2, 4, 8), "small", False),
    "delta-float": (_delta, "f", (4, 8), "finite", True),
    "fixedscaleoffset": (_fixed_scale_offset, "f", (4, 8), "finite", True),
    "quantize": (_quantize, "f", (4, 8), "finite", True),
    "quantize-smaller": (_quantize_smaller, "f", (8,), "finite", True),
    "packbits": (constant({"id": "packbits"}), "b", (), "any", False),
    "astype-integers": (_astype, "i", (2, 4, 8), "small", False),
    "astype-floats": (_astype, "f", (4, 8), "finite", True),
    "bitround": (_bitround, "f", (), "finite", True),
}
BYTES_FILTERS: dict[str, Maker] = {
    "shuffle": shuffle,
    "fletcher32": constant({"id": "fletcher32"}),
    "crc32": _checksum("crc32"),
    "crc32c": _checksum("crc32c"),
    "adler32": _checksum("adler32"),
    "jenkins_lookup3": constant({"id": "jenkins_lookup3", "initval": 0, "prefix": None}),
}


def _object_codec(dtype: Json) -> tuple[Json, ...]:
    """The object codec that a dtype cannot do without."""
    names = {"string": "vlen-utf8", "bytes": "vlen-bytes"}
    return ({"id": names[dtype]},) if isinstance(dtype, str) and dtype in names else ()


def _v2_compressed(document: Json, rng: Random, place: Place) -> Chain:
    return Chain(_object_codec(place.dtype), None, () if document is None else (document,))


def _v2_filtered(maker: Maker, rng: Random, place: Place) -> Chain:
    compressor = None if rng.random() < 0.5 else pick(rng, V2_COMPRESSORS)
    filters = (*_object_codec(place.dtype), maker(rng, place))
    return Chain(filters, None, () if compressor is None else (compressor,))


def _v2_stack(rng: Random, place: Place) -> Chain:
    filters = [_delta(rng, place), shuffle(rng, place)] if kind_of(place.dtype) in "iu" else [shuffle(rng, place)]
    filters.append(pick(rng, BYTES_FILTERS)(rng, place))
    if rng.random() < 0.5:
        filters.append({"id": "base64"})
    return Chain(tuple(filters), None, ({"id": "zlib", "level": 3},))


ZARR_PYTHON_V2 = (
    *(
        # numcodecs cannot take a buffer of structured dtype with a time field; plain chunks of it can be written.
        Scenario(name, functools.partial(_v2_compressed, document), FIXED + "v" + ("t" if document is None else ""))
        for name, document in V2_COMPRESSORS.items()
    ),
    *(
        # numcodecs rounds bits in little-endian order only.
        Scenario(name, functools.partial(_v2_filtered, maker), kinds, sizes, values, lossy, little=name == "bitround")
        for name, (maker, kinds, sizes, values, lossy) in ARRAY_FILTERS.items()
    ),
    *(Scenario(name, functools.partial(_v2_filtered, maker), FIXED) for name, maker in BYTES_FILTERS.items()),
    Scenario("base64", functools.partial(_v2_filtered, constant({"id": "base64"})), FIXED),
    Scenario("zlib-filter", functools.partial(_v2_filtered, constant({"id": "zlib", "level": 2})), FIXED + "v"),
    Scenario("categorize", functools.partial(_v2_filtered, _categorize), "U", (20,), values="labels"),
    Scenario("filter-stack", _v2_stack, FIXED),
)
TENSORSTORE_V2 = (
    *(Scenario(name, functools.partial(_v2_compressed, doc)) for name, doc in TENSORSTORE_V2_COMPRESSORS.items()),
    # Not for S and V: tensorstore cannot hand these to NumPy 2, and zarr-python, which can, has no snappy.
    *(Scenario(name, functools.partial(_v2_compressed, doc), "biufcs") for name, doc in SNAPPY.items()),
)


def _objects(document: Json, rng: Random, place: Place) -> Chain:
    return Chain((document,), None, ({"id": "zlib", "level": 1},) if rng.random() < 0.5 else ())


# What zarr-python 3 cannot write, numcodecs can encode: documents by hand, chunks by numcodecs.
NUMCODECS_V2 = (
    Scenario("json2", functools.partial(_objects, {"id": "json2"}), "v", values="json"),
    Scenario("msgpack2", functools.partial(_objects, {"id": "msgpack2"}), "v", values="json"),
    Scenario("vlen-array", functools.partial(_objects, {"id": "vlen-array", "dtype": "<i4"}), "v", values="numbers"),
    Scenario(
        "categorize-objects",
        functools.partial(_objects, {"id": "categorize", "labels": ["red", "green", "blue"], "dtype": "|O", "astype": "|u1"}),
        "v",
        values="labels",
    ),
    Scenario("subarray", functools.partial(_v2_compressed, {"id": "zlib", "level": 1}), "s"),
    Scenario("subarray-plain", functools.partial(_v2_compressed, None), "s"),
)
