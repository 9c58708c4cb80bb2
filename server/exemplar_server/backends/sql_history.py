"""How exemplars end: for good, or kept apart for the snapshots that show them.

A snapshot at revision R shows the rows with `revision` <= R < `removed_revision`; a row whose
exemplar is live ends nowhere. An exemplar's content is its embeddings and its image: it is kept
once, with the live rows while it is live, and with the past ones after that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Table, and_, func, insert, literal, select
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_rows import bury, deleted, next_revision, of
from exemplar_server.backends.sql_tenants import Growth

if TYPE_CHECKING:
    from sqlalchemy import Select

    from exemplar_server.backends.sql_rows import Ids
    from exemplar_server.core.exemplars import SupportSet

# Live contents and where they are kept when they are live no more.
CONTENTS = (
    (schema.embedding, schema.past_embedding, "values"),
    (schema.image, schema.past_image, "bytes"),
)


def end(connection: Connection, target: SupportSet, exemplar_ids: Ids) -> Growth:
    """Takes exemplars out at the next revision; returns by how much the support set grows: less."""
    relabel(connection, target, exemplar_ids)
    e = schema.exemplar.c
    these = select(e.exemplar_id).where(of(schema.exemplar, target, exemplar_ids)).correlate(None)
    kept = _moved_contents(connection, target, these.where(has_past()))
    unseen, sizes = these.where(~has_past()), 0
    for table, _, column in CONTENTS:
        sizes += _deleted_bytes(connection, table, column, of(table, target, unseen))
    count = connection.execute(deleted(schema.exemplar, target, exemplar_ids)).rowcount
    return Growth(-count, -sizes, kept)


def relabel(connection: Connection, target: SupportSet, exemplar_ids: Ids) -> None:
    """Ends the labels and metadata of exemplars at the next revision; their contents stay.

    Their rows are there yet: whoever calls gives them the next revision, or takes them away.
    """
    bury(connection, target, exemplar_ids)
    if newest := _newest_snapshot(connection, target):
        _keep_rows(connection, target, exemplar_ids, newest)


def revive(connection: Connection, target: SupportSet, revision: int) -> Growth:
    """Makes the past rows of `revision` live again that no live row is in the place of."""
    e, p = schema.exemplar.c, schema.past_exemplar.c
    same = and_(e.incarnation == p.incarnation, e.exemplar_id == p.exemplar_id)
    columns = ["incarnation", "exemplar_id", "label", "metadata", "revision", "content_revision"]
    rows = select(
        p.incarnation,
        p.exemplar_id,
        p.label,
        p.metadata,
        literal(next_revision(target)),
        p.content_revision,
    ).where(
        p.incarnation == target.incarnation,
        shown_at(revision),
        ~select(e.exemplar_id).where(same).exists(),
    )
    connection.execute(insert(schema.exemplar).from_select(columns, rows))
    revived = and_(e.incarnation == target.incarnation, e.revision == next_revision(target))
    count = _count(connection, select(e.exemplar_id).where(revived))
    return Growth(count, 0, -_contents_moved_back(connection, target))


def purge(connection: Connection, target: SupportSet) -> Growth:
    """Deletes what no snapshot shows any more."""
    p, s = schema.past_exemplar.c, schema.snapshot.c
    is_shown = select(s.name).where(s.incarnation == p.incarnation, shown_at(s.revision)).exists()
    mine = p.incarnation == target.incarnation
    connection.execute(sql_delete(schema.past_exemplar).where(mine, ~is_shown))
    before = kept_count(connection, target)
    sizes = 0
    for _, past, column in CONTENTS:
        c = past.c
        is_used = select(p.exemplar_id).where(
            p.incarnation == c.incarnation,
            p.exemplar_id == c.exemplar_id,
            p.content_revision == c.content_revision,
        )
        unused = and_(c.incarnation == target.incarnation, ~is_used.exists())
        sizes += _deleted_bytes(connection, past, column, unused)
    return Growth(0, -sizes, kept_count(connection, target) - before)


def kept_count(connection: Connection, target: SupportSet) -> int:
    """How many exemplars only snapshots keep, each with its content."""
    v = schema.past_embedding.c
    contents = select(v.exemplar_id, v.content_revision).distinct()
    return _count(connection, contents.where(v.incarnation == target.incarnation))


def has_past(revision: int | None = None) -> ColumnElement[bool]:
    """Whether the live exemplar's content is shown by a snapshot: by the one of `revision`."""
    e, p = schema.exemplar.c, schema.past_exemplar.c
    same = and_(
        p.incarnation == e.incarnation,
        p.exemplar_id == e.exemplar_id,
        p.content_revision == e.content_revision,
    )
    rows = select(p.revision).where(same).correlate(schema.exemplar)
    return (rows if revision is None else rows.where(shown_at(revision))).exists()


