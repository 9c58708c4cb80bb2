"""The asyncio client's methods that move support sets to another backbone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

from exemplar import upgrades
from exemplar.async_driver import AsyncDriver
from exemplar.memory import Memory
from exemplar.upgrades import Upgrade


class AsyncUpgradeMethods:
    """A part of AsyncClient, which sets the attributes."""

    _driver: AsyncDriver
    _memory: Memory

    async def start_upgrade(
        self, support_set: str, backbone: str, *, even_if_worse: bool = False
    ) -> Upgrade:
        return await self._driver.run(
            upgrades.start_upgrade(self._memory, support_set, backbone, even_if_worse)
        )

    async def get_upgrade(self, support_set: str) -> Upgrade:
        return await self._driver.run(upgrades.get_upgrade(self._memory, support_set))

    async def wait_for_upgrade(
        self,
        support_set: str,
        *,
        on_progress: Callable[[Upgrade], object] | None = None,
        timeout_seconds: float = 3600.0,
    ) -> Upgrade:
        return await self._driver.run(
            upgrades.wait_for_upgrade(self._memory, support_set, on_progress, timeout_seconds)
        )

    def list_upgrades(self, *, backbone: str = "", page_size: int = 0) -> AsyncIterator[Upgrade]:
        return self._driver.pages(partial(upgrades.list_upgrades_page, backbone, page_size))

    async def roll_back_upgrade(self, support_set: str) -> Upgrade:
        return await self._driver.run(upgrades.roll_back_upgrade(self._memory, support_set))

    async def cancel_upgrade(self, support_set: str) -> None:
        await self._driver.run(upgrades.cancel_upgrade(support_set))

    async def finish_upgrade(self, support_set: str) -> None:
        await self._driver.run(upgrades.finish_upgrade(support_set))
