"""How many examples Hypothesis draws: fewer in Pyodide, which takes ten times as long, and where the same code sees all of them in CPython."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import settings

PART = 6 if sys.platform == "emscripten" else 1


def examples(most: int, **more: Any) -> settings:
    """Settings of `most` examples, however long one of them takes."""
    return settings(max_examples=most // PART, deadline=None, **more)
