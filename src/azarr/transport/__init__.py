"""How bytes come over HTTP, on each platform: `fetch`; and `in_bulk`, where many small objects come at less cost. Loaded at first use.

EXTENSION_POINT: a client for another platform.
"""

import sys

from azarr.transport.response import Response

if sys.platform == "emscripten":
    from azarr.transport.browser import fetch

    in_bulk = None
else:
    from azarr.transport.cpython import fetch, in_bulk

SUFFIXES = sys.platform != "emscripten"
"""Whether the last n bytes of an object may be asked for. A browser asks the server for permission first, which few servers give."""

__all__ = ["SUFFIXES", "Response", "fetch", "in_bulk"]
