"""What every change of a support set is made of: the locked row, its next revision, tombstones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Table,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_queries
from exemplar_server.backends import sql_schema as schema
from exemplar_server.core.exemplars import Change
from exemplar_server.errors import RevisionMismatchError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from exemplar_server.backends.sql_tenants import Growth
    from exemplar_server.core.exemplars import SupportSet


@dataclass(frozen=True)
class Done:
    """What a mutation came to, and of which support set; of none where nothing was changed now."""

    change: Change
    incarnation: str = ""


def locked(
    connection: Connection, tenant: str, name: str, expected_revision: int | None = None
) -> SupportSet:
    """The support set, locked: replicas that change it come one after the other."""
    target = sql_queries.support_set(connection, tenant, name, is_locked=True)
    if expected_revision not in {None, target.revision}:
        raise RevisionMismatchError(
            f"expected_revision: support set {name!r} is at revision {target.revision}, "
            f"got {expected_revision}"
        )
    return target


def take_time(connection: Connection) -> None:
    """Lifts PostgreSQL's bound on statements, in this transaction: it may be about every row."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def next_revision(target: SupportSet) -> int:
    """What `bumped` comes to: `target` is locked."""
    return target.revision + 1


def bumped(connection: Connection, target: SupportSet, growth: Growth) -> tuple[int, int]:
    """The new revision and exemplar count."""
    s = schema.support_set.c
    row = connection.execute(
        update(schema.support_set)
        .where(s.incarnation == target.incarnation)
        .values(
            revision=s.revision + 1,
            exemplar_count=s.exemplar_count + growth.exemplars,
            stored_bytes=s.stored_bytes + growth.bytes,
        )
        .returning(s.revision, s.exemplar_count)
    ).one()
    return row.revision, row.exemplar_count


def grown(connection: Connection, target: SupportSet, growth: Growth) -> None:
    """Counts what a change of no revision did: it kept or dropped what is not live."""
    s = schema.support_set.c
    this = update(schema.support_set).where(s.incarnation == target.incarnation)
    connection.execute(this.values(stored_bytes=s.stored_bytes + growth.bytes))


def present(connection: Connection, target: SupportSet, exemplar_ids: Sequence[str]) -> set[str]:
    e = schema.exemplar.c
    query = select(e.exemplar_id).where(of(schema.exemplar, target, exemplar_ids))
    return set(connection.execute(query).scalars())


def of(table: Table, target: SupportSet, exemplar_ids: Collection[str]) -> ColumnElement[bool]:
    """The rows of these exemplars of the support set."""
    t = table.c
    return (t.incarnation == target.incarnation) & t.exemplar_id.in_(exemplar_ids)


def deleted(table: Table, target: SupportSet, exemplar_ids: Collection[str]) -> Delete:
    return sql_delete(table).where(of(table, target, exemplar_ids))


def bury(connection: Connection, target: SupportSet, exemplar_ids: Collection[str]) -> None:
    """Tells snapshots of older revisions to drop these exemplars, which are there yet."""
    connection.execute(deleted(schema.removal, target, exemplar_ids))
    e = schema.exemplar.c
    there = select(e.incarnation, e.exemplar_id, literal(next_revision(target)))
    columns = ["incarnation", "exemplar_id", "revision"]
    query = there.where(of(schema.exemplar, target, exemplar_ids))
    connection.execute(insert(schema.removal).from_select(columns, query))
