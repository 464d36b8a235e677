"""Every exception azarr raises on purpose. Knows nothing else of azarr.

    AzarrError
    ├── MetadataError (ValueError)        a document that breaks the specification: document, field, value
    │   ├── UnknownCodec                  a codec this version does not know
    │   └── UnknownDataType               a data type this version does not know
    ├── MissingPackage (ImportError)      an optional package is not installed: codec and install line
    ├── NodeNotFound (FileNotFoundError)  no array or group at that path
    ├── NotAnArray, NotAGroup (TypeError) the other kind of node is there
    ├── NodeExists (FileExistsError)      creating would replace a node
    ├── InvalidKey (ValueError)           a key or path that would leave the store
    ├── SelectionError (IndexError)       a selection that does not fit the array
    ├── LimitExceeded (ValueError)        a size above a limit, found before allocating
    ├── ReadOnly (PermissionError)        a write through a handle opened to read
    ├── PartialChunkWrite (ValueError)    a write that does not cover whole chunks
    └── StoreError (OSError)              bytes could not be obtained or are not what they should be
        ├── TransportError                the store did not answer, or answered with an error
        ├── ObjectChanged                 the object was replaced or deleted during a read
        └── CorruptData (ValueError)      obtained, but wrong
            ├── ChunkDecodeError          a chunk that does not decode to its exact size
            ├── ChecksumError             a checksum that does not match
            └── ShardIndexError           a shard index that points outside its object

Each says what, where, and what to do now, and carries the same as attributes.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = [
    "AzarrError",
    "ChecksumError",
    "ChunkDecodeError",
    "CorruptData",
    "InvalidKey",
    "LegacyWarning",
    "LimitExceeded",
    "MetadataError",
    "MissingPackage",
    "NodeExists",
    "NodeNotFound",
    "NotAGroup",
    "NotAnArray",
    "ObjectChanged",
    "PartialChunkWrite",
    "ReadOnly",
    "SelectionError",
    "ShardIndexError",
    "StoreError",
    "TransportError",
    "UnknownCodec",
    "UnknownDataType",
    "redact",
]

class LegacyWarning(UserWarning):
    """A document has a form that old writers left behind; it was read as they meant it."""


_SECRETS = re.compile(r"(?<=://)[^/@\s]+@|(?<=\?)[^\s#'\")>]+")


def redact(text: str) -> str:
    """`text` with user names, passwords and query strings of URLs replaced by `***`."""
    return _SECRETS.sub(lambda match: "***@" if match[0].endswith("@") else "***", text)


class AzarrError(Exception):
    """The root of every error of azarr."""

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


class MetadataError(AzarrError, ValueError):
    """A metadata document breaks the specification.

    `document` is the key of the document, `field` the path inside it, `value` what stands there.
    """

    def __init__(self, reason: str, *, field: str = "", value: Any = None, document: str = "") -> None:
        self.reason, self.field, self.value, self.document = reason, field, value, document
        where = f"{document or 'metadata'}{': ' + field if field else ''}"
        shown = f", not {_short(value)}" if field else ""
        super().__init__(f"{where}: {reason}{shown}")

    def within(self, document: str) -> MetadataError:
        """The same error, naming the document it came from."""
        return self if self.document else type(self)(self.reason, field=self.field, value=self.value, document=document)


class UnknownCodec(MetadataError):
    """The document names a codec that azarr does not know."""


class UnknownDataType(MetadataError):
    """The document names a data type that azarr does not know."""


class MissingPackage(AzarrError, ImportError):
    """A codec or store needs a package that is not installed."""

    def __init__(self, what: str, package: str, install: str) -> None:
        self.what, self.package, self.install = what, package, install
        super().__init__(f"{what} needs the package {package!r}, which is not installed: {install}")


class NodeNotFound(AzarrError, FileNotFoundError):
    """Neither an array nor a group stands at this path."""

    def __init__(self, store: str, path: str, looked_for: str) -> None:
        self.store, self.path = redact(store), path
        super().__init__(f"no Zarr node at path {path!r} of {store}; looked for {looked_for}")


class NotAnArray(AzarrError, TypeError):
    """A group stands where an array was asked for."""


class NotAGroup(AzarrError, TypeError):
    """An array stands where a group was asked for."""


class NodeExists(AzarrError, FileExistsError):
    """A node stands there already; `overwrite=True` replaces it."""


class InvalidKey(AzarrError, ValueError):
    """A key or path is not valid, so it cannot leave its store."""


class SelectionError(AzarrError, IndexError):
    """The selection does not fit the array."""


class LimitExceeded(AzarrError, ValueError):
    """Something is larger than the limit set for it; nothing was allocated."""


class ReadOnly(AzarrError, PermissionError):
    """The node was opened to read; open it with `mode="r+"` to write."""


class PartialChunkWrite(AzarrError, ValueError):
    """The region to write does not cover whole chunks (or whole shards)."""


class StoreError(AzarrError, OSError):
    """A store did not give what it was asked for."""

    def __init__(self, reason: str, *, store: str = "", key: str = "") -> None:
        self.reason, self.store, self.key = reason, redact(store), key
        where = f"{key!r} of {store}: " if store else f"{key!r}: " if key else ""
        super().__init__(f"{where}{reason}")

    def within(self, store: str, key: str) -> StoreError:
        """The same error, naming the store and key it came from."""
        return self if self.store else type(self)(self.reason, store=store, key=key)


class TransportError(StoreError):
    """The store could not be reached, or answered with an error. `status` is the HTTP status, if there was one."""

    def __init__(self, reason: str, *, store: str = "", key: str = "", status: int | None = None) -> None:
        self.status = status
        super().__init__(reason, store=store, key=key)


class ObjectChanged(StoreError):
    """The object was replaced or deleted while it was being read: read again."""


class CorruptData(StoreError, ValueError):
    """Bytes were obtained, but they are not what they should be."""


class ChunkDecodeError(CorruptData):
    """A chunk did not decode to its exact size."""


class ChecksumError(CorruptData):
    """A checksum does not match the bytes it guards."""


class ShardIndexError(CorruptData):
    """The index of a shard is damaged, or points outside the shard."""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
