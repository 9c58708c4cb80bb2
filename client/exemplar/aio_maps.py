"""The asyncio client's methods that draw maps and place queries on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exemplar import map_plans
from exemplar.async_driver import AsyncDriver
from exemplar.images import Drawable, Image
from exemplar.map_result import MapPosition, MapProgress, MapResult
from exemplar.memory import Memory
from exemplar.v1 import map_pb2


class AsyncMapMethods:
    """A part of AsyncClient, which sets the attributes."""

    _driver: AsyncDriver
    _memory: Memory

    async def compute_map(
        self,
        support_set: str,
        *,
        perplexity: float | None = None,
        seed: int = 0,
        iterations: int | None = None,
        thumbnails: bool = False,
        min_revision: int | None = None,
        on_progress: Callable[[MapProgress], object] | None = None,
        timeout_seconds: float = 600.0,
    ) -> MapResult:
        request = map_pb2.ComputeMapRequest(
            support_set=support_set,
            perplexity=perplexity,
            seed=seed,
            iterations=iterations,
            min_revision=self._memory.wanted_revision(support_set, min_revision),
            include_thumbnails=thumbnails,
        )
        return await self._driver.run(
            map_plans.compute_map(self._memory, request, on_progress, timeout_seconds)
        )

    async def compute_map_of(
        self,
        items: Iterable[Drawable],
        *,
        backbone: str = "",
        perplexity: float | None = None,
        seed: int = 0,
        iterations: int | None = None,
        on_progress: Callable[[MapProgress], object] | None = None,
        timeout_seconds: float = 3600.0,
    ) -> MapResult:
        options = map_pb2.MapItemsOptions(
            backbone=backbone, perplexity=perplexity, seed=seed, iterations=iterations
        )
        return await self._driver.run(
            map_plans.compute_map_of(self._memory, items, options, on_progress, timeout_seconds)
        )

    async def place_on_map(
        self,
        result: MapResult,
        queries: Iterable[Image],
        *,
        min_revision: int | None = None,
        timeout_seconds: float = 600.0,
    ) -> list[MapPosition]:
        return await self._driver.run(
            map_plans.place_on_map(self._memory, result, queries, min_revision, timeout_seconds)
        )
