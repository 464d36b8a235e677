"""Recipes: plain data that says which array a peer writes. Knows NumPy and JSON; never a peer, never azarr.

A recipe gives the same array every time: its values come from its seed, so the JSON of a recipe reproduces a failure.
The truth is made here by NumPy from the recipe, never from what a peer reads back.
"""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Json: TypeAlias = Any
Values: TypeAlias = npt.NDArray[Any]
Box: TypeAlias = tuple[tuple[int, int], ...]
Edges: TypeAlias = tuple[int | tuple[int, ...], ...]

LABELS = ("red", "green", "blue", "")
WORDS = ("", "a", "temperature", "Zürich", "日本語", "😀 grin", "a\0b", "x" * 300, "tab\tand\nline", "\u200b")
INTEGER_EDGES = (0, 1, -1)
FLOAT_EDGES = (0.0, -0.0, 1.0, np.nan, np.inf, -np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One array: what is written, by whom, and in which pieces.

    `dtype` is a NumPy type string, a list of fields, `r16` (raw bits), `string`, `bytes` or `object`.
    `fill` is the hex of the native bytes of one element, the text of a `string`, or None for a v2 null.
    `chunks` has an integer an axis, or a tuple of edge lengths where the grid is rectilinear.
    `boxes` are the regions written, in order; the rest of the array is never written.
    `values` names how values are drawn; `lossy` says that the peer's own read is the truth.
    `resized_from` is the shape that was written before a resize to `shape`.
    """

    writer: str
    name: str
    seed: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: Json
    fill: str | None
    chunks: Edges
    boxes: tuple[Box, ...]
    filters: tuple[Json, ...] = ()
    serializer: Json = None
    compressors: tuple[Json, ...] = ()
    order: str = "C"
    key_encoding: tuple[str, str] = ("default", "/")
    dimension_names: tuple[str | None, ...] | None = None
    attributes: dict[str, Json] = field(default_factory=dict)
    values: str = "plain"
    lossy: bool = False
    resized_from: tuple[int, ...] | None = None
    options: dict[str, Json] = field(default_factory=dict)
    opening: str = "array"
    store: str = "local"

    @property
    def zarr_format(self) -> int:
        return 2 if self.writer.endswith("v2") else 3

    @property
    def written_shape(self) -> tuple[int, ...]:
        return self.shape if self.resized_from is None else self.resized_from

    @property
    def rectilinear(self) -> bool:
        return any(isinstance(edges, tuple) for edges in self.chunks)

    @property
    def readable_names(self) -> tuple[str | None, ...] | None:
        """The dimension names that are stored: in v2 only where the attribute of xarray has them."""
        return self.dimension_names if self.zarr_format == 3 or "_ARRAY_DIMENSIONS" in self.attributes else None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=True)


def from_json(text: str) -> Recipe:
    """The recipe that `Recipe.to_json` printed."""
    document = json.loads(text)
    for name in ("seed", "shape", "chunks", "boxes", "filters", "compressors", "key_encoding"):
        document[name] = _tuples(document[name], deep=name in ("chunks", "boxes"))
    for name in ("dimension_names", "resized_from"):
        document[name] = None if document[name] is None else tuple(document[name])
    return Recipe(**document)


def _tuples(value: Json, *, deep: bool) -> Json:
    if not isinstance(value, list):
        return value
    return tuple(_tuples(item, deep=deep) for item in value) if deep else tuple(value)


def stored_dtype(dtype: Json) -> np.dtype[Any]:
    """The NumPy dtype of the stored elements, in their stored byte order."""
    if dtype == "string":
        return np.dtypes.StringDType()
    if dtype in ("bytes", "object"):
        return np.dtype(object)
    if isinstance(dtype, str) and (bits := re.fullmatch(r"r(\d+)", dtype)):
        return np.dtype(f"V{int(bits[1]) // 8}")
    return np.dtype(_descr(dtype)) if isinstance(dtype, list) else np.dtype(dtype)


def _descr(fields: list[Json]) -> list[Any]:
    return [
        (name, _descr(inner) if isinstance(inner, list) else inner, *(tuple(shape) for shape in shapes)) for name, inner, *shapes in fields
    ]


def native_dtype(dtype: Json) -> np.dtype[Any]:
    """The dtype that a reader gives: the stored one in native byte order."""
    stored = stored_dtype(dtype)
    return stored if is_variable(dtype) else stored.newbyteorder("=")


def is_variable(dtype: Json) -> bool:
    return isinstance(dtype, str) and dtype in ("string", "bytes", "object")


def fill_scalar(recipe: Recipe) -> Any:
    """The fill value as one element; a null is the zero of the dtype."""
    if recipe.dtype == "string":
        return recipe.fill or ""
    if recipe.dtype == "bytes":
        return bytes.fromhex(recipe.fill or "")
    if recipe.dtype == "object":
        return None
    dtype = native_dtype(recipe.dtype)
    raw = bytes(dtype.itemsize) if recipe.fill is None else bytes.fromhex(recipe.fill)
    return np.frombuffer(raw, dtype)[0]


def filled(recipe: Recipe, shape: tuple[int, ...]) -> Values:
    """An array of fill values, exact to the bit."""
    dtype = native_dtype(recipe.dtype)
    scalar = fill_scalar(recipe)
    if is_variable(recipe.dtype):
        result = np.empty(shape, dtype)
        result.fill(scalar)  # Not np.full, which trims bytes.
        return result
    return _from_bytes(np.asarray(scalar, dtype).tobytes() * _count(shape), dtype).reshape(shape)


def _from_bytes(raw: bytes, dtype: np.dtype[Any]) -> Values:
    return np.frombuffer(bytearray(raw), dtype) if raw else np.empty(0, dtype)


def _count(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def slices(box: Box) -> tuple[Any, ...]:
    """A box as a selection; its ellipsis keeps an array of no dimensions an array."""
    return (*(slice(start, stop) for start, stop in box), ...)


def source(recipe: Recipe) -> Values:
    """All values that the writer takes its boxes from, in native byte order."""
    rng = np.random.default_rng([*recipe.seed, 0])
    values = draw(rng, recipe.dtype, recipe.written_shape, recipe.values)
    if recipe.values == "sparse" and values.ndim:
        # Whole slabs of the fill value: chunks that a writer may leave out.
        axis = int(rng.integers(values.ndim))
        start, stop = sorted(rng.integers(0, values.shape[axis] + 1, 2).tolist())
        slab = (slice(None),) * axis + (slice(start, stop),)
        values[slab] = filled(recipe, values[slab].shape)
    return values


def truth(recipe: Recipe) -> Values:
    """What a correct reader reads from a lossless recipe."""
    values = source(recipe)
    result = filled(recipe, recipe.written_shape)
    for box in recipe.boxes:
        result[slices(box)] = values[slices(box)]
    if recipe.resized_from is None:
        return result
    resized = filled(recipe, recipe.shape)
    common = tuple(slice(min(old, new)) for old, new in zip(recipe.resized_from, recipe.shape, strict=True))
    resized[common] = result[common]
    return resized


def draw(rng: np.random.Generator, dtype: Json, shape: tuple[int, ...], values: str) -> Values:
    """Random elements of a dtype, drawn in the manner that `values` names."""
    count = _count(shape)
    if is_variable(dtype):
        return _draw_variable(rng, dtype, count, values).reshape(shape)
    native = native_dtype(dtype)
    if native.names is not None:
        result = np.zeros(shape, native)
        for name in native.names:
            part = native[name]
            inner = part.base.str if part.base.names is None else _fields(part.base)
            result[name] = draw(rng, inner, (*shape, *part.shape), values)
        return result
    return _draw_fixed(rng, native, count, values).reshape(shape)


def _fields(dtype: np.dtype[Any]) -> list[Json]:
    names = dtype.names or ()
    return [
        [n, d.base.str if d.base.names is None else _fields(d.base), *([list(d.shape)] if d.shape else [])]
        for n, d in ((n, dtype[n]) for n in names)
    ]


def _draw_fixed(rng: np.random.Generator, dtype: np.dtype[Any], count: int, values: str) -> Values:
    kind, size = dtype.kind, dtype.itemsize
    if kind == "b":
        return rng.integers(0, 2, count).astype(dtype)
    if values == "labels":
        return rng.choice(LABELS, count).astype(dtype)
    if kind == "U":
        return np.array([_word(rng)[: size // 4].rstrip("\0") for _ in range(count)], dtype)
    if kind == "S":
        return np.array([rng.bytes(int(rng.integers(size + 1))).rstrip(b"\0") for _ in range(count)], dtype)
    if values in ("small", "finite") and kind in "iu":
        return rng.integers(0 if kind == "u" else -50, 51, count).astype(dtype)
    if values == "finite":
        return np.round(rng.normal(0, 20, count), 3).astype(dtype)
    if kind in "fc" and values != "special":
        parts = rng.normal(0, 1000, count * (2 if kind == "c" else 1))
        real = parts.astype(f"f{size // 2}" if kind == "c" else dtype)
        return real.view(dtype)
    return _with_edges(rng, _from_bytes(rng.bytes(size * count), dtype))


def _with_edges(rng: np.random.Generator, values: Values) -> Values:
    dtype = values.dtype
    edges: list[Any] = []
    if dtype.kind == "i":
        edges = [*INTEGER_EDGES, np.iinfo(dtype).min, np.iinfo(dtype).max]
    elif dtype.kind == "u":
        edges = [0, 1, np.iinfo(dtype).max]
    elif dtype.kind in "fc":
        edges = [*FLOAT_EDGES, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max]
    elif dtype.kind in "mM":
        edges = [np.array(n, np.int64).view(dtype)[()] for n in (0, 1, -1, np.iinfo(np.int64).min)]
    for edge in edges:
        values[rng.random(values.size) < 0.03] = edge
    return values


def _draw_variable(rng: np.random.Generator, dtype: str, count: int, values: str) -> Values:
    makers = {"string": _word, "bytes": lambda g: g.bytes(int(g.integers(20)))}
    objects = {"json": _json_item, "numbers": _number_list, "labels": lambda g: str(g.choice(LABELS))}
    maker = makers[dtype] if dtype in makers else objects[values]
    result = np.empty(count, native_dtype(dtype))
    for position in range(count):
        result[position] = maker(rng)
    return result


def _word(rng: np.random.Generator) -> str:
    if rng.random() < 0.4:
        return WORDS[int(rng.integers(len(WORDS)))]
    return "".join(chr(code) for code in rng.integers(32, 0x2000, int(rng.integers(12))))


def _json_item(rng: np.random.Generator) -> Json:
    number = int(rng.integers(-1000, 1000))
    return (None, True, number, number / 8, _word(rng), {"n": number, "w": _word(rng)})[int(rng.integers(6))]


def _number_list(rng: np.random.Generator) -> Values:
    return rng.integers(-1000, 1000, int(rng.integers(6))).astype("<i4")
