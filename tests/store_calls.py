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

    async def keep_images(self, name, keep_images, *, expected_revision=None, key=None):
        return await self.store.update_support_set(
            self.tenant,
            name,
            keep_images=keep_images,
            expected_revision=expected_revision,
            key=key or once("UpdateSupportSet"),
        )

    async def copy(self, name, new_name, *, min_revision=0, key=None):
        key = key or once("CopySupportSet")
        return await self.store.copy(
            self.tenant, name, new_name, min_revision=min_revision, key=key
        )

    async def save(self, snapshot, name="set", *, most=10, expected_revision=None, key=None):
        return await self.store.create_snapshot(
            self.tenant,
            name,
            snapshot,
            most=most,
            expected_revision=expected_revision,
            key=key or once("CreateSnapshot"),
        )

    async def saved(self, name="set"):
        return await self.store.snapshots(self.tenant, name)

    async def forget(self, snapshot, name="set", *, key=None):
        key = key or once("DeleteSnapshot")
        return await self.store.delete_snapshot(self.tenant, name, snapshot, key=key)

    async def roll_back(self, to, name="set", *, expected_revision=None, key=None):
        return await self.store.roll_back(
            self.tenant,
            name,
            to,
            expected_revision=expected_revision,
            key=key or once("RollBackSupportSet"),
        )

    async def delete_tenant(self, *, hidden=None, key=None):
        async def nothing(_name):
            pass

        return await self.store.delete_tenant(
            self.tenant, key=key or once("DeleteTenant"), hidden=hidden or nothing
        )

    async def content(self, name="set"):
        """Everything of each exemplar but its revision, by id."""
        target = await self.get(name)
        listed = await self.listed(target, embeddings=True)
        images = await self.store.images(target.incarnation, [e.exemplar_id for e in listed])
        return {
            e.exemplar_id: (
                e.label,
                dict(e.metadata),
                e.embedding_D.tobytes(),
                images.get(e.exemplar_id),
            )
            for e in listed
        }

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
