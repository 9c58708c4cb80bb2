"""What becomes of support sets after they were filled: corrected, copied, brought back, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from exemplar_server.core.exemplars import Change, ExemplarUpdate, ItemResult, RequestKey
    from exemplar_server.core.ports import Store
    from exemplar_server.core.snapshot_cache import SnapshotCache


class LifecycleStore(Protocol):
    """The part of core.ports.Store that is about this."""

    async def update_exemplars(
        self,
        tenant: str,
        name: str,
        updates: Sequence[ExemplarUpdate | ItemResult],
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        """Changes labels and metadata; ItemResults are failures that keep their place."""
        ...


class Lifecycle:
    """A part of SupportSets, which has the store and the cache."""

    _store: Store
    _cache: SnapshotCache

    async def _to_the_end(
        self, change: Awaitable[Change], cache: Callable[[Change], Awaitable[object]]
    ) -> Change:
        raise NotImplementedError

    async def update_exemplars(
        self,
        tenant: str,
        name: str,
        updates: Sequence[ExemplarUpdate | ItemResult],
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        updating = self._store.update_exemplars(
            tenant, name, updates, expected_revision=expected_revision, key=key
        )
        return await self._to_the_end(
            updating, lambda change: self._cache.catch_up(tenant, name, change.revision)
        )
