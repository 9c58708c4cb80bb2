"""Support sets that are being imported: unseen until they are whole, and then there at once.

They belong to a tenant that no caller can be, and are filled a page at a time, each page in a
transaction of its own: others' changes come in between. To make one visible changes its owner and
its name only.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_answers, sql_changes, sql_queries, sql_tenants
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_tenants import Growth
from exemplar_server.core.exemplars import Change, RequestKey
from exemplar_server.core.limits import Quotas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_server.core.exemplars import NewExemplar, SupportSet

NOBODY = ""  # callers' names have a character at least
NO_KEY = RequestKey("", "", b"")


def begin(connection: Connection, like: SupportSet) -> SupportSet:
    """An empty one of the embedding space of `like`."""
    space = sql_changes.Space(like.backbone, like.fingerprint, like.dim)
    name = str(uuid.uuid4())
    # Whether images are kept is set at the end: those that are in the file were.
    sql_changes.create(connection, NOBODY, name, space, keep_images=True, key=NO_KEY)
    return sql_queries.support_set(connection, NOBODY, name)


def add(
    connection: Connection,
    tenant: str,
    staged: SupportSet,
    page: Sequence[NewExemplar],
    quotas: Quotas,
) -> None:
    """Raises QuotaExceededError where the tenant could not have what is there by now."""
    sql_changes.add(
        connection,
        NOBODY,
        staged,
        page,
        all_or_nothing=True,
        expected_revision=None,
        quotas=Quotas(),
        key=NO_KEY,
    )
    if quotas != Quotas():
        sql_tenants.incarnation(connection, tenant)
        trial = connection.begin_nested()
        try:
            sql_tenants.count(connection, tenant, _growth(connection, staged), quotas)
        finally:
            trial.rollback()


def publish(
    connection: Connection,
    tenant: str,
    name: str,
    staged: SupportSet,
    *,
    keep_images: bool,
    quotas: Quotas,
    key: RequestKey,
) -> SupportSet:
    """The tenant's support set of that name: the staged one, or for a retry the one it has."""
    space = sql_changes.Space(staged.backbone, staged.fingerprint, staged.dim)
    made = sql_changes.create(connection, tenant, name, space, keep_images=keep_images, key=key)
    if not made.incarnation:
        discard(connection, staged)
        return sql_queries.support_set(connection, tenant, name)
    s = schema.support_set.c
    # What was made is a place with a revision; what was staged takes it.
    place = sql_delete(schema.support_set).where(s.incarnation == made.incarnation)
    owner = connection.execute(place.returning(s.tenant)).scalar_one()
    whole = sql_queries.support_set(connection, NOBODY, staged.name)
    revision = max(whole.revision, made.change.revision)
    growth = _growth(connection, staged)
    moved = update(schema.support_set).where(s.incarnation == staged.incarnation)
    values = {"tenant": owner, "name": name, "revision": revision, "keep_images": keep_images}
    connection.execute(moved.values(values))
    sql_tenants.count(connection, NOBODY, Growth(-growth.exemplars, -growth.bytes), Quotas())
    sql_tenants.count(connection, tenant, growth, quotas)
    change = Change(revision, growth.exemplars)
    sql_answers.keep(connection, tenant, key, change, staged.incarnation)
    return sql_queries.support_set(connection, tenant, name)


def discard(connection: Connection, staged: SupportSet) -> None:
    sql_changes.delete(connection, NOBODY, staged.name, None, NO_KEY)


def abandoned(connection: Connection, age: timedelta) -> list[SupportSet]:
    """Those that were begun so long ago: whoever filled them is gone."""
    begun_before = datetime.now(UTC) - age
    staged = sql_queries.page(connection, NOBODY, "", 1000)
    return [one for one in staged if one.created < begun_before]


def _growth(connection: Connection, staged: SupportSet) -> Growth:
    s = schema.support_set.c
    query = select(s.exemplar_count, s.stored_bytes).where(s.incarnation == staged.incarnation)
    row = connection.execute(query).one()
    return Growth(row.exemplar_count, row.stored_bytes)
