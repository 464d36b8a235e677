"""The two lines that azarr exists for, exactly as they are written, against a v2 and a v3 store over HTTP."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from servers import serving

LINES = """\
g = azarr.open_group("https://host/data.zarr")
part = await g.var[5:]
"""
VALUES = np.arange(12 * 34, dtype="float32").reshape(12, 34)


async def run(lines: str) -> dict[str, Any]:
    """The names that `lines`, which may await, leave behind."""
    names: dict[str, Any] = {"azarr": azarr}
    pending = eval(compile(lines, "<north star>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert inspect.iscoroutine(pending)
    await pending
    return names


@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.parametrize(("zarr_format", "shards"), [(2, None), (3, None), (3, (10, 20))], ids=["v2", "v3", "v3 with shards"])
async def test_the_two_lines_run_as_written(zarr_format: int, shards: Any, consolidated: bool):
    objects: dict[str, bytes] = {}
    await azarr.create_group(objects, zarr_format=zarr_format)
    array = await azarr.create_array(
        objects, "var", shape=(12, 34), dtype="float32", chunks=(5, 10), shards=shards, zarr_format=zarr_format
    )
    await array[...].write(VALUES)
    if consolidated:
        consolidate(objects, zarr_format)
    async with serving({f"data.zarr/{key}": data for key, data in objects.items()}) as server:
        names = await run(LINES.replace("https://host", server.url))
    assert isinstance(names["g"], azarr.Ref)
    assert names["part"].dtype == np.float32
    assert np.array_equal(names["part"], VALUES[5:])


def consolidate(objects: dict[str, bytes], zarr_format: int) -> None:
    """Put the metadata of all members into one document, as zarr-python does."""
    if zarr_format == 2:
        members = ",".join(f'"{key}": {data.decode()}' for key, data in objects.items() if Path(key).name.startswith(".z"))
        objects[".zmetadata"] = f'{{"zarr_consolidated_format": 1, "metadata": {{{members}}}}}'.encode()
    else:
        members = f'"var": {objects["var/zarr.json"].decode()}'
        inline = f'"consolidated_metadata": {{"kind": "inline", "must_understand": false, "metadata": {{{members}}}}}'
        objects["zarr.json"] = f'{{"zarr_format": 3, "node_type": "group", "attributes": {{}}, {inline}}}'.encode()


def test_the_two_lines_stand_in_the_docstring_of_the_package():
    assert LINES in f"{inspect.getdoc(azarr)}\n"
