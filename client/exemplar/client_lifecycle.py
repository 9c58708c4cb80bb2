"""The blocking client's methods about what becomes of support sets after they were filled."""

from __future__ import annotations

from exemplar import lifecycle_plans
from exemplar.lifecycle import UpdateResult, Updates
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
