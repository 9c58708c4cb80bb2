"""Backbone upgrades in the SQL store, on its threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_server.backends import sql_reembedding as reembedding
from exemplar_server.backends import sql_upgrades
from exemplar_server.core.upgrades import ROLLED_BACK, ROLLING_BACK, SWITCHED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from exemplar_server.backends.sql_rows import Done
    from exemplar_server.backends.sql_store import SqlStore
    from exemplar_server.core.exemplars import Change
    from exemplar_server.core.upgrade_ports import Pending, Reembedded, Sample, UpgradeJob
    from exemplar_server.core.upgrades import Gate, Progress, Space, Upgrade


class SqlUpgrades:
    """Implements core.upgrade_ports.UpgradeStore beside a SqlStore.

    `labels` are name@version by fingerprint, of the backbones that run here.
    """

    def __init__(self, store: SqlStore, labels: Mapping[str, str]) -> None:
        self._read = store.read
        self._write = store.write
        self._change = store.change
        self._labels = labels

    async def start_upgrade(
        self, tenant: str, name: str, target: Space, *, is_forced: bool
    ) -> Upgrade:
        return await self._write(
            lambda c: sql_upgrades.start(c, tenant, name, target, self._labels, is_forced=is_forced)
        )

    async def upgrade(self, tenant: str, name: str) -> Upgrade:
        return await self._read(lambda c: sql_upgrades.get(c, tenant, name))

    async def upgrades(
        self, tenant: str, target: Space | None, after: str, count: int
    ) -> list[Upgrade]:
        return await self._read(
            lambda c: sql_upgrades.page(c, tenant, target, after, count, labels=self._labels)
        )

    async def roll_back_upgrade(self, tenant: str, name: str) -> tuple[Upgrade, Change]:
        upgrades: list[Upgrade] = []

        def roll_back_now(connection: Connection) -> Done:
            upgrade, done = sql_upgrades.roll_back(connection, tenant, name)
            upgrades.append(upgrade)  # the last one counts, where the transaction ran again
            return done

        change = await self._change(roll_back_now)
        return upgrades[-1], change

    async def cancel_upgrade(self, tenant: str, name: str) -> None:
        await self._write(lambda c: sql_upgrades.cancel(c, tenant, name))

    async def finish_upgrade(self, tenant: str, name: str) -> None:
        await self._write(lambda c: sql_upgrades.finish(c, tenant, name))

    async def upgrade_jobs(self) -> list[UpgradeJob]:
        return await self._read(reembedding.jobs)

    async def start_of(self, job: UpgradeJob, share: float) -> str:
        return await self._read(lambda c: reembedding.start_of(c, job, share))

    async def pending(self, job: UpgradeJob, after: str, count: int) -> list[Pending]:
        return await self._read(lambda c: reembedding.pending(c, job, after, count))

    async def progress(self, job: UpgradeJob) -> Progress:
        return await self._read(
            lambda c: reembedding.progress(c, job.incarnation, job.goal.fingerprint)
        )

    async def keep_embeddings(self, job: UpgradeJob, embedded: Sequence[Reembedded]) -> None:
        await self._write(lambda c: reembedding.keep(c, job, embedded))

    async def sample(self, job: UpgradeJob, most: int) -> Sample:
        return await self._read(lambda c: reembedding.sample(c, job, most))

    async def switch(self, job: UpgradeJob, gate: Gate | None, revision: int | None) -> Change:
        state = ROLLED_BACK if job.state == ROLLING_BACK else SWITCHED
        return await self._change(lambda c: reembedding.switch(c, job, state, gate, revision))

    async def settle_upgrade(
        self, job: UpgradeJob, state: str, gate: Gate | None, message: str
    ) -> None:
        await self._write(lambda c: reembedding.settle(c, job, state, gate, message))
