"""Random array recipes from a fixed seed. Every dtype and every codec chain of a peer comes up, the rest is drawn.

Even recipes of a peer walk through its chains, odd ones through its dtypes, so that neither is left to chance.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from chains_v2 import NUMCODECS_V2, TENSORSTORE_V2, ZARR_PYTHON_V2
from chains_v3 import TENSORSTORE_V3, ZARR_PYTHON_V3, ZARRISTA_V3
from recipe import Box, Edges, Json, Recipe, draw, is_variable, native_dtype
from scenario import Place, Random, Scenario, Shape, kind_of, weighted

MAX_ELEMENTS = 3000
MAX_CHUNKS = 48
INTEGERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
FLOATS = ("f2", "f4", "f8", "c8", "c16")
TIMES = (
    *("M8[Y]", "M8[M]", "M8[W]", "M8[D]", "M8[h]", "M8[m]", "M8[s]", "M8[ms]", "M8[us]", "M8[ns]", "M8[ps]", "M8[fs]"),
    *("M8[as]", "M8[10us]", "M8[25s]", "m8[Y]", "m8[7D]", "m8[s]", "m8[3ms]", "m8[ns]", "m8[as]", "M8", "m8"),
)


def _ordered(code: str, order: str) -> str:
    return np.dtype(order + code).str


LITTLE_NUMBERS = ("|b1", *(_ordered(code, "<") for code in (*INTEGERS, *FLOATS)))
BIG_NUMBERS = tuple(_ordered(code, ">") for code in (*INTEGERS, *FLOATS) if np.dtype(code).itemsize > 1)
LITTLE_TIMES = tuple(_ordered(code, "<") for code in TIMES)
BIG_TIMES = tuple(_ordered(code, ">") for code in ("M8[s]", "M8[10us]", "m8[ns]", "M8"))
FIXED_TEXT = ("|S1", "|S7", "|S40", "<U1", "<U5", "|V1", "|V3", "|V16")
STRUCTS: tuple[Json, ...] = (
    [["x", "<i4"], ["y", "<f8"]],
    [["flag", "|b1"], ["small", "|i1"], ["z", "<c8"], ["half", "<f2"]],
    [["text", "|S5"], ["word", "<U3"], ["raw", "|V3"]],
    [["a", "<u2"], ["in", [["b", "|u1"], ["deep", [["c", "<f4"], ["d", "<U2"]]]]]],
)
BIG_STRUCTS: tuple[Json, ...] = ([["x", ">i4"], ["y", "<f8"], ["w", ">U2"]],)
TIME_STRUCTS: tuple[Json, ...] = ([["when", "<M8[s]"], ["n", "<i4"], ["took", "<m8[10us]"]],)
SUBARRAYS: tuple[Json, ...] = (
    [["n", "<i4"], ["v", "<f4", [3]]],
    [["m", ">f8", [2, 2]], ["in", [["k", "|u1", [2]], ["t", "|S3"]]]],
)
FLAT_SUBARRAYS: tuple[Json, ...] = ([["n", "<i4"], ["v", ">f4", [3]]], [["m", "<u2", [2, 2]], ["z", "<c16"]])
VARIABLE = ("string", "bytes")


@dataclass(frozen=True, slots=True)
class Deck:
    """What one peer writes: its share of a thousand arrays, its dtypes and its codec chains."""

    share: int
    dtypes: tuple[Json, ...]
    scenarios: tuple[Scenario, ...]


DECKS: dict[str, Deck] = {
    "zarr-python-v2": Deck(
        300,
        (
            *(*LITTLE_NUMBERS, *BIG_NUMBERS, *LITTLE_TIMES, *BIG_TIMES, *FIXED_TEXT, ">U5"),
            *(*STRUCTS, *BIG_STRUCTS, *TIME_STRUCTS, *VARIABLE),
        ),
        ZARR_PYTHON_V2,
    ),
    "zarr-python-v3": Deck(
        350,
        (*LITTLE_NUMBERS, *LITTLE_TIMES, *FIXED_TEXT, *STRUCTS, *TIME_STRUCTS, *VARIABLE),
        ZARR_PYTHON_V3,
    ),
    "tensorstore-v2": Deck(90, (*LITTLE_NUMBERS, *BIG_NUMBERS, "|S1", "|S7", "|V3", *STRUCTS[:2], *FLAT_SUBARRAYS), TENSORSTORE_V2),
    "tensorstore-v3": Deck(110, LITTLE_NUMBERS, TENSORSTORE_V3),
    "zarrista-v3": Deck(130, (*LITTLE_NUMBERS, *LITTLE_TIMES, "<U1", "<U5", "r8", "r16", "r24", "r128", *VARIABLE), ZARRISTA_V3),
    "numcodecs-v2": Deck(20, ("object", *SUBARRAYS, *FLAT_SUBARRAYS), NUMCODECS_V2),
}


@functools.cache
def recipes(count: int, seed: int) -> tuple[Recipe, ...]:
    """About `count` recipes, at least that many, grouped by peer in the order of the decks."""
    total = sum(deck.share for deck in DECKS.values())
    return tuple(recipe(writer, index, seed) for writer, deck in DECKS.items() for index in range(math.ceil(count * deck.share / total)))


def recipe(writer: str, index: int, seed: int) -> Recipe:
    """The recipe with this number of one peer."""
    deck = DECKS[writer]
    numbers = (seed, list(DECKS).index(writer), index)
    rng = np.random.default_rng([*numbers, 1])
    dtype, scenario = _dtype_and_scenario(rng, deck, index)
    place, shape, chunks = _layout(rng, dtype, scenario)
    chain = scenario.make(rng, place)
    values = _values(rng, dtype, scenario)
    resized_from = _resized_from(rng, writer, shape, chunks)
    written = resized_from or shape
    boxes = _boxes(rng, written, chunks, whole=writer == "numcodecs-v2")
    fill = _fill(rng, writer, dtype, values)
    # Peers may leave out a chunk that equals the fill value, and some do so by ==, which loses the bits of a NaN.
    write_empty = values in ("special", "plain", "finite") or bool(rng.integers(2))
    if fill is None and kind_of(dtype) in "mMt":
        # What was never written is undefined then. zarr-python takes it for NaT, and leaves out chunks of NaT; azarr
        # takes the zero, as for every dtype. So all of the array is written.
        boxes, resized_from, write_empty = (_whole(shape),), None, True
    options = {**chain.options, "write_empty": write_empty}
    if writer == "zarr-python-v3" and isinstance(dtype, list) and rng.random() < 0.3:
        options["legacy_structured"] = True
    names = _dimension_names(rng, len(shape))
    nested = writer.startswith("zarr-python") and rng.random() < 0.3
    return Recipe(
        writer=writer,
        name=("nested/deep/" if nested else "") + f"a{index:04d}",
        seed=numbers,
        shape=shape,
        dtype=dtype,
        fill=fill,
        chunks=chunks,
        boxes=boxes,
        filters=chain.filters,
        serializer=chain.serializer,
        compressors=chain.compressors,
        order=_order(rng, writer, len(shape)),
        key_encoding=_key_encoding(rng, writer),
        dimension_names=names,
        attributes=_attributes(rng, writer, names),
        values=values,
        lossy=scenario.lossy,
        resized_from=resized_from if resized_from != shape else None,
        options=options,
        opening=_opening(rng, writer, index),
        store=_choice(rng, "local", "path", "memory"),
    )


def _choice(rng: Random, *options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def _opening(rng: Random, writer: str, index: int) -> str:
    """How the array is found. Only zarr-python writes groups here; every second fifty of its arrays is consolidated."""
    if not writer.startswith("zarr-python"):
        return _choice(rng, "array", "path")
    return _choice(rng, "array", "path", "group", *(("consolidated",) * 2 if index // 50 % 2 else ()))


def _dtype_and_scenario(rng: Random, deck: Deck, index: int) -> tuple[Json, Scenario]:
    if index % 2 == 0:
        scenario = deck.scenarios[index // 2 % len(deck.scenarios)]
        return _choice(rng, *(dtype for dtype in deck.dtypes if scenario.takes(dtype))), scenario
    dtype = deck.dtypes[index // 2 % len(deck.dtypes)]
    return dtype, weighted(rng, [scenario for scenario in deck.scenarios if scenario.takes(dtype)])


def _layout(rng: Random, dtype: Json, scenario: Scenario) -> tuple[Place, Shape, Edges]:
    """The chunk shapes from the innermost out, the shape of the array, and the chunks of its grid."""
    # zarr-python and numcodecs cannot write a single Python object.
    scalars = [] if scenario.rectilinear or dtype in ("bytes", "object") else [0]
    ndim = int(rng.choice([*scalars, *[1] * 5, *[2] * 6, *[3] * 4, *[4] * 2]))
    longest = (0, 1500, 50, 13, 7)[ndim]
    if is_variable(dtype):
        longest = (0, 300, 18, 7, 4)[ndim]
    while True:
        shape = tuple(int(rng.integers(1, longest + 1)) for _ in range(ndim))
        if rng.random() < 0.07 and ndim and not scenario.rectilinear:
            axis = int(rng.integers(ndim))
            shape = tuple(0 if axis == position else length for position, length in enumerate(shape))
        inner = tuple(int(rng.choice([1, 2, 4])) if scenario.square else _edge(rng, length) for length in shape)
        shapes = [inner]
        for _ in range(scenario.levels - 1):
            units = (max(inner),) * ndim if scenario.square and ndim else shapes[-1]
            shapes.append(tuple(unit * int(rng.integers(1, 4)) for unit in units))
        chunks: Edges = shapes[-1]
        if scenario.rectilinear:
            sharded = scenario.levels > 1
            chunks = tuple(_edges(rng, length, edge, sharded) for length, edge in zip(shape, inner, strict=True))
            if all(isinstance(edges, int) for edges in chunks):
                continue
            shape = _extent(shape, chunks)
            if rng.random() < 0.4:  # An array may end before its edges do.
                shape = tuple(max(1, length - int(rng.integers(6))) for length in shape)
        grid = [len(e) if isinstance(e, tuple) else -(-n // e) for n, e in zip(shape, chunks, strict=True)]
        per_chunk = math.prod(shapes[-1]) // math.prod(inner)
        elements = math.prod(max(n, e if isinstance(e, int) else 0) for n, e in zip(shape, chunks, strict=True))
        if math.prod(grid) <= MAX_CHUNKS and per_chunk <= MAX_CHUNKS and elements <= 2 * MAX_ELEMENTS:
            return Place(dtype, tuple(shapes)), shape, chunks


def _extent(shape: Shape, chunks: Edges) -> Shape:
    """The shape that explicit edges add up to."""
    return tuple(sum(e) if isinstance(e, tuple) else length for length, e in zip(shape, chunks, strict=True))


def _edge(rng: Random, length: int) -> int:
    pieces = int(rng.integers(1, 6))
    return max(1, -(-length // pieces) + int(rng.integers(-1, 3)))


def _edges(rng: Random, length: int, unit: int, sharded: bool) -> int | tuple[int, ...]:
    if rng.random() < 0.3:
        return unit * int(rng.integers(1, 3)) if sharded else unit
    count = int(rng.integers(1, 6))
    if sharded:
        return tuple(unit * int(edge) for edge in rng.integers(1, 3, count))
    return tuple(int(edge) for edge in rng.integers(1, max(2, 2 * length // count), count))


def _values(rng: Random, dtype: Json, scenario: Scenario) -> str:
    if scenario.values != "any":
        return scenario.values
    has_floats = isinstance(dtype, list) or kind_of(dtype) in "fc"
    return _choice(rng, "plain", "sparse", *(("special", "special") if has_floats else ()))


def _fill(rng: Random, writer: str, dtype: Json, values: str) -> str | None:
    """One random element, a zero, or (in v2) a null."""
    if dtype == "object" or (writer.endswith("v2") and rng.random() < 0.15):
        return None
    if writer == "tensorstore-v2" and (isinstance(dtype, list) or kind_of(dtype) in "SV"):
        return None
    if writer == "zarrista-v3" and is_variable(dtype):
        return ""  # It compares joined bytes, so a chunk of one fill value and many "" would be left out.
    # zarr-python writes every NaN as "NaN", so only that one comes back.
    exact = "special" if writer in ("tensorstore-v3", "zarrista-v3") and values != "finite" else "plain"
    manner = values if values in ("small", "finite", "labels") else exact
    element = draw(rng, dtype, (1,), manner)
    if dtype == "string":
        return str(element[0]).replace("\0", "") if rng.random() < 0.7 else ""
    if dtype == "bytes":
        # zarr-python trims the zeros at the end of a fill value where it pads a chunk.
        return bytes(element[0]).rstrip(b"\0").hex() if rng.random() < 0.7 else ""
    native = native_dtype(dtype)
    if dtype == ">M8":
        return bytes(8).hex()  # NumPy does not swap the bytes of a time without a unit, so peers get a fill wrong.
    if manner == "plain" and native.kind in "fc" and rng.random() < 0.5:
        parts = [_choice(rng, np.nan, -0.0, np.inf, -np.inf) for _ in range(2)]
        return np.array(complex(*parts) if native.kind == "c" else parts[0], native).tobytes().hex()
    return element.tobytes().hex() if rng.random() < 0.8 else bytes(native.itemsize).hex()


def _resized_from(rng: Random, writer: str, shape: Shape, chunks: Edges) -> Shape | None:
    """The shape before a resize, for some arrays of zarr-python: larger, smaller, or both by axis."""
    if not writer.startswith("zarr-python"):
        return None
    if any(isinstance(edges, tuple) for edges in chunks):
        return _extent(shape, chunks)  # zarr-python creates only grids whose edges end with the array.
    if rng.random() > 0.12 or not shape or 0 in shape:
        return None
    return tuple(max(1, length + int(rng.integers(-4, 5))) for length in shape)


def _whole(shape: Shape) -> Box:
    return tuple((0, length) for length in shape)


def _bounds(length: int, edges: int | tuple[int, ...]) -> list[tuple[int, int]]:
    if isinstance(edges, int):
        return [(start, min(start + edges, length)) for start in range(0, length, edges)]
    stops = np.cumsum(edges).tolist()
    return [(start, min(stop, length)) for start, stop in zip([0, *stops], stops, strict=False) if start < length]


def _boxes(rng: Random, shape: Shape, chunks: Edges, *, whole: bool) -> tuple[Box, ...]:
    """The regions that are written: everything, some whole chunks, overlapping boxes across chunks, or nothing."""
    if 0 in shape:
        return ()
    way = rng.random()
    if whole or way < 0.4 or not shape:
        return (_whole(shape),) if whole or way < 0.8 else ()
    if way < 0.7:
        bounds = [_bounds(length, edges) for length, edges in zip(shape, chunks, strict=True)]
        count = int(rng.integers(1, 9))
        picked = {tuple(int(rng.integers(len(axis))) for axis in bounds) for _ in range(count)}
        return tuple(tuple(axis[i] for axis, i in zip(bounds, where, strict=True)) for where in sorted(picked))
    if way < 0.95:
        return tuple(tuple(_interval(rng, length) for length in shape) for _ in range(int(rng.integers(1, 4))))
    return ()


def _interval(rng: Random, length: int) -> tuple[int, int]:
    start = int(rng.integers(length))
    return start, int(rng.integers(start + 1, length + 1))


def _dimension_names(rng: Random, ndim: int) -> tuple[str | None, ...] | None:
    if rng.random() < 0.5:
        return None
    names: tuple[str | None, ...] = ("time", "lat", "lon", "höhe")[:ndim]
    if ndim and rng.random() < 0.2:
        return (None, *names[1:])
    return names


def _attributes(rng: Random, writer: str, names: tuple[str | None, ...] | None) -> dict[str, Json]:
    attributes: dict[str, Json] = {}
    if rng.random() < 0.5:
        attributes = {"units": "K", "größe": [1, 2.5, None, {"deep": True}], "n": int(rng.integers(1 << 40))}
    if writer == "tensorstore-v2":
        return {}  # It has no attributes in v2.
    if writer.endswith("v2") and names and None not in names:
        attributes["_ARRAY_DIMENSIONS"] = list(names)
    return attributes


def _order(rng: Random, writer: str, ndim: int) -> str:
    return "F" if writer.endswith("v2") and writer != "numcodecs-v2" and ndim > 1 and rng.random() < 0.4 else "C"


def _key_encoding(rng: Random, writer: str) -> tuple[str, str]:
    encoding = "v2" if writer.endswith("v2") else _choice(rng, "default", "default", "v2")
    return encoding, _choice(rng, ".", "/")
