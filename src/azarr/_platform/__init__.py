"""The only place, beside `transport`, that asks which Python this is. Each name has one meaning, and an implementation per platform.

`offload(call)` runs a blocking call off the event loop and waits for it, cancelled or not; `cores()` is how many processors may be used.
"""

from azarr._platform.cpython import cores, offload

__all__ = ["cores", "offload"]
