"""What the tests of codecs share: a worker's scratch, once with libblosc2 and once as if it were not installed."""

from __future__ import annotations

import pytest

from azarr.codecs import native
from azarr.scratch import Scratch


@pytest.fixture(params=["libblosc2", "no libblosc2"])
def scratch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scratch:
    if request.param == "no libblosc2":
        monkeypatch.setattr(native, "library", lambda: None)
    return Scratch()
