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
    from collections.abc import Collection, Iterator

    from sqlalchemy import Select

    from exemplar_server.core.exemplars import SupportSet

# Subqueries of ids would do it in one statement, and PostgreSQL, which knows too little of rows
# that just came, plans them as loops in loops: minutes for 2,000 exemplars (measured).
IDS_AT_ONCE = 1000
# Live contents and where they are kept when they are live no more.
CONTENTS = (
    (schema.embedding, schema.past_embedding, "values"),
    (schema.image, schema.past_image, "bytes"),
)


def end(connection: Connection, target: SupportSet, exemplar_ids: Collection[str]) -> Growth:
    """Takes exemplars out at the next revision; returns by how much the support set grows: less."""
    growth = Growth(0, 0)
    for some in _some(exemplar_ids):
        _end_rows(connection, target, some)
        kept = _with_past(connection, target, some)
        gone = set(some) - kept
        sizes = 0
        for table, _, column in CONTENTS:
            sizes += _deleted_bytes(connection, table, column, of(table, target, gone))
        _move_contents(connection, target, kept)
        connection.execute(deleted(schema.exemplar, target, some))
        growth += Growth(-len(some), -sizes, len(kept))
    return growth


def relabel(connection: Connection, target: SupportSet, exemplar_ids: Collection[str]) -> None:
    """Ends the labels and metadata of exemplars at the next revision; their contents stay.

    Their rows are there yet: whoever calls gives them the next revision, or takes them away.
    """
    for some in _some(exemplar_ids):
        _end_rows(connection, target, some)


def without_rows(
    connection: Connection, target: SupportSet, exemplar_ids: Collection[str]
) -> Growth:
    """Takes exemplars out whose labels have ended; `revive` finds their contents where they are."""
    for some in _some(exemplar_ids):
        connection.execute(deleted(schema.exemplar, target, some))
    return Growth(-len(exemplar_ids), 0)


def changed_since(
    connection: Connection, target: SupportSet, revision: int
) -> tuple[list[str], list[str]]:
    """Live exemplars that came after `revision`, and those that only had another label then."""
    e = schema.exemplar.c
    later = and_(e.incarnation == target.incarnation, e.revision > revision)
    rows = connection.execute(select(e.exemplar_id, _has_past(revision)).where(later)).all()
    return [i for i, had_it in rows if not had_it], [i for i, had_it in rows if had_it]


def revive(connection: Connection, target: SupportSet, revision: int) -> Growth:
    """Makes what was shown at `revision` live again; what did not change since is live."""
    e, p = schema.exemplar.c, schema.past_exemplar.c
    shown = and_(p.incarnation == target.incarnation, shown_at(revision))
    ids = connection.execute(select(p.exemplar_id).where(shown)).scalars().all()
    same = ("incarnation", "exemplar_id", "label", "metadata", "content_revision")
    growth = Growth(0, 0)
    for some in _some(ids):
        columns = [*(p[name] for name in same), literal(next_revision(target))]
        rows = select(*columns).where(shown_at(revision), of(schema.past_exemplar, target, some))
        connection.execute(insert(schema.exemplar).from_select([*same, e.revision.name], rows))
        growth += Growth(len(some), 0, -_move_contents_back(connection, target, some))
    return growth


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


def _end_rows(connection: Connection, target: SupportSet, exemplar_ids: Collection[str]) -> None:
    bury(connection, target, exemplar_ids)
    if newest := _newest_snapshot(connection, target):
        _keep_rows(connection, target, exemplar_ids, newest)


def _keep_rows(
    connection: Connection, target: SupportSet, exemplar_ids: Collection[str], newest: int
) -> None:
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


def _has_past(revision: int | None = None) -> ColumnElement[bool]:
    """Whether the live exemplar's content is shown by a snapshot: by the one of `revision`."""
    e, p = schema.exemplar.c, schema.past_exemplar.c
    same = and_(
        p.incarnation == e.incarnation,
        p.exemplar_id == e.exemplar_id,
        p.content_revision == e.content_revision,
    )
    rows = select(p.revision).where(same).correlate(schema.exemplar)
    return (rows if revision is None else rows.where(shown_at(revision))).exists()


def _with_past(
    connection: Connection, target: SupportSet, exemplar_ids: Collection[str]
) -> set[str]:
    e = schema.exemplar.c
    query = select(e.exemplar_id).where(of(schema.exemplar, target, exemplar_ids), _has_past())
    return set(connection.execute(query).scalars())


def _move_contents(
    connection: Connection, target: SupportSet, exemplar_ids: Collection[str]
) -> None:
    """To the past."""
    if not exemplar_ids:
        return
    for live, past, _ in CONTENTS:
        e, names = schema.exemplar.c, _names(live)
        same = and_(live.c.incarnation == e.incarnation, live.c.exemplar_id == e.exemplar_id)
        rows = select(*(live.c[name] for name in names), e.content_revision)
        these = rows.join(schema.exemplar, same).where(of(live, target, exemplar_ids))
        connection.execute(insert(past).from_select([*names, "content_revision"], these))
        connection.execute(deleted(live, target, exemplar_ids))


def _move_contents_back(
    connection: Connection, target: SupportSet, exemplar_ids: Collection[str]
) -> int:
    """Of those whose content is not live; returns how many."""
    e, moved = schema.exemplar.c, 0
    for live, past, _ in CONTENTS:
        lives_again = and_(
            e.incarnation == past.c.incarnation,
            e.exemplar_id == past.c.exemplar_id,
            e.content_revision == past.c.content_revision,
        )
        is_live = select(e.exemplar_id).where(lives_again).exists()
        back = and_(of(past, target, exemplar_ids), is_live)
        names = _names(live)
        rows = select(*(past.c[name] for name in names)).where(back)
        distinct = select(past.c.exemplar_id).where(back).distinct()
        moved = max(moved, _count(connection, distinct))  # each has an embedding, some an image
        connection.execute(insert(live).from_select(names, rows))
        connection.execute(sql_delete(past).where(back))
    return moved


def _some(exemplar_ids: Collection[str]) -> Iterator[list[str]]:
    """So many at a time that every statement finds its rows by their keys."""
    ids = list(exemplar_ids)
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield ids[start : start + IDS_AT_ONCE]


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
