"""Copies a support set inside the database, in the caller's one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, literal, select, update

from exemplar_server.backends import sql_answers, sql_tenants
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_changes import Space, insert_support_set
from exemplar_server.backends.sql_history import total_bytes
from exemplar_server.backends.sql_rows import Done, locked, take_time
from exemplar_server.backends.sql_tenants import Growth
from exemplar_server.core.exemplars import Change

if TYPE_CHECKING:
    from exemplar_server.core.exemplars import RequestKey, SupportSet
    from exemplar_server.core.limits import Quotas


def copy(
    connection: Connection,
    tenant: str,
    name: str,
    new_name: str,
    *,
    min_revision: int,
    quotas: Quotas,
    key: RequestKey,
) -> Done:
    """Copies what is live: snapshots stay with the source."""
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    take_time(connection)
    source = locked(connection, tenant, name)
    source.check_reached(min_revision)
    owner = sql_tenants.incarnation(connection, tenant)
    space = Space(source.backbone, source.fingerprint, source.dim)
    incarnation = insert_support_set(
        connection, owner, new_name, space, keep_images=source.keep_images
    )
    # Not locked yet: the tenant's other changes need not wait until everything is copied.
    floor = sql_tenants.last_revision(connection, owner, is_locked=False)
    _copy_rows(connection, source, incarnation, floor + 1)
    growth = Growth(source.exemplar_count, _stored_bytes(connection, incarnation))
    change = Change(sql_tenants.last_revision(connection, owner) + 1, source.exemplar_count)
    this = update(schema.support_set).where(schema.support_set.c.incarnation == incarnation)
    connection.execute(
        this.values(
            revision=change.revision,
            exemplar_count=change.exemplar_count,
            stored_bytes=growth.bytes,
        )
    )
    sql_tenants.count(connection, tenant, growth, quotas)
    sql_answers.keep(connection, tenant, key, change, incarnation)
    return Done(change, incarnation)


def _copy_rows(connection: Connection, source: SupportSet, incarnation: str, revision: int) -> None:
    now = {"revision": literal(revision), "content_revision": literal(revision)}
    for table in (schema.exemplar, schema.embedding, schema.image):
        changed = {"incarnation": literal(incarnation)} | (now if table is schema.exemplar else {})
        names = [column.name for column in table.columns]
        rows = select(*(changed.get(name, table.c[name]) for name in names)).where(
            table.c.incarnation == source.incarnation
        )
        if table is schema.embedding:
            rows = rows.where(table.c.fingerprint == source.fingerprint)
        connection.execute(insert(table).from_select(names, rows))


def _stored_bytes(connection: Connection, incarnation: str) -> int:
    return sum(
        total_bytes(connection, table, column, table.c.incarnation == incarnation)
        for table, column in ((schema.embedding, "values"), (schema.image, "bytes"))
    )
