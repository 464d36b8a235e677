"""Groups, arrays, writes, resizes, appends, deletes and consolidation in any order, against NumPy arrays in a dictionary.

AZARR_STATE_MACHINE="examples,steps" runs it longer: `AZARR_STATE_MACHINE=2000,100 make unit`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import azarr
import keys
from azarr.errors import NodeExists, NodeNotFound, NotAGroup
from azarr.stores import LocalStore, MemoryStore
from fakes import Conditional, Waiting

EXAMPLES, STEPS = map(int, os.environ.get("AZARR_STATE_MACHINE", "50,50").split(","))
NAMES = st.sampled_from(["a", "b", "a/c", "a/c/d", "b/e"])
STORES = ("memory", "local", "waiting", "conditional")


class Hierarchy(RuleBasedStateMachine):
    """`arrays` has what NumPy holds, and with which options it is stored; `groups` are the paths of groups."""

    kind = "memory"

    @initialize(zarr_format=st.sampled_from([2, 3]))
    def start(self, zarr_format: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        made: dict[str, Any] = {"memory": MemoryStore, "waiting": Waiting, "conditional": Conditional, "local": lambda: LocalStore(self.folder.name)}
        self.store, self.zarr_format = made[self.kind](), zarr_format
        self.loop = asyncio.new_event_loop()
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.groups: set[str] = {""}
        self.attributes: dict[str, dict[str, Any]] = {"": {}}
        self.run(azarr.create_group(self.store, zarr_format=zarr_format))

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()
            self.folder.cleanup()

    def open(self, path: str) -> Any:
        return self.run(azarr.open(self.store, path, mode="r+").open())

    def above(self, path: str) -> list[str]:
        parts = path.split("/")
        return ["/".join(parts[:count]) for count in range(len(parts))]

    @rule(path=NAMES, data=st.data())
    def create_array(self, path: str, data: st.DataObject) -> None:
        shape = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=2).map(tuple))
        chunks = tuple(data.draw(st.integers(1, 3)) for _ in shape)
        options: dict[str, Any] = {"chunks": chunks, "zarr_format": self.zarr_format}
        if self.zarr_format == 3 and data.draw(st.booleans()):
            options["shards"] = tuple(2 * size for size in chunks)
        overwrite = data.draw(st.booleans())
        call = azarr.create_array(self.store, path, shape=shape, dtype="i4", fill_value=5, overwrite=overwrite, **options)
        if any(folder in self.arrays for folder in self.above(path)):
            with pytest.raises(NotAGroup):
                self.run(call)
            return
        if path in self.arrays or path in self.groups:
            if not overwrite:
                with pytest.raises(NodeExists):
                    self.run(call)
                return
            self.forget(path)
        self.run(call)
        self.make_groups(path)
        self.arrays[path], self.attributes[path] = np.full(shape, 5, "i4"), {}

    @rule(path=NAMES)
    def create_group(self, path: str) -> None:
        call = azarr.create_group(self.store, path, zarr_format=self.zarr_format)
        if any(folder in self.arrays for folder in self.above(path)):
            with pytest.raises(NotAGroup):
                self.run(call)
        elif path in self.arrays or path in self.groups:
            with pytest.raises(NodeExists):
                self.run(call)
        else:
            self.run(call)
            self.make_groups(path)
            self.groups.add(path)
            self.attributes[path] = {}

    def make_groups(self, path: str) -> None:
        for folder in self.above(path):
            self.groups.add(folder)
            self.attributes.setdefault(folder, {})

    def forget(self, path: str) -> None:
        for held in [held for held in self.attributes if held == path or held.startswith(f"{path}/")]:
            self.arrays.pop(held, None)
            self.groups.discard(held)
            del self.attributes[held]

    @rule(path=NAMES)
    def delete(self, path: str) -> None:
        call = azarr.delete(self.store, path)
        if path in self.attributes:
            self.run(call)
            self.forget(path)
        else:
            with pytest.raises(NodeNotFound):
                self.run(call)

    @precondition(lambda self: self.arrays)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.arrays)))
        model, array = self.arrays[path], self.open(path)
        key = data.draw(keys.orthogonal_keys(model.shape))
        where = keys.orthogonal(np.arange(model.size).reshape(model.shape), key)
        values = data.draw(st.sampled_from((5, 6))) + np.arange(where.size).reshape(where.shape) * data.draw(st.integers(0, 1))
        self.run(array.oindex[key].write(values, write_empty=data.draw(st.booleans())))
        model.reshape(-1)[where] = values

    @precondition(lambda self: self.arrays)
    @rule(data=st.data())
    def resize(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.arrays)))
        model = self.arrays[path]
        shape = tuple(data.draw(st.integers(0, 7)) for _ in model.shape)
        self.run(self.open(path).resize(shape, clear=True))
        grown = np.full(shape, 5, "i4")
        shared = tuple(map(slice, map(min, shape, model.shape)))
        grown[shared] = model[shared]
        self.arrays[path] = grown

    @precondition(lambda self: self.arrays)
    @rule(data=st.data(), rows=st.lists(st.integers(0, 3), min_size=1, max_size=3))
    def append(self, data: st.DataObject, rows: list[int]) -> None:
        """Several at once, from handles that are no longer new."""
        path = data.draw(st.sampled_from(sorted(self.arrays)))
        model, array = self.arrays[path], self.open(path)
        parts = [np.full((count, *model.shape[1:]), 10 + number, "i4") for number, count in enumerate(rows)]

        async def gathered() -> None:
            await asyncio.gather(*(array.append(part) for part in parts))

        self.run(gathered())
        found = self.run(azarr.load(self.store, path))
        assert np.array_equal(found[: len(model)], model)
        added = found[len(model) :]
        assert len(added) == sum(rows)
        if added.size:
            firsts = added.reshape(len(added), -1)[:, 0].tolist()
            assert sorted(firsts) == sorted(int(part.flat[0]) for part in parts for _ in range(len(part)))
        self.arrays[path] = found.copy()

    @rule(data=st.data(), value=st.integers(0, 3))
    def update_attributes(self, data: st.DataObject, value: int) -> None:
        path = data.draw(st.sampled_from(sorted(self.attributes)))
        name = data.draw(st.sampled_from(["x", "y"]))
        self.run(self.open(path).update_attrs({name: value}))
        self.attributes[path][name] = value

    @rule(data=st.data())
    def consolidate(self, data: st.DataObject) -> None:
        self.run(azarr.consolidate(self.store, data.draw(st.sampled_from(sorted(self.groups)))))

    @invariant()
    def what_is_opened_is_what_was_made(self) -> None:
        """With consolidated metadata, where there are any, and without."""
        if not hasattr(self, "loop"):
            return
        for consolidated in (None, False):
            group = self.run(azarr.open_group(self.store, consolidated=consolidated).open())
            nodes: dict[str, Any] = {"": group, **self.run(self.walked(group))}
            assert set(nodes) == set(self.attributes)
            for path, node in nodes.items():
                assert dict(node.attrs) == self.attributes[path]
                assert isinstance(node, azarr.Array) == (path in self.arrays)
                if path in self.arrays:
                    assert node.shape == self.arrays[path].shape
                    assert np.array_equal(self.run(node[...].read()), self.arrays[path])

    async def walked(self, group: Any) -> dict[str, Any]:
        return {path: node async for path, node in group.walk()}


@pytest.mark.parametrize("kind", STORES)
def test_any_order_of_operations(kind: str):
    machine = type(f"Hierarchy{kind.title()}", (Hierarchy,), {"kind": kind})
    case = machine.TestCase()
    case.settings = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck))
    case.runTest()
