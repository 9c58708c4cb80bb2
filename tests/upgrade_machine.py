"""Whatever happens between upgrades, switches and rollbacks, no index ever mixes two spaces.

Two servers over one store, each with a cache and a worker of its own. Both backbones have the same
dim, where a mistake would not be noticed otherwise.
"""

import asyncio
from typing import ClassVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.upgrades import SWITCHED
from exemplar_server.errors import NotFoundError, UpgradeRefusedError
from fakes import DIM, TENANT, unit_rows
from service_calls import labelled
from upgrade_calls import NEW, OLD, UpgradedService, turned

servers = st.integers(0, 1)
ids = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4, unique=True)


class UpgradeHistories(RuleBasedStateMachine):
    """`live` is the truth: exemplar id -> image. `ever` has all images that an id has had."""

    stores: ClassVar[list[SqlStore]]  # of the servers; one that both share, or one each

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.random = np.random.default_rng(0)
        self.live, self.ever = {}, {}
        self.servers = [UpgradedService(self.stores[n % len(self.stores)], DIM) for n in range(2)]
        self.runner.run(self.servers[0].create())

    def teardown(self):
        self.runner.run(self.servers[0].delete())
        for server in self.servers:
            self.runner.run(server.cache.close())
        self.runner.close()

    def tried(self, call):
        """Whether the upgrade was in a state for it."""
        try:
            self.runner.run(call)
        except (NotFoundError, UpgradeRefusedError):
            return False
        return True

    @rule(server=servers, ids=ids, label=st.sampled_from("xy"))
    def add(self, server, ids, label):
        images = [row.tobytes() for row in unit_rows(self.random, len(ids))]
        sent = [labelled(label, image, i) for i, image in zip(ids, images, strict=True)]
        self.runner.run(self.servers[server].add(*sent))
        for i, image in zip(ids, images, strict=True):
            if i not in self.live:
                self.live[i] = image
                self.ever.setdefault(i, []).append(image)

    @rule(server=servers, ids=ids)
    def remove(self, server, ids):
        self.runner.run(self.servers[server].remove(*ids))
        for i in ids:
            self.live.pop(i, None)

    @rule(server=servers, backbone=st.sampled_from(["tiny@1", "tiny@2"]), is_forced=st.booleans())
    def start(self, server, backbone, is_forced):
        self.tried(self.servers[server].start(backbone=backbone, is_forced=is_forced))

    @rule(server=servers, turns=st.integers(1, 5))
    def work(self, server, turns):
        for _ in range(turns):
            self.runner.run(self.servers[server].worker.work())

    @rule(server=servers, end=st.sampled_from(["roll_back", "cancel", "finish"]))
    def end(self, server, end):
        self.tried(getattr(self.servers[server].upgrades, end)(TENANT, "set"))

    @rule(server=servers)
    def upgrade_to_the_end(self, server):
        """To the other backbone, with no gate: histories that only begin reach nothing."""
        described = self.runner.run(self.servers[server].described())
        backbone = "tiny@2" if described.fingerprint == OLD.fingerprint else "tiny@1"
        if self.tried(self.servers[server].start(backbone=backbone, is_forced=True)):
            self.runner.run(self.servers[server].work())
            assert self.runner.run(self.servers[server].get()).state == SWITCHED

    @rule(server=servers)
    def look_at_whatever_is_there(self, server):
        snapshot = self.runner.run(self.servers[server].cache.get(TENANT, "set", 0))
        found, _, embeddings_ND = snapshot.live()
        for i, row in zip(found, embeddings_ND, strict=True):
            rows = [in_space(image, snapshot.support_set.fingerprint) for image in self.ever[i]]
            assert any(np.array_equal(row, one) for one in rows)

    @rule(server=servers)
    def look_at_the_newest(self, server):
        described = self.runner.run(self.servers[server].described())
        get = self.servers[server].cache.get(TENANT, "set", described.revision)
        found, _, embeddings_ND = self.runner.run(get).live()
        assert found == sorted(self.live)
        for i, row in zip(found, embeddings_ND, strict=True):
            np.testing.assert_array_equal(row, in_space(self.live[i], described.fingerprint))

    @rule(server=servers)
    def ask(self, server):
        if not self.live:
            return
        described = self.runner.run(self.servers[server].described())
        i = min(self.live)
        (answer,) = self.runner.run(
            self.servers[server].classify(
                self.live[i], k=1, include_neighbors=True, min_revision=described.revision
            )
        )
        assert answer.neighbors[0].similarity > 1 - 1e-6


def in_space(image, fingerprint):
    assert fingerprint in {OLD.fingerprint, NEW.fingerprint}
    embedding_D = np.frombuffer(image, "<f4")
    return embedding_D if fingerprint == OLD.fingerprint else turned(embedding_D, DIM)
