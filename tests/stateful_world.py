"""Two services over one database, as a server and its replica, and what a test asks of them.

All examples of a stateful test share a world: each has a tenant of its own, which costs nothing.
"""

from __future__ import annotations

import asyncio
import math
from itertools import count

from exemplar_server.backends.faiss_index import FlatIndex, IvfIndex
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.classify import ClassifyOptions
from exemplar_server.core.contents import Labelled
from exemplar_server.core.exemplars import Listing, RequestKey
from exemplar_server.core.heads import KNN
from exemplar_server.core.snapshot_cache import SnapshotCache
from exemplar_server.core.support_sets import Call, SupportSets
from exemplar_server.core.thumbnails import Thumbnails
from exemplar_server.core.vectors import Vector
from fakes import DIM, FINGERPRINT, FakeEmbedder

SERVICES = 2
INDEX_BYTES = 2**24


class World:
    """`url`: of the database. SQLite's file belongs to one server, so its services share a store.

    One thread only.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._runner = asyncio.Runner()
        self._tenants = count(1)
        self._requests = count(1)
        self.open()

    def open(self) -> None:
        shared = SqlStore(self._url)
        is_file = self._url.startswith("sqlite")
        self._stores = [shared] if is_file else [shared, SqlStore(self._url)]
        self.services = [Asked(self, self._stores[n % len(self._stores)]) for n in range(SERVICES)]

    def close(self) -> None:
        for service in self.services:
            self.run(service.cache.close())
        for store in self._stores:
            store.close()

    def end(self) -> None:
        self.close()
        self._runner.close()

    def reopen(self) -> None:
        """As where every server starts anew."""
        self.close()
        self.open()

    def run(self, coroutine):
        return self._runner.run(coroutine)

    def new_tenant(self) -> str:
        return f"tenant{next(self._tenants)}"

    def new_key(self, method: str) -> RequestKey:
        return RequestKey(method, f"request{next(self._requests)}", b"digest")


class Asked:
    """One service; its calls return when they are answered."""

    def __init__(self, world: World, store: SqlStore) -> None:
        self._world = world
        self.cache = SnapshotCache(store, FlatIndex, IvfIndex, INDEX_BYTES)
        thumbnails = Thumbnails(store, bytes.upper)
        self._sets = SupportSets(store, self.cache, [FakeEmbedder()], thumbnails)

    def create(self, tenant, name, key):
        return self._world.run(self._sets.create(tenant, name, "", keep_images=True, key=key))

    def delete(self, tenant, name, key, expected_revision=None):
        return self._world.run(self._sets.delete(tenant, name, expected_revision, key))

    def add(self, tenant, name, sent, key, *, expected_revision=None, all_or_nothing=False):
        adding = self._sets.add(
            Call(tenant, math.inf),
            name,
            [Labelled(label, content, i, {}) for i, label, content in sent],
            all_or_nothing=all_or_nothing,
            expected_revision=expected_revision,
            key=key,
        )
        return self._world.run(adding).change

    def remove(self, tenant, name, ids, key, expected_revision=None):
        removing = self._sets.remove(
            tenant, name, ids, expected_revision=expected_revision, key=key
        )
        return self._world.run(removing)

    def describe(self, tenant, name, min_revision=0):
        return self._world.run(self._sets.describe(tenant, name, min_revision))

    def listed(self, tenant, name, size, label, min_revision):
        """All exemplars, page by page, and the revisions that the pages were of."""
        found, revisions, token = [], set(), ""
        while True:
            listing = Listing(token, size, label, embeddings=True)
            listed = self._world.run(self._sets.exemplars(tenant, name, listing, min_revision))
            found += listed.page.items
            revisions.add(listed.support_set.revision)
            token = listed.page.next_token
            if not token:
                return found, revisions

    def classify(self, tenant, name, queries_QD, k, min_revision):
        """Answers with neighbors, and the revision that they are of."""
        vectors = [Vector(query_D.tobytes(), DIM, FINGERPRINT) for query_D in queries_QD]
        options = ClassifyOptions(k=k, head=KNN, include_neighbors=True)
        call = Call(tenant, math.inf)
        found = self._world.run(self._sets.classify(call, name, vectors, options, min_revision))
        return found.answers, found.support_set.revision

    def evict(self, tenant, name):
        self._world.run(self.cache.drop(tenant, name))

    def settle(self):
        """Waits for merges in the background."""
        self._world.run(self.cache.settled())
