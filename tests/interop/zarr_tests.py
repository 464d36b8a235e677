"""A plugin for pytest, with which `make zarr-tests` runs zarr-python's own tests on azarr's pipeline.

Most of them use stores in memory, so here azarr serves all stores: those that it has none for through `ZarrPythonStore`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from azarr.integrations import zarr as integration
from azarr.integrations.zarr_stores import ZarrPythonStore

WORDS, ORDER, PARTS = (
    "azarr's error has other words",
    "azarr has its own order of inner chunks in a shard",
    "replaces a part of zarr-python that azarr does without",
)
OTHERWISE = {
    "test_uint64_encode_rejects_underflow": WORDS,
    "test_integer_decode_rejects_non_exact_division": WORDS,
    "test_encode_rejects_signed_integer_overflow": WORDS,
    "test_encode_rejects_unsigned_integer_underflow": WORDS,
    "test_decode_rejects_integer_overflow_on_offset_add": WORDS,
    "test_encoded_subchunk_write_order": ORDER,
    "test_sharding_partial_shard_read__index_chunk_slice_fails": PARTS,
    "test_load_partial_shard_forwards_global_config_to_get_ranges": PARTS,
    "test_load_partial_shard_per_array_config_overrides_global": PARTS,
    "test_load_partial_shard_uses_config_defaults": PARTS,
}
"""Tests of what is another's way with the same values, and why they are left out."""
served, reasons = Counter[bool](), Counter[str]()
known, part = integration.azarr_store, integration.CodecPipeline._part


def any_store(store: Any) -> Any:
    if (found := known(store)) is None and type(store).__module__.startswith("zarr.storage"):  # no mocks, no stores of one test
        found = ZarrPythonStore(store)
        found._told = True  # that it tells no versions would be an error here
    return found


def counted(self: Any, *args: Any, **more: Any) -> Any:
    found = part(self, *args, **more)
    served[found is not None] += 1
    return found


integration.azarr_store = any_store
integration.CodecPipeline._part = counted


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.name.partition("[")[0] in OTHERWISE]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    reasons.update(OTHERWISE[item.name.partition("[")[0]] for item in left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} left out: {reason}")
    terminalreporter.write_line(f"reads and writes by azarr: {served[True]:,}; left to zarr-python: {served[False]:,}")
