"""How bytes come over HTTP, on each platform: `fetch`. Knows nothing of Zarr, and is loaded at first use.

EXTENSION_POINT: a client for another platform.
"""

import sys

from azarr.transport.response import Response

if sys.platform == "emscripten":
    from azarr.transport.browser import fetch
else:
    from azarr.transport.cpython import fetch

SUFFIXES = sys.platform != "emscripten"
"""Whether the last n bytes of an object may be asked for. A browser asks the server for permission first, which few servers give."""

__all__ = ["SUFFIXES", "Response", "fetch"]
