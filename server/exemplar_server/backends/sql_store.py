"""The store on SQL: schema upgrade at start, writing beside reading, the same on each dialect.

What differs between SQLite and PostgreSQL is in sql_sqlite.py and sql_postgres.py.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from exemplar_server.backends import sql_answers, sql_changes, sql_migrations, sql_queries
from exemplar_server.backends.sql_lifecycle import SqlLifecycle
from exemplar_server.backends.sql_open import open_database
from exemplar_server.backends.sql_readers import Readers
from exemplar_server.core.exemplars import Hint
from exemplar_server.core.limits import Quotas
from exemplar_server.errors import ConfigurationError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Sequence
    from concurrent.futures import Future

    from exemplar_server.backends.sql_database import Database
    from exemplar_server.backends.sql_rows import Done
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

NO_QUOTAS = Quotas()


class SqlStore(SqlLifecycle):
    """Implements core.ports.Store. One event loop only; the work is done on its own threads."""

    def __init__(self, url: str, quotas: Quotas = NO_QUOTAS) -> None:
        """Opens the store and brings its schema up to date.

        Raises:
            ConfigurationError: not a URL that can be used, or a schema newer than this server.
            StoreUnavailableError: the store cannot be opened or written.
        """
        self._quotas = quotas
        self._database = open_database(url)
        with ExitStack() as stack:
            stack.callback(self._database.dispose)
            _upgrade(self._database)
            stack.pop_all()
        self._feed = self._database.start_feed()
        self._writer = self._database.start_writing()
        self._readers = Readers(self._database)
        self.go_on_deleting()

    def close(self) -> None:
        """Answers every waiting mutation first."""
        self._writer.stop()
        self._feed.stop()
        self._readers.stop()
        self._database.dispose()

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

        return await self.write(create_now)

    async def delete(
        self, tenant: str, name: str, *, expected_revision: int | None, key: RequestKey
    ) -> Change:
        ended = await self.change(
            lambda c: sql_changes.delete(c, tenant, name, expected_revision, key), makes_room=True
        )
        self._writer.scrub()
        return ended

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
        return await self.change(
            lambda c: sql_changes.add(
                c,
                tenant,
                support_set,
                exemplars,
                all_or_nothing=all_or_nothing,
                expected_revision=expected_revision,
                quotas=self._quotas,
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
        return await self.change(
            lambda c: sql_changes.remove(
                c, tenant, name, exemplar_ids, expected_revision=expected_revision, key=key
            ),
            makes_room=True,
        )

    async def replay(self, tenant: str, key: RequestKey) -> Change | None:
        return await self.read(lambda c: sql_answers.replay(c, tenant, key))

    async def get(self, tenant: str, name: str) -> SupportSet:
        return await self.read(lambda c: sql_queries.support_set(c, tenant, name))

    async def describe(self, tenant: str, name: str) -> tuple[SupportSet, dict[str, int]]:
        def describe_now(connection: Connection) -> tuple[SupportSet, dict[str, int]]:
            found = sql_queries.support_set(connection, tenant, name)
            return found, sql_queries.label_counts(connection, found)

        return await self.read(describe_now)

    async def page(self, tenant: str, after: str, count: int) -> list[SupportSet]:
        return await self.read(lambda c: sql_queries.page(c, tenant, after, count))

    async def exemplars(
        self, tenant: str, name: str, listing: Listing
    ) -> tuple[SupportSet, list[Exemplar]]:
        def list_now(connection: Connection) -> tuple[SupportSet, list[Exemplar]]:
            found = sql_queries.support_set(connection, tenant, name)
            return found, sql_queries.exemplars(connection, found, listing)

        return await self.read(list_now)

    async def delta(self, tenant: str, name: str, incarnation: str, revision: int) -> Delta:
        return await self.read(lambda c: sql_queries.delta(c, tenant, name, incarnation, revision))

    async def images(self, incarnation: str, exemplar_ids: Sequence[str]) -> dict[str, bytes]:
        return await self.read(lambda c: sql_queries.images(c, incarnation, exemplar_ids))

    async def epoch(self) -> str:
        return await self.read(sql_queries.epoch)

    async def revisions(self, incarnations: Collection[str]) -> dict[str, int]:
        return await self.read(lambda c: sql_queries.revisions(c, incarnations))

    def hints(self) -> AsyncGenerator[Hint | None]:
        return self._feed.hints()

    async def change(
        self, run: Callable[[Connection], Done], *, makes_room: bool = False
    ) -> Change:
        """As `write`; whoever shares the store is told of the change."""
        answer = self._writer.submit(run, makes_room=makes_room)
        answer.add_done_callback(self._tell)  # on the writer's thread, also if the caller left
        return (await asyncio.wrap_future(answer)).change

    def _tell(self, answer: Future[Done]) -> None:
        if answer.cancelled() or answer.exception() is not None:
            return
        done = answer.result()
        if done.incarnation:
            self._feed.tell(Hint(done.incarnation, done.change.revision))

    async def write(self, run: Callable[[Connection], T]) -> T:
        """One transaction, on disk when this returns. For what is part of the store elsewhere."""
        return await asyncio.wrap_future(self._writer.submit(run))

    async def read(self, run: Callable[[Connection], T]) -> T:
        """All of one moment."""
        return await asyncio.wrap_future(self._readers.submit(run))


def _upgrade(database: Database) -> None:
    try:
        with database.write_engine.begin() as connection:
            database.before_upgrade(connection)
            schema = sql_migrations.current(connection)
            _check_known(schema)
            if schema != sql_migrations.head():
                sql_migrations.migrate(connection, sql_migrations.head())
        with database.read_engine.begin() as connection:
            sql_queries.epoch(connection)
    except DBAPIError as error:
        raise StoreUnavailableError(
            f"EXEMPLAR_STORE_URL: {database.name}: cannot open the store: {error.orig}: "
            f"expected a store of this server, or none in {database.place}"
        ) from error


def _check_known(schema: str) -> None:
    if schema and schema not in sql_migrations.known():
        raise ConfigurationError(
            f"EXEMPLAR_STORE_URL: the store's schema {schema} is newer than this server"
        )
