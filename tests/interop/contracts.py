"""The contract of stores (`tests/stores/test_contract.py`), for stores that only the peers have."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from azarr.errors import UnversionedWarning


def contract() -> Iterator[Any]:
    """Each test of the contract, with each of its parameters but the store."""
    sys.path.append(str(Path(__file__).parent.parent / "stores"))
    for name, test in vars(import_module("test_contract")).items():
        if name.startswith("test_"):
            others = [mark.args for mark in test.pytestmark if mark.args[0] != "kind"]
            for names, values in others or [("", [()])]:
                given = [names] if isinstance(names, str) else names
                for number, value in enumerate(values):
                    held = dict(zip(given, [value] if isinstance(names, str) else value, strict=True)) if others else {}
                    yield pytest.param(test, held, id=f"{name}-{number}")


@contextmanager
def unversioned() -> Generator[None]:
    """For stores that warn that they tell no versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnversionedWarning)
        yield
