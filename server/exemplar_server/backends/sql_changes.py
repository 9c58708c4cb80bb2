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

from sqlalchemy import Connection, insert, select, update
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_answers, sql_history, sql_purge, sql_tenants
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_rows import Done, bumped, locked, present
from exemplar_server.backends.sql_tenants import Growth
from exemplar_server.core.exemplars import Change, ItemResult, NewExemplar
from exemplar_server.core.limits import Quotas
from exemplar_server.errors import (
    AlreadyExistsError,
    FingerprintMismatchError,
    NotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_server.core.exemplars import RequestKey, SupportSet

FLOAT_BYTES = 4


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
) -> Done:
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    owner = sql_tenants.incarnation(connection, tenant)
    incarnation = insert_support_set(connection, owner, name, space, keep_images=keep_images)
    # Read when the name is ours: whoever ended the last support set of the name has committed.
    change = Change(sql_tenants.last_revision(connection, owner) + 1, 0)
    this = update(schema.support_set).where(schema.support_set.c.incarnation == incarnation)
    connection.execute(this.values(revision=change.revision))
    return Done(sql_answers.keep(connection, tenant, key, change, incarnation), incarnation)


def insert_support_set(
    connection: Connection, owner: str, name: str, space: Space, *, keep_images: bool
) -> str:
    """At revision 0, which whoever calls must raise; returns its incarnation.

    Raises:
        AlreadyExistsError: the name is taken.
    """
    s = schema.support_set.c
    taken = select(s.incarnation).where(s.tenant == owner, s.name == name)
    if connection.execute(taken).one_or_none() is not None:
        raise AlreadyExistsError(f"there is a support set {name!r} already")
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
    target = locked(connection, tenant, name, expected_revision)
    kept = sql_history.kept_count(connection, target)
    receipt = sql_purge.everything(connection, target.incarnation)
    s = schema.support_set.c
    this = sql_delete(schema.support_set).where(s.incarnation == target.incarnation)
    stored_bytes = connection.execute(this.returning(s.stored_bytes)).scalar_one()
    revision = target.revision + 1  # a read that asks for it is never answered from a snapshot
    sql_tenants.raise_floor(connection, tenant, revision)
    ended = Growth(-target.exemplar_count, -stored_bytes, -kept)
    sql_tenants.count(connection, tenant, ended, Quotas())
    change = Change(revision, target.exemplar_count, receipt=receipt)
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
    target = locked(connection, tenant, support_set.name, expected_revision)
    if target.incarnation != support_set.incarnation:
        raise NotFoundError(f"support set {support_set.name!r} was deleted meanwhile")
    if target.fingerprint != support_set.fingerprint:
        raise FingerprintMismatchError(
            f"support set {support_set.name!r} was switched to backbone {target.backbone} meanwhile"
        )
    items = _without_taken_ids(connection, target, exemplars)
    if all_or_nothing:
        _refuse_failures(items)
    new = [item for item in items if isinstance(item, NewExemplar)]
    growth = Growth(len(new), sum(_size(target, item) for item in new))
    revision, count = target.revision, target.exemplar_count
    if new:
        revision, count = bumped(connection, target, growth)
        _insert_rows(connection, target, revision, new)
        sql_tenants.count(connection, tenant, growth, quotas)
    results = tuple(
        ItemResult(item.exemplar_id) if isinstance(item, NewExemplar) else item for item in items
    )
    change = Change(revision, count, results)
    sql_answers.keep(connection, tenant, key, change, target.incarnation)
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
    target = locked(connection, tenant, name, expected_revision)
    there = present(connection, target, exemplar_ids)
    revision, count = target.revision, target.exemplar_count
    if there:
        growth = sql_history.end(connection, target, there)
        revision, count = bumped(connection, target, growth)
        sql_tenants.count(connection, tenant, growth, Quotas())
    results = tuple(
        ItemResult(exemplar_id)
        if exemplar_id in there
        else ItemResult.failed(
            NotFoundError(f"exemplar_ids[{number}]: there is no exemplar {exemplar_id!r}")
        )
        for number, exemplar_id in enumerate(exemplar_ids)
    )
    change = Change(revision, count, results)
    sql_answers.keep(connection, tenant, key, change, target.incarnation)
    return Done(change, target.incarnation)


def _without_taken_ids(
    connection: Connection, target: SupportSet, exemplars: Sequence[NewExemplar | ItemResult]
) -> list[NewExemplar | ItemResult]:
    ids = [e.exemplar_id for e in exemplars if isinstance(e, NewExemplar)]
    taken = present(connection, target, ids)
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


def _insert_rows(
    connection: Connection, target: SupportSet, revision: int, new: Sequence[NewExemplar]
) -> None:
    def keyed(exemplar: NewExemplar, **values: Any) -> dict[str, Any]:
        key = {"incarnation": target.incarnation, "exemplar_id": exemplar.exemplar_id}
        return key | values

    now = {"revision": revision, "content_revision": revision}
    rows = [keyed(e, label=e.label, metadata=dict(e.metadata), **now) for e in new]
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
