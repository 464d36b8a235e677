"""zarr-python's own tests of stores pass through azarr's stores, and azarr's contract through those of zarr-python."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr
import zarr.storage
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from zarr.core.buffer import cpu, default_buffer_prototype
from zarr.testing.stateful import ZarrStoreStateMachine
from zarr.testing.store import StoreTests

import azarr
from azarr.errors import InvalidKey, NodeNotFound, StoreError, TransportError, UnversionedWarning
from azarr.integrations.zarr_stores import AzarrStore, ZarrPythonStore
from azarr.stores import HTTPStore, LocalStore, MemoryStore

pytestmark = pytest.mark.interop


class Theirs(StoreTests[AzarrStore, cpu.Buffer]):
    """zarr-python's tests, with fixtures that need no plugin for asyncio. `self.set` and `self.get` go around `AzarrStore`."""

    store_cls, buffer_cls = AzarrStore, cpu.Buffer

    @pytest.fixture
    def store(self, open_kwargs: dict[str, Any]) -> AzarrStore:
        return asyncio.run(self.store_cls.open(**open_kwargs))

    @pytest.fixture
    def store_not_open(self, store_kwargs: dict[str, Any]) -> AzarrStore:
        return self.store_cls(**store_kwargs)

    async def set(self, store: AzarrStore, key: str, value: Any) -> None:
        await store.store.set(key, value.to_bytes())

    async def get(self, store: AzarrStore, key: str) -> Any:
        return self.buffer_cls.from_bytes(bytes((await store.store.get(key)).data))

    def test_store_supports_writes(self, store: AzarrStore) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: AzarrStore) -> None:
        assert store.supports_listing


class TestOverMemory(Theirs):
    @pytest.fixture
    def store_kwargs(self) -> dict[str, Any]:
        return {"store": MemoryStore()}

    def test_store_repr(self, store: AzarrStore) -> None:
        assert repr(store) == "AzarrStore(MemoryStore(0 objects))"

    async def test_serializable_store(self, store: AzarrStore) -> None:
        """A copy of a store in memory has objects of its own, so it is not equal, which theirs asks for."""
        await store.set("foo", self.buffer_cls.from_bytes(b"1"))
        copied = pickle.loads(pickle.dumps(store))
        await store.set("foo", self.buffer_cls.from_bytes(b"2"))
        assert (await copied.get("foo", default_buffer_prototype())).to_bytes() == b"1"


class TestOverAFolder(Theirs):
    @pytest.fixture
    def store_kwargs(self, tmp_path: Path) -> dict[str, Any]:
        return {"store": str(tmp_path / "root")}

    def test_store_repr(self, store: AzarrStore) -> None:
        assert repr(store) == f"AzarrStore({store.store!r})"


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_their_state_machine_holds(kind: str, tmp_path: Path) -> None:
    def machine() -> ZarrStoreStateMachine:
        return ZarrStoreStateMachine(AzarrStore(MemoryStore() if kind == "memory" else LocalStore(tmp_path / "root")))

    run_state_machine_as_test(machine, settings=settings(max_examples=30, stateful_step_count=30, deadline=None))
