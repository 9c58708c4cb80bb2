"""What changes the store, each within the caller's one transaction.

Every change bumps the support set's revision by UPDATE ... RETURNING, writes its rows with that
revision, and keeps its answer for retries of the same request.
"""

from __future__ import annotations

import uuid
import zlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Delete, Table, func, insert, select, update
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_answers, sql_queries, sql_tenants
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_tenants import Growth
from exemplar_server.core.exemplars import Change, ItemResult, NewExemplar
from exemplar_server.core.limits import Quotas
from exemplar_server.errors import AlreadyExistsError, NotFoundError, RevisionMismatchError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from exemplar_server.core.exemplars import RequestKey, SupportSet

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Space:
    """The embedding space of a new support set."""

    backbone: str
    fingerprint: str
    dim: int


@dataclass(frozen=True)
class Done:
    """What a mutation came to, and of which support set; of none where nothing was changed now."""

    change: Change
    incarnation: str = ""


def create(
    connection: Connection,
    tenant: str,
    name: str,
    space: Space,
    *,
    keep_images: bool,
    key: RequestKey,
) -> Done:
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    owner = sql_tenants.incarnation(connection, tenant)
    s = schema.support_set.c
    taken = select(s.incarnation).where(s.tenant == owner, s.name == name)
    if connection.execute(taken).one_or_none() is not None:
        raise AlreadyExistsError(f"there is a support set {name!r} already")
    incarnation = _inserted(connection, owner, name, space, keep_images=keep_images)
    # Read when the name is ours: whoever ended the last support set of the name has committed.
    change = Change(sql_tenants.last_revision(connection, owner) + 1, 0)
    this = update(schema.support_set).where(s.incarnation == incarnation)
    connection.execute(this.values(revision=change.revision))
    return Done(sql_answers.keep(connection, tenant, key, change), incarnation)


def _inserted(
    connection: Connection, owner: str, name: str, space: Space, *, keep_images: bool
) -> str:
    incarnation = str(uuid.uuid4())
    connection.execute(
        insert(schema.support_set).values(
            incarnation=incarnation,
            tenant=owner,
            name=name,
            revision=0,
            exemplar_count=0,
            keep_images=keep_images,
            created=datetime.now(UTC),
            **asdict(space),
        )
    )
    return incarnation


def delete(
    connection: Connection, tenant: str, name: str, expected_revision: int | None, key: RequestKey
) -> Done:
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    target = _target(connection, tenant, name, expected_revision)
    for table in (schema.image, schema.embedding, schema.exemplar, schema.removal):
        connection.execute(sql_delete(table).where(table.c.incarnation == target.incarnation))
    s = schema.support_set.c
    this = sql_delete(schema.support_set).where(s.incarnation == target.incarnation)
    stored_bytes = connection.execute(this.returning(s.stored_bytes)).scalar_one()
    sql_tenants.raise_floor(connection, tenant, target.revision)
    ended = Growth(-target.exemplar_count, -stored_bytes)
    sql_tenants.count(connection, tenant, ended, Quotas())
    change = Change(target.revision, target.exemplar_count)
    return Done(sql_answers.keep(connection, tenant, key, change), target.incarnation)


def add(
    connection: Connection,
    tenant: str,
    support_set: SupportSet,
    exemplars: Sequence[NewExemplar | ItemResult],
    *,
    all_or_nothing: bool,
    expected_revision: int | None,
    quotas: Quotas,
    key: RequestKey,
) -> Done:
    """Adds to exactly the incarnation whose fingerprint the embeddings have."""
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    target = _target(connection, tenant, support_set.name, expected_revision)
    if target.incarnation != support_set.incarnation:
        raise NotFoundError(f"support set {support_set.name!r} was deleted meanwhile")
    items = _without_taken_ids(connection, target, exemplars)
    if all_or_nothing:
        _refuse_failures(items)
    new = [item for item in items if isinstance(item, NewExemplar)]
    growth = Growth(len(new), sum(_size(target, item) for item in new))
    revision, count = _bumped(connection, target, growth)
    if new:
        _insert_rows(connection, target, revision, new)
        sql_tenants.count(connection, tenant, growth, quotas)
    results = tuple(
        ItemResult(item.exemplar_id) if isinstance(item, NewExemplar) else item for item in items
    )
    change = sql_answers.keep(connection, tenant, key, Change(revision, count, results))
    return Done(change, target.incarnation)


def remove(
    connection: Connection,
    tenant: str,
    name: str,
    exemplar_ids: Sequence[str],
    *,
    expected_revision: int | None,
    key: RequestKey,
) -> Done:
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    target = _target(connection, tenant, name, expected_revision)
    present = _present(connection, target, exemplar_ids)
    growth = _deleted(connection, target, present)
    revision, count = _bumped(connection, target, growth)
    if present:
        _insert_removals(connection, target, revision, present)
        sql_tenants.count(connection, tenant, growth, Quotas())
    results = tuple(
        ItemResult(exemplar_id)
        if exemplar_id in present
        else ItemResult.failed(
            NotFoundError(f"exemplar_ids[{number}]: there is no exemplar {exemplar_id!r}")
        )
        for number, exemplar_id in enumerate(exemplar_ids)
    )
    change = sql_answers.keep(connection, tenant, key, Change(revision, count, results))
    return Done(change, target.incarnation)


