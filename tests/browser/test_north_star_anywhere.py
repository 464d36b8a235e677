"""The two lines that azarr exists for, from one file, give the same in CPython, in Node, in pages of Chromium and Firefox, and in a web worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from arrays import VALUES, group
from hosting import Site

TEXT = Path(__file__).with_name("north_star.py").read_text(encoding="utf-8")
LIBRARY = 'import micropip; await micropip.install("blosc2", deps=False)'


@pytest.mark.parametrize("other", [False, True], ids=["same origin", "other origin"])
@pytest.mark.parametrize("layout", ["v2 gzip", "v3 zstd", "v3 sharded", "blosc"])
@pytest.mark.parametrize("name", ["here", "node", "python", "worker", "firefox"])
def test_the_two_lines_give_the_same_everywhere(name: str, layout: str, other: bool, site: Site, request: pytest.FixtureRequest):
    place = request.getfixturevalue(name)
    if layout == "blosc" and name != "here":
        place(LIBRARY)
    objects = site.run(group(layout))
    url = site.add({f"data.zarr/{key}": data for key, data in objects.items()}, other=other)
    assert place(TEXT.replace("https://host", url)) == ["float32", VALUES[5:].tolist()]
    assert {asked.method for asked in site.below(url)} <= {"GET", "HEAD"}
