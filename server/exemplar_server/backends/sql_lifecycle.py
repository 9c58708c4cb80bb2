"""The store's calls about what becomes of support sets after they were filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from exemplar_server.backends import sql_updates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from exemplar_server.backends.sql_rows import Done
    from exemplar_server.core.exemplars import Change, ExemplarUpdate, ItemResult, RequestKey

T = TypeVar("T")


class SqlLifecycle:
    """A part of SqlStore, which has what these calls run on; implements core.ports.Lifecycle."""

    async def _change(self, run: Callable[[Connection], Done]) -> Change:
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
        return await self._change(
            lambda c: sql_updates.update_exemplars(
                c, tenant, name, updates, expected_revision=expected_revision, key=key
            )
        )
