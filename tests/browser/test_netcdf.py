"""A NetCDF4 file of real data is read by references in pages, bit-equal to what xarray reads of it; of the file no more comes than the chunks asked for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosting import Site
from playwright.sync_api import Page, expect

from prose import ROOT, blocks

READS = {
    "air_temperature": {"...": "all", "30:40, :19, 30:": ["1.0.1"], "-1, ::-1, 3": ["9.0.0", "9.1.0"]},
    "rounded": {"...": "all", "59:61": ["0.0.0", "1.0.0"]},
    "sea": {"...": "all", "53, 4, 100:201": ["5.0.1", "5.0.2"], "9:11, 3:5, :100": ["0.0.0", "1.0.0"]},
    "time": {"...": "all", "150:": ["1", "2"]},
    **{name: {"...": "all"} for name in ("latitude", "longitude", "forecast_period", "height", "forecast_reference_time")},
}
"""Selections of all variables, and the chunks that they touch."""
READ = """
import hashlib
import azarr

array = await azarr.open_group(f"{url}/refs.json")[name]
values = await eval(f"array[{selection}]")
[values.dtype.str, values.shape, hashlib.sha256(values.tobytes()).hexdigest()]
"""


def ranges(site: Site, url: str) -> list[tuple[int, int]]:
    """First and last byte of each part that was asked of the file; it was never asked for as a whole."""
    asked = [each.range for each in site.below(url) if each.key == site.key(url, "a.nc")]
    assert None not in asked
    found = [each.removeprefix("bytes=").split("-") for each in asked if each]
    return [(int(first), int(last)) for first, last in found]


@pytest.mark.parametrize("other", [False, True], ids=["same origin", "other origin"])
@pytest.mark.parametrize("name", ["here", "node", "python", "worker", "firefox"])
def test_a_netcdf_file_of_real_data_is_read_bit_equal(name: str, other: bool, netcdf: Path, site: Site, request: pytest.FixtureRequest):
    place = request.getfixturevalue(name)
    url = site.add({file: (netcdf / file).read_bytes() for file in ("a.nc", "refs.json")}, other=other)
    refs: dict[str, Any] = json.loads((netcdf / "refs.json").read_text())["refs"]
    with np.load(netcdf / "truth.npz") as truth:
        assert set(truth) == set(READS)
        assert np.isnan(truth["sea"]).mean() > 0.2
        for variable, selections in READS.items():
            chunks = {key.partition("/")[2]: entry[2] for key, entry in refs.items() if key.startswith(f"{variable}/") and isinstance(entry, list)}
            for selection, touched in selections.items():
                expected = np.asarray(eval(f"truth[variable][{selection}]"))
                before = len(ranges(site, url))
                found = place(READ, url=url, name=variable, selection=selection)
                assert found == [expected.dtype.str, list(expected.shape), hashlib.sha256(expected.tobytes()).hexdigest()], (variable, selection)
                came = sum(last + 1 - first for first, last in ranges(site, url)[before:])
                wanted = sum(size for key, size in chunks.items() if touched == "all" or key in touched)
                assert wanted <= came <= 1.05 * wanted, (variable, selection)


@pytest.mark.usefixtures("pyscript")
def test_the_page_of_the_documents_reads_it(page: Page, netcdf: Path, site: Site, wheel: Path):
    """Its three addresses are those of here: PyScript, azarr, and the references."""
    url = site.add({file: (netcdf / file).read_bytes() for file in ("a.nc", "refs.json")})
    document = ROOT / "docs/browser.md"
    [text] = [block.code for block in blocks(document, document.read_text(encoding="utf-8")) if block.language == "html"]
    here = {
        "https://cdn.jsdelivr.net/npm/@pyscript/core@0.7.31": f"{site.url}/npm",
        '"azarr"]}': f'"{site.url}/wheels/{wheel.name}"], "interpreter": "{site.url}/pyodide/pyodide.mjs"}}',
        "https://host": url,
    }
    for there, address in here.items():
        assert there in text
        text = text.replace(there, address)
    site.folders["netcdf"] = netcdf
    (netcdf / "index.html").write_text(text)
    page.goto(f"{site.url}/netcdf/")
    with np.load(netcdf / "truth.npz") as truth:
        mean = truth["air_temperature"][-1].mean()
    expect(page.locator("#told")).to_have_text(f"(37, 49) float32, {mean:.2f} K on average", timeout=180_000)
    assert len(ranges(site, url)) <= 4
