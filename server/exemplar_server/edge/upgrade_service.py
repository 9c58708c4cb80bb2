"""Moves support sets to another backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import upgrade_pb2 as pb
from exemplar.v1 import upgrade_pb2_grpc as rpc
from exemplar_server.edge import wire, wire_upgrades

if TYPE_CHECKING:
    from exemplar_server.core.support_sets import Call
    from exemplar_server.core.upgrades import Upgrades


class UpgradeServicer(rpc.UpgradeServiceServicer):
    def __init__(self, upgrades: Upgrades) -> None:
        self._upgrades = upgrades

    async def StartUpgrade(  # type: ignore[override]
        self, request: pb.StartUpgradeRequest, call: Call
    ) -> pb.StartUpgradeResponse:
        name, backbone = (
            wire.name("support_set", request.support_set),
            wire_upgrades.target(request),
        )
        started = await self._upgrades.start(
            call.tenant, name, backbone, is_forced=request.even_if_worse
        )
        return pb.StartUpgradeResponse(upgrade=wire_upgrades.upgrade(started))

    async def GetUpgrade(  # type: ignore[override]
        self, request: pb.GetUpgradeRequest, call: Call
    ) -> pb.GetUpgradeResponse:
        name = wire.name("support_set", request.support_set)
        found = await self._upgrades.get(call.tenant, name)
        return pb.GetUpgradeResponse(upgrade=wire_upgrades.upgrade(found))

    async def ListUpgrades(  # type: ignore[override]
        self, request: pb.ListUpgradesRequest, call: Call
    ) -> pb.ListUpgradesResponse:
        after, count = wire.page_token(request.page_token), wire.page_size(request.page_size)
        backbone = wire.backbone(request.backbone)
        return wire_upgrades.page(await self._upgrades.page(call.tenant, backbone, after, count))

    async def RollBackUpgrade(  # type: ignore[override]
        self, request: pb.RollBackUpgradeRequest, call: Call
    ) -> pb.RollBackUpgradeResponse:
        name = wire.name("support_set", request.support_set)
        rolled_back = await self._upgrades.roll_back(call.tenant, name)
        return pb.RollBackUpgradeResponse(upgrade=wire_upgrades.upgrade(rolled_back))

    async def CancelUpgrade(  # type: ignore[override]
        self, request: pb.CancelUpgradeRequest, call: Call
    ) -> pb.CancelUpgradeResponse:
        await self._upgrades.cancel(call.tenant, wire.name("support_set", request.support_set))
        return pb.CancelUpgradeResponse()

    async def FinishUpgrade(  # type: ignore[override]
        self, request: pb.FinishUpgradeRequest, call: Call
    ) -> pb.FinishUpgradeResponse:
        await self._upgrades.finish(call.tenant, wire.name("support_set", request.support_set))
        return pb.FinishUpgradeResponse()
