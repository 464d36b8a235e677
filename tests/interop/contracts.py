"""The contract of stores for stores that only the peers have."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager

from azarr.errors import UnversionedWarning


@contextmanager
def unversioned() -> Generator[None]:
    """For stores that warn that they tell no versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnversionedWarning)
        yield
