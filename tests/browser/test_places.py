"""The five places where Python runs do the same, and azarr is installed there with NumPy alone."""

from __future__ import annotations

from typing import Any

import pytest
from hosting import Site
from places import Raised

PLACES = ["here", "node", "python", "worker", "firefox"]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_a_place_awaits_gives_the_last_value_and_raises(place: Any):
    assert place("import asyncio, numpy\nawait asyncio.sleep(0)\nnumpy.arange(start, 4)", start=2) == [2, 3]
    with pytest.raises(Raised, match=r"(?s)Traceback.*azarr\.errors\.NodeNotFound") as raised:
        place("import azarr\nawait azarr.open_array({}, 'x')")
    assert raised.value.name == "NodeNotFound"
    assert "'x'" in raised.value.text


@pytest.mark.parametrize("name", PLACES[1:])
def test_azarr_is_installed_with_numpy_alone(name: str, request: pytest.FixtureRequest, site: Site):
    place = request.getfixturevalue(name)
    installed = set(place("import micropip\nlist(micropip.list())"))
    assert installed - {"blosc2"} == {"azarr", "micropip", "numpy"}  # that one by other tests, which say so
    # An index of one's own is asked first, even for what the distribution has; and browsers ask for the icon of a page.
    assert set(site.outside) <= {"/simple/numpy/", "/favicon.ico"}
