"""The only place that asks which Python this is. Each name has one meaning, and an implementation per platform.

`offload(call)` runs a blocking call off the event loop and waits for it, cancelled or not; `fetch(url, headers=...)` is HTTP;
`cores()` is how many processors may be used.
"""

from azarr._platform.cpython import Response, cores, fetch, offload

__all__ = ["Response", "cores", "fetch", "offload"]
