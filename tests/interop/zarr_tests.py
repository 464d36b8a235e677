"""A plugin for pytest, with which `make zarr-tests` runs zarr-python's own tests on azarr's pipeline.

Most of them use stores in memory, so here azarr serves all stores: those that it has none for through `ZarrPythonStore`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from azarr.integrations import zarr as integration
from azarr.integrations.zarr_stores import ZarrPythonStore

served = Counter[bool]()
known, part = integration.azarr_store, integration.CodecPipeline._part


def any_store(store: Any) -> Any:
    if (found := known(store)) is None:
        found = ZarrPythonStore(store)
        found._told = True  # that it tells no versions would be an error here
    return found


def counted(self: Any, *args: Any, **more: Any) -> Any:
    found = part(self, *args, **more)
    served[found is not None] += 1
    return found


integration.azarr_store = any_store
integration.CodecPipeline._part = counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"reads and writes by azarr: {served[True]:,}; left to zarr-python: {served[False]:,}")
