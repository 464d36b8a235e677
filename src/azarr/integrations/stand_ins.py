"""What does the work of a package that is not installed, and the lines that install one. Asked only when an import has failed.

In the browser, `crc32c` is computed by JavaScript: no package of PyPI can do it there.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any

from azarr.scratch import view

BROWSER = sys.platform == "emscripten"
MICROPIP = 'import micropip; await micropip.install("{}")'
BLOSC2 = 'import micropip; await micropip.install("blosc2", deps=False)'
"""Of that package only its shared library is used, so its dependencies are not needed."""


@cache
def stand_in(module: str) -> Any:
    """What is used in place of `module`, or None."""
    return _Checksums() if BROWSER and module == "google_crc32c" else None


def install_line(codec: str, package: str, line: str) -> str:
    """How to install `package`, which is `line` where there is pip."""
    if not BROWSER:
        return line
    return BLOSC2 if codec in ("blosc", "lz4") else MICROPIP.format(package)


class _Checksums:
    """What azarr needs of google_crc32c: the checksum of RFC 3720, computed where the bytes are, in the memory of Python."""

    def __init__(self) -> None:
        heap = import_module("pyodide_js")._module  # it has no other name
        self._sum: Any = import_module("pyodide.code").run_js(files("azarr.integrations").joinpath("crc32c.js").read_text("utf-8"))(heap)

    def value(self, data: Any) -> int:
        raw = view(data)
        return int(self._sum(raw.ctypes.data, raw.size))
