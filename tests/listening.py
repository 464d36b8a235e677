"""Servers of the tests' own that speak HTTP byte by byte: how they listen, and end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

S = TypeVar("S", bound=Any)


@asynccontextmanager
async def listening(speaker: S, host: str = "127.0.0.1", name: str = "", tls: ssl.SSLContext | None = None) -> AsyncGenerator[S]:
    """`speaker` behind a port of `host`, which is called `name`: it is told its `url`, is `connected`, and its `tasks` end with it."""
    server = await asyncio.start_server(speaker.connected, host.strip("[]"), 0, ssl=tls, backlog=1000)  # all may connect at the same time
    speaker.url = f"http{'s' if tls else ''}://{name or host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield speaker
    finally:
        server.close()
        for task in speaker.tasks:
            task.cancel()
        await asyncio.gather(*speaker.tasks, return_exceptions=True)
        await server.wait_closed()