def _target(
    connection: Connection, tenant: str, name: str, expected_revision: int | None
) -> SupportSet:
    """The support set, locked: replicas that change it come one after the other."""
    target = sql_queries.support_set(connection, tenant, name, is_locked=True)
    if expected_revision not in {None, target.revision}:
        raise RevisionMismatchError(
            f"expected_revision: support set {name!r} is at revision {target.revision}, "
            f"got {expected_revision}"
        )
    return target


def _bumped(connection: Connection, target: SupportSet, growth: Growth) -> tuple[int, int]:
    """The new revision and exemplar count; both as they were where nothing changes."""
    if not growth.exemplars:
        return target.revision, target.exemplar_count
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


def _without_taken_ids(
    connection: Connection, target: SupportSet, exemplars: Sequence[NewExemplar | ItemResult]
) -> list[NewExemplar | ItemResult]:
    ids = [e.exemplar_id for e in exemplars if isinstance(e, NewExemplar)]
    taken = _present(connection, target, ids)
    items: list[NewExemplar | ItemResult] = []
    for number, exemplar in enumerate(exemplars):
        if isinstance(exemplar, NewExemplar) and exemplar.exemplar_id in taken:
            message = f"exemplars[{number}].exemplar_id: {exemplar.exemplar_id!r} is taken"
            items.append(ItemResult.failed(AlreadyExistsError(message)))
        else:
            items.append(exemplar)
            taken.add(exemplar.exemplar_id)
    return items


def _refuse_failures(items: Sequence[NewExemplar | ItemResult]) -> None:
    for item in items:
        if isinstance(item, ItemResult):
            raise AlreadyExistsError(item.message)


def _present(connection: Connection, target: SupportSet, exemplar_ids: Sequence[str]) -> set[str]:
    e = schema.exemplar.c
    query = select(e.exemplar_id).where(
        e.incarnation == target.incarnation, e.exemplar_id.in_(exemplar_ids)
    )
    return set(connection.execute(query).scalars())


def _insert_rows(
    connection: Connection, target: SupportSet, revision: int, new: Sequence[NewExemplar]
) -> None:
    def keyed(exemplar: NewExemplar, **values: Any) -> dict[str, Any]:
        key = {"incarnation": target.incarnation, "exemplar_id": exemplar.exemplar_id}
        return key | values

    rows = [keyed(e, label=e.label, metadata=dict(e.metadata), revision=revision) for e in new]
    connection.execute(insert(schema.exemplar), rows)
    blobs = [(e, e.embedding_D.astype("<f4").tobytes()) for e in new]
    vectors = [
        keyed(e, fingerprint=target.fingerprint, values=blob, crc32=zlib.crc32(blob))
        for e, blob in blobs
    ]
    connection.execute(insert(schema.embedding), vectors)
    images = [keyed(e, bytes=e.image) for e in new if e.image is not None and target.keep_images]
    if images:
        connection.execute(insert(schema.image), images)


def _size(target: SupportSet, new: NewExemplar) -> int:
    """Bytes that the exemplar costs its tenant: embedding and image, if kept."""
    image = new.image if target.keep_images and new.image is not None else b""
    return new.embedding_D.size * FLOAT_BYTES + len(image)


def _deleted(connection: Connection, target: SupportSet, exemplar_ids: Collection[str]) -> Growth:
    """Deletes everything of these exemplars; returns by how much the support set grows: less."""
    if not exemplar_ids:
        return Growth(0, 0)
    sizes = 0
    for column in (schema.image.c.bytes, schema.embedding.c["values"]):
        rows = _rows_of(column.table, target, exemplar_ids).returning(func.length(column))
        sizes += sum(connection.execute(rows).scalars())
    for table in (schema.exemplar, schema.removal):
        connection.execute(_rows_of(table, target, exemplar_ids))
    return Growth(-len(exemplar_ids), -sizes)


def _rows_of(table: Table, target: SupportSet, exemplar_ids: Collection[str]) -> Delete:
    t = table.c
    this = sql_delete(table).where(t.incarnation == target.incarnation)
    return this.where(t.exemplar_id.in_(exemplar_ids))


def _insert_removals(
    connection: Connection, target: SupportSet, revision: int, exemplar_ids: Collection[str]
) -> None:
    key = {"incarnation": target.incarnation, "revision": revision}
    connection.execute(insert(schema.removal), [key | {"exemplar_id": i} for i in exemplar_ids])
