"""A server that is near, so that much is asked of it by few calls, where the system has io_uring."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import azarr
from azarr import Context, Retries
from azarr._engine import waiting
from azarr.integrations import socket_rings
from azarr.integrations.rings import has_rings
from azarr.integrations.socket_rings import exchange_by_ring
from azarr.transport import cpython, many

HERE = has_rings()
"""Whether this system has io_uring as new as it must be."""
PATIENCE = 1.0


def every_server_is_near(monkeypatch: pytest.MonkeyPatch, least: int | None = None) -> list[int]:
    """As a machine may be busy; with `least`, so few chunks are many. How many connections each thread talked over, each time."""
    talked: list[int] = []

    def exchange(files: Any, *arguments: Any) -> list[bool]:
        talked.append(len(files))
        return exchange_by_ring(files, *arguments)

    monkeypatch.setattr(many, "NEAR", float("inf"))
    monkeypatch.setattr(many, "exchange_by_ring", exchange)
    if least is not None:
        monkeypatch.setattr(waiting, "MANY", least)
        monkeypatch.setattr(many, "LEAST", least)
    return talked


def the_kernel_refuses(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    """From that call on, in each thread."""
    made, called = threading.local(), socket_rings.called

    def refusing(*arguments: Any) -> int:
        made.calls = getattr(made, "calls", -1) + 1
        if made.calls >= refused:
            raise OSError(12, "no memory")
        return called(*arguments)

    monkeypatch.setattr(socket_rings, "called", refusing)
    monkeypatch.setattr(socket_rings, "_own", threading.local())
    monkeypatch.setattr(socket_rings, "_lost", [])


def context(**options: Any) -> Context:
    return Context(**({"retries": Retries(first=0), "timeout": PATIENCE} | options))


async def fresh(own: Context) -> None:
    """All slots and bytes are back, nothing is lent, and no thread is taken."""
    budget, client = azarr._engine.budget.budget_of(own), cpython._running(own).plain
    assert (budget.requests.free, budget._bytes.free, client.threads) == (budget.limit, budget.most, 0)
    assert {each for kept in client._idle.values() for each in kept} == client._all
