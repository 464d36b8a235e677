"""Zarr v3 chains: filters, serializer and compressors as metadata documents, for each peer. Tables, no I/O."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chains_v2 import ARRAY_FILTERS, BYTES_FILTERS, V2_COMPRESSORS, shuffle
from recipe import Json, stored_dtype
from scenario import CNAMES, FIXED, Chain, Maker, Place, Random, Scenario, Shape, constant, kind_of, pick

SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
EVERYTHING = FIXED + "tv"


def _named(name: str, **configuration: Json) -> Json:
    return {"name": name, "configuration": configuration} if configuration else {"name": name}


def bytes_codec(rng: Random, dtype: Json) -> Json:
    """The serializer of a dtype, in a random byte order where it has one."""
    names = {"string": "vlen-utf8", "bytes": "vlen-bytes"}
    if isinstance(dtype, str) and dtype in names:
        return _named(names[dtype])
    if kind_of(dtype) in "bSV" or stored_dtype(dtype).itemsize == 1:
        return _named("bytes")
    return _named("bytes", endian=("little", "big")[int(rng.integers(2))])


def _blosc(cname: str, shuffle: str, rng: Random, place: Place) -> Json:
    typesize = min(place.itemsize, 255)
    return _named("blosc", cname=cname, clevel=5, shuffle=shuffle, typesize=typesize, blocksize=0)


def _bloscs(*cnames: str) -> dict[str, Maker]:
    return {f"blosc-{cname}-{shuffle}": functools.partial(_blosc, cname, shuffle) for cname in cnames for shuffle in SHUFFLES}


COMMON_COMPRESSORS: dict[str, Maker] = {
    "gzip": constant(_named("gzip", level=6)),
    "gzip-stored": constant(_named("gzip", level=0)),
    "zstd": constant(_named("zstd", level=3, checksum=False)),
    "zstd-checksum": constant(_named("zstd", level=1, checksum=True)),
    "crc32c": constant(_named("crc32c")),
    **_bloscs(*CNAMES),
}


def _numcodecs(maker: Maker, rng: Random, place: Place) -> Json:
    document = maker(rng, place)
    return {
        "name": "numcodecs." + document["id"],
        "configuration": {key: value for key, value in document.items() if key != "id" and not (key == "prefix" and value is None)},
    }


ZARR_PYTHON_COMPRESSORS: dict[str, Maker] = {
    **COMMON_COMPRESSORS,
    **{f"numcodecs.{name}": functools.partial(_numcodecs, maker) for name, maker in BYTES_FILTERS.items()},
    **{
        f"numcodecs.{name}": functools.partial(_numcodecs, constant(V2_COMPRESSORS[name]))
        for name in ("blosc-zstd-2", "blosc-lz4-1", "zstd", "gzip", "zlib", "bz2", "lzma", "lzma-raw", "lz4")
    },
}
TENSORSTORE_COMPRESSORS: dict[str, Maker] = {**COMMON_COMPRESSORS, **_bloscs("snappy")}
ZARRISTA_COMPRESSORS: dict[str, Maker] = {
    **TENSORSTORE_COMPRESSORS,
    "numcodecs.shuffle": functools.partial(_numcodecs, shuffle),
}


def transpose(rng: Random, ndim: int) -> Json:
    """A transpose codec with a random order of the axes."""
    return _named("transpose", order=rng.permutation(ndim).tolist())


def _sharding(inner: Shape, codecs: tuple[Json, ...], *, endian: str = "little", crc: bool = True, start: bool = False) -> Json:
    index_codecs = [_named("bytes", endian=endian), *([_named("crc32c")] if crc else [])]
    return _named(
        "sharding_indexed",
        chunk_shape=list(inner),
        codecs=list(codecs),
        index_codecs=index_codecs,
        index_location="start" if start else "end",
    )


@dataclass(frozen=True, slots=True)
class Peer:
    """What a v3 peer has beyond the common chains."""

    compressors: dict[str, Maker]
    square_shards: bool = False

    def outer_compressor(self, rng: Random, place: Place) -> Json:
        """A codec for bytes of any length; shuffle takes whole elements only."""
        return pick(rng, {name: make for name, make in self.compressors.items() if name.split(".")[-1] != "shuffle"})(rng, place)

    def plain(self, rng: Random, place: Place) -> Chain:
        return Chain((), bytes_codec(rng, place.dtype))

    def compressed(self, maker: Maker, rng: Random, place: Place) -> Chain:
        return Chain((), bytes_codec(rng, place.dtype), (maker(rng, place),))

    def stacked(self, rng: Random, place: Place) -> Chain:
        first = pick(rng, self.compressors)(rng, place)
        more = (self.outer_compressor(rng, place) for _ in range(int(rng.integers(1, 3))))
        return Chain((), bytes_codec(rng, place.dtype), (first, *more))

    def transposed(self, count: int, rng: Random, place: Place) -> Chain:
        ndim = len(place.shapes[0])
        filters = tuple(transpose(rng, ndim) for _ in range(count)) if ndim else ()
        compressors = (pick(rng, self.compressors)(rng, place),) if rng.random() < 0.7 else ()
        return Chain(filters, bytes_codec(rng, place.dtype), compressors)

    def filtered(self, maker: Maker, rng: Random, place: Place) -> Chain:
        compressors = (self.outer_compressor(rng, place),) if rng.random() < 0.5 else ()
        return Chain((maker(rng, place),), bytes_codec(rng, place.dtype), compressors)

    def any_chain(self, rng: Random, place: Place) -> Chain:
        makers = (self.plain, self.stacked, functools.partial(self.transposed, int(rng.integers(1, 3))))
        return makers[int(rng.integers(len(makers)))](rng, place)

    def inner_codecs(self, rng: Random, place: Place) -> tuple[Json, ...]:
        chain = self.any_chain(rng, place)
        return (*chain.filters, chain.serializer, *chain.compressors)

    def sharded(self, rng: Random, place: Place, **index: Any) -> Chain:
        options = {"subchunk_order": ("morton", "lexicographic", "colexicographic")[int(rng.integers(3))]}
        return Chain((), _sharding(place.shapes[0], self.inner_codecs(rng, place), **index), (), options)

    def sharded_by_argument(self, rng: Random, place: Place) -> Chain:
        return Chain(options={"inner": list(place.shapes[0])})

    def nested(self, rng: Random, place: Place) -> Chain:
        innermost, middle, _ = place.shapes
        inner = _sharding(innermost, self.inner_codecs(rng, place), start=bool(rng.integers(2)))
        return Chain((), _sharding(middle, (inner,), crc=bool(rng.integers(2))))

    def sharded_transposed(self, rng: Random, place: Place) -> Chain:
        if not place.shapes[0]:
            return self.sharded(rng, place)
        outer = transpose(rng, len(place.shapes[0]))
        inner = tuple(place.shapes[0][axis] for axis in outer["configuration"]["order"])
        codecs = self.inner_codecs(rng, Place(place.dtype, (inner,)))
        return Chain((outer,), _sharding(inner, codecs, start=bool(rng.integers(2))))

    def sharded_compressed(self, rng: Random, place: Place) -> Chain:
        chain = self.sharded(rng, place)
        return Chain((), chain.serializer, (self.outer_compressor(rng, place),))

    def scenarios(self) -> tuple[Scenario, ...]:
        shards: dict[str, Callable[[Random, Place], Chain]] = {
            "shard": self.sharded,
            "shard-start": functools.partial(self.sharded, start=True),
            "shard-big-endian-index": functools.partial(self.sharded, endian="big"),
            "shard-index-without-crc32c": functools.partial(self.sharded, crc=False, start=True),
        }
        return (
            Scenario("plain", self.plain, EVERYTHING),
            Scenario("stacked", self.stacked, EVERYTHING),
            Scenario("transpose", functools.partial(self.transposed, 1), EVERYTHING),
            Scenario("transpose-twice", functools.partial(self.transposed, 2), EVERYTHING),
            *(Scenario(name, functools.partial(self.compressed, maker), EVERYTHING) for name, maker in self.compressors.items()),
            *(Scenario(name, make, EVERYTHING, levels=2, weight=5) for name, make in shards.items()),
            Scenario("shard-transposed", self.sharded_transposed, EVERYTHING, levels=2, weight=5, square=self.square_shards),
            Scenario("shard-nested", self.nested, EVERYTHING, levels=3, weight=5),
        )


# zarr-python checks that inner chunks divide the chunk of the grid before the transpose, so both ways must.
ZARR_PYTHON = Peer(ZARR_PYTHON_COMPRESSORS, square_shards=True)
ZARRISTA = Peer(ZARRISTA_COMPRESSORS)
TENSORSTORE = Peer(TENSORSTORE_COMPRESSORS)


def _rectilinear(peer: Peer) -> tuple[Scenario, ...]:
    return (
        Scenario("rectilinear", peer.any_chain, EVERYTHING, rectilinear=True, weight=10),
        Scenario("rectilinear-shard", peer.sharded, EVERYTHING, levels=2, rectilinear=True, weight=10),
    )


def _scale_offset(rng: Random, place: Place) -> Json:
    return _named("scale_offset", offset=5, scale=2)


ZARR_PYTHON_V3 = (
    *ZARR_PYTHON.scenarios(),
    *(
        Scenario(
            f"numcodecs.{name}",
            functools.partial(ZARR_PYTHON.filtered, functools.partial(_numcodecs, maker)),
            kinds,
            sizes,
            values,
            lossy,
        )
        for name, (maker, kinds, sizes, values, lossy) in ARRAY_FILTERS.items()
        if name != "quantize-smaller"  # Its v3 form does not know that the dtype changes.
    ),
    Scenario("scale_offset", functools.partial(ZARR_PYTHON.filtered, _scale_offset), "f", (4, 8), "finite", True),
    Scenario("shard-by-argument", ZARR_PYTHON.sharded_by_argument, EVERYTHING, levels=2, weight=5),
    Scenario("shard-compressed", ZARR_PYTHON.sharded_compressed, EVERYTHING, levels=2, weight=5),
    *_rectilinear(ZARR_PYTHON),
)
ZARRISTA_V3 = (
    *ZARRISTA.scenarios(),
    Scenario(
        "bitround",
        functools.partial(ZARRISTA.filtered, constant(_named("bitround", keepbits=5))),
        "f",
        values="finite",
        lossy=True,
    ),
    Scenario("shard-compressed", ZARRISTA.sharded_compressed, EVERYTHING, levels=2, weight=5),
    *_rectilinear(ZARRISTA),
)
TENSORSTORE_V3 = TENSORSTORE.scenarios()
