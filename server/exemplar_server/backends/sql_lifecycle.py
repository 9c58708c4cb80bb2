"""The store's calls about what becomes of support sets after they were filled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from exemplar_server.backends import (
    sql_copies,
    sql_snapshots,
    sql_tenant_deletion,
    sql_updates,
)
from exemplar_server.core.exemplars import Receipt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Future

    from sqlalchemy import Connection

    from exemplar_server.backends.sql_database import Feed, Writing
    from exemplar_server.backends.sql_rows import Done
    from exemplar_server.core.exemplars import (
        Change,
        ExemplarUpdate,
        ItemResult,
        RequestKey,
        SavedSnapshot,
    )
    from exemplar_server.core.limits import Quotas

T = TypeVar("T")


class SqlLifecycle:
    """A part of SqlStore, which has what these calls run on; implements core.ports.Lifecycle."""

    _quotas: Quotas
    _writer: Writing
    _feed: Feed

    async def change(
        self, run: Callable[[Connection], Done], *, makes_room: bool = False
    ) -> Change:
        raise NotImplementedError

    async def read(self, run: Callable[[Connection], T]) -> T:
        raise NotImplementedError

    async def update_exemplars(
        self,
        tenant: str,
        name: str,
        updates: Sequence[ExemplarUpdate | ItemResult],
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self.change(
            lambda c: sql_updates.update_exemplars(
                c, tenant, name, updates, expected_revision=expected_revision, key=key
            )
        )

    async def update_support_set(
        self,
        tenant: str,
        name: str,
        *,
        keep_images: bool,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self.change(
            lambda c: sql_updates.update_support_set(
                c,
                tenant,
                name,
                keep_images=keep_images,
                expected_revision=expected_revision,
                key=key,
            ),
            makes_room=not keep_images,
        )

    async def copy(
        self, tenant: str, name: str, new_name: str, *, min_revision: int, key: RequestKey
    ) -> Change:
        return await self.change(
            lambda c: sql_copies.copy(
                c, tenant, name, new_name, min_revision=min_revision, quotas=self._quotas, key=key
            )
        )

    async def create_snapshot(
        self,
        tenant: str,
        name: str,
        snapshot: str,
        *,
        most: int,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self.change(
            lambda c: sql_snapshots.create(
                c,
                tenant,
                name,
                snapshot,
                most=most,
                expected_revision=expected_revision,
                key=key,
            )
        )

    async def snapshots(self, tenant: str, name: str) -> list[SavedSnapshot]:
        return await self.read(lambda c: sql_snapshots.page(c, tenant, name))

    async def delete_snapshot(
        self, tenant: str, name: str, snapshot: str, *, key: RequestKey
    ) -> Change:
        return await self.change(
            lambda c: sql_snapshots.delete(c, tenant, name, snapshot, key), makes_room=True
        )

    async def roll_back(
        self,
        tenant: str,
        name: str,
        to: str | int,
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self.change(
            lambda c: sql_snapshots.roll_back(
                c, tenant, name, to, expected_revision=expected_revision, key=key
            )
        )

    async def delete_tenant(
        self, tenant: str, *, key: RequestKey, hidden: Callable[[str], Awaitable[None]]
    ) -> Receipt:
        begun = await self._room(lambda c: sql_tenant_deletion.hide(c, tenant, key))
        if isinstance(begun, Receipt):
            return begun
        for name, hint in begun.ended.items():
            self._feed.tell(hint)
            await hidden(name)
        receipt = None
        while receipt is None:
            receipt = await self._room(
                lambda c: sql_tenant_deletion.delete_some(c, tenant, begun.deletion, key)
            )
        self._writer.scrub()
        return receipt

    def go_on_deleting(self) -> None:
        """Finishes what a server that is no more had begun, one transaction after the other."""

        def following(step: Future[bool]) -> None:
            if not step.cancelled() and step.exception() is None and step.result():
                self.go_on_deleting()

        step = self._writer.submit(sql_tenant_deletion.go_on, makes_room=True)
        step.add_done_callback(following)

    async def _room(self, run: Callable[[Connection], T]) -> T:
        return await asyncio.wrap_future(self._writer.submit(run, makes_room=True))
