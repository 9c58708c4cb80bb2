"""Fakes of core's ports: small, honest, in memory. tests/contract proves them honest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from uuid import uuid4

import numpy as np

from exemplar_server.core.embedder import Backbone, Embeddings, Timings
from exemplar_server.core.exemplars import (
    Change,
    Delta,
    Exemplar,
    ItemResult,
    NewExemplar,
    RequestKey,
    SupportSet,
)
from exemplar_server.errors import (
    AlreadyExistsError,
    FingerprintMismatchError,
    NotFoundError,
    RequestIdReusedError,
    RevisionMismatchError,
    UndecodableImageError,
)

DIM = 4
FINGERPRINT = "f" * 64
TENANT = "tenant"
BAD_IMAGE = b"bad"
_keys = count(1)


def support_set(revision=1, exemplar_count=0, **fields):
    defaults = {
        "incarnation": "incarnation",
        "name": "set",
        "fingerprint": FINGERPRINT,
        "backbone": "tiny",
        "dim": DIM,
        "keep_images": True,
        "created": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return SupportSet(revision=revision, exemplar_count=exemplar_count, **(defaults | fields))


def unit_rows(rng, rows, dim=DIM):
    rows_ND = rng.normal(size=(rows, dim))
    return (rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)).astype(np.float32)


def exemplar(exemplar_id, label="a", seed=0, image=None, metadata=()):
    embedding_D = unit_rows(np.random.default_rng(seed), 1)[0]
    return NewExemplar(exemplar_id, label, embedding_D, image, dict(metadata))


def once(method="AddExemplars"):
    """A key that de-duplicates nothing."""
    return RequestKey(method, "", b"")


def retried(method="AddExemplars"):
    """A key that no other call has."""
    return RequestKey(method, f"request-{next(_keys)}", b"digest")


class BruteIndex:
    """Implements core.ports.Index with one matrix product and a stable sort."""

    def __init__(self, embeddings_ND):
        self.embeddings_ND = np.ascontiguousarray(embeddings_ND)

    def search(self, queries_QD, k):
        similarities_QN = np.clip(queries_QD @ self.embeddings_ND.T, -1.0, 1.0)
        rows_QK = np.argsort(-similarities_QN, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(similarities_QN, rows_QK, axis=1), rows_QK


class RoughIndex:
    """Implements core.ports.ApproximateIndex: each list has every eighth row; more find more."""

    def __init__(self, embeddings_ND):
        self.embeddings_ND = embeddings_ND
        self.size_bytes = embeddings_ND.nbytes // 4

    def search(self, queries_QD, count, probes):
        rows_N = np.flatnonzero(np.arange(len(self.embeddings_ND)) % 8 < probes)
        rows_QK = np.argsort(-(queries_QD @ self.embeddings_ND[rows_N].T), axis=1)[:, :count]
        found_QC = np.full((len(queries_QD), count), -1)
        found_QC[:, : rows_QK.shape[1]] = rows_N[rows_QK]
        return found_QC


@dataclass(frozen=True)
class FakeManifest:
    """The part of a manifest that core reads."""

    name: str = "tiny"
    fingerprint: str = FINGERPRINT
    dim: int = DIM
    version: str = "1"

    @property
    def label(self):
        return f"{self.name}@{self.version}"


@dataclass
class FakeEmbedder:
    """Embeds an image as the image says: bytes of float32 values. Counts the images it saw."""

    backbone: Backbone = field(default_factory=lambda: Backbone(FakeManifest(), "none"))
    seen: list[bytes] = field(default_factory=list)

    async def embed(self, _tenant, images, _deadline):
        self.seen.extend(images)
        return Embeddings([_embedded(image) for image in images], Timings())


def _embedded(image):
    if image == BAD_IMAGE:
        return UndecodableImageError("not a readable image")
    return np.frombuffer(image, "<f4")


@dataclass
class _Rows:
    """One support set, its exemplars and tombstones, by exemplar id."""

    support_set: SupportSet
    exemplars: dict[str, Exemplar] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)
    removed_at: dict[str, int] = field(default_factory=dict)


class FakeStore:
    """Implements core.ports.Store in memory. One event loop only."""

    def __init__(self):
        self._rows = {}
        self._floors = {}
        self._answers = {}

    async def create(self, tenant, name, *, backbone, fingerprint, dim, keep_images, key):
        if await self.replay(tenant, key) is None:
            if (tenant, name) in self._rows:
                raise AlreadyExistsError(f"there is a support set {name!r} already")
            created = SupportSet(
                incarnation=str(uuid4()),
                name=name,
                revision=self._floors.get(tenant, 0) + 1,
                fingerprint=fingerprint,
                backbone=backbone,
                dim=dim,
                exemplar_count=0,
                keep_images=keep_images,
                created=datetime.now(UTC),
            )
            self._rows[tenant, name] = _Rows(created)
            self._answered(tenant, key, Change(created.revision, 0))
        return await self.get(tenant, name)

    async def get(self, tenant, name):
        return self._found(tenant, name).support_set

    async def describe(self, tenant, name):
        rows = self._found(tenant, name)
        labels = [e.label for e in rows.exemplars.values()]
        return rows.support_set, {label: labels.count(label) for label in sorted(labels)}

    async def page(self, tenant, after, count):
        names = sorted(name for owner, name in self._rows if owner == tenant and name > after)
        return [self._rows[tenant, name].support_set for name in names[:count]]

    async def delete(self, tenant, name, *, expected_revision, key):
        if (answered := await self.replay(tenant, key)) is not None:
            return answered
        ended = self._found(tenant, name, expected_revision).support_set
        del self._rows[tenant, name]
        revision = ended.revision + 1
        self._floors[tenant] = max(self._floors.get(tenant, 0), revision)
        return self._answered(tenant, key, Change(revision, ended.exemplar_count))

    async def replay(self, tenant, key):
        answered = self._answers.get((tenant, key.method, key.request_id))
        if answered is None:
            return None
        digest, change = answered
        if digest != key.digest:
            raise RequestIdReusedError(f"request_id: {key.request_id!r} was used before")
        return change

    async def add(self, tenant, support_set, exemplars, *, all_or_nothing, expected_revision, key):
        if (answered := await self.replay(tenant, key)) is not None:
            return answered
        rows = self._found(tenant, support_set.name, expected_revision)
        if rows.support_set.incarnation != support_set.incarnation:
            raise NotFoundError(f"support set {support_set.name!r} was deleted meanwhile")
        if rows.support_set.fingerprint != support_set.fingerprint:
            raise FingerprintMismatchError(f"support set {support_set.name!r} was switched")
        items = _checked(rows, exemplars)
        failed = [item for item in items if item.reason]
        if all_or_nothing and failed:
            raise AlreadyExistsError(failed[0].message)
        new = [e for e, item in zip(exemplars, items, strict=True) if not item.reason]
        _grow(rows, len(new))
        for e in new:
            rows.exemplars[e.exemplar_id] = _stored(e, rows.support_set)
            if rows.exemplars[e.exemplar_id].has_image:
                rows.images[e.exemplar_id] = e.image
        return self._answered(tenant, key, _change(rows, items))

    async def remove(self, tenant, name, exemplar_ids, *, expected_revision, key):
        if (answered := await self.replay(tenant, key)) is not None:
            return answered
        rows = self._found(tenant, name, expected_revision)
        present = rows.exemplars.keys() & set(exemplar_ids)
        _grow(rows, -len(present))
        for exemplar_id in present:
            del rows.exemplars[exemplar_id]
            rows.images.pop(exemplar_id, None)
            rows.removed_at[exemplar_id] = rows.support_set.revision
        missing = NotFoundError("there is no such exemplar")
        items = [
            ItemResult(i) if i in present else ItemResult.failed(missing) for i in exemplar_ids
        ]
        return self._answered(tenant, key, _change(rows, items))

    async def exemplars(self, tenant, name, listing):
        rows = self._found(tenant, name)
        found = [
            e
            for _, e in sorted(rows.exemplars.items())
            if e.exemplar_id > listing.after and listing.label in {"", e.label}
        ]
        return rows.support_set, [
            replace(e, embedding_D=e.embedding_D if listing.embeddings else None)
            for e in found[: listing.count]
        ]

    async def delta(self, tenant, name, incarnation, revision):
        rows = self._found(tenant, name)
        since = revision if rows.support_set.incarnation == incarnation else 0
        new = [e for e in rows.exemplars.values() if e.revision > since]
        new.sort(key=lambda e: (e.revision, e.exemplar_id))
        embeddings = [e.embedding_D for e in new]
        return Delta(
            rows.support_set,
            frozenset(i for i, removed_at in rows.removed_at.items() if removed_at > since),
            tuple(e.exemplar_id for e in new),
            tuple(e.label for e in new),
            np.array(embeddings, np.float32).reshape(len(new), rows.support_set.dim),
        )

    async def epoch(self):
        return "epoch"

    async def revisions(self, incarnations):
        current = [rows.support_set for rows in self._rows.values()]
        return {s.incarnation: s.revision for s in current if s.incarnation in incarnations}

    async def hints(self):
        return
        yield  # makes it a generator

    async def images(self, incarnation, exemplar_ids):
        kept = self._of(incarnation).images
        return {i: kept[i] for i in exemplar_ids if i in kept}

    def _found(self, tenant, name, expected_revision=None):
        rows = self._rows.get((tenant, name))
        if rows is None:
            raise NotFoundError(f"there is no support set {name!r}")
        if expected_revision not in {None, rows.support_set.revision}:
            raise RevisionMismatchError(f"expected_revision: got {expected_revision}")
        return rows

    def _of(self, incarnation):
        of = {rows.support_set.incarnation: rows for rows in self._rows.values()}
        return of.get(incarnation, _Rows(support_set()))

    def _answered(self, tenant, key, change):
        if key.request_id:
            self._answers[tenant, key.method, key.request_id] = (key.digest, change)
        return change


def _checked(rows, exemplars):
    taken = set(rows.exemplars)
    items = []
    for e in exemplars:
        if isinstance(e, ItemResult):
            items.append(e)
        elif e.exemplar_id in taken:
            items.append(ItemResult.failed(AlreadyExistsError(f"{e.exemplar_id!r} is taken")))
        else:
            items.append(ItemResult(e.exemplar_id))
            taken.add(e.exemplar_id)
    return items


def _grow(rows, growth):
    old = rows.support_set
    rows.support_set = replace(
        old,
        revision=old.revision + bool(growth),
        exemplar_count=old.exemplar_count + growth,
    )


def _stored(new, target):
    has_image = target.keep_images and new.image is not None
    return Exemplar(
        new.exemplar_id,
        new.label,
        new.metadata,
        target.revision,
        has_image,
        new.embedding_D,
    )


def _change(rows, items):
    target = rows.support_set
    return Change(target.revision, target.exemplar_count, tuple(items))
