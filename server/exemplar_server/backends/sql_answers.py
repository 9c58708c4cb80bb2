"""The first answer to each request_id, kept in the transaction of its change for its retries."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, and_, func, select, tuple_, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.dialects.postgresql import insert as insert_or_nothing

from exemplar_server.backends import sql_schema as schema
from exemplar_server.core.exemplars import Change, ItemResult
from exemplar_server.errors import RequestIdReusedError

if TYPE_CHECKING:
    from exemplar_server.core.exemplars import RequestKey

# How long an answer is kept for retries.
ANSWER_LIFETIME = timedelta(hours=24)
# How many old answers a change takes along: more than one, so that they become fewer.
FORGOTTEN_AT_ONCE = 100


def replay(connection: Connection, tenant: str, key: RequestKey) -> Change | None:
    """The answer that this request got before, if it did."""
    query = select(schema.answer.c.digest, schema.answer.c.answer).where(_is(tenant, key))
    row = connection.execute(query).one_or_none() if key.request_id else None
    if row is None:
        return None
    if row.digest != key.digest:
        raise RequestIdReusedError(
            f"request_id: {key.request_id!r} was used before with another request"
        )
    items = tuple(ItemResult(**item) for item in row.answer["items"])
    return Change(row.answer["revision"], row.answer["exemplar_count"], items)


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


def keep(connection: Connection, tenant: str, key: RequestKey, change: Change) -> Change:
    if key.request_id:
        query = update(schema.answer).where(_is(tenant, key))
        connection.execute(query.values(answer=asdict(change)))
    return change


def _is(tenant: str, key: RequestKey) -> ColumnElement[bool]:
    a = schema.answer.c
    return and_(a.tenant == tenant, a.method == key.method, a.request_id == key.request_id)
