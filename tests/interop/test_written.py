"""What azarr writes, other Zarr implementations read bit-equal: in their own arrays, whose chunks azarr replaces, and in arrays of its own.

The recipes are those of the test of reading, so every data type, codec, order, separator and shard layout of a peer comes up.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import zarr
from compare import difference
from recipe import Recipe, Values, truth
from tally import Tally
from test_differential import SHOWN, batches, writers  # noqa: F401  # `writers` is a fixture

import azarr
from azarr.errors import UnknownCodec

pytestmark = pytest.mark.interop
DOCUMENTS = ("zarr.json", ".zarray", ".zattrs")


def _pieces(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Boxes that make up the whole array, cut at random, not where chunks end."""
    axes: list[list[slice]] = []
    for length in shape:
        bounds = sorted({0, length, *rng.integers(0, length + 1, 2).tolist()})
        axes.append([slice(start, stop) for start, stop in itertools.pairwise(bounds)] or [slice(0, 0)])
    return itertools.product(*axes)


async def _rewrite(path: Path, recipe: Recipe, expected: Values) -> None:
    """Delete the chunks of an array, and write it anew by azarr: in random parts, several at a time, and some by index arrays."""
    for item in path.iterdir():
        if item.name not in DOCUMENTS:
            shutil.rmtree(item) if item.is_dir() else item.unlink()
    rng = np.random.default_rng([*recipe.seed, 7])
    array = await azarr.open_array(path, mode="r+", zarr_format=recipe.zarr_format)
    writes: list[Any] = []
    for number, box in enumerate(_pieces(rng, expected.shape)):
        part = expected[(*box, ...)]
        if number % 3 and expected.ndim and part.size:
            arrays = tuple(np.arange(cut.start, cut.stop) for cut in box)
            writes.append(array.oindex[arrays].write(part) if number % 3 == 1 else array.vindex[np.ix_(*arrays)].write(part))
        else:
            writes.append(array[box].write(part))
    await asyncio.gather(*writes)


@pytest.mark.parametrize("recipes", list(batches()))
def test_peers_read_what_azarr_writes_into_their_arrays(recipes: tuple[Recipe, ...], tmp_path: Path, writers: ModuleType, tally: Tally) -> None:  # noqa: F811
    found: list[str] = []
    if recipes[0].writer.startswith("zarr-python"):
        writers.create_root(tmp_path, recipes[0].zarr_format)
    for recipe in recipes:
        if recipe.lossy or recipe.writer == "numcodecs-v2":  # its arrays are written chunk by chunk, by hand
            continue
        writers.write(tmp_path, recipe)
        expected = truth(recipe)
        tally.written[recipe.writer] += 1
        try:
            asyncio.run(_rewrite(tmp_path / recipe.name, recipe, expected))
            wrong = difference(recipe, expected, writers.read_back(tmp_path, recipe))
        except UnknownCodec as error:
            tally.written[recipe.writer] -= 1  # refused
            wrong = None if "no package writes Snappy" in str(error) and '"snappy"' in recipe.to_json() else str(error)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong is not None:
            found.append(f"{wrong}\n    recipe: {recipe.to_json()}")
    tally.differences += len(found)
    if found:
        shown = "\n\n".join(found[:SHOWN])
        pytest.fail(f"{len(found)} differences, the first {min(SHOWN, len(found))} of them:\n\n{shown}", pytrace=False)


DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"),
    *("complex64", "complex128", "M8[s]", "m8[10us]", "S5", "U4", str),
)
COMPRESSORS = (None, "zstd", "gzip", "blosc", ["zstd", "crc32c"])


def _own() -> Iterator[Any]:
    for number, (dtype, zarr_format) in enumerate(itertools.product(DTYPES, (2, 3))):
        for variant in range(4):
            options: dict[str, Any] = {"dtype": dtype, "zarr_format": zarr_format, "order": "CF"[(number + variant) % 2]}
            options["compressors"] = COMPRESSORS[(number + variant) % (4 if zarr_format == 2 else 5)]
            options["chunk_key_encoding"] = "./"[variant % 2]
            if zarr_format == 3 and variant > 1:
                options["shards"] = (6, 8)
            yield pytest.param(options, id=f"{dtype if isinstance(dtype, str) else dtype.__name__}-v{zarr_format}-{variant}")


@pytest.mark.parametrize("options", list(_own()))
def test_zarr_python_reads_arrays_that_azarr_creates(options: dict[str, Any], tmp_path: Path, tally: Tally) -> None:
    rng = np.random.default_rng(len(str(options)))
    kind = np.dtype("T") if options["dtype"] is str else np.dtype(options["dtype"])
    numbers = rng.integers(0, 2 if kind.kind == "b" else 100, (11, 13))
    values = numbers.astype(str).astype(kind) if kind.kind in "TSU" else numbers.astype("i8").astype(kind)

    async def write() -> None:
        array = await azarr.create_array(tmp_path, "a/b", shape=values.shape, chunks=(3, 4), attributes={"units": "m"}, **options)
        await asyncio.gather(array[:7].write(values[:7]), array[7:, ::2].write(values[7:, ::2]), array[7:, 1::2].write(values[7:, 1::2]))

    asyncio.run(write())
    tally.written["azarr"] += 1
    array = zarr.open_group(tmp_path, mode="r")["a/b"]
    assert isinstance(array, zarr.Array)
    assert dict(array.attrs) == {"units": "m"}
    assert (array.chunks, array.shards) == ((3, 4), options.get("shards"))
    assert np.asarray(array[...]).tolist() == values.tolist()
