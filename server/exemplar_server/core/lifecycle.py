"""What becomes of support sets after they were filled: corrected, copied, brought back, ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from exemplar_server.core.classify import ClassifyOptions, classify
from exemplar_server.core.exemplars import Change

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from exemplar_server.core.changes import Changes
    from exemplar_server.core.exemplars import (
        ExemplarUpdate,
        ItemResult,
        Receipt,
        RequestKey,
        SavedSnapshot,
    )
    from exemplar_server.core.snapshot import Snapshot
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

    async def update_support_set(
        self,
        tenant: str,
        name: str,
        *,
        keep_images: bool,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        """The receipt of the answer has the images that are kept no more."""
        ...

    async def copy(
        self, tenant: str, name: str, new_name: str, *, min_revision: int, key: RequestKey
    ) -> Change:
        """The answer is about the new support set.

        Raises:
            RevisionNotReachedError: the source is older than `min_revision`.
        """
        ...

    async def create_snapshot(
        self,
        tenant: str,
        name: str,
        snapshot: str,
        *,
        most: int,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        """Raises LimitExceededError where the support set has `most` already."""
        ...

    async def snapshots(self, tenant: str, name: str) -> list[SavedSnapshot]:
        """By name."""
        ...

    async def delete_snapshot(
        self, tenant: str, name: str, snapshot: str, *, key: RequestKey
    ) -> Change: ...

    async def roll_back(
        self,
        tenant: str,
        name: str,
        to: str | int,
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        """`to`: a snapshot's name, or a revision that one is of.

        Raises:
            FingerprintMismatchError: the snapshot is of another embedding space.
        """
        ...

    async def delete_tenant(
        self, tenant: str, *, key: RequestKey, hidden: Callable[[str], Awaitable[None]]
    ) -> Receipt:
        """Deletes everything of the tenant, and then all trace of it but this answer.

        Not in one transaction: from the first one on nobody sees anything of the tenant, and
        `hidden` is awaited for each of its support sets; their rows go bit by bit. When the server
        ends in between, the next one goes on, and the same request gets the receipt.
        """
        ...


@dataclass(frozen=True)
class Ready:
    """What warming up came to."""

    revision: int
    index_bytes: int
    warm_up_ms: float


class Lifecycle:
    """`snapshot` is how a support set's snapshot is had. One event loop only."""

    def __init__(
        self,
        store: LifecycleStore,
        cache: SnapshotCache,
        changes: Changes,
        snapshot: Callable[[str, str, int], AbstractAsyncContextManager[Snapshot]],
    ) -> None:
        self._store = store
        self._cache = cache
        self._changes = changes
        self._snapshot = snapshot

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
        return await self._changes.of(tenant, name, updating)

    async def update(
        self,
        tenant: str,
        name: str,
        *,
        keep_images: bool,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        updating = self._store.update_support_set(
            tenant, name, keep_images=keep_images, expected_revision=expected_revision, key=key
        )
        return await self._changes.of(tenant, name, updating)

    async def copy(
        self, tenant: str, name: str, new_name: str, *, min_revision: int, key: RequestKey
    ) -> Change:
        copying = self._store.copy(tenant, name, new_name, min_revision=min_revision, key=key)
        # Another server may have ended a support set of the name that is here yet.
        return await self._changes.of(tenant, new_name, copying)

    async def create_snapshot(
        self,
        tenant: str,
        name: str,
        snapshot: str,
        *,
        most: int,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self._store.create_snapshot(
            tenant, name, snapshot, most=most, expected_revision=expected_revision, key=key
        )

    async def snapshots(self, tenant: str, name: str) -> list[SavedSnapshot]:
        return await self._store.snapshots(tenant, name)

    async def delete_snapshot(
        self, tenant: str, name: str, snapshot: str, *, key: RequestKey
    ) -> Change:
        return await self._store.delete_snapshot(tenant, name, snapshot, key=key)

    async def roll_back(
        self,
        tenant: str,
        name: str,
        to: str | int,
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        rolling = self._store.roll_back(
            tenant, name, to, expected_revision=expected_revision, key=key
        )
        return await self._changes.of(tenant, name, rolling)

    async def warm_up(self, tenant: str, name: str, min_revision: int) -> Ready:
        """Loads the support set and computes what its first query would, by asking one."""
        started = time.perf_counter()
        async with self._snapshot(tenant, name, min_revision) as snapshot:
            await asyncio.to_thread(_ask_once, snapshot)
        warm_up_ms = (time.perf_counter() - started) * 1e3
        return Ready(snapshot.support_set.revision, snapshot.size_bytes, warm_up_ms)

    async def delete_tenant(self, tenant: str, key: RequestKey) -> Receipt:
        """Goes on when the caller leaves."""

        async def delete() -> Change:
            receipt = await self._store.delete_tenant(
                tenant, key=key, hidden=lambda name: self._cache.drop(tenant, name)
            )
            return Change(0, 0, receipt=receipt)

        return (await self._changes.then(delete(), _nothing_more)).receipt


async def _nothing_more(_change: Change) -> None: ...


def _ask_once(snapshot: Snapshot) -> None:
    query_1D = np.zeros((1, snapshot.support_set.dim), np.float32)
    query_1D[0, 0] = 1
    classify(snapshot, query_1D, ClassifyOptions(include_neighbors=True))
