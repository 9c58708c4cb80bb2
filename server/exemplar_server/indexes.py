"""The indexes that are held: loaded from the store, brought up to date, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_server.backends.faiss_index import FlatIndex, IvfIndex
from exemplar_server.core import heap
from exemplar_server.core.background import work_until_left
from exemplar_server.core.follower import Follower
from exemplar_server.core.snapshot_cache import SnapshotCache

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from exemplar_server.core.ports import Store
    from exemplar_server.edge.metrics import Metrics
    from exemplar_server.settings import Settings


def hold_indexes(
    settings: Settings, store: Store, metrics: Metrics, stack: AsyncExitStack
) -> SnapshotCache:
    """Follows the store until the stack is left."""
    cache = SnapshotCache(
        store,
        FlatIndex,
        IvfIndex,
        settings.index_bytes,
        heap.give_back,
        is_strict=settings.strict_reads,
    )
    stack.push_async_callback(cache.close)
    follower = Follower(store, cache)
    work_until_left(stack, follower.follow())
    metrics.watch(
        "exemplar_index_age_seconds",
        "Since all support sets held were last known to be as the store has them.",
        lambda: follower.age_seconds,
    )
    metrics.watch(
        "exemplar_index_bytes", "Bytes of support sets held for search.", lambda: cache.size_bytes
    )
    metrics.watch(
        "exemplar_index_support_sets", "Support sets held for search.", lambda: len(cache)
    )
    metrics.watch(
        "exemplar_index_approximated_support_sets",
        "Support sets held whose searches may be approximate.",
        lambda: cache.approximated_count,
    )
    metrics.watch(
        "exemplar_index_corrupt_support_sets",
        "Support sets that cannot be searched: the store has not what was written.",
        lambda: cache.corrupt_count,
    )
    return cache
