"""What the job of a backbone upgrade reads and writes, each within the caller's one transaction.

Embeddings of another fingerprint lie beside those in use, and nobody sees them before the switch:
every query asks for the fingerprint in the support set's own row.

Shapes: N exemplars, D dim.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_queries, sql_tenants
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_rows import Done, bumped, locked, of
from exemplar_server.backends.sql_tenants import Growth
from exemplar_server.core.exemplars import Change
from exemplar_server.core.limits import Quotas
from exemplar_server.core.upgrade_ports import Pending, Sample, UpgradeJob
from exemplar_server.core.upgrades import ROLLING_BACK, UNDER_WAY, Progress, Space
from exemplar_server.errors import CorruptSupportSetError, NotFoundError, RevisionMismatchError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Row

    from exemplar_server.core.exemplars import SupportSet
    from exemplar_server.core.upgrade_ports import Reembedded
    from exemplar_server.core.upgrades import Gate


def jobs(connection: Connection) -> list[UpgradeJob]:
    u, s, t = schema.upgrade.c, schema.support_set.c, schema.tenant.c
    query = (
        select(schema.upgrade, s.name, t.name.label("tenant"))
        .join(schema.support_set, s.incarnation == u.incarnation)
        .join(schema.tenant, t.incarnation == s.tenant)
        .where(u.state.in_(UNDER_WAY))
        .order_by(u.created, u.incarnation)
    )
    return [
        UpgradeJob(row.tenant, row.name, row.incarnation, row.state, row.is_forced, goal(row))
        for row in connection.execute(query)
    ]


def goal(row: Row[Any]) -> Space:
    """Whose embeddings are made: the old ones where it is rolled back."""
    return source_of(row) if row.state == ROLLING_BACK else target_of(row)


def source_of(row: Row[Any]) -> Space:
    return Space(row.from_backbone, row.from_fingerprint, row.from_dim)


def target_of(row: Row[Any]) -> Space:
    return Space(row.to_backbone, row.to_fingerprint, row.to_dim)


def start_of(connection: Connection, job: UpgradeJob, share: float) -> str:
    e = schema.exemplar.c
    mine = e.incarnation == job.incarnation
    count = connection.execute(select(func.count()).where(mine)).scalar_one()
    query = select(e.exemplar_id).where(mine).order_by(e.exemplar_id)
    found = connection.execute(query.offset(int(share * count)).limit(1)).scalar_one_or_none()
    return found or ""


def pending(connection: Connection, job: UpgradeJob, after: str, count: int) -> list[Pending]:
    e, i = schema.exemplar.c, schema.image.c
    same_image = and_(i.incarnation == e.incarnation, i.exemplar_id == e.exemplar_id)
    query = (
        select(e.exemplar_id, e.content_revision, i.bytes)
        .join(schema.image, same_image)
        .where(_lacks(job.incarnation, job.goal.fingerprint), e.exemplar_id > after)
        .order_by(e.exemplar_id)
        .limit(count)
    )
    return [Pending(row[0], row[1], row[2]) for row in connection.execute(query)]


def progress(connection: Connection, incarnation: str, fingerprint: str) -> Progress:
    v, e, i = schema.embedding.c, schema.exemplar.c, schema.image.c
    embedded = select(func.count()).where(
        v.incarnation == incarnation, v.fingerprint == fingerprint
    )
    image = select(i.exemplar_id).where(
        i.incarnation == e.incarnation, i.exemplar_id == e.exemplar_id
    )
    needing = select(func.count()).where(_lacks(incarnation, fingerprint), ~image.exists())
    return Progress(
        connection.execute(embedded).scalar_one(), connection.execute(needing).scalar_one()
    )


def keep(connection: Connection, job: UpgradeJob, embedded: Sequence[Reembedded]) -> None:
    target = _held(connection, job)
    wanted = _still_pending(connection, job, [one.pending.exemplar_id for one in embedded])
    rows: list[dict[str, Any]] = [
        {
            "incarnation": job.incarnation,
            "exemplar_id": one.pending.exemplar_id,
            "fingerprint": job.goal.fingerprint,
            "values": (blob := one.embedding_E.astype("<f4").tobytes()),
            "crc32": zlib.crc32(blob),
        }
        for one in embedded
        if wanted.get(one.pending.exemplar_id) == one.pending.content_revision
    ]
    if rows:
        connection.execute(insert(schema.embedding), rows)
        size_bytes = sum(len(row["values"]) for row in rows)
        count_bytes(connection, job.tenant, target, size_bytes)


def _still_pending(
    connection: Connection, job: UpgradeJob, exemplar_ids: Sequence[str]
) -> dict[str, int]:
    """The content revisions of those that are there and have no new embedding."""
    e = schema.exemplar.c
    query = select(e.exemplar_id, e.content_revision).where(
        _lacks(job.incarnation, job.goal.fingerprint), e.exemplar_id.in_(exemplar_ids)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def sample(connection: Connection, job: UpgradeJob, most: int) -> Sample:
    target = _found(connection, job)
    _check_complete(connection, target, job.goal.fingerprint)
    e = schema.exemplar.c
    query = select(e.exemplar_id, e.label).where(e.incarnation == job.incarnation)
    named = connection.execute(query.order_by(e.exemplar_id)).all()
    count = min(len(named), most)
    some = [named[row] for row in np.linspace(0, len(named) - 1, count).astype(np.int64)]
    ids = [row[0] for row in some]
    current = Space(target.backbone, target.fingerprint, target.dim)
    old_ND, new_NE = (_embeddings(connection, target, s, ids) for s in (current, job.goal))
    return Sample(target.revision, [row[1] for row in some], old_ND, new_NE)


def _embeddings(
    connection: Connection, target: SupportSet, space: Space, exemplar_ids: Sequence[str]
) -> NDArray[np.float32]:
    v = schema.embedding.c
    rows_ND = np.empty((len(exemplar_ids), space.dim), np.float32)
    for start in range(0, len(exemplar_ids), sql_queries.IDS_A_STATEMENT):
        some = exemplar_ids[start : start + sql_queries.IDS_A_STATEMENT]
        query = select(v.exemplar_id, v["values"], v.crc32).where(
            of(schema.embedding, target, some), v.fingerprint == space.fingerprint
        )
        found = {row[0]: (row[1], row[2]) for row in connection.execute(query)}
        for number, exemplar_id in enumerate(some, start):
            values, crc32 = found[exemplar_id]
            if zlib.crc32(values) != crc32 or len(values) != 4 * space.dim:
                raise CorruptSupportSetError(f"support set {target.name!r}: a corrupt embedding")
            rows_ND[number] = np.frombuffer(values, "<f4")
    return rows_ND


def switch(
    connection: Connection, job: UpgradeJob, state: str, gate: Gate | None, revision: int | None
) -> Done:
    target = _held(connection, job, revision)
    _check_complete(connection, target, job.goal.fingerprint)
    _set_state(connection, job, state, gate, "")
    return switched(connection, target, job.goal)


def switched(connection: Connection, target: SupportSet, space: Space) -> Done:
    """The one switch: `target`, which is locked, is of `space` from its next revision on."""
    s = schema.support_set.c
    this = update(schema.support_set).where(s.incarnation == target.incarnation)
    name = space.backbone.partition("@")[0]
    connection.execute(this.values(fingerprint=space.fingerprint, backbone=name, dim=space.dim))
    revision, count = bumped(connection, target, Growth(0, 0))
    return Done(Change(revision, count), target.incarnation)


def settle(
    connection: Connection, job: UpgradeJob, state: str, gate: Gate | None, message: str
) -> None:
    _held(connection, job)
    _set_state(connection, job, state, gate, message)


def lacking(connection: Connection, target: SupportSet, fingerprint: str) -> int:
    """How many exemplars have no embedding of this space."""
    query = select(func.count()).where(_lacks(target.incarnation, fingerprint))
    return connection.execute(query).scalar_one()


def drop_others(
    connection: Connection, tenant: str, target: SupportSet, fingerprints: Collection[str]
) -> None:
    """Drops the embeddings of all other spaces."""
    v = schema.embedding.c
    others = and_(v.incarnation == target.incarnation, v.fingerprint.not_in(fingerprints))
    sizes = select(func.coalesce(func.sum(func.length(v["values"])), 0)).where(others)
    size_bytes = int(connection.execute(sizes).scalar_one())
    connection.execute(sql_delete(schema.embedding).where(others))
    count_bytes(connection, tenant, target, -size_bytes)


def count_bytes(connection: Connection, tenant: str, target: SupportSet, size_bytes: int) -> None:
    """No quota stops an upgrade: the operator wants it, and its end gives the bytes back."""
    s = schema.support_set.c
    this = update(schema.support_set).where(s.incarnation == target.incarnation)
    connection.execute(this.values(stored_bytes=s.stored_bytes + size_bytes))
    sql_tenants.count(connection, tenant, Growth(0, size_bytes), Quotas())


def _lacks(incarnation: str, fingerprint: str) -> ColumnElement[bool]:
    e, v = schema.exemplar.c, schema.embedding.c
    has = select(v.exemplar_id).where(
        v.incarnation == e.incarnation,
        v.exemplar_id == e.exemplar_id,
        v.fingerprint == fingerprint,
    )
    return and_(e.incarnation == incarnation, ~has.exists())


def _check_complete(connection: Connection, target: SupportSet, fingerprint: str) -> None:
    if count := lacking(connection, target, fingerprint):
        raise RevisionMismatchError(
            f"support set {target.name!r}: {count} exemplars have no new embedding yet"
        )


def _held(connection: Connection, job: UpgradeJob, revision: int | None = None) -> SupportSet:
    """The job's support set, locked, while the job goes on."""
    target = locked(connection, job.tenant, job.name, revision)
    return _checked(connection, job, target)


def _found(connection: Connection, job: UpgradeJob) -> SupportSet:
    return _checked(connection, job, sql_queries.support_set(connection, job.tenant, job.name))


def _checked(connection: Connection, job: UpgradeJob, target: SupportSet) -> SupportSet:
    query = select(schema.upgrade).where(schema.upgrade.c.incarnation == job.incarnation)
    row = connection.execute(query).one_or_none()
    is_same = row is not None and (row.state, goal(row)) == (job.state, job.goal)
    if target.incarnation != job.incarnation or not is_same:
        raise NotFoundError(f"support set {job.name!r}: its upgrade is over")
    return target


def _set_state(
    connection: Connection, job: UpgradeJob, state: str, gate: Gate | None, message: str
) -> None:
    this = update(schema.upgrade).where(schema.upgrade.c.incarnation == job.incarnation)
    figures = {} if gate is None else gate_values(gate)
    connection.execute(this.values(state=state, message=message[:MESSAGE_LENGTH], **figures))


MESSAGE_LENGTH = 1000


def gate_values(gate: Gate) -> dict[str, float]:
    return {
        "from_accuracy": gate.old_accuracy,
        "to_accuracy": gate.new_accuracy,
        "measured_count": gate.exemplar_count,
    }
