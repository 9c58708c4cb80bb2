"""What the driver does beside SQLAlchemy: results in binary, and hearing what replicas changed.

The only file that imports psycopg.
"""

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


class BinaryCursor(psycopg.Cursor[Any]):
    """Embeddings come as they are, not as twice as many hexadecimal digits.

    20,000 of 1,280 values are read in 0.5 instead of 0.9 s, and in 0.35 s where PostgreSQL has
    not tried to compress them, as migration 0002 says: tests/bench/results/2026-11-25-store.md.
    """

    def __init__(self, connection: psycopg.Connection[Any], *, row_factory: Any = None) -> None:
        super().__init__(connection, row_factory=row_factory)
        self.format = psycopg.pq.Format.BINARY


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
