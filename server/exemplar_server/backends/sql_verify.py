"""Looks through a whole store for what must not be: bit rot, wrong counters, rows of nobody."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from exemplar_server.backends import sql_migrations
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_backup import reading
from exemplar_server.core.verification import check_of, is_intact
from exemplar_server.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Select

    from exemplar_server.core.verification import Check

FLOAT_BYTES = 4
ROWS_AT_ONCE = 256
EMBEDDINGS = (schema.embedding, schema.past_embedding)
IMAGES = (schema.image, schema.past_image)
# Keyed by a support set's incarnation.
PARTS = (
    schema.exemplar,
    schema.removal,
    schema.snapshot,
    schema.past_exemplar,
    *EMBEDDINGS,
    *IMAGES,
)

Names = dict[str, str]  # tenant/support set, by incarnation


def verify(url: str) -> list[Check]:
    """All of one moment, while servers go on. Reads every byte of every embedding.

    Raises:
        ConfigurationError: the store's schema is not this server's.
        StoreUnavailableError: there is no store, or it cannot be read.
    """
    with reading(url) as connection:
        if sql_migrations.current(connection) != sql_migrations.head():
            raise ConfigurationError(
                "EXEMPLAR_STORE_URL: the store's schema is older than this server: "
                "start the server once, which upgrades it"
            )
        names = _names(connection)
        return [
            check_of("pages of the file", _pages(connection)),
            check_of("embeddings: bytes and checksum", _embeddings(connection, names)),
            check_of("exemplars: an embedding each", _exemplars(connection, names)),
            check_of("images: an exemplar each", _images(connection, names)),
            check_of("support sets: counters", _set_counters(connection, names)),
            check_of("tenants: counters", _tenant_counters(connection)),
            check_of("parts: a support set each", _orphans(connection)),
        ]


def _pages(connection: Connection) -> Iterator[str | None]:
    """SQLite's own look at its file; PostgreSQL has checksums of its own."""
    if connection.dialect.name != "sqlite":
        return
    for (found,) in connection.exec_driver_sql("PRAGMA quick_check"):
        yield None if found == "ok" else str(found)


def _embeddings(connection: Connection, names: Names) -> Iterator[str | None]:
    s = schema.support_set.c
    for table in EMBEDDINGS:
        v = table.c
        is_current = v.fingerprint == s.fingerprint
        query = select(v.incarnation, v.exemplar_id, v["values"], v.crc32, s.dim, is_current)
        joined = table.outerjoin(schema.support_set, s.incarnation == v.incarnation)
        rows = _streamed(connection, query.select_from(joined))
        for incarnation, exemplar_id, values, crc32, dim, must_fit in rows:
            is_right = is_intact(values, crc32)
            if is_right and (not must_fit or len(values) == FLOAT_BYTES * dim):
                yield None
            else:
                yield f"{names.get(incarnation, incarnation)}/{exemplar_id}: {table.name}"


def _exemplars(connection: Connection, names: Names) -> Iterator[str | None]:
    e, v, s = schema.exemplar.c, schema.embedding.c, schema.support_set.c
    its_own = and_(
        v.incarnation == e.incarnation,
        v.exemplar_id == e.exemplar_id,
        v.fingerprint == s.fingerprint,
    )
    rows = schema.exemplar.join(schema.support_set, s.incarnation == e.incarnation)
    query = select(e.incarnation, e.exemplar_id, v.crc32).select_from(
        rows.outerjoin(schema.embedding, its_own)
    )
    for incarnation, exemplar_id, crc32 in _streamed(connection, query):
        missing = f"{names[incarnation]}/{exemplar_id}: has no embedding of its support set's space"
        yield missing if crc32 is None else None


def _images(connection: Connection, names: Names) -> Iterator[str | None]:
    i, e = schema.image.c, schema.exemplar.c
    its_own = and_(e.incarnation == i.incarnation, e.exemplar_id == i.exemplar_id)
    query = select(i.incarnation, i.exemplar_id, func.length(i.bytes), e.exemplar_id).select_from(
        schema.image.outerjoin(schema.exemplar, its_own)
    )
    for incarnation, exemplar_id, size, owner in _streamed(connection, query):
        is_right = size > 0 and owner is not None
        wrong = f"{names.get(incarnation, incarnation)}/{exemplar_id}: an image of no exemplar"
        yield None if is_right else wrong


def _set_counters(connection: Connection, names: Names) -> Iterator[str | None]:
    s = schema.support_set.c
    exemplars = _by_set(connection, schema.exemplar, func.count())
    sizes = _sizes(connection)
    query = select(s.incarnation, s.exemplar_count, s.stored_bytes)
    for incarnation, exemplar_count, stored_bytes in connection.execute(query):
        expected = exemplars[incarnation], sizes[incarnation]
        yield _compared(names[incarnation], (exemplar_count, stored_bytes), expected)


def _tenant_counters(connection: Connection) -> Iterator[str | None]:
    s, t, v = schema.support_set.c, schema.tenant.c, schema.past_embedding.c
    exemplars, sizes = _by_set(connection, schema.exemplar, func.count()), _sizes(connection)
    contents = select(v.incarnation, v.exemplar_id, v.content_revision).distinct().subquery()
    kept = _by_set(connection, contents, func.count())
    totals: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for owner, incarnation in connection.execute(select(s.tenant, s.incarnation)):
        count, size = totals[owner]
        count += exemplars[incarnation] + kept[incarnation]
        totals[owner] = count, size + sizes[incarnation]
    query = select(t.incarnation, t.name, t.exemplar_count, t.stored_bytes)
    for incarnation, name, exemplar_count, stored_bytes in connection.execute(query):
        yield _compared(name, (exemplar_count, stored_bytes), totals[incarnation])


def _orphans(connection: Connection) -> Iterator[str | None]:
    """What is being deleted for good is nobody's no more, and goes bit by bit."""
    known = set(connection.execute(select(schema.support_set.c.incarnation)).scalars())
    known |= set(connection.execute(select(schema.purge.c.incarnation)).scalars())
    for table in PARTS:
        for incarnation, count in _by_set(connection, table, func.count()).items():
            wrong = f"{table.name}: {count} rows of support set {incarnation}, which is not there"
            yield None if incarnation in known else wrong


def _streamed(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    """Not all rows at once."""
    yield from connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE))


def _names(connection: Connection) -> Names:
    s, t = schema.support_set.c, schema.tenant.c
    query = select(s.incarnation, t.name, s.name).join(schema.tenant, t.incarnation == s.tenant)
    return {row[0]: f"{row[1]}/{row[2]}" for row in connection.execute(query)}


def _sizes(connection: Connection) -> Counter[str]:
    """Bytes of embeddings and images by support set."""
    sizes: Counter[str] = Counter()
    for table in EMBEDDINGS:
        sizes.update(_by_set(connection, table, func.sum(func.length(table.c["values"]))))
    for table in IMAGES:
        sizes.update(_by_set(connection, table, func.sum(func.length(table.c.bytes))))
    return sizes


def _by_set(connection: Connection, table: Any, value: ColumnElement[int]) -> Counter[str]:
    column = table.c.incarnation
    query = select(column, value).select_from(table).group_by(column)
    return Counter({row[0]: int(row[1]) for row in connection.execute(query)})


def _compared(name: str, told: tuple[int, int], counted: tuple[int, int]) -> str | None:
    if told == counted:
        return None
    return (
        f"{name}: says {told[0]} exemplars and {told[1]} bytes, "
        f"has {counted[0]} exemplars and {counted[1]} bytes"
    )
