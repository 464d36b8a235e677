"""The exceptions azarr raises on purpose. Knows nothing else of azarr::

    AzarrError
    ├── MetadataError (ValueError): UnknownCodec, UnknownDataType
    ├── MissingPackage (ImportError), NodeNotFound (FileNotFoundError), NotAnArray, NotAGroup (TypeError)
    ├── NodeExists (FileExistsError): CaseCollision
    ├── InvalidKey, LimitExceeded (ValueError), SelectionError (IndexError), ReadOnly (PermissionError)
    └── StoreError (OSError)
        ├── TransportError: TruncatedBody, RangeNotHonoured, TimedOut (TimeoutError)
        ├── ObjectChanged, WriteConflict, PartialWrite; TargetRefused of stores.references, SessionReadOnly of integrations.icechunk
        └── CorruptData (ValueError): ChunkDecodeError, ChecksumError, ShardIndexError

Each says what, where, and what to do now, and carries the same as attributes.
"""

import copyreg
import re
from typing import Any, Self

SECRETS = r"(?<=://)[^/\s]+@|(?<=\?)[^\s#'\")>]*[^\s#'\")>:;,.]"


def redact(text: str) -> str:
    """`text` with user names, passwords and query strings of URLs replaced by `***`."""
    return re.sub(SECRETS, lambda match: "***@" if match[0].endswith("@") else "***", text)


class LegacyWarning(UserWarning):
    """A document has a form that old writers left behind; it was read as they meant it."""


class UnknownWarning(UserWarning):
    """A member of a group has a data type that azarr does not know; it was left out of what lists them."""


class UnversionedWarning(UserWarning):
    """A server tells no version of its objects, so one that is replaced while it is read, range by range, cannot be noticed."""


class AzarrError(Exception):
    """The root of every error of azarr."""

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))

    def __reduce__(self) -> Any:  # as it is: what made it made its message of other arguments
        return vars(copyreg)["__newobj__"], (type(self),), {"args": self.args, **vars(self)}


class MetadataError(AzarrError, ValueError):
    """A metadata document breaks the specification: the key of the document, the field inside it, and the value that stands there."""

    def __init__(self, reason: str, *, field: str = "", value: Any = None, document: str = "") -> None:
        self.reason, self.field, self.value, self.document = reason, field, value, document
        shown = repr(value)
        alone = not field or (isinstance(value, str) and shown in reason)  # a reason says what is needed, or names the value itself
        found = reason if alone else f"{reason}, not {shown if len(shown) <= 80 else shown[:77] + '...'}"
        super().__init__(": ".join(filter(None, (document or "metadata", field, found))))

    def within(self, document: str) -> Self:
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


class CaseCollision(NodeExists):
    """The store does not tell the name of a node from that of another: names that differ in case, or in how accents are spelled."""


class InvalidKey(AzarrError, ValueError):
    """A key or path is not valid, so it cannot leave its store."""


class SelectionError(AzarrError, IndexError):
    """The selection does not fit the array."""


class LimitExceeded(AzarrError, ValueError):
    """Something is larger than the limit set for it; nothing was allocated."""


class ReadOnly(AzarrError, PermissionError):
    """The node was opened to read; open it with `mode="r+"` to write."""


class StoreError(AzarrError, OSError):
    """A store did not give what it was asked for. `status` is the HTTP status, if there was one."""

    _facts: tuple[str, ...] = ("status",)

    def __init__(self, reason: str, *, store: str = "", key: str = "", status: int | None = None) -> None:
        self.reason, self.store, self.key, self.status = redact(reason), redact(store), key, status
        super().__init__((f"{key!r} of {store}: " if store else f"{key!r}: " if key else "") + reason)

    def within(self, store: str, key: str) -> Self:
        """The same error, naming the store and key it came from."""
        return self if self.store else type(self)(self.reason, store=store, key=key, **{name: getattr(self, name) for name in self._facts})


class TransportError(StoreError):
    """The store could not be reached, or answered with an error. `attempts` says how often it was asked.

    `transient`: asking again may help; `retry_after`: in so many seconds, where the server said so.
    """

    _facts = ("status", "transient", "retry_after", "attempts")

    def __init__(self, reason: str, *, transient: bool = False, retry_after: float | None = None, attempts: int = 1, **where: Any) -> None:
        self.transient, self.retry_after, self.attempts = transient, retry_after, attempts
        super().__init__(reason, **where)

    def after(self, attempts: int) -> Self:
        """The same error, as the last of so many attempts."""
        facts: dict[str, Any] = {name: getattr(self, name) for name in self._facts} | {"attempts": attempts}
        plural = "s" if attempts > 1 else ""
        return type(self)(f"{self.reason} (after {attempts} attempt{plural})", store=self.store, key=self.key, **facts)


class TruncatedBody(TransportError):
    """The connection ended before all of the body had come."""


class RangeNotHonoured(TransportError):
    """The server did not send the range it was asked for."""


class TimedOut(TransportError, TimeoutError):
    """For as long as was to be waited, not a byte came."""


class ObjectChanged(StoreError):
    """The object was replaced or deleted while it was being read: read again."""


class WriteConflict(StoreError):
    """Others replaced the object each time that it was to be changed: write again."""


class PartialWrite(StoreError):
    """Some objects were stored before one failed. Keys: `done`, `failed` (those are as they were), `unknown`; others were not begun."""

    def __init__(self, reason: str, *, done: tuple[str, ...], failed: tuple[str, ...], unknown: tuple[str, ...], **where: Any) -> None:
        self.done, self.failed, self.unknown = done, failed, unknown
        super().__init__(reason, **where)


class CorruptData(StoreError, ValueError):
    """Bytes were obtained, but they are not what they should be."""


class ChunkDecodeError(CorruptData):
    """A chunk did not decode to its exact size."""


class ChecksumError(CorruptData):
    """A checksum does not match the bytes it guards."""


class ShardIndexError(CorruptData):
    """The index of a shard is damaged, or points outside the shard."""
