"""The first answer to each request_id, kept in the transaction of its change for its retries."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, func, select, tuple_, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.dialects.postgresql import insert as insert_or_nothing

from exemplar_server.backends import sql_schema as schema
from exemplar_server.core.exemplars import Change, ItemResult, Receipt
from exemplar_server.errors import NotFoundError, RequestIdReusedError

if TYPE_CHECKING:
    from exemplar_server.core.exemplars import RequestKey

# How long an answer is kept for retries.
ANSWER_LIFETIME = timedelta(hours=24)
# How many old answers a change takes along: more than one, so that they become fewer.
FORGOTTEN_AT_ONCE = 100


def replay(connection: Connection, tenant: str, key: RequestKey) -> Change | None:
    """The answer that this request got before, if it did."""
    a, s = schema.answer, schema.support_set
    query = (
        select(a.c.digest, a.c.answer, a.c.incarnation, s.c.incarnation.label("is_of"))
        .select_from(a.outerjoin(s, a.c.incarnation == s.c.incarnation))
        .where(_is(tenant, key))
    )
    row = connection.execute(query).one_or_none() if key.request_id else None
    if row is None:
        return None
    if row.digest != key.digest:
        raise RequestIdReusedError(
            f"request_id: {key.request_id!r} was used before with another request"
        )
    if row.incarnation is not None and row.is_of is None:
        raise NotFoundError("the support set of this request was deleted meanwhile")
    return _change(row.answer)


def _change(kept: dict[str, Any]) -> Change:
    """Answers of older servers lack what came later."""
    items = tuple(ItemResult(**item) for item in kept.get("items", ()))
    receipt = Receipt(**kept.get("receipt", {}))
    return Change(kept.get("revision", 0), kept.get("exemplar_count", 0), items, receipt)


def claim(connection: Connection, tenant: str, key: RequestKey) -> Change | None:
    """The answer that this request got before; where none, no other can get one meanwhile.

    A row without an answer is inserted before anything is locked: who sends the same request at
    the same time waits here until this transaction ends, and then finds its answer or none.
    """
    if (answered := replay(connection, tenant, key)) is not None or not key.request_id:
        return answered
    inserted = (
        insert_or_nothing(schema.answer)  # SQLite understands PostgreSQL's clause
        .values(tenant=tenant, created=func.now(), answer={}, **asdict(key))
        .on_conflict_do_nothing()
        .returning(schema.answer.c.created)
    )
    now = connection.execute(inserted).scalar_one_or_none()
    if now is None:
        return replay(connection, tenant, key)
    _forget_answers(connection, now - ANSWER_LIFETIME)
    return None


def _forget_answers(connection: Connection, before: datetime) -> None:
    """By the database's clock, the same for all replicas; none waits for another one's sweep."""
    a = schema.answer.c
    key = (a.tenant, a.method, a.request_id)
    old = select(*key).where(a.created < before).limit(FORGOTTEN_AT_ONCE)
    some = old.with_for_update(skip_locked=True)
    connection.execute(sql_delete(schema.answer).where(tuple_(*key).in_(some)))


def keep(
    connection: Connection,
    tenant: str,
    key: RequestKey,
    change: Change,
    incarnation: str | None = None,
) -> Change:
    """`incarnation`: the support set that the answer ends with; None where it outlives it."""
    if key.request_id:
        query = update(schema.answer).where(_is(tenant, key))
        connection.execute(query.values(answer=asdict(change), incarnation=incarnation))
    return change


def blank(connection: Connection, incarnation: str) -> int:
    """Empties the answers about a support set that ends; returns how many.

    That there were such requests stays known, so that a late retry does nothing.
    """
    about = update(schema.answer).where(schema.answer.c.incarnation == incarnation)
    return connection.execute(about.values(answer={})).rowcount


def _is(tenant: str, key: RequestKey) -> ColumnElement[bool]:
    a = schema.answer.c
    return and_(a.tenant == tenant, a.method == key.method, a.request_id == key.request_id)
