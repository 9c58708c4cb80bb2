"""Writing where many may write: each mutation is a transaction of its own, on one of few threads.

PostgreSQL flushes the commits that come together at once, so they need not be merged here; a
transaction over several support sets would only hold their locks longer, and in an order in which
replicas block each other.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from exemplar_server.errors import NotServingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from exemplar_server.errors import StoreUnavailableError

T = TypeVar("T")

WRITERS = 4
TRIES = 4
PAUSE_SECONDS = 0.05
# Another transaction won: what it did is seen on the next try.
SERIALIZATION_FAILURE, DEADLOCK_DETECTED, UNIQUE_VIOLATION = "40001", "40P01", "23505"
FOREIGN_KEY_VIOLATION = "23503"  # the tenant was deleted meanwhile
UNWRITTEN = "the store refuses to write"
UNCONFIRMED = (
    "the store did not confirm the change, which may be made or not; "
    "the same call with the same request_id finds out"
)
LOST_RACES = {
    SERIALIZATION_FAILURE,
    DEADLOCK_DETECTED,
    UNIQUE_VIOLATION,
    FOREIGN_KEY_VIOLATION,
}


class Transactions:
    """Implements sql_database.Writing. Any thread may call `submit`.

    A mutation whose caller left before it began is not run. One that lost a race, or its
    connection before the commit, runs again, up to TRIES times in all.
    """

    def __init__(
        self, engine: Engine, refusal: Callable[[str, DBAPIError], StoreUnavailableError]
    ) -> None:
        self._engine = engine
        self._refusal = refusal
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="store-writer")

    def submit(self, run: Callable[[Connection], T], *, makes_room: bool = False) -> Future[T]:
        """A full disk is the database server's to care for: `makes_room` changes nothing."""
        try:
            return self._threads.submit(self._tried, run)
        except RuntimeError:  # the threads were shut down
            refused: Future[T] = Future()
            refused.set_exception(NotServingError("the store is closed"))
            return refused

    def scrub(self) -> None:
        """PostgreSQL's own vacuum does it."""

    def stop(self) -> None:
        self._threads.shutdown()

    def _tried(self, run: Callable[[Connection], T]) -> T:
        for number in range(1, TRIES):
            try:
                return self._committed(run)
            except DBAPIError as error:
                if not _is_worth_another_try(error):
                    raise self._refusal(UNWRITTEN, error) from error
            time.sleep(random.uniform(0, PAUSE_SECONDS * number))  # noqa: S311 - no secret
        try:
            return self._committed(run)
        except DBAPIError as error:
            raise self._refusal(UNWRITTEN, error) from error

    def _committed(self, run: Callable[[Connection], T]) -> T:
        """Raises DBAPIError where nothing was written, StoreUnavailableError where that is open."""
        with self._engine.connect() as connection:
            result = run(connection)
            try:
                connection.commit()
            except DBAPIError as error:
                raise self._refusal(UNCONFIRMED, error) from error
            return result


def _is_worth_another_try(error: DBAPIError) -> bool:
    return error.connection_invalidated or getattr(error.orig, "sqlstate", "") in LOST_RACES
