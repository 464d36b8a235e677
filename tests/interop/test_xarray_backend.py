"""xarray's own tests of its Zarr backend, out of its wheel: read by the engine `azarr`, what zarr-python wrote, and what azarr wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import xarray
import zarr
from xarray.backends import plugins
from xarray.tests import conftest as their_conftest
from xarray.tests import test_backends as theirs

from azarr.integrations import sync
from azarr.integrations.xarray import AzarrBackend, write

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("default")]
default_zarr_format, use_dask = theirs.default_zarr_format, their_conftest.use_dask  # fixtures


class Reads:
    """Whatever these tests open by the engine `zarr` is read by azarr."""

    @pytest.fixture(autouse=True)
    def read_by_azarr(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(plugins.list_engines(), "zarr", AzarrBackend())

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


class TestReadsMemory(Reads, theirs.TestZarrDictStore): ...
class TestReadsFolder(Reads, theirs.TestZarrDirectoryStore): ...
class TestReadsWithoutConsolidated(Reads, theirs.TestZarrNoConsolidatedMetadataSupport): ...
class TestReadsWriteEmpty(Reads, theirs.TestZarrWriteEmpty): ...
class TestWritesMemory(Writes, theirs.TestZarrDictStore): ...
class TestWritesFolder(Writes, theirs.TestZarrDirectoryStore): ...
class TestWritesWithoutConsolidated(Writes, theirs.TestZarrNoConsolidatedMetadataSupport): ...
class TestWritesEmpty(Writes, theirs.TestZarrWriteEmpty): ...
