"""An array as it goes to other processes: small, opened where it is used, with one store and one context for all that use them there.

Knows dask by `tokenize` alone, and blocks: what is asked for is awaited on the loop of `azarr.integrations.sync`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from azarr.access import Access
from azarr.array import Array
from azarr.dtypes import NumPyDType
from azarr.errors import MissingPackage, ReadOnly
from azarr.integrations import sync
from azarr.metadata import ArrayMetadata

KEPT = 64
"""Stores whose connections a process keeps, at most."""
_kept: dict[str, Access] = {}
MEMORY = {"MemoryStore", "MemoryFileSystem"}
"""Classes of stores and filesystems in memory: azarr's, obstore's and zarr-python's; fsspec's."""
BENEATH = ("inner", "store", "_store", "_shared", "fs", "sync_fs")
"""Where stores and filesystems that stand on others have them."""


def package(name: str) -> Any:
    """A module of dask or distributed. Errors: `MissingPackage`."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackage("computing with dask", name.partition(".")[0], "pip install 'azarr[dask]'") from error


def of_one_process(store: Any) -> bool:
    """Whether the objects are in the memory of this process, so that what another writes to its copy is lost."""
    if MEMORY & {kind.__name__ for kind in getattr(store, "_class", store.__class__).__mro__}:
        return True
    return any(of_one_process(each) for name in BENEATH if (each := getattr(store, name, None)) is not None)


def refuse_one_process(store: Any) -> None:
    """Errors: `ReadOnly` for a store of one process, where others are to write to it."""
    if of_one_process(store):
        raise ReadOnly(f"{store!r} is of one process, so that workers cannot write to it")


class Handle:
    """What dask takes for an array: `handle[key]` reads, `handle[key] = values` writes if it `writes`; both wait until it is done."""

    def __init__(self, array: Array, *, writes: bool = False) -> None:
        access = array.access if writes else array.access._replace(mode="r")
        self.array = array if writes else Array(array.metadata, access, array.path)
        tokenize = package("dask.base").tokenize
        self.token: str = tokenize(access.store, access.context.__reduce__(), access.mode, access.lenient)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> NumPyDType:
        return self.array.dtype

    def __getitem__(self, key: Any) -> Any:
        parts: Any = key if isinstance(key, tuple) else (key,)  # pyright: ignore[reportUnknownVariableType]
        each = any(isinstance(part, list | np.ndarray) for part in parts)
        return sync.run(self.array.oindex[key] if each else self.array[key])  # dask, too, takes each axis by itself

    def __setitem__(self, key: Any, values: Any) -> None:
        sync.run(self.array[key].write(values))

    def __dask_tokenize__(self) -> Any:
        return "azarr", self.token, self.array.path, self.array.metadata.document

    def __reduce__(self) -> Any:
        if self.array.access.mode != "r":
            refuse_one_process(self.array.store)
        return restored, (self.token, self.array.access, self.array.metadata, self.array.path)


def restored(token: str, access: Access, metadata: ArrayMetadata, path: str) -> Handle:
    """The handle in another process."""
    while len(_kept) > KEPT:
        _kept.pop(next(iter(_kept)), None)
    handle = object.__new__(Handle)
    handle.token, handle.array = token, Array(metadata, _kept.setdefault(token, access), path)
    return handle
