"""The threads that read the store, each call in a transaction of one moment."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from exemplar_server.backends.sql_database import READERS, Database
from exemplar_server.errors import NotServingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

T = TypeVar("T")

UNREAD = "the store cannot be read"


class Readers:
    """Any thread may call `submit`. A read whose connection was lost runs once more."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    def submit(self, run: Callable[[Connection], T]) -> Future[T]:
        """Raises what `run` raises, through the future."""
        try:
            return self._threads.submit(self._tried, run)
        except RuntimeError as error:  # the threads were shut down
            raise NotServingError("the store is closed") from error

    def stop(self) -> None:
        self._threads.shutdown()

    def _tried(self, run: Callable[[Connection], T]) -> T:
        try:
            return self._read(run)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise self._database.refusal(UNREAD, error) from error
        try:
            return self._read(run)
        except DBAPIError as error:
            raise self._database.refusal(UNREAD, error) from error

    def _read(self, run: Callable[[Connection], T]) -> T:
        with self._database.read_engine.begin() as connection:
            return run(connection)
