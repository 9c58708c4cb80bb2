"""What changes the store, each within the caller's one transaction.

Every change bumps the support set's revision by UPDATE ... RETURNING, writes its rows with that
revision, and keeps its answer for retries of the same request.
"""

from __future__ import annotations

import uuid
import zlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_queries
from exemplar_server.backends import sql_schema as schema
from exemplar_server.core.exemplars import Change, ItemResult, NewExemplar
from exemplar_server.errors import (
    AlreadyExistsError,
    NotFoundError,
    RequestIdReusedError,
    RevisionMismatchError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_server.core.exemplars import RequestKey, SupportSet

# How long an answer is kept for retries.
ANSWER_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True)
class Space:
    """The embedding space of a new support set."""

    backbone: str
    fingerprint: str
    dim: int


def create(
    connection: Connection,
    tenant: str,
    name: str,
    space: Space,
    *,
    keep_images: bool,
    key: RequestKey,
) -> Change:
    if (answered := replay(connection, tenant, key)) is not None:
        return answered
    owner, last_revision = _tenant(connection, tenant)
    s = schema.support_set.c
    taken = select(s.incarnation).where(s.tenant == owner, s.name == name)
    if connection.execute(taken).one_or_none() is not None:
        raise AlreadyExistsError(f"there is a support set {name!r} already")
    change = Change(last_revision + 1, 0)
    connection.execute(
        insert(schema.support_set).values(
            incarnation=str(uuid.uuid4()),
            tenant=owner,
            name=name,
            revision=change.revision,
            exemplar_count=0,
            keep_images=keep_images,
            created=datetime.now(UTC),
            **asdict(space),
        )
    )
    return _answered(connection, tenant, key, change)


def delete(
    connection: Connection, tenant: str, name: str, expected_revision: int | None, key: RequestKey
) -> Change:
    if (answered := replay(connection, tenant, key)) is not None:
        return answered
    target = _target(connection, tenant, name, expected_revision)
    for table in (schema.image, schema.embedding, schema.exemplar, schema.removal):
        _delete_rows(connection, table, target)
    _delete_rows(connection, schema.support_set, target)
    t = schema.tenant.c
    raise_floor = update(schema.tenant).where(t.name == tenant, t.last_revision < target.revision)
    connection.execute(raise_floor.values(last_revision=target.revision))
    change = Change(target.revision, target.exemplar_count)
    return _answered(connection, tenant, key, change)


def add(
    connection: Connection,
    tenant: str,
    support_set: SupportSet,
    exemplars: Sequence[NewExemplar | ItemResult],
    *,
    all_or_nothing: bool,
    expected_revision: int | None,
    key: RequestKey,
) -> Change:
    """Adds to exactly the incarnation whose fingerprint the embeddings have."""
    if (answered := replay(connection, tenant, key)) is not None:
        return answered
    target = _target(connection, tenant, support_set.name, expected_revision)
    if target.incarnation != support_set.incarnation:
        raise NotFoundError(f"support set {support_set.name!r} was deleted meanwhile")
    items = _without_taken_ids(connection, target, exemplars)
    if all_or_nothing:
        _refuse_failures(items)
    new = [item for item in items if isinstance(item, NewExemplar)]
    revision, count = _bumped(connection, target, len(new))
    if new:
        _insert_rows(connection, target, revision, new)
    results = tuple(
        ItemResult(item.exemplar_id) if isinstance(item, NewExemplar) else item for item in items
    )
    return _answered(connection, tenant, key, Change(revision, count, results))


def remove(
    connection: Connection,
    tenant: str,
    name: str,
    exemplar_ids: Sequence[str],
    *,
    expected_revision: int | None,
    key: RequestKey,
) -> Change:
    if (answered := replay(connection, tenant, key)) is not None:
        return answered
    target = _target(connection, tenant, name, expected_revision)
    present = _present(connection, target, exemplar_ids)
    revision, count = _bumped(connection, target, -len(present))
    for exemplar_id in present:
        _remove_row(connection, target, exemplar_id, revision)
    results = tuple(
        ItemResult(exemplar_id)
        if exemplar_id in present
        else ItemResult.failed(
            NotFoundError(f"exemplar_ids[{number}]: there is no exemplar {exemplar_id!r}")
        )
        for number, exemplar_id in enumerate(exemplar_ids)
    )
    return _answered(connection, tenant, key, Change(revision, count, results))


def replay(connection: Connection, tenant: str, key: RequestKey) -> Change | None:
    """The answer that this request got before, if it did."""
    a = schema.answer.c
    query = select(a.digest, a.answer).where(
        a.tenant == tenant, a.method == key.method, a.request_id == key.request_id
    )
    row = connection.execute(query).one_or_none() if key.request_id else None
    if row is None:
        return None
    if row.digest != key.digest:
        raise RequestIdReusedError(
            f"request_id: {key.request_id!r} was used before with another request"
        )
    items = tuple(ItemResult(**item) for item in row.answer["items"])
    return Change(row.answer["revision"], row.answer["exemplar_count"], items)


def _answered(connection: Connection, tenant: str, key: RequestKey, change: Change) -> Change:
    if key.request_id:
        a = schema.answer.c
        now = datetime.now(UTC)
        connection.execute(sql_delete(schema.answer).where(a.created < now - ANSWER_LIFETIME))
        connection.execute(
            insert(schema.answer).values(
                tenant=tenant, created=now, answer=asdict(change), **asdict(key)
            )
        )
    return change


def _tenant(connection: Connection, name: str) -> tuple[str, int]:
    t = schema.tenant.c
    row = connection.execute(
        select(t.incarnation, t.last_revision).where(t.name == name)
    ).one_or_none()
    if row is not None:
        return row.incarnation, row.last_revision
    incarnation = str(uuid.uuid4())
    connection.execute(
        insert(schema.tenant).values(incarnation=incarnation, name=name, last_revision=0)
    )
    return incarnation, 0


def _target(
    connection: Connection, tenant: str, name: str, expected_revision: int | None
) -> SupportSet:
    target = sql_queries.support_set(connection, tenant, name)
    if expected_revision not in {None, target.revision}:
        raise RevisionMismatchError(
            f"expected_revision: support set {name!r} is at revision {target.revision}, "
            f"got {expected_revision}"
        )
    return target


def _bumped(connection: Connection, target: SupportSet, growth: int) -> tuple[int, int]:
    """The new revision and exemplar count; both as they were where nothing changes."""
    if not growth:
        return target.revision, target.exemplar_count
    s = schema.support_set.c
    row = connection.execute(
        update(schema.support_set)
        .where(s.incarnation == target.incarnation)
        .values(revision=s.revision + 1, exemplar_count=s.exemplar_count + growth)
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


def _remove_row(
    connection: Connection, target: SupportSet, exemplar_id: str, revision: int
) -> None:
    for table in (schema.image, schema.embedding, schema.exemplar, schema.removal):
        _delete_rows(connection, table, target, exemplar_id)
    connection.execute(
        insert(schema.removal).values(
            incarnation=target.incarnation, exemplar_id=exemplar_id, revision=revision
        )
    )


def _delete_rows(
    connection: Connection, table: Table, target: SupportSet, exemplar_id: str = ""
) -> None:
    query = sql_delete(table).where(table.c.incarnation == target.incarnation)
    if exemplar_id:
        query = query.where(table.c.exemplar_id == exemplar_id)
    connection.execute(query)
