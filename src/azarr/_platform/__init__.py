"""The only place, beside `transport`, that asks which Python this is. Each name has one meaning, and an implementation per platform.

`offload(call)` runs a blocking call off the event loop and waits for it, cancelled or not; `offload_steps(steps)` runs a generator of
short steps so. `together()` is a group of tasks. `cores()` is how many processors may be used, `in_flight(nbytes)` how many of the
bytes that are allowed. `run_sync(awaitable)` waits where `await` cannot stand.
"""

import sys

if sys.platform == "emscripten":
    from azarr._platform.pyodide import cores, in_flight, offload, offload_steps, run_sync, together
else:
    from azarr._platform.cpython import cores, in_flight, offload, offload_steps, run_sync, together

__all__ = ["cores", "in_flight", "offload", "offload_steps", "run_sync", "together"]
