"""Calls of a store as tests make them: everything that a test does not care about has a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_server.core.exemplars import ExemplarUpdate, Listing
from fakes import DIM, FINGERPRINT, TENANT, exemplar, once

if TYPE_CHECKING:
    from exemplar_server.core.ports import Store


@dataclass(frozen=True)
class Calls:
    """One tenant's calls of `store`."""

    store: Store
    tenant: str = TENANT

    async def create(self, name="set", *, keep_images=True, key=None):
        return await self.store.create(
            self.tenant,
            name,
            backbone="tiny",
            fingerprint=FINGERPRINT,
            dim=DIM,
            keep_images=keep_images,
            key=key or once("CreateSupportSet"),
        )

    async def get(self, name="set"):
        return await self.store.get(self.tenant, name)

    async def delete(self, name="set", *, expected_revision=None, key=None):
        return await self.store.delete(
            self.tenant,
            name,
            expected_revision=expected_revision,
            key=key or once("DeleteSupportSet"),
        )

    async def add(self, target, *exemplars, all_or_nothing=False, expected_revision=None, key=None):
        return await self.store.add(
            self.tenant,
            target,
            [exemplar(e) if isinstance(e, str) else e for e in exemplars],
            all_or_nothing=all_or_nothing,
            expected_revision=expected_revision,
            key=key or once("AddExemplars"),
        )

    async def remove(self, name, *exemplar_ids, expected_revision=None, key=None):
        return await self.store.remove(
            self.tenant,
            name,
            exemplar_ids,
            expected_revision=expected_revision,
            key=key or once("RemoveExemplars"),
        )

    async def update(self, name, *updates, expected_revision=None, key=None):
        return await self.store.update_exemplars(
            self.tenant,
            name,
            updates,
            expected_revision=expected_revision,
            key=key or once("UpdateExemplars"),
        )

    async def relabel(self, name, label, *exemplar_ids, **options):
        updates = [ExemplarUpdate(i, label, None) for i in exemplar_ids]
        return await self.update(name, *updates, **options)

    async def listed(self, target, after="", count=1000, label="", *, embeddings=False):
        listing = Listing(after, count, label, embeddings)
        of, found = await self.store.exemplars(self.tenant, target.name, listing)
        assert of.incarnation == target.incarnation
        return found

    async def label_counts(self, name="set"):
        return (await self.store.describe(self.tenant, name))[1]

    async def ids(self, name="set"):
        return [e.exemplar_id for e in await self.listed(await self.get(name))]

    async def delta(self, name="set", incarnation="", revision=0):
        return await self.store.delta(self.tenant, name, incarnation, revision)
