"""The viewer in Chromium: as plain static files, beside a wheel of azarr, against a server that is good, slow, or refuses; and by `azarr view`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import distribution as fetched
import numpy as np
import pytest
from hosting import Site, stalled
from playwright.sync_api import Browser, Page, Route, expect

import azarr
from azarr.cli.demo import write_climate

SHOTS = Path(__file__).parent.parent.parent / "build" / "screenshots"
expect.set_options(timeout=60_000)
READY = 240_000
"""Milliseconds that Python may take to start."""


def objects_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def climate(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("climate") / "climate.zarr"
    site.run(write_climate(store))
    return store


def configured(page: Page, site: Site, wheel: Path) -> Page:
    """The page as its host would have set it up: with Pyodide and azarr from where they are."""
    config = {"pyodide": f"{site.url}/pyodide/", "azarr": f"{site.url}/wheels/{wheel.name}", "url": ""}

    def fulfil(route: Route) -> None:
        route.fulfill(body=json.dumps(config), content_type="application/json")

    page.route("**/viewer/config.json", fulfil)
    return page


@pytest.fixture(scope="module")
def shared(browser: Browser, site: Site, wheel: Path) -> Iterator[tuple[Page, list[str]]]:
    """The page with Python running, for all tests; and errors that nothing in it caught."""
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = configured(context.new_page(), site, wheel)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site.url}/viewer/index.html")
    page.wait_for_selector("body[data-ready]", timeout=READY)
    yield page, errors
    context.close()


@pytest.fixture
def viewer(shared: tuple[Page, list[str]]) -> Iterator[Page]:
    page, errors = shared
    page.set_viewport_size({"width": 1280, "height": 900})
    yield page
    assert errors == []


def opened(page: Page, url: str, path: str | None = None) -> Page:
    """Type a URL, and choose an array."""
    page.fill("#url", url)
    page.press("#url", "Enter")
    if path is not None:
        page.click(f'#tree [data-path="{path}"]')
        drawn(page)
    return page


def drawn(page: Page) -> None:
    expect(page.locator("#stage")).to_be_visible()
    expect(page.locator("body")).not_to_have_class(re.compile("reading"))


def pixels(page: Page) -> list[int]:
    """A few pixels of the picture, as red, green, blue, opacity."""
    return page.evaluate(
        "() => { const c = document.querySelector('#canvas'), p = c.getContext('2d'); "
        "return [[.1,.1],[.5,.5],[.9,.9],[.3,.7]].flatMap(([x, y]) => [...p.getImageData(c.width * x, c.height * y, 1, 1).data]); }"
    )


def point(page: Page, across: float, down: float) -> tuple[float, float]:
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def slide(page: Page, axis: int, position: int) -> None:
    """Move a slider, as dragging does."""
    page.eval_on_selector(f"#axis-{axis}", "(e, to) => { e.value = to; e.dispatchEvent(new Event('input')); }", position)


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


async def made(shape: tuple[int, ...], chunks: tuple[int, ...]) -> dict[str, bytes]:
    """A hierarchy with an array `a` of random numbers, with consolidated metadata; if it is large, of ones in its first chunk."""
    store = azarr.stores.MemoryStore()
    await azarr.create_group(store)
    large = np.prod(shape) > 1 << 22
    array = await azarr.create_array(store, "a", shape=shape, dtype="float32", chunks=chunks, compressors="zstd" if large else None)
    part = array[tuple(slice(length) for length in (chunks if large else shape))]
    await part.write(np.random.default_rng(0).normal(size=part.shape) if not large else 1)
    await azarr.consolidate(store)
    values = {key: await store.get(key) for key in [key async for key in store.list("")]}
    return {key: bytes(value.data) for key, value in values.items() if value is not None}


def test_each_script_is_a_module_that_parses(tmp_path: Path):
    node, scripts = fetched.node(), sorted((Path(azarr.__file__).parent / "viewer").glob("*.js"))
    assert node is not None
    assert len(scripts) == 7
    for script in scripts:
        module = shutil.copy(script, tmp_path / f"{script.stem}.mjs")
        subprocess.run([node, "--check", module], check=True)


def test_an_array_is_chosen_and_drawn_with_its_metadata(viewer: Page, site: Site, climate: Path):
    opened(viewer, site.add(objects_of(climate), other=True), "air_temperature")
    expect(viewer.locator("#about")).to_have_text("240 \u00d7 37 \u00d7 49 · float32 · K")
    expect(viewer.locator("#facts")).to_contain_text("60 \u00d7 37 \u00d7 49")
    expect(viewer.locator("#attributes")).to_contain_text("Data from Met Office Unified Model 6.05")
    expect(viewer.locator("#edges")).to_contain_text("latitude (°N)")
    expect(viewer.locator("#sliders")).to_contain_text("1860-06-01")
    expect(viewer.locator("#traffic")).to_contain_text("requests")
    assert len({tuple(pixels(viewer)[n : n + 4]) for n in (0, 4, 8, 12)}) > 2


def test_the_pointer_tells_the_value_of_the_array(viewer: Page, site: Site, climate: Path):
    opened(viewer, site.add(objects_of(climate)), "air_temperature")
    viewer.mouse.move(*point(viewer, 10.5 / 49, 5.5 / 37))  # row 5 from above is that of index 31: north is up
    value = site.run(azarr.open_array(climate, "air_temperature")[0, 31, 10].read())
    expect(viewer.locator("#value b")).to_have_text(f"{value:.7g} K")
    expect(viewer.locator("#value")).to_contain_text("latitude 53.75 °N, longitude 243.75 °E")


def test_a_slider_shows_another_position_and_where_it_is(viewer: Page, site: Site, climate: Path):
    opened(viewer, site.add(objects_of(climate)), "air_temperature")
    before = pixels(viewer)
    slide(viewer, 0, 239)
    expect(viewer.locator("#sliders output")).to_have_text("2099-06-01")
    drawn(viewer)
    expect(viewer.locator("#axis-0")).to_have_attribute("aria-valuetext", "2099-06-01")
    assert pixels(viewer) != before


def test_moving_a_slider_ends_the_reads_of_the_old_position(viewer: Page, site: Site):
    url = site.add(site.run(made((4, 64, 64), (1, 32, 32))))
    opened(viewer, url, "a")
    first = pixels(viewer)
    old, new = site.key(url, "a/c/1/"), site.key(url, "a/c/2/")
    site.answers[old] = stalled()
    slide(viewer, 0, 1)
    site.until(lambda: sum(asked.key.startswith(old) for asked in site.requests) == 4)
    slide(viewer, 0, 2)
    site.until(lambda: [asked.aborted for asked in site.requests if asked.key.startswith(old)] == [True] * 4)
    drawn(viewer)
    assert sum(asked.key.startswith(new) for asked in site.requests) == 4
    assert pixels(viewer) != first
    assert not viewer.locator("#notice").is_visible()


def test_what_waits_in_the_queue_of_the_browser_is_never_sent(viewer: Page, site: Site):
    url = site.add(site.run(made((3, 64, 64), (1, 8, 8))))
    opened(viewer, url, "a")
    old = site.key(url, "a/c/1/")
    site.answers[old] = stalled()
    slide(viewer, 0, 1)
    site.until(lambda: sum(asked.key.startswith(old) for asked in site.requests) >= 6)
    slide(viewer, 0, 2)
    site.until(lambda: sum(asked.key.startswith(site.key(url, "a/c/2/")) for asked in site.requests) == 64)
    assert sum(asked.key.startswith(old) for asked in site.requests) <= 16  # of 64


def test_a_click_shows_the_profile_through_the_point(viewer: Page, site: Site, climate: Path):
    opened(viewer, site.add(objects_of(climate)), "air_temperature")
    viewer.mouse.click(*point(viewer, 0.7, 0.4))
    expect(viewer.locator("#line path.line")).to_be_visible()
    values = site.run(azarr.open_array(climate, "air_temperature")[:, 22, 34].read())
    expect(viewer.locator("#line")).to_have_attribute("aria-label", f"air_temperature along time, from {values[0]:.7g} to {values[-1]:.7g}")
    shot(viewer, "viewer")
    viewer.locator("#along label", has_text="latitude").click()
    expect(viewer.locator("#line")).to_have_attribute("aria-label", re.compile("along latitude"))


def test_colours_and_range_read_nothing_again(viewer: Page, site: Site, climate: Path):
    opened(viewer, site.add(objects_of(climate)), "air_temperature")
    before, requests = pixels(viewer), len(site.requests)
    viewer.select_option("#colour", "magma")
    viewer.wait_for_function("() => getComputedStyle(document.querySelector('#bar')).backgroundImage.includes('rgb(0, 0, 4)')")
    magma = pixels(viewer)
    assert magma != before
    viewer.fill("#low", "0")
    viewer.press("#low", "Enter")
    expect(viewer.locator("#marks")).to_contain_text("100")
    assert pixels(viewer) != magma
    assert len(site.requests) == requests
    viewer.select_option("#colour", "viridis")


def test_other_axes_are_chosen(viewer: Page, site: Site, climate: Path):
    opened(viewer, site.add(objects_of(climate)), "air_temperature")
    viewer.select_option("#rows", "0")
    expect(viewer.locator("#sliders")).to_contain_text("latitude")
    expect(viewer.locator("#edges")).to_contain_text("1910-06-01")


def test_what_is_too_large_is_a_window_that_can_be_moved(viewer: Page, site: Site):
    store = site.run(made((20000, 20000), (1000, 1000)))
    store |= {f"a/c/{row}/{column}": store["a/c/0/0"] for row in range(20) for column in range(20)}
    url = site.add(store)
    opened(viewer, url, "a")
    expect(viewer.locator("#said")).to_contain_text("8,000 to 11,999 of 20,000")
    assert sum(asked.key.startswith(site.key(url, "a/c/")) for asked in site.requests) == 16
    viewer.focus("#canvas")
    viewer.keyboard.press("Shift+ArrowRight")
    expect(viewer.locator("#said")).to_contain_text("10,000 to 13,999 of 20,000")
    assert sum(asked.key.startswith(site.key(url, "a/c/")) for asked in site.requests) == 24  # what was read before is kept
    viewer.click("[data-zoom=in]")
    expect(viewer.locator("#said")).to_contain_text("11,000 to 12,999 of 20,000")
    assert sum(asked.key.startswith(site.key(url, "a/c/")) for asked in site.requests) == 24
    assert viewer.locator("#overview").is_visible()


def test_a_wrong_url_is_told_plainly(viewer: Page, site: Site):
    opened(viewer, f"{site.url}/data/nowhere.zarr")
    expect(viewer.locator("#notice h2")).to_have_text("Nothing to show")
    expect(viewer.locator("#notice p")).to_contain_text("Check the address")


@pytest.mark.parametrize("kind", ["refused", "nobody"])
def test_a_server_that_refuses_pages_and_one_that_is_not_there_are_told_plainly(viewer: Page, site: Site, climate: Path, kind: str):
    url = site.add(objects_of(climate), other=True) if kind == "refused" else "http://127.0.0.1:9/data.zarr"
    site.cors = False
    opened(viewer, url)
    expect(viewer.locator("#notice h2")).to_have_text("The server cannot be read")
    expect(viewer.locator("#notice p")).to_contain_text("(CORS)")
    site.cors = True
    if kind == "refused":  # and what was typed can be tried again
        opened(viewer, url, "air_temperature")
        assert not viewer.locator("#notice").is_visible()


def test_without_anything_to_list_a_path_can_be_typed(viewer: Page, site: Site):
    store = site.run(made((8, 8), (8, 8)))
    document = json.loads(store["zarr.json"])
    del document["consolidated_metadata"]
    opened(viewer, site.add(store | {"zarr.json": json.dumps(document).encode()}))
    expect(viewer.locator("#notice p")).to_contain_text("does not show what is in the folder")
    viewer.fill("#path-text", "/a")
    viewer.press("#path-text", "Enter")
    drawn(viewer)
    assert not viewer.locator("#notice").is_visible()


def test_secrets_of_a_url_are_not_shown(viewer: Page, site: Site, climate: Path):
    opened(viewer, site.add(objects_of(climate)) + "?token=hush-hush", "air_temperature")
    assert "hush" not in viewer.content()
    assert "hush" not in viewer.url
    assert viewer.input_value("#url") == ""
    assert "hush" not in viewer.evaluate("() => JSON.stringify(history.state) + document.title")


def test_all_is_done_with_the_keyboard(viewer: Page, site: Site, climate: Path):
    opened(viewer, site.add(objects_of(climate)))
    item = viewer.locator('#tree [data-path="coast"]')
    expect(item).to_be_visible()
    viewer.focus('#tree [data-path=""]')
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        viewer.keyboard.press(key)
    expect(item).to_be_focused()
    expect(item).to_have_attribute("aria-expanded", "true")
    assert viewer.evaluate("() => getComputedStyle(document.activeElement.firstElementChild).outlineStyle") == "solid"
    for key in ("ArrowLeft", "ArrowDown", "Enter"):
        viewer.keyboard.press(key)
    drawn(viewer)
    expect(viewer.locator("#name")).to_have_text("air_temperature")
    viewer.focus("#axis-0")
    viewer.keyboard.press("ArrowRight")
    expect(viewer.locator("#sliders output")).to_have_text("1861-06-01")
    viewer.focus("#canvas")
    viewer.keyboard.press("ArrowRight")  # the first one puts the point in the middle
    viewer.keyboard.press("ArrowUp")
    expect(viewer.locator("#value")).to_contain_text("latitude 38.75 °N, longitude 270 °E")
    expect(viewer.locator("#line path.line")).to_be_visible()
    viewer.keyboard.press("+")
    expect(viewer.locator("#said")).to_contain_text("of 37")
    viewer.keyboard.press("0")
    expect(viewer.locator("#said")).to_be_empty()


def test_a_phone_has_a_drawer_and_needs_no_scrolling_sideways(viewer: Page, site: Site, climate: Path):
    viewer.set_viewport_size({"width": 390, "height": 844})
    opened(viewer, site.add(objects_of(climate)))
    expect(viewer.locator("#contents")).to_be_visible()  # what was open before is hidden, and its text is still there
    expect(viewer.locator("#contents")).to_contain_text("air_temperature")
    expect(viewer.locator("#drawer")).to_be_hidden()
    viewer.click("#menu")
    expect(viewer.locator("#drawer")).to_be_visible()
    expect(viewer.locator("#menu")).to_have_attribute("aria-expanded", "true")
    viewer.click('#tree [data-path="air_temperature"]')
    drawn(viewer)
    expect(viewer.locator("#drawer")).to_be_hidden()
    viewer.mouse.click(*point(viewer, 0.7, 0.4))
    expect(viewer.locator("#line path.line")).to_be_visible()
    assert viewer.evaluate("() => document.documentElement.scrollWidth") <= 390
    shot(viewer, "viewer-phone")


def test_each_control_has_a_name(viewer: Page, site: Site, climate: Path):
    opened(viewer, site.add(objects_of(climate)), "air_temperature")
    unnamed = viewer.evaluate(
        "() => [...document.querySelectorAll('button, input, select, canvas')].filter((e) => e.checkVisibility() && "
        "!(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent.trim())).map((e) => e.id || e.outerHTML)"
    )
    assert unnamed == []


def test_a_link_names_what_is_open(page: Page, site: Site, wheel: Path, climate: Path):
    configured(page, site, wheel)
    url = site.add(objects_of(climate))
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site.url}/viewer/index.html?url={quote(url, safe='')}#/E1/air_temperature")
    page.wait_for_selector("body[data-ready]", timeout=READY)
    drawn(page)
    expect(page.locator("#name")).to_have_text("E1/air_temperature")
    expect(page.locator('#tree [aria-selected="true"]')).to_have_attribute("data-path", "E1/air_temperature")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(20, 25, 26)"
    shot(page, "viewer-dark")


def test_python_that_cannot_be_loaded_is_told_plainly(page: Page, site: Site, wheel: Path):
    configured(page, site, wheel)
    page.route("**/pyodide/pyodide.mjs", lambda route: route.abort())
    page.goto(f"{site.url}/viewer/index.html")
    expect(page.locator("#notice h2")).to_have_text("Python did not start")


def test_azarr_view_shows_a_folder(page: Page, distribution: Path, climate: Path, tmp_path: Path):
    folder = tmp_path / "plain.zarr"
    objects = objects_of(climate)
    document = json.loads(objects["zarr.json"])
    del document["consolidated_metadata"]  # so it is walked
    for key, data in (objects | {"zarr.json": json.dumps(document).encode()}).items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    command = [sys.executable, "-m", "azarr.cli", "view", str(folder), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "AZARR_PYODIDE": str(distribution)}) as process:
        try:
            assert process.stdout is not None
            url = re.search(r"http://127\.0\.0\.1:\d+/\S+/", process.stdout.readline())
            assert url is not None
            page.goto(url[0])
            page.wait_for_selector("body[data-ready]", timeout=READY)
            expect(page.locator("#source")).to_have_text("plain.zarr")
            page.click('#tree [data-path="coast"] .twist')
            page.click('#tree [data-path="coast/land"]')
            drawn(page)
            assert len({tuple(pixels(page)[n : n + 4]) for n in (0, 4, 8, 12)}) == 2  # land, and sea
        finally:
            process.terminate()
