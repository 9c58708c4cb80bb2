"""Protobuf to domain and back for backbone upgrades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import upgrade_pb2 as pb
from exemplar_server.core import upgrades
from exemplar_server.edge import wire
from exemplar_server.errors import InvalidInputError

if TYPE_CHECKING:
    from exemplar_server.core.exemplars import Page
    from exemplar_server.core.upgrades import Upgrade

STATES = {
    upgrades.NONE: pb.UPGRADE_STATE_UNSPECIFIED,
    upgrades.RUNNING: pb.UPGRADE_STATE_RUNNING,
    upgrades.REFUSED: pb.UPGRADE_STATE_REFUSED,
    upgrades.STOPPED: pb.UPGRADE_STATE_STOPPED,
    upgrades.SWITCHED: pb.UPGRADE_STATE_SWITCHED,
    upgrades.ROLLING_BACK: pb.UPGRADE_STATE_ROLLING_BACK,
    upgrades.ROLLED_BACK: pb.UPGRADE_STATE_ROLLED_BACK,
}


def target(request: pb.StartUpgradeRequest) -> str:
    """The new backbone is never the default one by accident."""
    if not request.backbone:
        raise InvalidInputError("backbone: expected a name in ListBackbones, got none")
    return wire.backbone(request.backbone)


def upgrade(value: Upgrade) -> pb.Upgrade:
    message = pb.Upgrade(
        support_set=value.support_set.name,
        state=STATES[value.state],
        from_backbone=value.source.backbone,
        from_fingerprint=value.source.fingerprint,
        to_backbone=value.target.backbone,
        to_fingerprint=value.target.fingerprint,
        exemplar_count=value.support_set.exemplar_count,
        embedded_count=value.progress.embedded_count,
        needs_images_count=value.progress.needs_images,
        gate=pb.Gate(**vars(value.gate)) if value.gate.exemplar_count else None,
        even_if_worse=value.is_forced,
        message=value.message,
        revision=value.support_set.revision,
    )
    if value.created is not None:
        message.create_time.FromDatetime(value.created)
    return message


def page(found: Page[Upgrade]) -> pb.ListUpgradesResponse:
    return pb.ListUpgradesResponse(
        upgrades=[upgrade(one) for one in found.items], next_page_token=found.next_token
    )
