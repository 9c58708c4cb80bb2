"""Tells other replicas what changed, by NOTIFY after the commit and in a transaction of its own.

A NOTIFY inside the transaction of the change would take a lock of the whole database for the time
of its commit: a third of the throughput (measured, 8 writers). What is told is a hint: when the
connection is lost it is forgotten, and polling finds the change.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from exemplar_server.core.exemplars import Hint

CHANNEL = "exemplar"
# The first may find that the connection was lost. Then hints are lost, but no change.
TRIES = 2
NOTIFY = text(
    "SELECT pg_notify(:channel, hint) FROM unnest(CAST(:hints AS text[])) AS hint"
).bindparams(channel=CHANNEL)


class Notifier:
    """Any thread may call `tell`.

    Hints that come while others are sent go together, the last revision of each support set.
    `engine` has one connection, and each statement on it is a transaction.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: dict[str, int] = {}
        self._is_stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="store-notifier", daemon=True)
        self._thread.start()

    def tell(self, hint: Hint) -> None:
        with self._changed:
            known = self._waiting.get(hint.incarnation, 0)
            self._waiting[hint.incarnation] = max(known, hint.revision)
            self._changed.notify()

    def stop(self) -> None:
        """Returns when everything that was told before has been sent, or could not be."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join()
        self._engine.dispose()

    def _work(self) -> None:
        while hints := self._taken():
            self._send(hints)

    def _taken(self) -> list[str]:
        """What waits, when something does; empty after the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_stopped)
            taken, self._waiting = self._waiting, {}
        return [f"{incarnation}:{revision}" for incarnation, revision in taken.items()]

    def _send(self, hints: list[str]) -> None:
        for _ in range(TRIES):
            with suppress(DBAPIError), self._engine.connect() as connection:
                connection.execute(NOTIFY, {"hints": hints})
                return
