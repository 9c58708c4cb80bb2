"""Revisions with a name, and the way back to them, each within the caller's one transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, insert, select
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_answers, sql_history, sql_queries, sql_tenants
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_rows import Done, bumped, grown, locked, take_time
from exemplar_server.core.exemplars import Change, SavedSnapshot
from exemplar_server.core.limits import Quotas
from exemplar_server.errors import (
    AlreadyExistsError,
    FingerprintMismatchError,
    LimitExceededError,
    NotFoundError,
)

if TYPE_CHECKING:
    from sqlalchemy import Row, Select

    from exemplar_server.core.exemplars import RequestKey, SupportSet


def create(
    connection: Connection,
    tenant: str,
    name: str,
    snapshot: str,
    *,
    most: int,
    expected_revision: int | None,
    key: RequestKey,
) -> Done:
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    target = locked(connection, tenant, name, expected_revision)
    taken = {row.name for row in connection.execute(_snapshots(target))}
    if snapshot in taken:
        raise AlreadyExistsError(f"support set {name!r} has a snapshot {snapshot!r} already")
    if len(taken) >= most:
        raise LimitExceededError(
            f"snapshot: expected up to {most} of a support set, got {len(taken) + 1}: delete one"
        )
    connection.execute(
        insert(schema.snapshot).values(
            incarnation=target.incarnation,
            name=snapshot,
            revision=target.revision,
            fingerprint=target.fingerprint,
            exemplar_count=target.exemplar_count,
            created=datetime.now(UTC),
        )
    )
    change = Change(target.revision, target.exemplar_count)
    return Done(sql_answers.keep(connection, tenant, key, change, target.incarnation))


def page(connection: Connection, tenant: str, name: str) -> list[SavedSnapshot]:
    """All there are, by name."""
    target = sql_queries.support_set(connection, tenant, name)
    return [_saved(row) for row in connection.execute(_snapshots(target))]


def delete(connection: Connection, tenant: str, name: str, snapshot: str, key: RequestKey) -> Done:
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    take_time(connection)
    target = locked(connection, tenant, name)
    s = schema.snapshot.c
    this = sql_delete(schema.snapshot).where(_of(target), s.name == snapshot)
    if not connection.execute(this).rowcount:
        raise _missing(name, snapshot)
    growth = sql_history.purge(connection, target)
    grown(connection, target, growth)
    sql_tenants.count(connection, tenant, growth, Quotas())
    change = Change(target.revision, target.exemplar_count)
    return Done(sql_answers.keep(connection, tenant, key, change, target.incarnation))


def roll_back(
    connection: Connection,
    tenant: str,
    name: str,
    to: str | int,
    *,
    expected_revision: int | None,
    key: RequestKey,
) -> Done:
    """`to`: a snapshot, or a revision that has one."""
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    take_time(connection)
    target = locked(connection, tenant, name, expected_revision)
    revision = _revision(connection, target, to)
    came, relabelled = sql_history.changed_since(connection, target, revision)
    growth = sql_history.end(connection, target, came)
    sql_history.relabel(connection, target, relabelled)
    growth += sql_history.without_rows(connection, target, relabelled)
    growth += sql_history.revive(connection, target, revision)
    change = Change(*bumped(connection, target, growth))
    sql_tenants.count(connection, tenant, growth, Quotas())
    sql_answers.keep(connection, tenant, key, change, target.incarnation)
    return Done(change, target.incarnation)


def _revision(connection: Connection, target: SupportSet, to: str | int) -> int:
    s = schema.snapshot.c
    is_it = s.name == to if isinstance(to, str) else s.revision == to
    found = connection.execute(_snapshots(target).where(is_it)).first()
    if found is None:
        raise _missing(target.name, to)
    if found.fingerprint != target.fingerprint:
        raise FingerprintMismatchError(
            f"snapshot {found.name!r} is of fingerprint {found.fingerprint[:12]}, support set "
            f"{target.name!r} is of {target.fingerprint[:12]} now"
        )
    revision: int = found.revision
    return revision


def _snapshots(target: SupportSet) -> Select[Any]:
    s = schema.snapshot.c
    columns = (s.name, s.revision, s.fingerprint, s.exemplar_count, s.created)
    return select(*columns).where(_of(target)).order_by(s.name)


def _of(target: SupportSet) -> ColumnElement[bool]:
    return schema.snapshot.c.incarnation == target.incarnation


def _saved(row: Row[Any]) -> SavedSnapshot:
    created = row.created if row.created.tzinfo else row.created.replace(tzinfo=UTC)
    return SavedSnapshot(row.name, row.revision, row.exemplar_count, created)


def _missing(name: str, snapshot: str | int) -> NotFoundError:
    what = f"{snapshot!r}" if isinstance(snapshot, str) else f"of revision {snapshot}"
    return NotFoundError(f"support set {name!r} has no snapshot {what}")
