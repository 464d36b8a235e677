"""JavaScript that comes with azarr, and its operations awaited. It is for browsers alone.

An operation is [promise, stop]: the promise gives [name of the error, value or message] in any case, also after it was stopped.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib import import_module
from importlib.resources import files
from typing import Any

from azarr.errors import AzarrError


def script(path: str, otherwise: str) -> Any:
    """What the file `path` of the package gives. Errors: `AzarrError` outside of browsers, where one does `otherwise`."""
    try:
        run_js: Any = import_module("pyodide.code").run_js
    except ImportError as error:
        raise AzarrError(f"this is for browsers: {otherwise}") from error
    return run_js(files("azarr").joinpath(path).read_text("utf-8"))


async def outcome(operation: Any) -> tuple[str, Any]:
    """What an operation gives. Cancelled, it is stopped, and waited for: nothing of it is left running."""
    promise, stop = operation
    try:
        name, value = await promise
    except asyncio.CancelledError:
        stop()
        while True:
            with suppress(asyncio.CancelledError):
                await promise
                break
        raise
    return name, value
