"""PostgreSQL's part of the store: connections, isolation, and how long anything may take.

It needs a direct connection, or a pooler in session mode.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError

from exemplar_server.backends.sql_database import READERS, Database
from exemplar_server.backends.sql_notifier import Notifier
from exemplar_server.backends.sql_psycopg import BinaryCursor, heard
from exemplar_server.backends.sql_transactions import LOST_RACES, WRITERS, Transactions
from exemplar_server.errors import StoreUnavailableError, StoreUnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sqlalchemy.engine.interfaces import IsolationLevel
    from sqlalchemy.exc import DBAPIError

    from exemplar_server.core.exemplars import Hint

# A replica that stands still in a transaction (SIGSTOP, a lost network) holds its locks for 10 s:
# PostgreSQL then ends its session. Who waits for a lock waits longer than that, and gets it.
SESSION = {
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "15s",
    "statement_timeout": "60s",  # a support set of 1,000,000 exemplars is read in one statement
    "timezone": "UTC",
}
# A host that is gone is noticed after about 11 s of silence: 5 + 3 * 2.
CONNECTION = {
    "application_name": "exemplar",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,  # milliseconds
}
# A commit that was answered is on disk, whatever the database's default.
DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)
# It stops, starts, has no connection free, or others were first. A full disk (53100) is none.
PASSING = {
    *("57P01", "57P02", "57P03", "53300"),
    *("25P03", "55P03", *LOST_RACES),
}
# Replicas that start together upgrade one after the other. The number is "exempl" in ASCII.
UPGRADE_LOCK = int.from_bytes(b"exempl")


def open_postgres(url: URL) -> Database:
    write_engine = _engine(url, WRITERS, "READ COMMITTED")
    read_engine = _engine(url, READERS, "REPEATABLE READ")
    event.listen(read_engine, "connect", _make_read_only)
    return Database(
        name=f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}",
        place="a database in which this account may create tables",
        write_engine=write_engine,
        read_engine=read_engine,
        start_writing=partial(Transactions, write_engine, _refusal),
        start_feed=partial(_Feed, url),
        before_upgrade=_before_upgrade,
        refusal=_refusal,
    )


class _Feed(Notifier):
    """Implements sql_database.Feed on one connection that tells and one that hears."""

    def __init__(self, url: URL) -> None:
        super().__init__(_engine(url, 1, "AUTOCOMMIT"))
        self._url = url

    def hints(self) -> AsyncGenerator[Hint | None]:
        parts = self._url.translate_connect_args(username="user", database="dbname")
        return heard(parts | self._url.query | _arguments(self._url))


def _engine(url: URL, connections: int, level: IsolationLevel) -> Engine:
    # No ping before each use: a lost connection is noticed and replaced where it is used.
    engine = create_engine(
        url,
        connect_args=_arguments(url) | {"cursor_factory": BinaryCursor},
        isolation_level=level,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,  # errors that are logged tell no tenant's data
    )
    event.listen(engine, "connect", _make_durable)
    return engine


def _arguments(url: URL) -> dict[str, Any]:
    """What the operator says in the URL goes before what is said here."""
    arguments = {name: value for name, value in CONNECTION.items() if name not in url.query}
    session = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    return arguments | {"options": f"{session} {url.query.get('options', '')}"}


def _make_durable(connection: Any, _record: Any) -> None:
    connection.execute(DURABLE)
    connection.commit()


def _make_read_only(connection: Any, _record: Any) -> None:
    connection.read_only = True


def _before_upgrade(connection: Connection) -> None:
    for name in ("statement_timeout", "lock_timeout"):  # to fill a new column takes what it takes
        connection.execute(text(f"SET LOCAL {name} = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})


def _refusal(what: str, error: DBAPIError) -> StoreUnavailableError:
    """Tells the kind of error only: its text names hosts, accounts and rows."""
    kind = StoreUnreachableError if _is_passing(error) else StoreUnavailableError
    return kind(f"{what}: {type(error.orig).__name__}")


def _is_passing(error: DBAPIError) -> bool:
    """Whether another try may find a database that answers, or no one in the way."""
    state = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated or state in PASSING:
        return True
    # Where no connection comes about, there is no code.
    return isinstance(error, OperationalError) and (state is None or state.startswith("08"))
