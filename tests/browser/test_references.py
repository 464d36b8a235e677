"""A NetCDF file is read by its references, over HTTP, wherever Python runs: no library of HDF is there, and no more of the file comes than its chunks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from hosting import Site

DATA = Path(__file__).parent.parent / "data"
FILES = {name: (DATA / name).read_bytes() for name in ("small.nc", "small.json")}
INDEX = np.indices((12, 20, 30))
VALUES = 1000 * INDEX[0] + 30 * INDEX[1] + INDEX[2]
READ = """
import azarr

group = await azarr.open_group(f"{url}/small.json")
array = await group["temperature"]
[await group.keys(), str(array.dtype), await (await group["x"])[:3], await array[5, ::7], await array[...]]
"""


@pytest.mark.parametrize("other", [False, True], ids=["same origin", "other origin"])
@pytest.mark.parametrize("name", ["here", "node", "python", "worker", "firefox"])
def test_a_netcdf_file_is_read_by_references(name: str, other: bool, site: Site, request: pytest.FixtureRequest):
    place = request.getfixturevalue(name)
    url = site.add(FILES, other=other)
    expected = [["temperature", "time", "x", "y"], "int16", [0.0, 0.5, 1.0], VALUES[5, ::7].tolist(), VALUES.tolist()]
    assert place(READ, url=url) == expected
    refs = json.loads(FILES["small.json"])["refs"]
    chunks = {key: value[2] for key, value in refs.items() if isinstance(value, list)}
    asked = [each.range for each in site.below(url) if each.key.endswith(".nc")]
    assert None not in asked
    sizes = [int(last) + 1 - int(first) for first, last in (each.removeprefix("bytes=").split("-") for each in asked if each)]
    beginnings = ("x/", "temperature/1.", "temperature/")  # what was read, one after the other
    assert sum(sizes) <= 1.05 * sum(size for start in beginnings for key, size in chunks.items() if key.startswith(start))
    assert len(sizes) < len(chunks)


@pytest.mark.parametrize("name", ["node", "python"])
def test_a_target_of_another_origin_is_not_asked_for(name: str, site: Site, request: pytest.FixtureRequest):
    place = request.getfixturevalue(name)
    elsewhere = site.add(FILES, other=True)
    text = FILES["small.json"].decode().replace('"small.nc"', json.dumps(f"{elsewhere}/small.nc"))
    url = site.add({"small.json": text.encode()})
    code = """
import azarr

try:
    await (await azarr.open_array(f"{url}/small.json", "temperature"))[...]
except azarr.errors.StoreError as error:
    refused = type(error).__name__
store = azarr.stores.ReferenceStore(f"{url}/small.json", targets=elsewhere)
[refused, str(await (await azarr.open_array(store, "temperature"))[1, 1, 1])]
"""
    assert place(code, url=url, elsewhere=elsewhere) == ["TargetRefused", "1031"]


REDIRECTED = """
import azarr

store = azarr.stores.ReferenceStore(f"{url}/small.json", targets=targets or None)
try:
    found = str(await (await azarr.open_array(store, "temperature"))[1, 1, 1])
except azarr.errors.StoreError as error:
    found = f"{type(error).__name__}: {error.reason}"
found
"""


@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
@pytest.mark.parametrize("name", ["node", "python", "firefox"])
def test_what_a_redirect_brings_from_elsewhere_is_refused(name: str, there: bool, site: Site, request: pytest.FixtureRequest):
    """Browsers follow redirects by themselves, so the other origin is asked; but nothing is read of it, nor is it missing."""
    place = request.getfixturevalue(name)
    elsewhere = site.add(FILES if there else {}, other=True)
    url, beside = site.add({"small.json": FILES["small.json"]}), site.add(FILES)

    def redirecting(to: str) -> None:
        async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": f"{to}/small.nc"})

        site.answers[site.key(url, "small.nc")] = answer

    redirecting(elsewhere)
    refused = place(REDIRECTED, url=url, targets=[])
    assert refused.startswith(f"TargetRefused: the target '{elsewhere}/small.nc' is refused: it is not allowed.")
    if there:
        assert place(REDIRECTED, url=url, targets=[url, elsewhere]) == "1031"
    redirecting(beside)
    assert place(REDIRECTED, url=url, targets=[]) == "1031"  # of the same origin
    assert place(REDIRECTED, url=url, targets=[url]).startswith(f"TargetRefused: the target '{beside}/small.nc'")
