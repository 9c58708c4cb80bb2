"""Hears what other replicas changed. The only file that imports psycopg."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from exemplar_server.backends.sql_notifier import CHANNEL
from exemplar_server.core.exemplars import Hint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

# At most; replicas that lost one database come back at different times.
RECONNECT_SECONDS = 1.0
LISTEN = sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL))


async def heard(arguments: Mapping[str, Any]) -> AsyncGenerator[Hint | None]:
    """Hints, for ever; None on each (re)connect, for what was not heard before it.

    `arguments` make a direct connection: a pooler in transaction mode hears nothing.
    """
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**arguments, autocommit=True) as line:
                await line.execute(LISTEN)
                yield None
                async with aclosing(line.notifies()) as notifies:
                    async for notify in notifies:
                        yield _hint(notify.payload)
        except psycopg.Error:
            await asyncio.sleep(random.uniform(0, RECONNECT_SECONDS))  # noqa: S311 - no secret


def _hint(payload: str) -> Hint | None:
    """None where it is not one of ours: everything may have changed."""
    incarnation, _, revision = payload.rpartition(":")
    return Hint(incarnation, int(revision)) if revision.isdecimal() else None
