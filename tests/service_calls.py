"""Calls of SupportSets as tests make them: what a test does not care about has a default."""

from __future__ import annotations

import numpy as np

from exemplar_server.core.classify import ClassifyOptions
from exemplar_server.core.contents import Labelled
from exemplar_server.core.snapshot_cache import SnapshotCache
from exemplar_server.core.support_sets import Call, SupportSets
from exemplar_server.core.thumbnails import Thumbnails
from exemplar_server.core.vectors import Vector
from fakes import DIM, FINGERPRINT, TENANT, BruteIndex, FakeEmbedder, FakeStore, RoughIndex, once

CALL = Call(TENANT, float("inf"))
AXES = np.eye(DIM, dtype="<f4")


class Service:
    """Support sets over a fake backbone and any store, and the calls that tests make of them."""

    def __init__(self, embedder=None, store=None, index_bytes=2**20):
        self.store = store or FakeStore()
        self.embedder = embedder or FakeEmbedder()
        self.cache = SnapshotCache(self.store, BruteIndex, RoughIndex, index_bytes)
        thumbnails = Thumbnails(self.store, bytes.upper)
        self.sets = SupportSets(self.store, self.cache, [self.embedder], thumbnails)

    async def create(self, name="set", backbone="", *, keep_images=True):
        key = once("CreateSupportSet")
        return await self.sets.create(TENANT, name, backbone, keep_images=keep_images, key=key)

    async def add(self, *exemplars, name="set", all_or_nothing=False, key=None):
        return await self.sets.add(
            CALL,
            name,
            exemplars,
            all_or_nothing=all_or_nothing,
            expected_revision=None,
            key=key or once(),
        )

    async def remove(self, *exemplar_ids, name="set", key=None):
        return await self.sets.remove(
            TENANT, name, exemplar_ids, expected_revision=None, key=key or once("RemoveExemplars")
        )

    async def delete(self, name="set"):
        return await self.sets.delete(TENANT, name, None, once("DeleteSupportSet"))

    async def classify(self, *queries, name="set", min_revision=0, **options):
        classified = await self.sets.classify(
            CALL, name, queries, ClassifyOptions(**options), min_revision
        )
        return classified.answers


def image_of(axis):
    return AXES[axis].tobytes()


def vector_of(axis, fingerprint=FINGERPRINT):
    return Vector((AXES[axis] * 3).tobytes(), DIM, fingerprint)


def labelled(label, content, exemplar_id=""):
    return Labelled(label, content, exemplar_id, {})
