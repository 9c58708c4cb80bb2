"""The store on SQL: schema upgrade at start, one writer with group commit, readers beside it.

SQLite: write-ahead log, synchronous=FULL, and exactly one connection that writes and checkpoints
(releases before 3.51.3 can lose pages where two do: the WAL-reset bug).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from exemplar_server.backends import sql_changes, sql_queries
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_writer import Writer
from exemplar_server.errors import ConfigurationError, NotServingError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exemplar_server.core.exemplars import (
        Change,
        Delta,
        Exemplar,
        ItemResult,
        Listing,
        NewExemplar,
        RequestKey,
        SupportSet,
    )

T = TypeVar("T")

READERS = 4
# 16 KiB pages: three embeddings of 5 KiB fit into one, where 4 KiB pages take two for each.
PRAGMAS = ("page_size=16384", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
READER_PRAGMAS = ("query_only=ON", "wal_autocheckpoint=0")


class SqlStore:
    """Implements core.ports.Store. One event loop only; the work is done on its own threads."""

    def __init__(self, url: str) -> None:
        """Opens the store and brings its schema up to date.

        Raises:
            ConfigurationError: not a URL that can be used, or a schema newer than this server.
            StoreUnavailableError: the file cannot be opened or written.
        """
        path = _sqlite_path(url)
        try:
            self._write_engine = _engine(path, PRAGMAS, begin="BEGIN IMMEDIATE")
            _upgrade(self._write_engine)
            self._read_engine = _engine(path, READER_PRAGMAS, begin="BEGIN")
            with self._read_engine.begin() as connection:
                self.epoch: str = connection.execute(select(schema.store.c.epoch)).scalar_one()
        except DBAPIError as error:
            raise StoreUnavailableError(
                f"EXEMPLAR_STORE_URL: {path}: cannot open the store: {error.orig}: "
                "expected a store of this server, or none in a folder that can be written"
            ) from error
        self._writer = Writer(self._write_engine)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    def close(self) -> None:
        """Answers every waiting mutation, then folds the write-ahead log into the file."""
        self._writer.stop()
        self._readers.shutdown()
        self._read_engine.dispose()
        self._write_engine.dispose()

    async def create(
        self,
        tenant: str,
        name: str,
        *,
        backbone: str,
        fingerprint: str,
        dim: int,
        keep_images: bool,
        key: RequestKey,
    ) -> SupportSet:
        space = sql_changes.Space(backbone, fingerprint, dim)

        def create_now(connection: Connection) -> SupportSet:
            sql_changes.create(connection, tenant, name, space, keep_images=keep_images, key=key)
            return sql_queries.support_set(connection, tenant, name)

        return await self._write(create_now)

    async def delete(
        self, tenant: str, name: str, *, expected_revision: int | None, key: RequestKey
    ) -> Change:
        return await self._write(
            lambda c: sql_changes.delete(c, tenant, name, expected_revision, key)
        )

    async def add(
        self,
        tenant: str,
        support_set: SupportSet,
        exemplars: Sequence[NewExemplar | ItemResult],
        *,
        all_or_nothing: bool,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self._write(
            lambda c: sql_changes.add(
                c,
                tenant,
                support_set,
                exemplars,
                all_or_nothing=all_or_nothing,
                expected_revision=expected_revision,
                key=key,
            )
        )

    async def remove(
        self,
        tenant: str,
        name: str,
        exemplar_ids: Sequence[str],
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self._write(
            lambda c: sql_changes.remove(
                c, tenant, name, exemplar_ids, expected_revision=expected_revision, key=key
            )
        )

    async def replay(self, tenant: str, key: RequestKey) -> Change | None:
        return await self._read(lambda c: sql_changes.replay(c, tenant, key))

    async def get(self, tenant: str, name: str) -> SupportSet:
        return await self._read(lambda c: sql_queries.support_set(c, tenant, name))

    async def describe(self, tenant: str, name: str) -> tuple[SupportSet, dict[str, int]]:
        def describe_now(connection: Connection) -> tuple[SupportSet, dict[str, int]]:
            found = sql_queries.support_set(connection, tenant, name)
            return found, sql_queries.label_counts(connection, found)

        return await self._read(describe_now)

    async def page(self, tenant: str, after: str, count: int) -> list[SupportSet]:
        return await self._read(lambda c: sql_queries.page(c, tenant, after, count))

    async def exemplars(
        self, tenant: str, name: str, listing: Listing
    ) -> tuple[SupportSet, list[Exemplar]]:
        def list_now(connection: Connection) -> tuple[SupportSet, list[Exemplar]]:
            found = sql_queries.support_set(connection, tenant, name)
            return found, sql_queries.exemplars(connection, found, listing)

        return await self._read(list_now)

    async def delta(self, tenant: str, name: str, incarnation: str, revision: int) -> Delta:
        return await self._read(lambda c: sql_queries.delta(c, tenant, name, incarnation, revision))

    async def images(self, incarnation: str, exemplar_ids: Sequence[str]) -> dict[str, bytes]:
        return await self._read(lambda c: sql_queries.images(c, incarnation, exemplar_ids))

    async def _write(self, run: Callable[[Connection], T]) -> T:
        return await asyncio.wrap_future(self._writer.submit(run))

    async def _read(self, run: Callable[[Connection], T]) -> T:
        try:
            answer = self._readers.submit(self._read_now, run)
        except RuntimeError as error:  # the threads were shut down
            raise NotServingError("the store is closed") from error
        return await asyncio.wrap_future(answer)

    def _read_now(self, run: Callable[[Connection], T]) -> T:
        try:
            with self._read_engine.begin() as connection:
                return run(connection)
        except DBAPIError as error:
            raise StoreUnavailableError(f"the store cannot be read: {error.orig}") from error


def _sqlite_path(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(f"EXEMPLAR_STORE_URL: not a URL: {url!r}") from error
    if parsed.drivername != "sqlite" or not parsed.database:
        raise ConfigurationError(f"EXEMPLAR_STORE_URL: expected sqlite:///PATH, got {url!r}")
    path = Path(parsed.database)
    if not path.parent.is_dir():
        raise ConfigurationError(f"EXEMPLAR_STORE_URL: {path.parent}: no such folder")
    return path


def _engine(path: Path, pragmas: Sequence[str], begin: str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"check_same_thread": False}, pool_size=READERS
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy, not pysqlite, says when to begin
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _upgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigurationError(
                f"EXEMPLAR_STORE_URL: the store's schema is newer than this server: {error}"
            ) from error
