"""Random selections of every kind, each with the value that NumPy gives for it. Knows NumPy; never azarr.

A selection is an expression (`array[...]`, `array.oindex[...]`, ...), its keys, and the expected value, made from the
full truth array: basic keys, coordinates and masks by NumPy itself, orthogonal keys axis by axis.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from recipe import Recipe, Values

Random = np.random.Generator
EACH = 6
STEPS = (1, 1, 1, 2, 3, 7, -1, -1, -2, -5)


@dataclass(frozen=True, slots=True)
class Made:
    """An expression with a `{}` for each key, how to select with these keys, and what must come out, as an array."""

    expression: str
    keys: tuple[Any, ...]
    select: Callable[..., Any]
    expected: Values


@dataclass(frozen=True, slots=True)
class Selection:
    """One selection from one array."""

    kind: str
    made: Made

    @property
    def expected(self) -> Values:
        return self.made.expected

    @property
    def text(self) -> str:
        """The expression, to paste; only made where it is shown."""
        return self.made.expression.format(*map(show, self.made.keys))

    def of(self, array: Any) -> Any:
        return self.made.select(array, *self.made.keys)


def selections(recipe: Recipe, truth: Values) -> Iterator[Selection]:
    """Six random selections of every kind that applies to the array."""
    rng = np.random.default_rng([*recipe.seed, 2])
    for kind, make in KINDS.items():
        for _ in range(EACH):
            made = make(rng, recipe, truth)
            if made is not None:
                yield Selection(kind, made)


def taken(values: Values, key: Any) -> Values:
    """What NumPy selects, an array also where the key is all integers."""
    parts = key if isinstance(key, tuple) else (key,)
    return values[parts] if any(part is ... for part in parts) else values[(*parts, ...)]


def _basic(rng: Random, recipe: Recipe, truth: Values) -> Made | None:
    key = basic_key(rng, truth.shape, newaxis=True)
    return Made("array[{}]", (key,), lambda array, k: array[k], taken(truth, key))


def _composed(rng: Random, recipe: Recipe, truth: Values) -> Made | None:
    first = basic_key(rng, truth.shape, newaxis=False, full=0.3)
    part = taken(truth, first)
    if not part.ndim:
        return None
    second = basic_key(rng, part.shape, newaxis=False)
    return Made("array[{}][{}]", (first, second), lambda array, k, m: array[k][m], taken(part, second))


def _composed_orthogonal(rng: Random, recipe: Recipe, truth: Values) -> Made | None:
    first = orthogonal_key(rng, truth.shape)
    part = orthogonal(truth, first)
    if not part.ndim:
        return None
    second = basic_key(rng, part.shape, newaxis=False)
    return Made("array.oindex[{}][{}]", (first, second), lambda array, k, m: array.oindex[k][m], taken(part, second))


def _orthogonal(rng: Random, recipe: Recipe, truth: Values) -> Made | None:
    if not truth.ndim:
        return None
    key = orthogonal_key(rng, truth.shape)
    given = _shortened(rng, key)
    return Made("array.oindex[{}]", (given,), lambda array, k: array.oindex[k], orthogonal(truth, key))


def _coordinates(rng: Random, recipe: Recipe, truth: Values) -> Made | None:
    if not truth.ndim:
        return None
    key = coordinate_key(rng, truth.shape)
    return Made("array.vindex[{}]", (key,), lambda array, k: array.vindex[k], taken(truth, key))


def _mask(rng: Random, recipe: Recipe, truth: Values) -> Made | None:
    if not truth.ndim:
        return None
    mask = rng.random(truth.shape) < rng.choice([0.0, 0.02, 0.1, 0.5, 0.95, 1.0])
    if rng.random() < 0.5:
        return Made("array[{}]", (mask,), lambda array, k: array[k], truth[mask])
    return Made("array.vindex[{}]", (mask,), lambda array, k: array.vindex[k], truth[mask])


def _fields(rng: Random, recipe: Recipe, truth: Values) -> Made | None:
    names = truth.dtype.names
    if names is None:
        return None
    name = names[int(rng.integers(len(names)))]
    way = rng.integers(2)
    if way == 0:
        return Made("array[{}]", (name,), lambda array, n: array[n], truth[name])
    # A key for the axes of the array only, which a subarray field cannot read otherwise.
    key = tuple(_axis_key(rng, length) for length in truth.shape)
    expected = taken(truth, key)[name]
    return Made("array[{}][{}]", (name, key), lambda array, n, k: array[n][k], expected)


def _by_name(rng: Random, recipe: Recipe, truth: Values) -> Made | None:
    names = recipe.readable_names
    if not names or None in names:
        return None
    key = tuple(_axis_key(rng, length) for length in truth.shape)
    named = {str(name): part for name, part in zip(names, key, strict=True) if rng.random() < 0.7}
    full = tuple(named.get(str(name), slice(None)) for name in names)
    return Made("array.isel(**{})", (named,), lambda array, n: array.isel(**n), taken(truth, full))


KINDS: dict[str, Callable[[Random, Recipe, Values], Made | None]] = {
    "basic": _basic,
    "composed": _composed,
    "composed orthogonal": _composed_orthogonal,
    "orthogonal": _orthogonal,
    "coordinates": _coordinates,
    "mask": _mask,
    "fields": _fields,
    "by name": _by_name,
}


def random_slice(rng: Random, length: int) -> slice:
    """Any slice: open or out of range at both ends, any step, empty ones too."""
    step = int(rng.choice(STEPS))
    bounds = [int(bound) for bound in rng.integers(-length - 3, length + 4, 2)]
    if rng.random() < 0.6:
        bounds.sort(key=lambda bound: (bound + length if bound < 0 else bound) * step)
    start, stop = (None if rng.random() < 0.3 else bound for bound in bounds)
    return slice(start, stop, None if step == 1 and rng.random() < 0.7 else step)


def _axis_key(rng: Random, length: int, full: float = 0.15) -> int | slice:
    way = rng.random()
    if way < full:
        return slice(None)
    if way < full + 0.2 and length:
        return int(rng.integers(-length, length))
    return random_slice(rng, length)


def basic_key(rng: Random, shape: tuple[int, ...], *, newaxis: bool, full: float = 0.15) -> Any:
    """Integers, slices, at most one ellipsis, and None where new axes are wanted; sometimes not a tuple."""
    parts: list[Any] = [_axis_key(rng, length, full) for length in shape]
    way = rng.random()
    if way < 0.25:
        # An ellipsis for some axes in a row, maybe for none.
        start, stop = sorted(rng.integers(0, len(parts) + 1, 2).tolist())
        parts[start:stop] = [...]
    elif way < 0.4:
        parts = parts[: int(rng.integers(len(parts) + 1))]
    if newaxis and rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 3))):
            parts.insert(int(rng.integers(len(parts) + 1)), None)
    return parts[0] if len(parts) == 1 and rng.random() < 0.5 else tuple(parts)


def orthogonal_key(rng: Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """For every axis an integer, a slice, an array of integers, or a boolean array."""
    return tuple(_orthogonal_part(rng, length) for length in shape)


def _orthogonal_part(rng: Random, length: int) -> Any:
    way = rng.random()
    if way < 0.35:
        return _axis_key(rng, length, 0.4)
    if way < 0.6:
        return rng.random(length) < rng.choice([0.1, 0.5, 0.9])
    count = int(rng.integers(0, min(2 * length, 12) + 1))
    indices = rng.integers(-length, length, count) if length else np.empty(0, np.int64)
    if length and rng.random() < 0.3:
        indices = np.unique(indices % length)
    return indices.tolist() if indices.size and rng.random() < 0.3 else indices


def orthogonal(truth: Values, key: tuple[Any, ...]) -> Values:
    """What an orthogonal key selects: NumPy, one axis at a time, from the last so that integers may drop theirs."""
    result = truth
    for axis in reversed(range(len(key))):
        result = result[(*[slice(None)] * axis, key[axis], ...)]
    return result


def _shortened(rng: Random, key: tuple[Any, ...]) -> Any:
    """The same selection with a whole last axis left out or as an ellipsis, or not as a tuple."""
    last = key[-1]
    if len(key) > 1 and isinstance(last, slice) and last == slice(None) and rng.random() < 0.6:
        return (*key[:-1], ...) if rng.random() < 0.5 else key[:-1]
    return last if len(key) == 1 and rng.random() < 0.5 else key


def coordinate_key(rng: Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Arrays of integers, one for every axis; together they broadcast to one shape."""
    if 0 in shape:
        return tuple(np.empty(0, np.intp) for _ in shape)
    target = tuple(rng.integers(0 if rng.random() < 0.05 else 1, 7, int(rng.integers(1, 4))).tolist())
    parts = [_coordinate_part(rng, length, target) for length in shape]
    if all(isinstance(part, int) for part in parts):
        parts[0] = rng.integers(-shape[0], shape[0], target)
    return tuple(parts)


