"""What backbone upgrades need of the store; a backend implements it.

Shapes: N exemplars, D dim (of the old space), E dim of the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.exemplars import Change
    from exemplar_server.core.upgrades import Gate, Progress, Space, Upgrade


@dataclass(frozen=True)
class UpgradeJob:
    """An upgrade that is under way: what of this incarnation is to be embedded with `goal`."""

    tenant: str
    name: str
    incarnation: str
    state: str
    is_forced: bool
    goal: Space


@dataclass(frozen=True)
class Pending:
    """A kept image without an embedding in the new space.

    `content_revision` tells it from another exemplar that may come to have its id.
    """

    exemplar_id: str
    content_revision: int
    image: bytes


@dataclass(frozen=True)
class Reembedded:
    """`embedding_E` has unit length."""

    pending: Pending
    embedding_E: NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """The same exemplars, by id, in both spaces, as of a revision that has all of them in both."""

    revision: int
    labels: list[str]
    old_ND: NDArray[np.float32]
    new_NE: NDArray[np.float32]


class UpgradeStore(Protocol):
    """Upgrades as they are stored. Each method is one transaction; what it changed is on disk.

    Methods that take a `tenant` and a `name` raise NotFoundError where there is no such support
    set; those that take a job where that is over: cancelled, finished or its support set deleted.
    """

    async def start_upgrade(
        self, tenant: str, name: str, target: Space, *, is_forced: bool
    ) -> Upgrade:
        """Drops embeddings of other spaces than the current one and the target.

        Raises:
            UpgradeRefusedError: exemplars have no image, another upgrade is under way, or the
                support set is of the target already.
        """
        ...

    async def upgrade(self, tenant: str, name: str) -> Upgrade:
        """Raises NotFoundError where there is none."""
        ...

    async def upgrades(
        self, tenant: str, target: Space | None, after: str, count: int
    ) -> list[Upgrade]:
        """By the names of their support sets, those above `after`.

        With a target: of all support sets in another space, and all upgrades to it.
        """
        ...

    async def roll_back_upgrade(self, tenant: str, name: str) -> tuple[Upgrade, Change]:
        """The revision stays as it is where exemplars must be embedded before."""
        ...

    async def cancel_upgrade(self, tenant: str, name: str) -> None: ...

    async def finish_upgrade(self, tenant: str, name: str) -> None: ...

    async def upgrade_jobs(self) -> list[UpgradeJob]:
        """Of all tenants, the oldest first."""
        ...

    async def start_of(self, job: UpgradeJob, share: float) -> str:
        """The id of the exemplar that stands at this share of all; empty where there is none."""
        ...

    async def pending(self, job: UpgradeJob, after: str, count: int) -> list[Pending]:
        """By id, those above `after`; none of a job that is over."""
        ...

    async def progress(self, job: UpgradeJob) -> Progress: ...

    async def keep_embeddings(self, job: UpgradeJob, embedded: Sequence[Reembedded]) -> None:
        """Leaves out what was removed meanwhile, or is there already."""
        ...

    async def sample(self, job: UpgradeJob, most: int) -> Sample:
        """Up to `most` exemplars, evenly from all.

        Raises:
            RevisionMismatchError: not all have an embedding in the new space.
        """
        ...

    async def switch(self, job: UpgradeJob, gate: Gate | None, revision: int | None) -> Change:
        """Makes the new embeddings the support set's own, all at once, at its next revision.

        Without a gate, the figures that are known stay.

        Raises:
            RevisionMismatchError: the support set is not at `revision` (None: whichever), or not
                all of its exemplars have an embedding in the new space.
        """
        ...

    async def settle_upgrade(
        self, job: UpgradeJob, state: str, gate: Gate | None, message: str
    ) -> None:
        """Ends the job without a switch."""
        ...
