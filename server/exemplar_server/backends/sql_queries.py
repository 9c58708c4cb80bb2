"""What is read from the store, each within the caller's one transaction: a consistent picture."""

from __future__ import annotations

import zlib
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, and_, func, select

from exemplar_server.backends import sql_schema as schema
from exemplar_server.core.exemplars import Delta, Exemplar, Listing, SupportSet
from exemplar_server.core.row_memory import empty_rows
from exemplar_server.errors import CorruptSupportSetError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Join, Row, Select

# SQLite allows 32,766 bound variables a statement; a message has at most 1,000 ids.
IDS_A_STATEMENT = 1000
# Rows of embeddings: 1.3 MB at dim 1280.
READ_AT_ONCE = 250
INCARNATIONS_A_STATEMENT = 30_000


def epoch(connection: Connection) -> str:
    current: str = connection.execute(select(schema.store.c.epoch)).scalar_one()
    return current


def support_set(
    connection: Connection, tenant: str, name: str, *, is_locked: bool = False
) -> SupportSet:
    query = _support_sets(tenant).where(schema.support_set.c.name == name)
    if is_locked:
        query = query.with_for_update(of=schema.support_set, key_share=True)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no support set {name!r}")
    return _support_set(row)


def revisions(connection: Connection, incarnations: Collection[str]) -> dict[str, int]:
    s, asked = schema.support_set.c, list(incarnations)
    found: dict[str, int] = {}
    for start in range(0, len(asked), INCARNATIONS_A_STATEMENT):
        some = asked[start : start + INCARNATIONS_A_STATEMENT]
        query = select(s.incarnation, s.revision).where(s.incarnation.in_(some))
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def page(connection: Connection, tenant: str, after: str, count: int) -> list[SupportSet]:
    column = schema.support_set.c.name
    query = _support_sets(tenant).where(column > after).order_by(column).limit(count)
    return [_support_set(row) for row in connection.execute(query)]


def label_counts(connection: Connection, target: SupportSet) -> dict[str, int]:
    column = schema.exemplar.c.label
    query = (
        select(column, func.count())
        .where(schema.exemplar.c.incarnation == target.incarnation)
        .group_by(column)
        .order_by(column)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def exemplars(connection: Connection, target: SupportSet, listing: Listing) -> list[Exemplar]:
    e, v, i = schema.exemplar.c, schema.embedding.c, schema.image.c
    query = (
        select(
            e.exemplar_id,
            e.label,
            e.metadata,
            e.revision,
            i.exemplar_id.is_not(None),
            *([v["values"], v.crc32] if listing.embeddings else []),
        )
        .select_from(_with_content())
        .where(e.incarnation == target.incarnation, v.fingerprint == target.fingerprint)
        .where(e.exemplar_id > listing.after)
        .order_by(e.exemplar_id)
        .limit(listing.count)
    )
    if listing.label:
        query = query.where(e.label == listing.label)
    return [
        Exemplar(
            row[0],
            row[1],
            row[2],
            row[3],
            row[4],
            embedding_D=_embedding(row[5], row[6], target) if listing.embeddings else None,
        )
        for row in connection.execute(query)
    ]


def delta(connection: Connection, tenant: str, name: str, incarnation: str, revision: int) -> Delta:
    target = support_set(connection, tenant, name)
    since = revision if target.incarnation == incarnation else 0
    e, v, r = schema.exemplar.c, schema.embedding.c, schema.removal.c
    removed = select(r.exemplar_id).where(r.incarnation == target.incarnation, r.revision > since)
    added = (
        select(e.exemplar_id, e.label, v["values"], v.crc32)
        .select_from(_with_embedding())
        .where(e.incarnation == target.incarnation, v.fingerprint == target.fingerprint)
    )
    if since:
        added = added.where(e.revision > since)
    # By the primary key: in any other order, the database would sort all embeddings first.
    added = added.order_by(e.exemplar_id).execution_options(yield_per=READ_AT_ONCE)
    ids: list[str] = []
    labels: list[str] = []
    blocks: list[NDArray[np.float32]] = []
    whole_ND = empty_rows(0 if since else target.exemplar_count, target.dim)
    for rows in connection.execute(added).partitions():
        block_ND = _embeddings(rows, target)
        if since:
            blocks.append(block_ND)
        else:  # put together at the end, they would take twice the memory
            whole_ND[len(ids) : len(ids) + len(rows)] = block_ND
        ids += [row[0] for row in rows]
        labels += [row[1] for row in rows]
    return Delta(
        target,
        frozenset(connection.execute(removed).scalars()),
        tuple(ids),
        tuple(labels),
        np.concatenate([whole_ND, *blocks]) if since else whole_ND[: len(ids)],
    )


def images(
    connection: Connection, incarnation: str, exemplar_ids: Sequence[str]
) -> dict[str, bytes]:
    i = schema.image.c
    found: dict[str, bytes] = {}
    for start in range(0, len(exemplar_ids), IDS_A_STATEMENT):
        some = exemplar_ids[start : start + IDS_A_STATEMENT]
        query = select(i.exemplar_id, i.bytes).where(
            i.incarnation == incarnation, i.exemplar_id.in_(some)
        )
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def _support_sets(tenant: str) -> Select[Any]:
    s = schema.support_set.c
    return (
        select(
            s.incarnation,
            s.name,
            s.revision,
            s.fingerprint,
            s.backbone,
            s.dim,
            s.exemplar_count,
            s.keep_images,
            s.created,
        )
        .join(schema.tenant, schema.tenant.c.incarnation == s.tenant)
        .where(schema.tenant.c.name == tenant)
    )


def _support_set(row: Row[Any]) -> SupportSet:
    fields = dict(row._mapping)  # noqa: SLF001 - public, as its documentation says
    created = fields["created"]
    if created.tzinfo is None:  # SQLite keeps no time zone
        fields["created"] = created.replace(tzinfo=UTC)
    return SupportSet(**fields)


def _with_embedding() -> Join:
    e, v = schema.exemplar.c, schema.embedding.c
    same_embedding = and_(v.incarnation == e.incarnation, v.exemplar_id == e.exemplar_id)
    return schema.exemplar.join(schema.embedding, same_embedding)


def _with_content() -> Join:
    e, i = schema.exemplar.c, schema.image.c
    same_image = and_(i.incarnation == e.incarnation, i.exemplar_id == e.exemplar_id)
    return _with_embedding().outerjoin(schema.image, same_image)


def _embeddings(rows: Sequence[Any], target: SupportSet) -> NDArray[np.float32]:
    """Of rows of an id, a label, an embedding and its checksum."""
    return np.stack([_embedding(row[2], row[3], target) for row in rows])


def _embedding(values: bytes, crc32: int, target: SupportSet) -> NDArray[np.float32]:
    if zlib.crc32(values) != crc32 or len(values) != 4 * target.dim:
        raise CorruptSupportSetError(
            f"support set {target.name!r}: an embedding in the store is not what was written: "
            "restore a backup, or delete the support set and make it anew"
        )
    return np.frombuffer(values, "<f4")
