"""Support sets over two fake backbones, and the worker that upgrades from one to the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exemplar_server.backends.sql_upgrade_store import SqlUpgrades
from exemplar_server.core.embedder import Backbone, Embeddings, Timings
from exemplar_server.core.snapshot_cache import SnapshotCache
from exemplar_server.core.support_sets import SupportSets
from exemplar_server.core.thumbnails import Thumbnails
from exemplar_server.core.upgrade_worker import UpgradeWorker
from exemplar_server.core.upgrades import Upgrades
from fakes import DIM, TENANT, BruteIndex, FakeEmbedder, FakeManifest, RoughIndex
from service_calls import Service

NEW_DIM = DIM + 2
NEW = FakeManifest("tiny", "e" * 64, NEW_DIM, "2")
OLD = FakeManifest()


class TurnedEmbedder(FakeEmbedder):
    """The new backbone: what FakeEmbedder tells, turned, and with more dimensions.

    Images in `wrong` come out as another image, those in `broken` as their error.
    """

    def __init__(self, dim):
        super().__init__(Backbone(replace(NEW, dim=dim), "none"))
        self.wrong, self.broken = {}, {}

    async def embed(self, tenant, images, deadline):
        found = await super().embed(tenant, [self.wrong.get(i, i) for i in images], deadline)
        items, dim = zip(images, found.items, strict=True), self.backbone.manifest.dim
        return Embeddings([self.broken.get(i, turned(item, dim)) for i, item in items], Timings())


def turned(embedding_D, dim=NEW_DIM):
    """As the new backbone tells it: other values, the same cosines."""
    return np.concatenate([np.zeros(dim - DIM, np.float32), embedding_D[::-1]])


class UpgradedService(Service):
    """Service with a second backbone and upgrades. `store` is a SqlStore."""

    def __init__(self, store, new_dim=NEW_DIM):
        self.store, self.embedder, self.new = store, FakeEmbedder(), TurnedEmbedder(new_dim)
        self.cache = SnapshotCache(store, BruteIndex, RoughIndex, 2**20)
        embedders = [self.embedder, self.new]
        self.sets = SupportSets(store, self.cache, embedders, Thumbnails(store, bytes.upper))
        labels = {manifest.fingerprint: manifest.label for manifest in (OLD, NEW)}
        self.upgrade_store = SqlUpgrades(store, labels)
        self.busy = False
        self.worker = UpgradeWorker(
            self.upgrade_store, self.cache, embedders, lambda: self.busy, lambda: 0.0
        )
        self.upgrades = Upgrades(self.upgrade_store, self.sets, self.cache, self.worker)

    async def start(self, name="set", backbone="tiny@2", *, is_forced=False):
        return await self.upgrades.start(TENANT, name, backbone, is_forced=is_forced)

    async def get(self, name="set"):
        return await self.upgrades.get(TENANT, name)

    async def work(self):
        """Until nothing is under way any more."""
        while await self.worker.work():
            pass

    async def upgrade(self, name="set", **options):
        """Starts it, works it off and returns it as it then is."""
        await self.start(name, **options)
        await self.work()
        return await self.get(name)

    async def described(self, name="set"):
        return (await self.sets.describe(TENANT, name, 0))[0]
