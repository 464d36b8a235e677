"""xarray's own tests of its Zarr backend, out of its wheel: read by the engine `azarr`, what zarr-python wrote, and what azarr wrote."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
import xarray
import zarr
from xarray.backends.common import BACKEND_ENTRYPOINTS
from xarray.tests import conftest as their_conftest
from xarray.tests import test_backends as theirs

from azarr.integrations import sync
from azarr.integrations.xarray import AzarrBackend, write

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("default")]
use_dask = their_conftest.use_dask  # a fixture

CALLS = "counts calls of zarr-python's classes, which are not called"
SKIPPED = {
    "test_async_load_multiple_variables": CALLS,
    "test_avoid_excess_metadata_calls": CALLS,
    "test_concurrent_load_multiple_objects": CALLS,
    "test_indexing": CALLS,
    "test_compressor_encoding": "codecs in encodings are objects as in the metadata document, not of zarr-python's classes",
    "test_non_existent_store": "the `FileNotFoundError` has other words",
    "test_read_non_consolidated_warning": "there is no warning: all documents are asked for at the same time",
    "test_roundtrip_None_variable": "xarray stores it as `__values__`, a name that Zarr reserves; `write` refuses it",
    "test_zarr_fill_value_setting[2": "`use_zarr_fill_value_as_mask=False` is obeyed for v2 too",
}
"""What is left out of xarray's tests, by the beginnings of their names, and why; `docs/xarray.md` has the same table."""
ALL = os.environ.get("AZARR_XARRAY_TESTS") == "all"
"""Else those of one store, in v3, which azarr writes and reads; without the longest."""
LONGEST = (
    "test_write_region[",
    "test_manual_chunk",
    "test_chunked_datetime64",
    "test_to_zarr_append_compute_false",
    "test_warning_on_bad_chunks",
)
LEFT_OUT = (*SKIPPED, *(() if ALL else LONGEST))


@pytest.fixture(params=[2, 3] if ALL else [3])
def default_zarr_format(request: pytest.FixtureRequest) -> Iterator[None]:
    with zarr.config.set(default_zarr_format=request.param):
        yield


@pytest.fixture(params=["s", "ms", "us", "ns"])
def time_unit(request: pytest.FixtureRequest) -> str:
    return request.param


class Named(AzarrBackend):
    """As one of these tests opens it: it does not say by which engine."""

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        return str(filename_or_obj).endswith(".zarr")


class Reads:
    """Whatever these tests open by the engine `zarr` is read by azarr."""

    @pytest.fixture(autouse=True)
    def read_by_azarr(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(BACKEND_ENTRYPOINTS, "zarr", ("zarr", Named))

    @contextlib.contextmanager
    def open(self, path: Any, **kwargs: Any) -> Iterator[xarray.Dataset]:
        with xarray.open_dataset(path, engine=AzarrBackend, **kwargs) as dataset:
            yield dataset


class Writes(Reads):
    """And what they write, azarr writes."""

    @pytest.fixture(autouse=True)
    def written_by_azarr(self, monkeypatch: pytest.MonkeyPatch) -> None:
        theirs_to_zarr = xarray.Dataset.to_zarr

        def to_zarr(dataset: xarray.Dataset, store: Any, mode: str | None = None, *, compute: bool = True, **options: Any) -> Any:
            if not compute:
                return theirs_to_zarr(dataset, store, mode=mode, compute=False, **options)
            options.setdefault("zarr_format", zarr.config.get("default_zarr_format"))
            return sync.run(write(dataset, store, mode=mode, **options))

        monkeypatch.setattr(xarray.Dataset, "to_zarr", to_zarr)


CASES = [theirs.TestZarrDictStore, theirs.TestZarrNoConsolidatedMetadataSupport, theirs.TestZarrWriteEmpty]
"""Stores in memory, such that have no consolidated metadata, and folders."""
for how, cases in {Reads: CASES if ALL else [], Writes: CASES if ALL else CASES[:1]}.items():
    for case in cases:
        name = f"{case.__name__}{how.__name__}"
        globals()[name] = type(name, (how, case), {})
