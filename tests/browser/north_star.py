# ruff: noqa: F704, PLE1142
"""The two lines that azarr exists for, as they are written, for a place where one may await: here, in Node, in a page, in a worker."""

import azarr

g = azarr.open_group("https://host/data.zarr")
part = await g.var[5:]

[str(part.dtype), part]
