"""The blocking client's methods that move support sets to another backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from exemplar import upgrades
from exemplar.memory import Memory
from exemplar.sync_driver import SyncDriver
from exemplar.upgrades import Upgrade


class UpgradeMethods:
    """A part of Client, which sets the attributes."""

    _driver: SyncDriver
    _memory: Memory

    def start_upgrade(
        self, support_set: str, backbone: str, *, even_if_worse: bool = False
    ) -> Upgrade:
        """Moves a support set to another backbone in the background, as it is described in the API.

        It switches by itself when all its images are embedded anew, unless the new embeddings
        answer its own exemplars worse. Raises FailedPreconditionError where images are missing.

        Args:
            support_set: its name.
            backbone: name or name@version.
            even_if_worse: whether to switch also then.
        """
        return self._driver.run(
            upgrades.start_upgrade(self._memory, support_set, backbone, even_if_worse)
        )

    def get_upgrade(self, support_set: str) -> Upgrade:
        """Raises NotFoundError where it has none."""
        return self._driver.run(upgrades.get_upgrade(self._memory, support_set))

    def wait_for_upgrade(
        self,
        support_set: str,
        *,
        on_progress: Callable[[Upgrade], object] | None = None,
        timeout_seconds: float = 3600.0,
    ) -> Upgrade:
        """Returns when it goes on no more: switched, refused, stopped or rolled back.

        Raises DeadlineExceededError after `timeout_seconds`; the upgrade goes on. An `on_progress`
        that raises ends the waiting only.
        """
        return self._driver.run(
            upgrades.wait_for_upgrade(self._memory, support_set, on_progress, timeout_seconds)
        )

    def list_upgrades(self, *, backbone: str = "", page_size: int = 0) -> Iterator[Upgrade]:
        """Upgrades by support set; with a backbone, what each support set needs to come to it."""
        return self._driver.pages(partial(upgrades.list_upgrades_page, backbone, page_size))

    def roll_back_upgrade(self, support_set: str) -> Upgrade:
        """Back to the old embeddings after the switch, at once where none is missing."""
        return self._driver.run(upgrades.roll_back_upgrade(self._memory, support_set))

    def cancel_upgrade(self, support_set: str) -> None:
        """Ends an upgrade that has not switched. Harmless where there is none."""
        self._driver.run(upgrades.cancel_upgrade(support_set))

    def finish_upgrade(self, support_set: str) -> None:
        """Drops the old embeddings after the switch: there is no way back then."""
        self._driver.run(upgrades.finish_upgrade(support_set))
