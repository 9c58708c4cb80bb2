"""The tenant's row: what it stores in all, and where revisions of new support sets begin.

It is changed last in a transaction: one tenant's changes wait for each other from here on, and
in an order (support set, tenant) in which no two can block each other.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select, update

from exemplar_server.backends import sql_schema as schema
from exemplar_server.errors import QuotaExceededError

if TYPE_CHECKING:
    from exemplar_server.core.limits import Quotas


@dataclass(frozen=True)
class Growth:
    """By how much a change makes a support set bigger; negative where it makes it smaller.

    `kept`: exemplars that are in it no more, and in its snapshots. They count for the tenant.
    """

    exemplars: int
    bytes: int
    kept: int = 0

    def __add__(self, other: Growth) -> Growth:
        return Growth(
            self.exemplars + other.exemplars, self.bytes + other.bytes, self.kept + other.kept
        )


def incarnation(connection: Connection, name: str) -> str:
    """The tenant's; its row is made where there is none."""
    t = schema.tenant.c
    query = select(t.incarnation).where(t.name == name)
    found: str | None = connection.execute(query).scalar_one_or_none()
    if found is not None:
        return found
    made = str(uuid.uuid4())
    highest = select(schema.store.c.last_revision).scalar_subquery()
    new = insert(schema.tenant).values(incarnation=made, name=name, last_revision=highest)
    connection.execute(new)
    return made


def last_revision(connection: Connection, owner: str, *, is_locked: bool = True) -> int:
    """The highest revision of the tenant's ended support sets, locked until this is committed."""
    t = schema.tenant.c
    query = select(t.last_revision).where(t.incarnation == owner)
    if is_locked:
        query = query.with_for_update(key_share=True)
    highest: int = connection.execute(query).scalar_one()
    return highest


def raise_floor(connection: Connection, tenant: str, revision: int) -> None:
    t = schema.tenant.c
    lower = update(schema.tenant).where(t.name == tenant, t.last_revision < revision)
    connection.execute(lower.values(last_revision=revision))


def count(connection: Connection, tenant: str, growth: Growth, quotas: Quotas) -> None:
    """Adds to what the tenant stores.

    Raises:
        QuotaExceededError: it would store more than its quotas. The transaction must end.
    """
    t = schema.tenant.c
    row = connection.execute(
        update(schema.tenant)
        .where(t.name == tenant)
        .values(
            exemplar_count=t.exemplar_count + growth.exemplars + growth.kept,
            stored_bytes=t.stored_bytes + growth.bytes,
        )
        .returning(t.exemplar_count, t.stored_bytes)
    ).one()
    _check("exemplars", row.exemplar_count, quotas.exemplars)
    _check("bytes of embeddings and images", row.stored_bytes, quotas.bytes)


def _check(what: str, total: int, most: int) -> None:
    if most and total > most:
        raise QuotaExceededError(
            f"quota: expected up to {most} {what} in all of the tenant's support sets, got {total}"
        )
