"""What comes back over HTTP, on every platform."""

from collections.abc import Mapping
from typing import NamedTuple

from azarr.scratch import Buffer


class Response(NamedTuple):
    """An answer over HTTP, its body whole and as it came; None if it is longer than was asked for. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Buffer | None
    hidden: bool = False
    """Whether there may be headers that the browser does not show."""
    redirected: str = ""
    """The URL from which it came, where the browser has followed redirects."""
