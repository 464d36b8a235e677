"""Arrays written by other Zarr implementations read bit-equal through azarr, whatever is selected from them.

The recipes are random but fixed by a seed; a failure prints the recipe as JSON and the selection as an expression.
AZARR_INTEROP_ARRAYS and AZARR_INTEROP_SEED give more or other arrays, AZARR_INTEROP_RECIPE one recipe alone.
"""

import importlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from compare import difference
from generate import DECKS, recipes
from recipe import Recipe, Values, from_json, native_dtype, truth
from selections import basic_key, selections, show, taken
from tally import Tally

import azarr

pytestmark = pytest.mark.interop

ARRAYS = int(os.environ.get("AZARR_INTEROP_ARRAYS", "1000"))
SEED = int(os.environ.get("AZARR_INTEROP_SEED", "2022"))
RECIPE = os.environ.get("AZARR_INTEROP_RECIPE")
BATCH = 50
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of one peer in one hierarchy on disk, each with its truth."""

    root: Path
    arrays: tuple[tuple[Recipe, Values], ...]


def batches() -> Iterator[Any]:
    """Recipes of one peer, some at a time, so that a failure names a place to look."""
    chosen = (from_json(RECIPE),) if RECIPE else recipes(ARRAYS, SEED)
    for writer in DECKS:
        mine = iter([recipe for recipe in chosen if recipe.writer == writer])
        number = 0
        while part := tuple(islice(mine, BATCH)):
            yield pytest.param(part, id=f"{writer}-{number}")
            number += 1


@pytest.fixture(scope="session")
def writers() -> ModuleType:
    """The peers. Where one is missing, this fails; they are not imported before a test wants them."""
    return importlib.import_module("writers")


@pytest.fixture
def batch(request: pytest.FixtureRequest, tmp_path: Path, writers: ModuleType) -> Batch:
    """One batch, written by its peer before any event loop runs."""
    mine: tuple[Recipe, ...] = request.param
    if mine[0].writer.startswith("zarr-python"):
        writers.create_root(tmp_path, mine[0].zarr_format)
    for recipe in mine:
        writers.write(tmp_path, recipe)
    if any(recipe.opening == "consolidated" for recipe in mine):
        writers.consolidate(tmp_path, mine[0].zarr_format)
    # A filter that loses bits has no truth but the peer's own read.
    truths = (writers.read_back(tmp_path, recipe) if recipe.lossy else truth(recipe) for recipe in mine)
    return Batch(tmp_path, tuple(zip(mine, truths, strict=True)))


@pytest.mark.parametrize("batch", list(batches()), indirect=True)
async def test_every_selection_reads_what_numpy_selects(batch: Batch, tally: Tally) -> None:
    memory = {path.relative_to(batch.root).as_posix(): path.read_bytes() for path in _files(batch.root)}
    found: list[str] = []
    for recipe, expected in batch.arrays:
        tally.arrays[recipe.writer] += 1
        try:
            array = await _open(batch, recipe, memory)
            differences = [text async for text in _differences(array, recipe, expected, tally)]
        except Exception as error:
            differences = [f"opening: {_said(error)}"]
        tally.differences += len(differences)
        found += [f"{text}\n    recipe: {recipe.to_json()}" for text in differences]
    if found:
        shown = "\n\n".join(found[:SHOWN])
        pytest.fail(f"{len(found)} differences, the first {min(SHOWN, len(found))} of them:\n\n{shown}", pytrace=False)


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def _open(batch: Batch, recipe: Recipe, memory: dict[str, bytes]) -> Any:
    stores: dict[str, Any] = {"local": str(batch.root), "path": batch.root, "memory": memory}
    store = stores[recipe.store]
    if recipe.opening == "consolidated":
        return await azarr.open_consolidated(store)[recipe.name]
    if recipe.opening == "group":
        return await azarr.open_group(store)[recipe.name]
    if recipe.opening == "path" and recipe.store != "memory":
        return await azarr.open_array(batch.root / recipe.name, zarr_format=recipe.zarr_format)
    return await azarr.open_array(store, recipe.name)


async def _differences(array: Any, recipe: Recipe, expected: Values, tally: Tally) -> AsyncIterator[str]:
    for name, got, wanted in _facts(array, recipe):
        if got != wanted:
            yield f"array.{name} is {got!r}, expected {wanted!r}"
    for selection in selections(recipe, expected):
        tally.selections[selection.kind] += 1
        try:
            pending = selection.of(array)
            wrong = _promise_difference(pending, selection.expected)
            wrong = wrong or difference(recipe, selection.expected, await pending)
        except Exception as error:
            wrong = _said(error)
        if wrong is not None:
            yield f"{selection.kind}: await {selection.text}: {wrong}"
    rng = np.random.default_rng([*recipe.seed, 3])
    for ordered in (False, True):
        key = basic_key(rng, expected.shape, newaxis=False, full=0.4)
        part = taken(expected, key)
        readers = {
            f"blocks(ordered={ordered})": _gathered(array, key, part, ordered=ordered),
            "read(out=...)": _read_into(array, key, part, "F" if ordered else "C"),
        }
        for call, reader in readers.items():
            tally.selections[call.partition("(")[0]] += 1
            try:
                wrong = difference(recipe, part, await reader)
            except Exception as error:
                wrong = _said(error)
            if wrong is not None:
                yield f"array[{show(key)}].{call}: {wrong}"


def _facts(array: Any, recipe: Recipe) -> Iterator[tuple[str, Any, Any]]:
    yield "shape", tuple(array.shape), recipe.shape
    yield "dtype", array.dtype, native_dtype(recipe.dtype)
    yield "zarr_format", array.zarr_format, recipe.zarr_format
    for name, value in recipe.attributes.items():
        if name != "_ARRAY_DIMENSIONS":
            yield f"attrs[{name!r}]", array.attrs.get(name), value
    if any(recipe.readable_names or ()):  # names that are all null may as well be left out, as tensorstore does
        yield "dimension_names", array.dimension_names, recipe.readable_names


def _promise_difference(pending: Any, expected: Values) -> str | None:
    """What a selection says of itself before any read."""
    if tuple(pending.shape) != expected.shape:
        return f"the selection has shape {pending.shape}, expected {expected.shape}"
    return None


async def _gathered(array: Any, key: Any, expected: Values, *, ordered: bool) -> Values:
    """All blocks of a selection, put together; every element must come exactly once."""
    gathered = np.zeros(expected.shape, expected.dtype)
    covered = np.zeros(expected.shape, np.intp)
    async for block in array[key].blocks(ordered=ordered):
        region = (*block.region, ...)
        gathered[region] = block.data
        covered[region] += 1
    assert (covered == 1).all(), f"{np.count_nonzero(covered != 1)} elements are not in exactly one block"
    return gathered


async def _read_into(array: Any, key: Any, expected: Values, order: Any) -> Values:
    out = np.zeros(expected.shape, expected.dtype, order=order)
    await array[key].read(out=out)
    return out


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("writer", DECKS)
def test_peer_reads_the_truth_from_its_own_arrays(writer: str, tmp_path: Path, writers: ModuleType) -> None:
    mine = [recipe for recipe in recipes(ARRAYS, SEED) if recipe.writer == writer and not recipe.lossy]
    for recipe in mine[::4]:
        writers.write(tmp_path, recipe)
        wrong = difference(recipe, truth(recipe), writers.read_back(tmp_path, recipe))
        assert wrong is None, f"{wrong}\n    recipe: {recipe.to_json()}"


@pytest.mark.parametrize("writer", DECKS)
def test_a_thousand_recipes_cover_every_dtype_and_every_codec_of_a_peer(writer: str) -> None:
    deck = DECKS[writer]
    mine = [recipe for recipe in recipes(1000, SEED) if recipe.writer == writer]
    assert {str(recipe.dtype) for recipe in mine} == {str(dtype) for dtype in deck.dtypes}
    # Even recipes walk through the scenarios one by one.
    assert len(mine) >= 2 * len(deck.scenarios)


def test_recipe_survives_its_json() -> None:
    for recipe in recipes(1000, SEED):
        assert from_json(recipe.to_json()) == recipe
