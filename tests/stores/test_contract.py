"""What every store promises (`azarr.testing.StoreContract`), over every store there is (see `kinds`)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from kinds import CANNOT, FAILING, KINDS, Kind, around, fsspec_local

from azarr.testing import StoreContract
from azarr.testing.keys import ODD_KEYS, invalid_keys


def contract_of(kind: Kind, has: tuple[type, ...], **others: Any) -> type[StoreContract]:
    """The contract for one kind of stores, made in a folder below others, which can be looked at."""

    class Contract(StoreContract):
        @pytest.fixture(autouse=True)
        def folder_of_the_test(self, tmp_path: Path) -> None:
            self.beside, self.folder = tmp_path, tmp_path / "1" / "2" / tmp_path.name
            self.folder.mkdir(parents=True)

        def store(self, objects: dict[str, bytes]) -> AbstractAsyncContextManager[Any]:
            folder = self.folder / str(len(list(self.folder.iterdir())))  # a test may want several
            folder.mkdir()
            return kind(objects, folder)

        def outside(self) -> object:
            return around(self.beside)

    name = f"Test_{kind.__name__}"
    if kind in FAILING:
        others["failing"] = lambda self: FAILING[kind](self.folder)
    return type(name, (Contract,), {"has": has, "cannot": CANNOT.get(kind, ()), "__module__": __name__, **others})


for kind, has in KINDS.items():
    globals()[f"Test_{kind.__name__}"] = contract_of(kind, has, atomic=kind is not fsspec_local)


def test_there_are_more_than_500_invalid_keys_and_none_is_there_twice():
    keys = invalid_keys()
    assert len(set(keys)) == len(keys) > 500
    assert set(keys).isdisjoint(ODD_KEYS)
