"""Whole support sets read out of the store and put into it, for exports and imports."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from exemplar_server.backends import sql_queries, sql_staging
from exemplar_server.backends import sql_schema as schema
from exemplar_server.core.exemplars import Listing
from exemplar_server.errors import ExemplarError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exemplar_server.backends.sql_store import SqlStore
    from exemplar_server.core.exemplars import Exemplar, NewExemplar, RequestKey, SupportSet
    from exemplar_server.core.limits import Quotas
    from exemplar_server.core.transfers import Pages, Sink

PAGE_EXEMPLARS = 256
# Images of one page are read so much at a time.
IMAGE_BYTES = 8 * 2**20
# How often a support set is read page by page: a long read keeps SQLite from folding its
# write-ahead log into the file. Where it was changed each time, one long read it is.
PAGED_TRIES = 3
# No import takes so long.
ABANDONED_AFTER = timedelta(days=1)
CHANGED = "*"  # no exemplar has such an id


class SqlTransfers:
    """Implements core.transfers.TransferStore beside a SqlStore, on its threads."""

    def __init__(self, store: SqlStore, quotas: Quotas) -> None:
        self._read = store.read
        self._write = store.write
        self._is_alone = store._database.write_engine.dialect.name == "sqlite"  # noqa: SLF001 - no other half asks for it
        self._quotas = quotas

    async def walk(self, tenant: str, name: str, sink: Sink) -> SupportSet:
        for _ in range(PAGED_TRIES):
            if (walked := await self._paged(tenant, name, sink)) is not None:
                return walked
        return await self._read(lambda c: _walk(c, tenant, name, sink))

    async def take_in(
        self, tenant: str, name: str, like: SupportSet, pages: Pages, key: RequestKey
    ) -> SupportSet:
        await self.sweep(ABANDONED_AFTER)
        staged = await self._write(lambda c: sql_staging.begin(c, like))
        try:
            rows = pages()
            while (page := await asyncio.to_thread(next, rows, None)) is not None:
                await self._write(partial(_add, tenant, staged, page, self._quotas))
            return await self._write(
                lambda c: sql_staging.publish(
                    c,
                    tenant,
                    name,
                    staged,
                    keep_images=like.keep_images,
                    quotas=self._quotas,
                    key=key,
                )
            )
        except BaseException:  # also where the caller left
            await asyncio.shield(self._discard(staged))
            raise

    async def sweep_at_start(self) -> None:
        """A server that has the store for itself finds nobody else's imports in it."""
        await self.sweep(timedelta() if self._is_alone else ABANDONED_AFTER)

    async def sweep(self, age: timedelta) -> None:
        """Deletes what imports of so long ago left behind when their servers were killed."""
        for staged in await self._read(lambda c: sql_staging.abandoned(c, age)):
            await self._discard(staged)

    async def _discard(self, staged: SupportSet) -> None:
        """What cannot be deleted now is swept later; what was published is nobody's no more."""
        with suppress(ExemplarError):
            await self._write(lambda c: sql_staging.discard(c, staged))

    async def _paged(self, tenant: str, name: str, sink: Sink) -> SupportSet | None:
        """None where the support set was changed between two pages."""
        target = await self._read(lambda c: sql_queries.support_set(c, tenant, name))
        sink.begin(target)
        last_id: str | None = ""
        while last_id is not None:
            last_id = await self._read(partial(_hand_page_of_same, target, tenant, last_id, sink))
            if last_id == CHANGED:
                return None
        return target


def _hand_page_of_same(
    target: SupportSet, tenant: str, after: str, sink: Sink, connection: Connection
) -> str | None:
    """As _hand_page; CHANGED where the support set is not as it was."""
    if sql_queries.support_set(connection, tenant, target.name) != target:
        return CHANGED
    return _hand_page(connection, target, after, sink)


def _add(
    tenant: str,
    staged: SupportSet,
    page: Sequence[NewExemplar],
    quotas: Quotas,
    connection: Connection,
) -> None:
    sql_staging.add(connection, tenant, staged, page, quotas)


def _walk(connection: Connection, tenant: str, name: str, sink: Sink) -> SupportSet:
    """All of it in the caller's transaction."""
    target = sql_queries.support_set(connection, tenant, name)
    sink.begin(target)
    last_id: str | None = ""
    while last_id is not None:
        last_id = _hand_page(connection, target, last_id, sink)
    return target


def _hand_page(connection: Connection, target: SupportSet, after: str, sink: Sink) -> str | None:
    """Hands the page with ids above `after` to `sink`; its last id, None when there is none."""
    listing = Listing(after, PAGE_EXEMPLARS, "", embeddings=True)
    page = sql_queries.exemplars(connection, target, listing)
    for some in _few(page, _image_sizes(connection, target, page)):
        ids = [exemplar.exemplar_id for exemplar in some if exemplar.has_image]
        sink.take(some, sql_queries.images(connection, target.incarnation, ids))
    return page[-1].exemplar_id if page else None


def _image_sizes(
    connection: Connection, target: SupportSet, page: Sequence[Exemplar]
) -> dict[str, int]:
    i = schema.image.c
    ids = [exemplar.exemplar_id for exemplar in page if exemplar.has_image]
    query = select(i.exemplar_id, func.length(i.bytes)).where(
        i.incarnation == target.incarnation, i.exemplar_id.in_(ids)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _few(page: Sequence[Exemplar], sizes: dict[str, int]) -> Iterator[list[Exemplar]]:
    """As many exemplars at a time as have images of IMAGE_BYTES, in order."""
    some: list[Exemplar] = []
    total = 0
    for exemplar in page:
        size = sizes.get(exemplar.exemplar_id, 0)
        if some and total + size > IMAGE_BYTES:
            yield some
            some, total = [], 0
        some.append(exemplar)
        total += size
    if some:
        yield some
