"""Deletes tenants: first nobody sees anything of them any more, then their rows go bit by bit.

Each function runs in the caller's one transaction. A deletion that was begun is finished by whoever
goes on with it: the call that asked for it, a retry, or the next server that starts.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, tuple_, update
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_answers
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_purge import COUNTED_AS
from exemplar_server.core.exemplars import Change, Hint, Receipt, RequestKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Table

METHOD = "DeleteTenant"
# Rows of one transaction: 5 MB of embeddings at dim 1280, a few MB of photos.
ROWS_AT_ONCE = 1000
IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class Hidden:
    """A tenant whose deletion was begun: what nobody sees any more from now on, by name."""

    deletion: str
    ended: dict[str, Hint]


def hide(connection: Connection, tenant: str, key: RequestKey) -> Hidden | Receipt:
    """The receipt, where this request was answered before."""
    if (answered := sql_answers.claim(connection, tenant, key)) is not None:
        begun = _begun(connection, tenant, key)
        return Hidden(begun, {}) if begun else answered.receipt
    t = schema.tenant.c
    query = select(t.incarnation).where(t.name == tenant)
    found: str | None = connection.execute(query).scalar_one_or_none()
    deletion = found or str(uuid.uuid4())
    ended = _ended(connection, deletion)
    # Locked now, in the order of all changes: whoever made a support set before has committed.
    floor = select(t.last_revision).where(t.incarnation == deletion).with_for_update()
    highest = connection.execute(floor).scalar_one_or_none() or 0
    ended |= _ended(connection, deletion)
    _raise_floor(connection, max([highest, *(hint.revision for hint in ended.values())]))
    connection.execute(sql_delete(schema.tenant).where(t.incarnation == deletion))
    connection.execute(
        insert(schema.deletion).values(
            incarnation=deletion,
            tenant=tenant,
            request_id=key.request_id,
            requested=func.now(),
            counts=asdict(Receipt(support_sets=len(ended))),
        )
    )
    return Hidden(deletion, ended)


def delete_some(
    connection: Connection, tenant: str, deletion: str, key: RequestKey
) -> Receipt | None:
    """Deletes the next rows; the receipt when there are none left.

    Another server may have finished: then only a request_id leads to the receipt.
    """
    row = _locked(connection, deletion)
    if row is None:
        answered = sql_answers.replay(connection, tenant, key)
        return Receipt() if answered is None else answered.receipt
    return _delete_some(connection, row)


def go_on(connection: Connection) -> bool:
    """Deletes the next rows of any tenant that is being deleted; whether there was one."""
    begun = connection.execute(select(schema.deletion.c.incarnation).limit(1)).scalar()
    row = None if begun is None else _locked(connection, begun)
    if row is not None:
        _delete_some(connection, row)
    return begun is not None


def _locked(connection: Connection, deletion: str) -> Row[Any] | None:
    """Servers that work on the same deletion take turns."""
    query = select(schema.deletion).where(schema.deletion.c.incarnation == deletion)
    return connection.execute(query.with_for_update()).one_or_none()


def _delete_some(connection: Connection, row: Row[Any]) -> Receipt | None:
    gone = _next_rows(connection, row)
    receipt = Receipt(**row.counts) + (gone or Receipt())
    if gone is None:
        return _finished(connection, row, receipt)
    this = update(schema.deletion).where(schema.deletion.c.incarnation == row.incarnation)
    connection.execute(this.values(counts=asdict(receipt)))
    return None


def _begun(connection: Connection, tenant: str, key: RequestKey) -> str:
    d = schema.deletion.c
    query = select(d.incarnation).where(d.tenant == tenant, d.request_id == key.request_id)
    found: str | None = connection.execute(query).scalar()
    return found or ""


def _ended(connection: Connection, owner: str) -> dict[str, Hint]:
    s = schema.support_set.c
    these = sql_delete(schema.support_set).where(s.tenant == owner)
    rows = connection.execute(these.returning(s.name, s.incarnation, s.revision)).all()
    if rows:
        purged = [{"incarnation": row.incarnation, "deletion": owner} for row in rows]
        connection.execute(insert(schema.purge), purged)
    return {row.name: Hint(row.incarnation, row.revision + 1) for row in rows}


def _raise_floor(connection: Connection, revision: int) -> None:
    """So that a tenant of this name starts above what its callers have seen."""
    column = schema.store.c.last_revision
    lower = update(schema.store).where(column < revision)
    connection.execute(lower.values(last_revision=revision))


def _next_rows(connection: Connection, deletion: Row[Any]) -> Receipt | None:
    """None where none is left."""
    p = schema.purge.c
    query = select(p.incarnation).where(p.deletion == deletion.incarnation).limit(1)
    incarnation = connection.execute(query).scalar()
    if incarnation is None:
        answers = _some(connection, schema.answer, _old_answers(deletion), ROWS_AT_ONCE)
        return Receipt(answers=len(answers)) if answers else None
    for table, name in COUNTED_AS.items():
        most = IMAGES_AT_ONCE if name == "images" else ROWS_AT_ONCE
        if sizes := _some(connection, table, table.c.incarnation == incarnation, most):
            return _counted(name, sizes)
    connection.execute(sql_delete(schema.purge).where(p.incarnation == incarnation))
    return Receipt()


def _counted(name: str, sizes: Sequence[int]) -> Receipt:
    if name == "images":
        return Receipt(images=len(sizes), image_bytes=sum(sizes))
    return Receipt(**{name: len(sizes)}) if name else Receipt()


def _some(
    connection: Connection, table: Table, which: ColumnElement[bool], most: int
) -> Sequence[int]:
    """Deletes up to `most` rows; returns one size each, 0 where it is no image."""
    key = tuple(table.primary_key.columns)
    these = sql_delete(table).where(tuple_(*key).in_(select(*key).where(which).limit(most)))
    size = func.length(table.c.bytes) if "bytes" in table.c else func.length("")
    return connection.execute(these.returning(size)).scalars().all()


def _old_answers(deletion: Row[Any]) -> ColumnElement[bool]:
    """Those of the tenant that ended, not of one that has the name since."""
    a, s, d = schema.answer.c, schema.support_set.c, schema.deletion.c
    requested = select(d.requested).where(d.incarnation == deletion.incarnation)
    is_there = select(s.incarnation).where(s.incarnation == a.incarnation)
    return and_(
        a.tenant == deletion.tenant,
        a.method != METHOD,
        a.created <= requested.scalar_subquery(),
        ~is_there.exists(),
    )


def _finished(connection: Connection, deletion: Row[Any], receipt: Receipt) -> Receipt:
    d = schema.deletion.c
    connection.execute(sql_delete(schema.deletion).where(d.incarnation == deletion.incarnation))
    key = RequestKey(METHOD, deletion.request_id, b"")
    sql_answers.keep(connection, deletion.tenant, key, Change(0, 0, receipt=receipt))
    return receipt
