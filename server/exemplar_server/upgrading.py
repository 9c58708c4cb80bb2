"""Backbone upgrades: those under way go on, in the background and at the lowest priority."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_server.backends.sql_upgrade_store import SqlUpgrades
from exemplar_server.core.background import work_until_left
from exemplar_server.core.upgrade_worker import UpgradeWorker
from exemplar_server.core.upgrades import Upgrades

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from exemplar_server.backends.sql_store import SqlStore
    from exemplar_server.core.admission import Admission
    from exemplar_server.core.embedder import Embedder
    from exemplar_server.core.snapshot_cache import SnapshotCache
    from exemplar_server.core.support_sets import SupportSets
    from exemplar_server.edge.metrics import Metrics


def work_off_upgrades(
    store: SqlStore,
    support_sets: SupportSets,
    cache: SnapshotCache,
    *,
    embedders: Sequence[Embedder],
    admission: Admission,
    metrics: Metrics,
    stack: AsyncExitStack,
) -> Upgrades:
    """Until the stack is left."""
    manifests = [embedder.backbone.manifest for embedder in embedders]
    stored = SqlUpgrades(store, {m.fingerprint: m.label for m in manifests})
    worker = UpgradeWorker(stored, cache, embedders, lambda: admission.images > 0)
    work_until_left(stack, worker.run())
    metrics.watch(
        "exemplar_upgrades_under_way",
        "Support sets that are being embedded with another backbone.",
        lambda: worker.job_count,
    )
    return Upgrades(stored, support_sets, cache, worker)
