"""Puts a backup in the place of a store: whole or not at all, and under a new store_epoch."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Connection,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import DropTable

from exemplar_server.backends import sql_migrations
from exemplar_server.backends.sql_backup import tables_in
from exemplar_server.backends.sql_open import open_database
from exemplar_server.core.backup_file import bytes_of, time_of
from exemplar_server.errors import ConfigurationError, InvalidInputError, StoreUnavailableError

if TYPE_CHECKING:
    from exemplar_server.backends.sql_database import Database
    from exemplar_server.core.backup_file import BackupFile, Row

VERSION_TABLE = "alembic_version"
# Other sessions of servers and of this program; both say who they are.
OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'exemplar'"
    " AND datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True)
class Restored:
    """What is in the store now."""

    epoch: str
    counts: dict[str, int]


def restore(url: str, backup: BackupFile, *, is_forced: bool) -> Restored:
    """Replaces what is there only where `is_forced`; its schema then is this server's.

    Raises:
        ConfigurationError: the store is not empty, servers use it, or it or the backup has a
            schema that this server does not know.
        InvalidInputError: the backup's rows do not fit its schema.
        StoreUnavailableError: the store cannot be opened or written.
    """
    if backup.facts.schema not in sql_migrations.known():
        raise ConfigurationError(
            f"FILE: its schema {backup.facts.schema} is newer than this server: "
            "restore it with the server's version that made it, or a later one"
        )
    database = open_database(url)
    try:
        _check_alone(database)
        with database.write_engine.begin() as connection:
            database.before_upgrade(connection)
            _check_replaceable(connection, is_forced=is_forced)
            return _replace(connection, backup)
    except DBAPIError as error:
        what = f"EXEMPLAR_STORE_URL: {database.name}: cannot be restored"
        raise database.refusal(what, error) from error
    finally:
        database.dispose()


def _replace(connection: Connection, backup: BackupFile) -> Restored:
    _drop(connection)
    sql_migrations.migrate(connection, backup.facts.schema)
    tables = tables_in(connection)
    for table in reversed(tables.values()):
        connection.execute(sql_delete(table))  # what migrations put there
    for name, rows in backup.rows():
        if name not in tables:
            raise InvalidInputError(f"FILE: schema {backup.facts.schema} has no table {name[:64]}")
        _insert(connection, tables[name], rows)
    counts = {name: _count(connection, table) for name, table in tables.items()}
    if counts != backup.counts:
        raise InvalidInputError(f"FILE: expected {backup.counts} rows, got {counts}")
    sql_migrations.migrate(connection, sql_migrations.head())
    epoch = str(uuid.uuid4())
    connection.execute(update(tables["store"]).values(epoch=epoch))
    return Restored(epoch, counts)


def _insert(connection: Connection, table: Table, rows: list[Row]) -> None:
    read: dict[str, Any] = {}
    for column in table.columns:
        if isinstance(column.type, LargeBinary):
            read[column.name] = bytes_of
        elif isinstance(column.type, DateTime):
            read[column.name] = time_of
    for row in rows:
        for name in read.keys() & row.keys():
            row[name] = None if row[name] is None else read[name](row[name])
    connection.execute(insert(table), rows)


def _drop(connection: Connection) -> None:
    version = Table(VERSION_TABLE, MetaData())
    for table in [*reversed(tables_in(connection).values()), version]:
        connection.execute(DropTable(table, if_exists=True))


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _check_replaceable(connection: Connection, *, is_forced: bool) -> None:
    schema = sql_migrations.current(connection)
    if schema and schema not in sql_migrations.known():
        raise ConfigurationError(
            f"EXEMPLAR_STORE_URL: the schema {schema} of what is there is newer than this server"
        )
    tables = tables_in(connection) if schema else {}
    if "tenant" in tables and _count(connection, tables["tenant"]) and not is_forced:
        raise ConfigurationError(
            "EXEMPLAR_STORE_URL: expected an empty store, got one with tenants in it: "
            "--force replaces all that is there"
        )


def _check_alone(database: Database) -> None:
    """A running server would go on with what it holds, and on SQLite beside another writer."""
    if database.write_engine.dialect.name == "sqlite":
        is_alone = _is_only_user(database.name)
    else:
        with database.read_engine.begin() as connection:
            is_alone = not connection.execute(OTHERS).scalar_one()
        database.read_engine.dispose()
    if not is_alone:
        raise ConfigurationError(
            f"EXEMPLAR_STORE_URL: {database.name} is in use: stop the servers that use it first"
        )


def _is_only_user(path: str) -> bool:
    """An exclusive lock of the file is only to be had where nobody else has it open."""
    opened = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        opened.execute("PRAGMA locking_mode=EXCLUSIVE").close()
        opened.execute("BEGIN IMMEDIATE").close()
        opened.execute("COMMIT").close()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise StoreUnavailableError(f"EXEMPLAR_STORE_URL: {path}: {error}") from error
    finally:
        opened.close()
    return True
