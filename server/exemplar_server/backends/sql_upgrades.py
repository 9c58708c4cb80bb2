"""Backbone upgrades as tenants see them, each call within the caller's one transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, or_, select
from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_queries
from exemplar_server.backends import sql_reembedding as reembedding
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_rows import Done, locked
from exemplar_server.core.exemplars import Change
from exemplar_server.core.upgrades import (
    NONE,
    ROLLED_BACK,
    ROLLING_BACK,
    RUNNING,
    SWITCHED,
    Gate,
    Space,
    Upgrade,
)
from exemplar_server.errors import NotFoundError, UpgradeRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row

    from exemplar_server.core.exemplars import SupportSet

NOT_MEASURED = Gate(0.0, 0.0, 0)
BEFORE_SWITCH = "has not switched: cancel it instead"


def start(
    connection: Connection,
    tenant: str,
    name: str,
    target: Space,
    labels: Mapping[str, str],
    *,
    is_forced: bool,
) -> Upgrade:
    """`labels` are name@version by fingerprint, of the backbones that run here."""
    of_set = locked(connection, tenant, name)
    row = _row(connection, of_set)
    if _has_switched_to(row, of_set, target):
        return get(connection, tenant, name)
    _check_startable(connection, of_set, row, target)
    _drop(connection, of_set)
    source = Space(labels.get(of_set.fingerprint, of_set.backbone), of_set.fingerprint, of_set.dim)
    connection.execute(
        insert(schema.upgrade).values(
            incarnation=of_set.incarnation,
            state=RUNNING,
            is_forced=is_forced,
            message="",
            created=datetime.now(UTC),
            **_columns("from", source),
            **_columns("to", target),
            **reembedding.gate_values(NOT_MEASURED),
        )
    )
    reembedding.drop_others(connection, tenant, of_set, {of_set.fingerprint, target.fingerprint})
    return get(connection, tenant, name)


def get(connection: Connection, tenant: str, name: str) -> Upgrade:
    of_set = sql_queries.support_set(connection, tenant, name)
    row = _row(connection, of_set)
    if row is None:
        raise NotFoundError(f"support set {name!r} has no upgrade")
    return _upgrade(connection, of_set, row)


def page(
    connection: Connection,
    tenant: str,
    target: Space | None,
    after: str,
    count: int,
    *,
    labels: Mapping[str, str],
) -> list[Upgrade]:
    """With a target, also the support sets that have no upgrade and are in another space."""
    s, u = schema.support_set.c, schema.upgrade.c
    query = (
        select(s.name)
        .join(schema.tenant, schema.tenant.c.incarnation == s.tenant)
        .outerjoin(schema.upgrade, u.incarnation == s.incarnation)
        .where(schema.tenant.c.name == tenant, s.name > after)
        .order_by(s.name)
        .limit(count)
    )
    if target is None:
        query = query.where(u.incarnation.is_not(None))
    else:
        is_to_it = u.to_fingerprint == target.fingerprint
        query = query.where(or_(s.fingerprint != target.fingerprint, is_to_it))
    names = connection.execute(query).scalars().all()
    if target is None:
        return [get(connection, tenant, name) for name in names]
    return [_needed(connection, tenant, name, target, labels) for name in names]


def roll_back(connection: Connection, tenant: str, name: str) -> tuple[Upgrade, Done]:
    of_set = locked(connection, tenant, name)
    row = _existing(connection, of_set)
    unchanged = Done(Change(of_set.revision, of_set.exemplar_count))
    if row.state in {ROLLING_BACK, ROLLED_BACK}:
        return _upgrade(connection, of_set, row), unchanged
    if row.state != SWITCHED:
        raise UpgradeRefusedError(f"the upgrade of support set {name!r} {BEFORE_SWITCH}")
    source = reembedding.source_of(row)
    _check_images(connection, of_set, source.fingerprint)
    is_incomplete = reembedding.lacking(connection, of_set, source.fingerprint) > 0
    _set_state(connection, of_set, ROLLING_BACK if is_incomplete else ROLLED_BACK)
    done = unchanged if is_incomplete else reembedding.switched(connection, of_set, source)
    return get(connection, tenant, name), done


def cancel(connection: Connection, tenant: str, name: str) -> None:
    of_set = locked(connection, tenant, name)
    row = _row(connection, of_set)
    if row is not None and row.state in {SWITCHED, ROLLING_BACK, ROLLED_BACK}:
        raise UpgradeRefusedError(
            f"the upgrade of support set {name!r} has switched: roll it back, or finish it"
        )
    _drop(connection, of_set)
    reembedding.drop_others(connection, tenant, of_set, {of_set.fingerprint})


def finish(connection: Connection, tenant: str, name: str) -> None:
    of_set = locked(connection, tenant, name)
    row = _row(connection, of_set)
    if row is not None and row.state not in {SWITCHED, ROLLED_BACK}:
        raise UpgradeRefusedError(f"the upgrade of support set {name!r} {BEFORE_SWITCH}")
    _drop(connection, of_set)
    reembedding.drop_others(connection, tenant, of_set, {of_set.fingerprint})


def _has_switched_to(row: Row[Any] | None, of_set: SupportSet, target: Space) -> bool:
    """Whether starting again has nothing to do: the call was made twice."""
    is_there = of_set.fingerprint == target.fingerprint
    return row is not None and is_there and row.to_fingerprint == target.fingerprint


def _check_startable(
    connection: Connection, of_set: SupportSet, row: Row[Any] | None, target: Space
) -> None:
    if row is not None and row.state == ROLLING_BACK:
        raise UpgradeRefusedError(f"support set {of_set.name!r} is being rolled back")
    if of_set.fingerprint == target.fingerprint:
        raise UpgradeRefusedError(
            f"support set {of_set.name!r} is of backbone {target.backbone} already"
        )
    has_another = row is not None and row.state not in {SWITCHED, ROLLED_BACK}
    if row is not None and has_another and row.to_fingerprint != target.fingerprint:
        raise UpgradeRefusedError(
            f"support set {of_set.name!r} has an upgrade to {row.to_backbone}: cancel it first"
        )
    _check_images(connection, of_set, target.fingerprint)


def _check_images(connection: Connection, of_set: SupportSet, fingerprint: str) -> None:
    needed = reembedding.progress(connection, of_set.incarnation, fingerprint).needs_images
    if needed:
        raise UpgradeRefusedError(
            f"support set {of_set.name!r}: {needed} of {of_set.exemplar_count} exemplars have no "
            "kept image: remove these and add them again with their images"
        )


def _needed(
    connection: Connection, tenant: str, name: str, target: Space, labels: Mapping[str, str]
) -> Upgrade:
    """The upgrade to the target; what it would need, where there is none."""
    of_set = sql_queries.support_set(connection, tenant, name)
    row = _row(connection, of_set)
    if row is not None and row.to_fingerprint == target.fingerprint:
        return _upgrade(connection, of_set, row)
    label = labels.get(of_set.fingerprint, of_set.backbone)
    source = Space(label, of_set.fingerprint, of_set.dim)
    progress = reembedding.progress(connection, of_set.incarnation, target.fingerprint)
    message = "" if row is None else f"it has an upgrade to {row.to_backbone}"
    return Upgrade(of_set, NONE, source, target, False, NOT_MEASURED, message, progress, None)


def _upgrade(connection: Connection, of_set: SupportSet, row: Row[Any]) -> Upgrade:
    fingerprint = reembedding.goal(row).fingerprint
    created = row.created if row.created.tzinfo else row.created.replace(tzinfo=UTC)
    return Upgrade(
        of_set,
        row.state,
        reembedding.source_of(row),
        reembedding.target_of(row),
        row.is_forced,
        Gate(row.from_accuracy, row.to_accuracy, row.measured_count),
        row.message,
        reembedding.progress(connection, of_set.incarnation, fingerprint),
        created,
    )


def _row(connection: Connection, of_set: SupportSet) -> Row[Any] | None:
    u = schema.upgrade.c
    query = select(schema.upgrade).where(u.incarnation == of_set.incarnation)
    return connection.execute(query).one_or_none()


def _existing(connection: Connection, of_set: SupportSet) -> Row[Any]:
    row = _row(connection, of_set)
    if row is None:
        raise NotFoundError(f"support set {of_set.name!r} has no upgrade")
    return row


def _drop(connection: Connection, of_set: SupportSet) -> None:
    u = schema.upgrade.c
    connection.execute(sql_delete(schema.upgrade).where(u.incarnation == of_set.incarnation))


def _set_state(connection: Connection, of_set: SupportSet, state: str) -> None:
    u = schema.upgrade.c
    this = schema.upgrade.update().where(u.incarnation == of_set.incarnation)
    connection.execute(this.values(state=state, message=""))


def _columns(prefix: str, space: Space) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in vars(space).items()}
