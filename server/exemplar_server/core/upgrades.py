"""Backbone upgrades: a support set's kept images embedded anew, beside the old embeddings.

One switch makes the new embeddings the support set's own; the old ones are kept until the upgrade
is finished, so that it can be rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exemplar_server.core.exemplars import Page

if TYPE_CHECKING:
    from datetime import datetime

    from exemplar_server.core.exemplars import SupportSet
    from exemplar_server.core.snapshot_cache import SnapshotCache
    from exemplar_server.core.support_sets import SupportSets
    from exemplar_server.core.upgrade_ports import UpgradeStore
    from exemplar_server.core.upgrade_worker import UpgradeWorker

# States. The worker works on those of UNDER_WAY; the others wait for a call.
NONE = "none"  # of support sets that are listed without an upgrade
RUNNING = "running"
REFUSED = "refused"  # by the gate
STOPPED = "stopped"  # an exemplar has no image, or cannot be embedded
SWITCHED = "switched"
ROLLING_BACK = "rolling_back"  # what came after the switch is embedded with the old backbone
ROLLED_BACK = "rolled_back"
UNDER_WAY = (RUNNING, ROLLING_BACK)


@dataclass(frozen=True)
class Space:
    """The embedding space of a backbone; `backbone` is name@version."""

    backbone: str
    fingerprint: str
    dim: int


@dataclass(frozen=True)
class Gate:
    """Leave-one-out accuracy of old and new embeddings on the same exemplars, in [0, 1].

    No exemplar tells anything where no label has two: then `exemplar_count` is 0.
    """

    old_accuracy: float
    new_accuracy: float
    exemplar_count: int


@dataclass(frozen=True)
class Progress:
    """How many exemplars have the new embedding, and how many lack it and the image for it."""

    embedded_count: int
    needs_images: int


@dataclass(frozen=True)
class Upgrade:
    """The upgrade of `support_set`, or (NONE) what one to `target` would need."""

    support_set: SupportSet
    state: str
    source: Space
    target: Space
    is_forced: bool
    gate: Gate
    message: str
    progress: Progress
    created: datetime | None


class Upgrades:
    """What tenants ask about upgrades. One event loop only.

    Each call names the state to reach, so calling again changes nothing.
    """

    def __init__(
        self,
        store: UpgradeStore,
        support_sets: SupportSets,
        cache: SnapshotCache,
        worker: UpgradeWorker,
    ) -> None:
        self._store = store
        self._support_sets = support_sets
        self._cache = cache
        self._worker = worker

    async def start(self, tenant: str, name: str, backbone: str, *, is_forced: bool) -> Upgrade:
        """Begins, or goes on where the gate or a missing image stopped it.

        Raises:
            NotFoundError: the support set, or a backbone that does not run here.
            UpgradeRefusedError: exemplars without images, or another upgrade is there.
        """
        target = self._space(backbone)
        started = await self._store.start_upgrade(tenant, name, target, is_forced=is_forced)
        self._worker.wake()
        return started

    async def get(self, tenant: str, name: str) -> Upgrade:
        return await self._store.upgrade(tenant, name)

    async def page(self, tenant: str, backbone: str, after: str, count: int) -> Page[Upgrade]:
        """Upgrades by their support sets' names.

        With a `backbone`, all support sets that are not of it, begun or not; else all upgrades.
        """
        target = self._space(backbone) if backbone else None
        found = await self._store.upgrades(tenant, target, after, count + 1)
        is_last = len(found) <= count
        return Page(found[:count], "" if is_last else found[count - 1].support_set.name)

    async def roll_back(self, tenant: str, name: str) -> Upgrade:
        """Back to the old embeddings: at once, where every exemplar has one.

        Raises:
            UpgradeRefusedError: it has not switched, or exemplars since then have no image.
            FingerprintMismatchError: the old backbone does not run here.
        """
        upgrade = await self._store.upgrade(tenant, name)
        old = upgrade.source
        self._support_sets.embedders.of(
            replace(upgrade.support_set, backbone=old.backbone, fingerprint=old.fingerprint)
        )
        rolled_back, change = await self._store.roll_back_upgrade(tenant, name)
        await self._cache.catch_up(tenant, name, change.revision)
        self._worker.wake()
        return rolled_back

    async def cancel(self, tenant: str, name: str) -> None:
        """Drops the new embeddings; raises UpgradeRefusedError after the switch."""
        await self._store.cancel_upgrade(tenant, name)

    async def finish(self, tenant: str, name: str) -> None:
        """Drops the embeddings that are not in use; raises UpgradeRefusedError before the switch.

        There is no way back then.
        """
        await self._store.finish_upgrade(tenant, name)

    def _space(self, backbone: str) -> Space:
        manifest = self._support_sets.embedders.named(backbone).backbone.manifest
        return Space(manifest.label, manifest.fingerprint, manifest.dim)
