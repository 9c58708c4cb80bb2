"""Changes of what is there already: labels and metadata of exemplars, options of a support set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, select, update

from exemplar_server.backends import sql_answers, sql_history, sql_tenants
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_rows import Done, bumped, locked, next_revision, of
from exemplar_server.backends.sql_tenants import Growth
from exemplar_server.core.exemplars import Change, ExemplarUpdate, ItemResult, Receipt
from exemplar_server.core.limits import Quotas
from exemplar_server.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_server.core.exemplars import RequestKey, SupportSet

# Label and metadata of an exemplar.
Facts = tuple[str, dict[str, str]]


def update_exemplars(
    connection: Connection,
    tenant: str,
    name: str,
    updates: Sequence[ExemplarUpdate | ItemResult],
    *,
    expected_revision: int | None,
    key: RequestKey,
) -> Done:
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    target = locked(connection, tenant, name, expected_revision)
    known = _facts(connection, target, [u.exemplar_id for u in updates])
    items = _items(updates, known)
    wanted = {
        update.exemplar_id: _wanted(update, known[update.exemplar_id])
        for update, item in zip(updates, items, strict=True)
        if isinstance(update, ExemplarUpdate) and not item.reason
    }
    changed = {i: facts for i, facts in wanted.items() if facts != known[i]}
    revision, count = target.revision, target.exemplar_count
    if changed:
        sql_history.relabel(connection, target, changed)
        _write(connection, target, changed)
        revision, count = bumped(connection, target, Growth(0, 0))
    change = Change(revision, count, tuple(items))
    sql_answers.keep(connection, tenant, key, change, target.incarnation)
    return Done(change, target.incarnation)


def update_support_set(
    connection: Connection,
    tenant: str,
    name: str,
    *,
    keep_images: bool,
    expected_revision: int | None,
    key: RequestKey,
) -> Done:
    """Without images to keep, those that are kept are deleted, with those of snapshots."""
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        return Done(answered)
    target = locked(connection, tenant, name, expected_revision)
    receipt = Receipt() if keep_images else _without_images(connection, target)
    revision, count = target.revision, target.exemplar_count
    if keep_images != target.keep_images or receipt.images:
        this = update(schema.support_set).where(_is(target))
        connection.execute(this.values(keep_images=keep_images))
        growth = Growth(0, -receipt.image_bytes)
        revision, count = bumped(connection, target, growth)
        sql_tenants.count(connection, tenant, growth, Quotas())
    change = Change(revision, count, receipt=receipt)
    sql_answers.keep(connection, tenant, key, change, target.incarnation)
    return Done(change, target.incarnation)


def _is(target: SupportSet) -> ColumnElement[bool]:
    return schema.support_set.c.incarnation == target.incarnation


def _without_images(connection: Connection, target: SupportSet) -> Receipt:
    receipt = Receipt()
    for table in (schema.image, schema.past_image):
        mine = table.c.incarnation == target.incarnation
        size_bytes = sql_history.total_bytes(connection, table, "bytes", mine)
        count = connection.execute(delete(table).where(mine)).rowcount
        receipt += Receipt(images=count, image_bytes=size_bytes)
    return receipt


def _facts(
    connection: Connection, target: SupportSet, exemplar_ids: Sequence[str]
) -> dict[str, Facts]:
    e = schema.exemplar.c
    query = select(e.exemplar_id, e.label, e.metadata)
    rows = connection.execute(query.where(of(schema.exemplar, target, exemplar_ids)))
    return {row[0]: (row[1], row[2]) for row in rows}


def _items(
    updates: Sequence[ExemplarUpdate | ItemResult], known: dict[str, Facts]
) -> list[ItemResult]:
    items: list[ItemResult] = []
    seen: set[str] = set()
    for number, wanted in enumerate(updates):
        path = f"updates[{number}].exemplar_id"
        if isinstance(wanted, ItemResult):
            items.append(wanted)
        elif wanted.exemplar_id in seen:
            message = f"{path}: expected each exemplar once, got {wanted.exemplar_id!r} again"
            items.append(ItemResult.failed(InvalidInputError(message)))
        elif wanted.exemplar_id not in known:
            message = f"{path}: there is no exemplar {wanted.exemplar_id!r}"
            items.append(ItemResult.failed(NotFoundError(message)))
        else:
            items.append(ItemResult(wanted.exemplar_id))
            seen.add(wanted.exemplar_id)
    return items


def _wanted(wanted: ExemplarUpdate, now: Facts) -> Facts:
    label, metadata = now
    return (
        label if wanted.label is None else wanted.label,
        metadata if wanted.metadata is None else dict(wanted.metadata),
    )


def _write(connection: Connection, target: SupportSet, changed: dict[str, Facts]) -> None:
    e = schema.exemplar.c
    rows: list[dict[str, Any]] = [
        {"id": exemplar_id, "new_label": label, "new_metadata": metadata}
        for exemplar_id, (label, metadata) in changed.items()
    ]
    this = update(schema.exemplar).where(
        e.incarnation == target.incarnation, e.exemplar_id == bindparam("id")
    )
    values = {
        "label": bindparam("new_label"),
        "metadata": bindparam("new_metadata", type_=e.metadata.type),
        "revision": next_revision(target),
    }
    connection.execute(this.values(values), rows)
