"""The blocking client's methods about what becomes of support sets after they were filled."""

from __future__ import annotations

from exemplar import lifecycle_plans
from exemplar.lifecycle import (
    CopyResult,
    DeletionReceipt,
    ImagesResult,
    RollBackResult,
    Snapshot,
    SnapshotResult,
    UpdateResult,
    Updates,
    WarmUpResult,
)
from exemplar.memory import Memory
from exemplar.sync_driver import SyncDriver


class LifecycleMethods:
    """A part of Client, which sets the attributes."""

    _driver: SyncDriver
    _memory: Memory

    def update_exemplars(
        self,
        support_set: str,
        updates: Updates,
        *,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> UpdateResult:
        """Changes labels and metadata of exemplars, by id; their images are not sent again.

        Args:
            support_set: its name.
            updates: ExemplarUpdate objects, or new labels by exemplar id, such as
                `evaluate(support_set).suggestions`. One that cannot be made costs only itself.
            expected_revision: raise AbortedError unless the support set has this revision.
            request_id: the one of an earlier try of the same call; default (None) a new one.
        """
        return self._driver.run(
            lifecycle_plans.update_exemplars(
                self._memory, support_set, updates, expected_revision, request_id
            )
        )

    def update_support_set(
        self,
        name: str,
        *,
        keep_images: bool,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> ImagesResult:
        """Whether images are kept from now on; those that are kept no more are deleted at once."""
        return self._driver.run(
            lifecycle_plans.update_support_set(
                self._memory, name, keep_images, expected_revision, request_id
            )
        )

    def copy_support_set(
        self,
        support_set: str,
        new_name: str,
        *,
        min_revision: int | None = None,
        request_id: str | None = None,
    ) -> CopyResult:
        """Makes a support set with the exemplars and images of another one, not its snapshots.

        `min_revision`: copy this revision or a later one; default (None) the highest that this
        client has seen.
        """
        return self._driver.run(
            lifecycle_plans.copy_support_set(
                self._memory, support_set, new_name, min_revision, request_id
            )
        )

    def create_snapshot(
        self,
        support_set: str,
        snapshot: str,
        *,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> SnapshotResult:
        """Gives the support set as it is now a name, to which `roll_back` leads back."""
        return self._driver.run(
            lifecycle_plans.create_snapshot(support_set, snapshot, expected_revision, request_id)
        )

    def list_snapshots(self, support_set: str) -> list[Snapshot]:
        """By name."""
        return self._driver.run(lifecycle_plans.list_snapshots(support_set))

    def delete_snapshot(
        self, support_set: str, snapshot: str, *, request_id: str | None = None
    ) -> None:
        """With what only it shows."""
        self._driver.run(lifecycle_plans.delete_snapshot(support_set, snapshot, request_id))

    def roll_back(
        self,
        support_set: str,
        to: str | int,
        *,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> RollBackResult:
        """Makes the support set as it was, at a new revision.

        `to`: a snapshot's name, or a revision that a snapshot is of.
        """
        return self._driver.run(
            lifecycle_plans.roll_back(self._memory, support_set, to, expected_revision, request_id)
        )

    def warm_up(
        self,
        support_set: str,
        *,
        min_revision: int | None = None,
        timeout_seconds: float = 600.0,
    ) -> WarmUpResult:
        """Gets the server ready for queries, so that the first one is as fast as any other."""
        return self._driver.run(
            lifecycle_plans.warm_up(self._memory, support_set, min_revision, timeout_seconds)
        )

    def delete_tenant(
        self,
        confirmation: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float = 3600.0,
    ) -> DeletionReceipt:
        """Deletes everything that this tenant has, for good.

        Args:
            confirmation: this tenant's name, as get_server_info tells it: says that it is meant.
            request_id: the one of an earlier try of the same call; default (None) a new one.
            timeout_seconds: the server goes on after it, and the same call gets the receipt.
        """
        return self._driver.run(
            lifecycle_plans.delete_tenant(confirmation, request_id, timeout_seconds)
        )
