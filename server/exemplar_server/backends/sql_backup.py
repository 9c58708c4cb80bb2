"""Backs up a store while servers use it: every table as of one moment, into one file.

The reader never checkpoints: SQLite before 3.51.3 can lose pages where two connections write or
checkpoint at once, and the running server's writer does both.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from exemplar_server.backends import sql_migrations
from exemplar_server.backends.sql_open import open_database
from exemplar_server.backends.sql_schema import metadata
from exemplar_server.core.backup_file import BackupWriter, Facts
from exemplar_server.errors import ConfigurationError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Rows that are fetched at once, from tables with blobs (images of 10 MiB) and from others.
BLOBS_AT_ONCE, ROWS_AT_ONCE = 16, 1000
# PostgreSQL: whatever the disk that the backup goes to takes.
PATIENT = ("statement_timeout", "idle_in_transaction_session_timeout")


def back_up(url: str, file: BinaryIO) -> dict[str, int]:
    """Writes the backup; returns the rows of each table.

    Raises:
        ConfigurationError: not a URL that can be used, or a schema that this server cannot read.
        StoreUnavailableError: there is no store, or it cannot be read.
    """
    with reading(url) as connection:
        tables = tables_in(connection)
        epoch = connection.execute(select(tables["store"].c.epoch)).scalar_one()
        facts = Facts(sql_migrations.current(connection), epoch, datetime.now(UTC).isoformat())
        backup = BackupWriter(file, facts)
        for name, table in tables.items():
            backup.add(name, _rows(connection, table))
        return backup.finish()


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A transaction of one moment that writes nothing. Raises what back_up raises."""
    database = open_database(url)
    is_file = database.write_engine.dialect.name == "sqlite"
    engine = _read_only(database.name) if is_file else database.read_engine
    try:
        with engine.begin() as connection:
            if not is_file:
                for name in PATIENT:
                    connection.execute(text(f"SET LOCAL {name} = 0"))
            _check_schema(connection)
            yield connection
    except DBAPIError as error:
        what = f"EXEMPLAR_STORE_URL: {database.name}: cannot be read"
        raise database.refusal(what, error) from error
    finally:
        engine.dispose()
        database.dispose()


def tables_in(connection: Connection) -> dict[str, Table]:
    """The store's tables with their columns as they are, each after those that it refers to.

    A database may have others, too. Not SQLAlchemy's whole reflection: that of indexes cannot read
    the binary results that PostgreSQL is asked for here.
    """
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    names = [table.name for table in metadata.sorted_tables if table.name in there]
    found = MetaData()
    return {
        name: Table(name, found, *(Column(c["name"], c["type"]) for c in columns))
        for name in names
        if (columns := inspector.get_columns(name))
    }


def _check_schema(connection: Connection) -> None:
    schema = sql_migrations.current(connection)
    if not schema:
        raise StoreUnavailableError("EXEMPLAR_STORE_URL: expected a store, got none there")
    if schema not in sql_migrations.known():
        raise ConfigurationError(
            f"EXEMPLAR_STORE_URL: the store's schema {schema} is newer than this server"
        )


def _read_only(path: str) -> Engine:
    """Cannot write the file, nor fold the write-ahead log into it, also not when it is closed."""

    def connect() -> sqlite3.Connection:
        opened = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None)
        for pragma in ("query_only=ON", "wal_autocheckpoint=0"):
            opened.execute(f"PRAGMA {pragma}").close()
        return opened

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    has_blobs = any(isinstance(column.type, LargeBinary) for column in table.columns)
    count = BLOBS_AT_ONCE if has_blobs else ROWS_AT_ONCE
    query = select(table).execution_options(yield_per=count)
    with closing(connection.execute(query)) as result:
        for row in result.mappings():
            yield dict(row)
