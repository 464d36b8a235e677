"""Spans of OpenTelemetry for what a context tells: `azarr.Context(on_event=spans())`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from azarr.context import Event
from azarr.errors import MissingPackage

BILLION = 10**9


def spans(tracer: Any = None) -> Callable[[Event], None]:
    """A listener that makes a span of each event, below the span that is current where azarr was called. `tracer`: by default azarr's own.

    Attributes: `azarr.store`, `azarr.key`, `azarr.nbytes`, `azarr.attempt`; of parts of objects `azarr.range`. Errors: `MissingPackage`.
    """
    try:
        trace: Any = import_module("opentelemetry.trace")
    except ImportError as error:
        raise MissingPackage("making spans", "opentelemetry-api", "pip install 'azarr[otel]'") from error
    found: Any = tracer or trace.get_tracer("azarr")

    def listen(event: Event) -> None:
        facts = {"azarr.store": event.store, "azarr.key": event.key, "azarr.nbytes": event.nbytes, "azarr.attempt": event.attempt}
        if event.byte_range is not None:
            facts["azarr.range"] = str(event.byte_range)
        span = found.start_span(f"azarr {event.kind}", start_time=int(event.began * BILLION), attributes=facts)
        if event.error:
            span.set_status(trace.Status(trace.StatusCode.ERROR, event.error))
        span.end(end_time=int((event.began + event.seconds) * BILLION))

    return listen
