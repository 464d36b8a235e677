"""Errors of other libraries (fsspec, zarr-python, and what they stand on), by what they say. Imports none of them.

"Missing" is believed of an error that means it, and behind which there is none that means something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from azarr.errors import AzarrError, MissingPackage, TimedOut, TransportError, TruncatedBody
from azarr.stores.http import TRANSIENT

MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
"""No object: nothing under the key; a folder; an object where a folder of the key would be."""
NO_PLACE = {"NoSuchBucket", "ContainerNotFound", "NoSuchUpload"}
"""Codes of services whose "not found" is of something else than the object."""
BROKEN = {
    "ConnectionError", "ClientConnectionError", "HTTPClientError", "ResponseStreamingError", "IncompleteReadError", "ServiceRequestError",
    "ServiceResponseError", "TransportError",
}  # fmt: skip
"""Classes of errors of connections, also by the names that aiohttp, requests, botocore and the clients of Azure and Google give them."""
WAITED = {"TimeoutError", "Timeout", "ConnectTimeoutError", "ReadTimeoutError"}
CUT = {"ClientPayloadError", "IncompleteRead", "IncompleteReadError", "ChunkedEncodingError"}


def is_missing(error: BaseException) -> bool:
    """Whether the object does not exist. Libraries raise `FileNotFoundError` for what is something else, too: then there is a cause."""
    if not isinstance(error, MISSING):
        return False
    for each in _chain(error):
        other = isinstance(each, OSError) and not isinstance(each, MISSING)
        if _code(each) in NO_PLACE or _status(each) not in (None, 404) or other or _kinds(each) & (BROKEN | WAITED | CUT):
            return False
    return True


def status_of(error: BaseException) -> int | None:
    """The HTTP status that `error`, or one behind it, has."""
    return next((status for each in _chain(error) if (status := _status(each)) is not None), None)


def translated(error: Exception) -> AzarrError:
    """`error` as one of azarr's. Raise it from None: errors of HTTP clients show whole URLs, and so would a traceback."""
    if isinstance(error, AzarrError):
        return error
    if isinstance(error, ImportError):
        names = [each.name for each in _chain(error) if isinstance(each, ImportError) and each.name]
        return MissingPackage("the store", names[-1] if names else "of its driver", str(error))
    status, kinds = status_of(error), {kind for each in _chain(error) for kind in _kinds(each)}
    transient = bool(kinds & (BROKEN | WAITED | CUT)) if status is None else status in TRANSIENT
    facts: dict[str, Any] = {"status": status, "transient": transient}
    kind = TimedOut if kinds & WAITED else TruncatedBody if kinds & CUT else TransportError
    return kind(f"{type(error).__name__}: {error}", **facts)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those behind it."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _kinds(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _status(error: Any) -> int | None:
    """As botocore tells it; as requests does; as aiohttp, Azure and Google do."""
    facts = cast("dict[str, Any]", vars(error))
    of_botocore, answer = _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode"), getattr(error, "response", None)
    for found in (of_botocore, getattr(answer, "status_code", None), *(facts.get(name) for name in ("status", "status_code", "code"))):
        if isinstance(found, int) and 100 <= found < 600:
            return found
    return None


def _code(error: Any) -> str | None:
    return _answer(error).get("Error", {}).get("Code") or getattr(error, "error_code", None)


def _answer(error: Any) -> dict[str, Any]:
    """What botocore keeps of an answer."""
    answer = getattr(error, "response", None)
    return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
