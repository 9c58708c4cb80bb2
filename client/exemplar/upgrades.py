"""Support sets on their way to another backbone: what the server tells, and the plans that ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from exemplar.calls import (
    CANCEL_UPGRADE,
    FINISH_UPGRADE,
    GET_UPGRADE,
    LIST_UPGRADES,
    ROLL_BACK_UPGRADE,
    START_UPGRADE,
    Pause,
    Plan,
    send,
)
from exemplar.enums import enum_name
from exemplar.errors import DeadlineExceededError
from exemplar.memory import Memory
from exemplar.support_set_plans import Page
from exemplar.v1 import upgrade_pb2

_LOOK_SECONDS = 0.5
_UNDER_WAY = {"RUNNING", "ROLLING_BACK"}


@dataclass(frozen=True)
class Gate:
    """Shares of the support set's exemplars that the others answer right with each backbone."""

    old_accuracy: float
    new_accuracy: float
    exemplar_count: int


@dataclass(frozen=True)
class Upgrade:
    """The upgrade of one support set.

    Attributes:
        support_set: its name.
        state: RUNNING, REFUSED (by the gate), STOPPED (see `message`), SWITCHED, ROLLING_BACK or
            ROLLED_BACK; UNSPECIFIED in lists where it has not begun.
        from_backbone: name@version.
        from_fingerprint: the old embedding space.
        to_backbone: name@version.
        to_fingerprint: the new embedding space.
        exemplar_count: of the support set.
        embedded_count: how many have the embedding that is being made.
        needs_images_count: how many have neither it nor a kept image.
        gate: None until it was measured, and where no label has two exemplars.
        even_if_worse: whether it switches whatever the gate tells.
        message: why it was refused or stopped.
        revision: the support set's.
        created: when it was started; None where it has not begun.
    """

    support_set: str
    state: str
    from_backbone: str
    from_fingerprint: str
    to_backbone: str
    to_fingerprint: str
    exemplar_count: int
    embedded_count: int
    needs_images_count: int
    gate: Gate | None
    even_if_worse: bool
    message: str
    revision: int
    created: datetime | None

    @property
    def is_under_way(self) -> bool:
        """Whether the server works on it."""
        return self.state in _UNDER_WAY


def upgrade_from_pb(message: upgrade_pb2.Upgrade) -> Upgrade:
    gate = message.gate
    return Upgrade(
        support_set=message.support_set,
        state=enum_name(upgrade_pb2.UpgradeState.DESCRIPTOR, message.state, "UPGRADE_STATE_"),
        from_backbone=message.from_backbone,
        from_fingerprint=message.from_fingerprint,
        to_backbone=message.to_backbone,
        to_fingerprint=message.to_fingerprint,
        exemplar_count=message.exemplar_count,
        embedded_count=message.embedded_count,
        needs_images_count=message.needs_images_count,
        gate=Gate(gate.old_accuracy, gate.new_accuracy, gate.exemplar_count)
        if message.HasField("gate")
        else None,
        even_if_worse=message.even_if_worse,
        message=message.message,
        revision=message.revision,
        created=message.create_time.ToDatetime(UTC) if message.HasField("create_time") else None,
    )


def start_upgrade(
    memory: Memory, support_set: str, backbone: str, even_if_worse: bool
) -> Plan[Upgrade]:
    request = upgrade_pb2.StartUpgradeRequest(
        support_set=support_set, backbone=backbone, even_if_worse=even_if_worse
    )
    response = yield from send(START_UPGRADE, request)
    return _seen(memory, response.upgrade)


def get_upgrade(memory: Memory, support_set: str) -> Plan[Upgrade]:
    request = upgrade_pb2.GetUpgradeRequest(support_set=support_set)
    response = yield from send(GET_UPGRADE, request)
    return _seen(memory, response.upgrade)


def wait_for_upgrade(
    memory: Memory,
    support_set: str,
    on_progress: Callable[[Upgrade], object] | None,
    timeout_seconds: float,
) -> Plan[Upgrade]:
    deadline = time.monotonic() + timeout_seconds
    while True:
        upgrade = yield from get_upgrade(memory, support_set)
        if on_progress is not None:
            on_progress(upgrade)
        if not upgrade.is_under_way:
            return upgrade
        if time.monotonic() + _LOOK_SECONDS >= deadline:
            raise DeadlineExceededError(
                f"the upgrade of {support_set!r} goes on: {upgrade.embedded_count} of "
                f"{upgrade.exemplar_count} exemplars are embedded"
            )
        yield Pause(_LOOK_SECONDS)


def list_upgrades_page(backbone: str, page_size: int, page_token: str) -> Plan[Page[Upgrade]]:
    request = upgrade_pb2.ListUpgradesRequest(
        backbone=backbone, page_size=page_size, page_token=page_token
    )
    response = yield from send(LIST_UPGRADES, request)
    return Page([upgrade_from_pb(one) for one in response.upgrades], response.next_page_token)


def roll_back_upgrade(memory: Memory, support_set: str) -> Plan[Upgrade]:
    request = upgrade_pb2.RollBackUpgradeRequest(support_set=support_set)
    response = yield from send(ROLL_BACK_UPGRADE, request)
    return _seen(memory, response.upgrade)


def cancel_upgrade(support_set: str) -> Plan[None]:
    yield from send(CANCEL_UPGRADE, upgrade_pb2.CancelUpgradeRequest(support_set=support_set))


def finish_upgrade(support_set: str) -> Plan[None]:
    yield from send(FINISH_UPGRADE, upgrade_pb2.FinishUpgradeRequest(support_set=support_set))


def _seen(memory: Memory, message: upgrade_pb2.Upgrade) -> Upgrade:
    """Answers that follow are of the revision that the switch made, or later."""
    memory.saw(message.support_set, message.revision)
    return upgrade_from_pb(message)