def _coordinate_part(rng: Random, length: int, target: tuple[int, ...]) -> Any:
    way = rng.random()
    if way < 0.1:
        return int(rng.integers(-length, length))
    shape = target if way < 0.6 else tuple(size if rng.random() < 0.5 else 1 for size in target)
    indices = rng.integers(-length, length, shape)
    return indices.tolist() if indices.size and rng.random() < 0.2 else indices


def show(key: Any) -> str:
    """A key as an expression that gives it again."""
    if isinstance(key, np.ndarray) and key.dtype == bool and key.size > 32:
        bits = f"numpy.frombuffer(bytes.fromhex({np.packbits(key).tobytes().hex()!r}), 'u1')"
        return f"numpy.unpackbits({bits}, count={key.size}).astype(bool).reshape({key.shape})"
    if isinstance(key, np.ndarray):
        return f"numpy.array({key.tolist()}, {str(key.dtype)!r}).reshape({key.shape})"
    if isinstance(key, slice):
        return f"slice({key.start}, {key.stop}, {key.step})"
    if isinstance(key, tuple):
        return "(" + "".join(f"{show(part)}, " for part in key) + ")"
    if isinstance(key, dict):
        return "{" + ", ".join(f"{name!r}: {show(part)}" for name, part in key.items()) + "}"
    return "..." if key is ... else repr(key)
