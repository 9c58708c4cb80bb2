"""The service itself: support sets, changed through the store and read through snapshots."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core.changes import Changes
from exemplar_server.core.classify import Answer, Answers, classify
from exemplar_server.core.contents import embed_contents, in_order, present, usable
from exemplar_server.core.embedder import Timings
from exemplar_server.core.embedders import Embedders
from exemplar_server.core.exemplars import ItemResult, NewExemplar, Page, new_exemplar_id
from exemplar_server.core.lifecycle import Lifecycle
from exemplar_server.core.waiting import until_reached
from exemplar_server.errors import (
    EmptySupportSetError,
    ExemplarError,
    FingerprintMismatchError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.base_prototypes import BasePrototypes
    from exemplar_server.core.classify import ClassifyOptions
    from exemplar_server.core.contents import Content, Labelled
    from exemplar_server.core.embedder import Embedder, Embeddings
    from exemplar_server.core.exemplars import Change, Exemplar, Listing, RequestKey, SupportSet
    from exemplar_server.core.ports import Store
    from exemplar_server.core.snapshot import Snapshot
    from exemplar_server.core.snapshot_cache import SnapshotCache
    from exemplar_server.core.thumbnails import Thumbnails


@dataclass(frozen=True)
class Call:
    """Whose request it is, and until when it matters (seconds of the event loop's clock)."""

    tenant: str
    deadline: float


@dataclass(frozen=True)
class Added:
    """The answer to AddExemplars."""

    change: Change
    fingerprint: str
    timings: Timings


@dataclass(frozen=True)
class Classified:
    """One answer or error a query, in order, all from one snapshot of `support_set`."""

    answers: list[Answer | ExemplarError]
    found: Answers
    support_set: SupportSet
    timings: Timings


@dataclass(frozen=True)
class Listed:
    """The answer to ListExemplars; `thumbnails` by exemplar id."""

    support_set: SupportSet
    page: Page[Exemplar]
    thumbnails: Mapping[str, bytes]


class SupportSets:
    """Every tenant's support sets. One event loop only. `embedders`: the default one first."""

    def __init__(
        self,
        store: Store,
        cache: SnapshotCache,
        embedders: Sequence[Embedder],
        thumbnails: Thumbnails,
        revision_wait_seconds: float = 0.0,
    ) -> None:
        self._store = store
        self._cache = cache
        self.embedders = Embedders(embedders)
        self._thumbnails = thumbnails
        self._revision_wait_seconds = revision_wait_seconds
        self._changes = Changes(cache)
        self.lifecycle = Lifecycle(store, cache, self._changes, self.snapshot)

    async def create(
        self, tenant: str, name: str, backbone: str, *, keep_images: bool, key: RequestKey
    ) -> SupportSet:
        manifest = self.embedders.named(backbone).backbone.manifest
        made = await self._store.create(
            tenant,
            name,
            backbone=manifest.name,
            fingerprint=manifest.fingerprint,
            dim=manifest.dim,
            keep_images=keep_images,
            key=key,
        )
        await self._cache.catch_up(tenant, name, made.revision)  # another server may have ended one
        return made

    async def delete(
        self, tenant: str, name: str, expected_revision: int | None, key: RequestKey
    ) -> Change:
        return await self._changes.then(
            self._store.delete(tenant, name, expected_revision=expected_revision, key=key),
            lambda _: self._cache.drop(tenant, name),
        )

    async def describe(
        self, tenant: str, name: str, min_revision: int
    ) -> tuple[SupportSet, dict[str, int]]:
        """The support set and its exemplars a label."""

        async def read() -> tuple[SupportSet, dict[str, int]]:
            described = await self._store.describe(tenant, name)
            described[0].check_reached(min_revision)
            return described

        return await until_reached(read, self._revision_wait_seconds)

    async def page(self, tenant: str, after: str, count: int) -> Page[SupportSet]:
        found = await self._store.page(tenant, after, count + 1)
        is_last = len(found) <= count
        return Page(found[:count], "" if is_last else found[count - 1].name)

    async def exemplars(
        self,
        tenant: str,
        name: str,
        listing: Listing,
        min_revision: int,
        *,
        with_thumbnails: bool = False,
    ) -> Listed:
        """A page of exemplars by id."""
        more = replace(listing, count=listing.count + 1)

        async def read() -> tuple[SupportSet, list[Exemplar]]:
            listed = await self._store.exemplars(tenant, name, more)
            listed[0].check_reached(min_revision)
            return listed

        support_set, found = await until_reached(read, self._revision_wait_seconds)
        is_last = len(found) <= listing.count
        page = found[: listing.count]
        token = "" if is_last else page[-1].exemplar_id
        pictured = [e.exemplar_id for e in page if e.has_image and with_thumbnails]
        thumbnails = await self._thumbnails.of(support_set.incarnation, pictured)
        return Listed(support_set, Page(page, token), thumbnails)

    async def add(
        self,
        call: Call,
        name: str,
        exemplars: Sequence[Labelled],
        *,
        all_or_nothing: bool,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Added:
        """Embeds and stores exemplars. What fails is reported in its place and left out.

        Raises:
            InvalidInputError: one exemplar failed and `all_or_nothing`.
            FingerprintMismatchError: the support set is of a backbone that does not run here.
        """
        support_set = await self._store.get(call.tenant, name)
        replayed = await self._store.replay(call.tenant, key)
        if replayed is not None:
            return Added(replayed, support_set.fingerprint, Timings())
        contents = [exemplar.content for exemplar in exemplars]
        embedded = await self._embed(call, support_set, contents, "exemplars")
        if all_or_nothing:
            usable(embedded)
        rows = [_row(e, item) for e, item in zip(exemplars, embedded.items, strict=True)]

        adding = self._store.add(
            call.tenant,
            support_set,
            rows,
            all_or_nothing=all_or_nothing,
            expected_revision=expected_revision,
            key=key,
        )
        try:
            change = await self._changes.of(call.tenant, name, adding)
        except FingerprintMismatchError:  # an upgrade switched backbones: they are embedded anew
            return await self.add(
                call,
                name,
                exemplars,
                all_or_nothing=all_or_nothing,
                expected_revision=expected_revision,
                key=key,
            )
        return Added(change, support_set.fingerprint, embedded.timings)

    async def remove(
        self,
        tenant: str,
        name: str,
        exemplar_ids: Sequence[str],
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        removing = self._store.remove(
            tenant, name, exemplar_ids, expected_revision=expected_revision, key=key
        )
        return await self._changes.of(tenant, name, removing)

    @asynccontextmanager
    async def snapshot(self, tenant: str, name: str, min_revision: int) -> AsyncIterator[Snapshot]:
        """A snapshot with at least one exemplar, which is not evicted before the end.

        Raises:
            EmptySupportSetError: there is none.
        """
        with self._cache.pin((tenant, name)):
            snapshot = await until_reached(
                lambda: self._cache.get(tenant, name, min_revision), self._revision_wait_seconds
            )
            if not snapshot.support_set.exemplar_count:
                message = f"support set {name!r} has no exemplars yet: add some first"
                raise EmptySupportSetError(message)
            yield snapshot

    async def thumbnails(
        self, support_set: SupportSet, exemplar_ids: Sequence[str]
    ) -> Mapping[str, bytes]:
        """By exemplar id, of the images that are kept."""
        return await self._thumbnails.of(support_set.incarnation, exemplar_ids)

    async def classify(
        self,
        call: Call,
        name: str,
        queries: Sequence[Content],
        options: ClassifyOptions,
        min_revision: int,
    ) -> Classified:
        """Answers every query; one that cannot be embedded gets its error.

        Raises:
            EmptySupportSetError: the support set has no exemplars.
            FingerprintMismatchError: it is of a backbone that does not run here.
            TooFewExemplarsError: for the head or the coverage asked for.
        """
        async with self.snapshot(call.tenant, name, min_revision) as snapshot:
            embedded = await self._embed(call, snapshot.support_set, queries, "queries")
            started = time.perf_counter()
            base = self.embedders.of(snapshot.support_set).backbone.base
            found = await asyncio.to_thread(_answers, snapshot, embedded, options, base)
            search_ms = (time.perf_counter() - started) * 1e3
            timings = replace(embedded.timings, search_ms=search_ms)
            answers = in_order(embedded, found.answers)
            return Classified(answers, found, snapshot.support_set, timings)

    async def _embed(
        self, call: Call, support_set: SupportSet, contents: Sequence[Content], field: str
    ) -> Embeddings:
        embedder = self.embedders.of(support_set)
        return await embed_contents(embedder, call.tenant, contents, call.deadline, field)


def _answers(
    snapshot: Snapshot, embedded: Embeddings, options: ClassifyOptions, base: BasePrototypes
) -> Answers:
    queries_QD = np.reshape(present(embedded), (-1, snapshot.support_set.dim)).astype(np.float32)
    return classify(snapshot, queries_QD, options, base)


def _row(exemplar: Labelled, item: NDArray[np.float32] | ExemplarError) -> NewExemplar | ItemResult:
    if isinstance(item, ExemplarError):
        return ItemResult.failed(item)
    image = exemplar.content if isinstance(exemplar.content, bytes) else None
    exemplar_id = exemplar.exemplar_id or new_exemplar_id()
    return NewExemplar(exemplar_id, exemplar.label, item, image, exemplar.metadata)
