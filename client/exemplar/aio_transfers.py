"""The asyncio client's methods that take support sets into files and out of them."""

from __future__ import annotations

import os

from exemplar import transfer_plans
from exemplar.answers import SupportSet
from exemplar.async_driver import AsyncDriver
from exemplar.memory import Memory
from exemplar.v1 import transfer_pb2


class AsyncTransferMethods:
    """A part of AsyncClient, which sets the attributes."""

    _driver: AsyncDriver
    _memory: Memory

    async def export_support_set(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        min_revision: int | None = None,
        progress: bool = False,
        timeout_seconds: float = 3600.0,
    ) -> SupportSet:
        request = transfer_pb2.ExportSupportSetRequest(
            support_set=name, min_revision=self._memory.wanted_revision(name, min_revision)
        )
        return await self._driver.run(
            transfer_plans.export_support_set(
                self._memory, request, path, progress, timeout_seconds
            )
        )

    async def import_support_set(
        self,
        path: str | os.PathLike[str],
        name: str,
        *,
        reembed: bool = False,
        backbone: str = "",
        request_id: str | None = None,
        progress: bool = False,
        timeout_seconds: float = 3600.0,
    ) -> SupportSet:
        options = transfer_pb2.ImportOptions(
            name=name, reembed=reembed, backbone=backbone, request_id=request_id or ""
        )
        return await self._driver.run(
            transfer_plans.import_support_set(
                self._memory, path, options, progress, timeout_seconds
            )
        )
