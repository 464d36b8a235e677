"""How bytes come over HTTP, on each platform: `fetch`. Knows nothing of Zarr, and is loaded at first use.

EXTENSION_POINT: a client for another platform.
"""

from azarr.transport.cpython import fetch
from azarr.transport.http1 import Response

__all__ = ["Response", "fetch"]
