"""What the page is answered: opening, listing, pictures, profiles, and errors in words."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.cli.demo import write_climate
from azarr.errors import NodeNotFound, StoreError, TransportError
from azarr.viewer import worker
from azarr.viewer.worker import Viewer, explained

LOOK = {"colour": "grey", "fill": False, "limits": None}


def quiet(_: Any) -> None:
    pass


@pytest.fixture(scope="module")
def climate(tmp_path_factory: pytest.TempPathFactory) -> str:
    store = tmp_path_factory.mktemp("data") / "climate.zarr"
    asyncio.run(write_climate(store))
    return str(store)


async def opened(url: str) -> Viewer:
    viewer = Viewer()
    await viewer.open(quiet, url)
    await viewer.members(quiet, "")
    return viewer


async def test_members_are_groups_first(climate: str):
    viewer = Viewer()
    assert (await viewer.open(quiet, climate))["root"] == {"path": "", "name": "", "kind": "group"}
    found = await viewer.members(quiet, "")
    assert [each["name"] for each in found] == ["E1", "coast", "air_temperature", "latitude", "longitude", "time"]
    assert found[2] == {"path": "air_temperature", "name": "air_temperature", "kind": "array", "shape": "240 \u00d7 37 \u00d7 49", "dtype": "float32"}


async def test_an_array_is_described_with_its_coordinates(climate: str):
    node = await (await opened(climate)).node(quiet, "air_temperature")
    assert [axis["name"] for axis in node["axes"]] == ["time", "latitude", "longitude"]
    assert [axis["units"] for axis in node["axes"]] == ["", "°N", "°E"]
    assert node["view"] == [1, 2]
    assert node["up"] == [False, True, False]
    assert node["cells"] == pytest.approx([0, 1.25, 1.875])
    assert ["shards", "60 \u00d7 37 \u00d7 49"] in node["facts"]
    assert ["codecs", "shards of bytes, zstd"] in node["facts"]
    assert ["units", "K"] in node["attributes"]


async def test_a_picture_is_what_the_array_holds(climate: str):
    viewer, told = await opened(climate), list[Any]()
    await viewer.node(quiet, "air_temperature")
    facts, pixels = await viewer.picture(told.append, "air_temperature", [1, 2], [3, 0, 0], None, None, **LOOK)
    values = await (await azarr.open_array(climate, "air_temperature"))[3]
    low, high = np.percentile(values.astype(float), [1, 99])
    expected = ((values - low) * (255 / (high - low))).clip(0, 255).astype("u1")
    assert np.array_equal(pixels.reshape(37, 49, 4)[..., 0], expected)
    assert facts["shape"] == (37, 49)
    assert facts["window"] == ((0, 37), (0, 49))
    assert told[0]["places"] == ["1863-06-01", "15 °N", "225 °E"]
    assert told[0]["plan"] == {"chunks": 1, "decoded": 10 * 37 * 49 * 4}
    assert told[-1] == {"done": 1, "total": 1}


async def test_the_value_at_a_pixel_is_that_of_the_array(climate: str):
    viewer = await opened(climate)
    await viewer.node(quiet, "air_temperature")
    await viewer.picture(quiet, "air_temperature", [2, 1], [3, 0, 0], None, None, **LOOK)  # longitude down, latitude across
    found = await viewer.value(quiet, 10, 20)
    value = await (await azarr.open_array(climate, "air_temperature"))[3, 20, 10]
    assert found["text"] == f"{value:.7g}"
    assert found["at"] == [3, 20, 10]
    assert found["places"] == ["1863-06-01", "40 °N", "243.75 °E"]


async def test_another_look_reads_nothing(climate: str):
    viewer = await opened(climate)
    await viewer.picture(quiet, "air_temperature", [1, 2], [0, 0, 0], None, None, **LOOK)
    before = viewer.counters
    facts, pixels = await viewer.paint(quiet, colour="grey", fill=False, limits=[0, 1])
    assert viewer.counters == before
    assert pixels.reshape(37, 49, 4)[..., :3].min() == 255  # all are above the range
    assert facts["rangeTexts"] == ["0", "1"]


async def test_a_profile_is_a_line_in_a_box(climate: str):
    viewer = await opened(climate)
    await viewer.node(quiet, "air_temperature")
    line = await viewer.profile(quiet, "air_temperature", 0, [0, 20, 10], None, False)
    values = (await (await azarr.open_array(climate, "air_temperature"))[:, 20, 10]).astype(float)
    assert len(line["y"]) == 240
    assert np.argmax(line["y"]) == values.argmax()
    assert 0 <= min(line["y"]) < max(line["y"]) <= 1
    assert line["texts"][5] == f"{values[5]:.7g}"
    assert line["places"][:2] == ["1860-06-01", "1861-06-01"]
    assert line["window"] == [(0, 240)]


async def test_what_is_missing_is_apart(tmp_path: Path):
    array = await azarr.create_array(tmp_path, "a", shape=(4, 4), dtype="int16", chunks=(2, 4), fill_value=-1, attributes={"missing_value": 7})
    await array[:2].write([[1, 2, 3, 4], [5, 6, 7, 8]])
    viewer = await opened(str(tmp_path))
    assert (await viewer.node(quiet, "a"))["fillApart"] is True
    facts, pixels = await viewer.picture(quiet, "a", [0, 1], [0, 0], None, None, colour="grey", fill=True, limits=None)
    assert facts["missing"] == 9
    assert pixels.reshape(4, 4, 4)[1, :, 3].tolist() == [255, 255, 0, 255]
    facts, _ = await viewer.paint(quiet, colour="grey", fill=False, limits=None)
    assert facts["missing"] == 1


async def test_what_is_no_picture_is_text(tmp_path: Path):
    words = await azarr.create_array(tmp_path, "words", shape=(500,), dtype=str)
    await words[:2].write(np.array(["a", "b"], object))
    await azarr.create_array(tmp_path, "answer", shape=(), dtype="int64", fill_value=42)
    viewer = await opened(str(tmp_path))
    facts, data = await viewer.picture(quiet, "words", [0], [0], None, None, **LOOK)
    assert data is None
    assert facts["texts"][:3] == ["a", "b", ""]
    assert (len(facts["texts"]), facts["count"]) == (400, 500)
    facts, _ = await viewer.picture(quiet, "answer", [], [], None, None, **LOOK)
    assert facts["texts"] == ["42"]


async def test_a_struct_is_shown_by_field(tmp_path: Path):
    kind = np.dtype([("a", "f4"), ("name", "S4"), ("b", "i8")])
    array = await azarr.create_array(tmp_path, "s", shape=(2, 3), dtype=kind)
    await array["b"].write(np.arange(6).reshape(2, 3))
    viewer = await opened(str(tmp_path))
    assert (await viewer.node(quiet, "s"))["fields"] == ["a", "b"]
    await viewer.picture(quiet, "s", [0, 1], [0, 0], None, "b", **LOOK)
    assert (await viewer.value(quiet, 1, 2))["text"] == "5"


async def test_axes_of_v2_have_the_names_that_xarray_gives_them(tmp_path: Path):
    await azarr.create_group(tmp_path, zarr_format=2)
    names = {"_ARRAY_DIMENSIONS": ["y", "x"]}
    await azarr.create_array(tmp_path, "v", shape=(2, 3), dtype="f4", zarr_format=2, attributes=names)
    x = await azarr.create_array(tmp_path, "x", shape=(3,), dtype="f4", zarr_format=2, attributes={"units": "m"})
    await x[...].write([1, 2, 3])
    node = await (await opened(str(tmp_path))).node(quiet, "v")
    assert [(axis["name"], axis["units"], axis["known"]) for axis in node["axes"]] == [("y", "", False), ("x", "m", True)]
    assert node["attributes"] == []


def answers_of(*questions: dict[str, Any], cancelled: tuple[int, ...] = ()) -> dict[int, dict[str, Any]]:
    """The last thing that is said to each question, asked at once."""
    said: dict[int, dict[str, Any]] = {}

    async def ask() -> None:
        for number, question in enumerate(questions):
            worker.begin(number, json.dumps(question), lambda number, text, data: said.update({number: json.loads(text)}))
        await asyncio.sleep(0)
        for number in cancelled:
            worker.cancel(number)
        await asyncio.gather(*worker.TASKS.values())

    worker.VIEWER.clear()
    asyncio.run(ask())
    assert not worker.TASKS
    return said


def test_questions_are_answered_in_json(climate: str):
    (said,) = answers_of({"call": "open", "url": climate}).values()
    assert said["answer"]["name"] == climate
    assert said["counters"] == {"requests": 0, "nbytes": 0, "hits": 0}  # a folder is not asked by requests


def test_a_question_can_be_cancelled(climate: str):
    said = answers_of({"call": "open", "url": climate}, {"call": "open", "url": climate}, cancelled=(0,))
    assert "cancelled" in said[0]
    assert "answer" in said[1]


def test_an_error_is_an_answer(tmp_path: Path):
    said = answers_of({"call": "open", "url": str(tmp_path)})
    assert said[0]["error"]["title"] == "Nothing to show"


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (TransportError("no answer"), "The server cannot be read"),
        (TransportError("the server answered 403", status=403), "Access is not allowed"),
        (TransportError("the server answered 500", status=500), "This cannot be shown"),
        (NodeNotFound("store", "a", "zarr.json"), "Nothing to show"),
        (StoreError("cannot list"), "This cannot be shown"),
        (azarr.errors.MissingPackage("the codec 'x'", "y", "pip install y"), "A codec is not there"),
        (KeyError("k"), "This should not have happened"),
    ],
)
def test_errors_are_told_in_words(error: Exception, title: str):
    assert explained(error)["title"] == title


def test_errors_tell_no_secrets():
    told = json.dumps(explained(KeyError("https://user:word@host/a.zarr?token=abc")))
    assert "word" not in told
    assert "abc" not in told