def shown_at(revision: int | ColumnElement[int]) -> ColumnElement[bool]:
    p = schema.past_exemplar.c
    return and_(p.revision <= revision, p.removed_revision > revision)


def total_bytes(
    connection: Connection, table: Table, column: str, which: ColumnElement[bool]
) -> int:
    sizes = func.coalesce(func.sum(func.length(table.c[column])), 0)
    return int(connection.execute(select(sizes).where(which)).scalar_one())


def _newest_snapshot(connection: Connection, target: SupportSet) -> int:
    """Its revision, 0 where there is none: what began later is shown by none."""
    s = schema.snapshot.c
    newest = func.coalesce(func.max(s.revision), 0)
    query = select(newest).where(s.incarnation == target.incarnation)
    return int(connection.execute(query).scalar_one())


def _keep_rows(connection: Connection, target: SupportSet, exemplar_ids: Ids, newest: int) -> None:
    e = schema.exemplar.c
    columns = ["incarnation", "exemplar_id", "revision", "removed_revision", "content_revision"]
    rows = select(
        e.incarnation,
        e.exemplar_id,
        e.revision,
        literal(next_revision(target)),
        e.content_revision,
        e.label,
        e.metadata,
    ).where(of(schema.exemplar, target, exemplar_ids), e.revision <= newest)
    into = insert(schema.past_exemplar).from_select([*columns, "label", "metadata"], rows)
    connection.execute(into)


def _moved_contents(connection: Connection, target: SupportSet, exemplar_ids: Select[Any]) -> int:
    """To the past; of how many exemplars."""
    for live, past, _ in CONTENTS:
        e, names = schema.exemplar.c, _names(live)
        same = and_(live.c.incarnation == e.incarnation, live.c.exemplar_id == e.exemplar_id)
        rows = select(*(live.c[name] for name in names), e.content_revision)
        these = rows.join(schema.exemplar, same).where(of(live, target, exemplar_ids))
        connection.execute(insert(past).from_select([*names, "content_revision"], these))
        connection.execute(deleted(live, target, exemplar_ids))
    return _count(connection, exemplar_ids)


def _contents_moved_back(connection: Connection, target: SupportSet) -> int:
    """Those of rows that live again from the next revision on; of how many exemplars."""
    e, count = schema.exemplar.c, 0
    for live, past, _ in CONTENTS:
        lives_again = and_(
            e.incarnation == past.c.incarnation,
            e.exemplar_id == past.c.exemplar_id,
            e.content_revision == past.c.content_revision,
            e.revision == next_revision(target),
        )
        back = and_(
            past.c.incarnation == target.incarnation,
            select(e.exemplar_id).where(lives_again).exists(),
        )
        names = _names(live)
        rows = select(*(past.c[name] for name in names)).where(back)
        distinct = select(past.c.exemplar_id).where(back).distinct()
        count = max(count, _count(connection, distinct))  # each has an embedding, some an image
        connection.execute(insert(live).from_select(names, rows))
        connection.execute(sql_delete(past).where(back))
    return count


def _count(connection: Connection, rows: Select[Any]) -> int:
    counting = select(func.count()).select_from(rows.subquery())
    return int(connection.execute(counting).scalar_one())


def _names(live: Table) -> list[str]:
    return [column.name for column in live.columns]


def _deleted_bytes(
    connection: Connection, table: Table, column: str, which: ColumnElement[bool]
) -> int:
    size_bytes = total_bytes(connection, table, column, which)
    connection.execute(sql_delete(table).where(which))
    return size_bytes
