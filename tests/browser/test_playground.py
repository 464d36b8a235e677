"""The playground: a page with cells to edit, which runs by PyScript alone. Its data lie beside it; nothing is asked of anywhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hosting import Site
from playwright.sync_api import Page, expect

import azarr
from azarr.integrations import sync

pytestmark = pytest.mark.usefixtures("pyscript")
STORE = Path(__file__).parent.parent.parent / "examples" / "climate.zarr"
SHOTS = Path(__file__).parent.parent.parent / "build" / "screenshots"


def address(site: Site, wheel: Path, **more: str) -> str:
    query = {"pyscript": "/npm/dist/", "pyodide": "/pyodide/", "azarr": f"/wheels/{wheel.name}", **more}
    return f"{site.url}/examples/pyscript/index.html?" + "&".join(f"{name}={value}" for name, value in query.items())


def test_the_two_lines_run_in_cells_that_can_be_edited(page: Page, site: Site, wheel: Path):
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if not request.url.startswith((site.url, "data:", "blob:")) else None)
    page.goto(address(site, wheel))
    cells = page.locator(".py-editor-box")
    expect(cells).to_have_count(3)
    for number in range(3):
        cells.nth(number).hover()
        cells.nth(number).locator(".py-editor-run-button").click()
        expect(cells.nth(number).locator(".py-editor-output")).not_to_be_empty(timeout=180_000)
    outputs = cells.locator(".py-editor-output")
    part = sync.run(azarr.open_group(STORE).air_temperature[5:])
    expect(outputs.nth(0)).to_contain_text("air_temperature (time: 20, latitude: 37, longitude: 49) float32")
    expect(outputs.nth(1)).to_contain_text(f"(15, 37, 49) float32 {np.float32(part.mean()):.2f} K")
    assert len(outputs.nth(2).inner_text().rstrip("\n").splitlines()) == 19
    assert elsewhere == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "playground.png", full_page=True)


def test_another_url_is_put_into_the_cells(page: Page, site: Site, wheel: Path):
    page.goto(address(site, wheel))
    page.locator("input[name=url]").fill("https://host/data.zarr")
    page.get_by_role("button", name="Use this URL").click()
    expect(page.locator(".py-editor-box").first).to_contain_text('azarr.open_group("https://host/data.zarr")')
