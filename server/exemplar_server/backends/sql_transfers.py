"""Whole support sets read out of the store and put into it, for exports and imports."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select, update

from exemplar_server.backends import sql_changes, sql_queries
from exemplar_server.backends import sql_schema as schema
from exemplar_server.core.exemplars import Listing, RequestKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exemplar_server.backends.sql_store import SqlStore
    from exemplar_server.core.exemplars import Exemplar, SupportSet
    from exemplar_server.core.limits import Quotas
    from exemplar_server.core.transfers import Pages, Sink

PAGE_EXEMPLARS = 256
# Images of one page are read so much at a time.
IMAGE_BYTES = 8 * 2**20
# How often a support set is read page by page: a long read keeps SQLite from folding its
# write-ahead log into the file. Where it was changed each time, one long read it is.
PAGED_TRIES = 3
CHANGED = "*"  # no exemplar has such an id
NO_KEY = RequestKey("", "", b"")


class SqlTransfers:
    """Implements core.transfers.TransferStore beside a SqlStore, on its threads."""

    def __init__(self, store: SqlStore, quotas: Quotas) -> None:
        self._read = store._read  # noqa: SLF001 - the other half of the store
        self._write = store._write  # noqa: SLF001 - as above
        self._quotas = quotas

    async def walk(self, tenant: str, name: str, sink: Sink) -> SupportSet:
        for _ in range(PAGED_TRIES):
            if (walked := await self._paged(tenant, name, sink)) is not None:
                return walked
        return await self._read(lambda c: _walk(c, tenant, name, sink))

    async def take_in(
        self, tenant: str, name: str, like: SupportSet, pages: Pages, key: RequestKey
    ) -> SupportSet:
        return await self._write(
            lambda c: _take_in(c, tenant, name, like, pages, quotas=self._quotas, key=key)
        )

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


def _take_in(
    connection: Connection,
    tenant: str,
    name: str,
    like: SupportSet,
    pages: Pages,
    *,
    quotas: Quotas,
    key: RequestKey,
) -> SupportSet:
    """Makes a support set with everything in it, in the caller's one transaction."""
    space = sql_changes.Space(like.backbone, like.fingerprint, like.dim)
    # Whether images are kept is set at the end: those that are in the file were.
    made = sql_changes.create(connection, tenant, name, space, keep_images=True, key=key)
    target = sql_queries.support_set(connection, tenant, name)
    if not made.incarnation:  # a retry
        return target
    for page in pages():
        sql_changes.add(
            connection,
            tenant,
            target,
            page,
            all_or_nothing=True,
            expected_revision=None,
            quotas=quotas,
            key=NO_KEY,
        )
    this = update(schema.support_set).where(schema.support_set.c.incarnation == made.incarnation)
    connection.execute(this.values(keep_images=like.keep_images))
    return sql_queries.support_set(connection, tenant, name)


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
