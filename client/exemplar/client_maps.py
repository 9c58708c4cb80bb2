"""The blocking client's methods that draw maps and place queries on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exemplar import map_plans
from exemplar.images import Drawable, Image
from exemplar.map_result import MapPosition, MapProgress, MapResult
from exemplar.memory import Memory
from exemplar.sync_driver import SyncDriver
from exemplar.v1 import map_pb2


class MapMethods:
    """A part of Client, which sets the attributes."""

    _driver: SyncDriver
    _memory: Memory

    def compute_map(
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
        """A t-SNE map. An `on_progress` that raises stops the work, here and on the server."""
        request = map_pb2.ComputeMapRequest(
            support_set=support_set,
            perplexity=perplexity,
            seed=seed,
            iterations=iterations,
            min_revision=self._memory.wanted_revision(support_set, min_revision),
            include_thumbnails=thumbnails,
        )
        return self._driver.run(
            map_plans.compute_map(self._memory, request, on_progress, timeout_seconds)
        )

    def compute_map_of(
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
        """A t-SNE map of what is in no support set, embedded by the server as it arrives.

        Args:
            items: images, embeddings, or either with a label, as (label, image) pairs or
                NewExemplar objects; files are read as their turn comes. One that cannot be used
                fails the call. Points are named by exemplar_id, file or position.
            backbone: its name; default (empty) the server's default one.
            perplexity: about how many neighbors each point minds; default (None) the server's, 30.
            seed: same seed and same items: same map.
            iterations: after early exaggeration; default (None) the server's, 500.
            on_progress: is called from when all items are sent; one that raises stops the work.
            timeout_seconds: for sending, embedding and drawing together.
        """
        options = map_pb2.MapItemsOptions(
            backbone=backbone, perplexity=perplexity, seed=seed, iterations=iterations
        )
        return self._driver.run(
            map_plans.compute_map_of(self._memory, items, options, on_progress, timeout_seconds)
        )

    def place_on_map(
        self,
        result: MapResult,
        queries: Iterable[Image],
        *,
        min_revision: int | None = None,
        timeout_seconds: float = 600.0,
    ) -> list[MapPosition]:
        """One place a query, in order, on a compute_map; `.error` is set where there is none.

        The map's own points do not move. Its exemplars must still be in the support set: those that
        are not attract no queries. MapResult.with_queries draws them.

        Args:
            result: the map.
            queries: any number of images or embeddings; files are read as their turn comes.
            min_revision: as in `classify`.
            timeout_seconds: of each request, with the wait for a free worker.
        """
        return self._driver.run(
            map_plans.place_on_map(self._memory, result, queries, min_revision, timeout_seconds)
        )
