"""Waits for a revision that the store has not seen yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from exemplar_server.errors import RevisionNotReachedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Found = TypeVar("Found")

PAUSE_SECONDS = 0.02


async def until_reached(read: Callable[[], Awaitable[Found]], patience_seconds: float) -> Found:
    """What `read` finds once it finds it, tried again and again.

    Every read asks the store itself, so only a store that lags behind makes it wait: a database
    that fails over to a standby.

    Raises:
        RevisionNotReachedError: `read` still does, after `patience_seconds`.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + patience_seconds
    while True:
        try:
            return await read()
        except RevisionNotReachedError:
            if loop.time() >= end:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
