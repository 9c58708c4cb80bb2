"""Any history of calls comes to what a dictionary says, over the fake store and two servers.

One server forgets its snapshots whenever it can, and both start anew now and then. The same over
real stores is in test_stateful.py; test_lifecycle_histories.py adds to what is here.
"""

import asyncio
from functools import cached_property
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.vectors import Vector
from exemplar_server.errors import AlreadyExistsError, EmptySupportSetError, NotFoundError
from fakes import BAD_IMAGE, DIM, FINGERPRINT, FakeStore, retried, unit_rows
from service_calls import Service, labelled

names = st.sampled_from(["one", "two"])
servers = st.integers(0, 1)
ids = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3)
labels = st.sampled_from(["x", "y"])


class Histories(RuleBasedStateMachine):
    """`sets` is the truth: exemplar id -> (label, embedding), by the support set's name."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.random = np.random.default_rng(0)
        self.sets, self.revisions, self.last_addition = {}, {}, None
        self.store = self.open_store()
        self.start_servers()

    def open_store(self):
        return FakeStore()

    def start_servers(self):
        self.servers = [Service(store=self.store), Service(store=self.store, index_bytes=9000)]

    def run(self, coroutine):
        return self.runner.run(coroutine)

    def reached(self, name, revision, grows):
        """Checks that a change that changed something, and no other, went one revision up."""
        assert revision == self.revisions[name] + bool(grows)
        self.revisions[name] = revision

    @rule(server=servers, name=names)
    def create(self, server, name):
        if name in self.sets:
            with pytest.raises(AlreadyExistsError):
                self.run(self.servers[server].create(name))
            return
        created = self.run(self.servers[server].create(name))
        assert created.revision > self.revisions.get(name, 0)
        self.sets[name], self.revisions[name] = {}, created.revision

    @rule(server=servers, name=names)
    def delete(self, server, name):
        if name not in self.sets:
            with pytest.raises(NotFoundError):
                self.run(self.servers[server].delete(name))
            return
        assert self.run(self.servers[server].delete(name)).exemplar_count == len(self.sets[name])
        del self.sets[name]
        self.last_addition = None

    @rule(server=servers, name=names)
    def use_the_name_again(self, server, name):
        if name in self.sets:
            self.delete(server, name)
        self.create(server, name)

    @precondition(lambda self: self.sets)
    @rule(server=servers, data=st.data(), ids=ids, label=labels)
    def add(self, server, data, ids, label):
        name = data.draw(st.sampled_from(sorted(self.sets)))
        rows = unit_rows(self.random, len(ids))
        sent = [
            labelled(label, Vector(row.tobytes(), DIM, FINGERPRINT), i)
            for row, i in zip(rows, ids, strict=True)
        ]
        key = retried()
        added = self.run(
            self.servers[server].add(*sent, labelled(label, BAD_IMAGE), name=name, key=key)
        )
        before = len(self.sets[name])
        for row, i in zip(rows, ids, strict=True):
            self.sets[name].setdefault(i, (label, row))
        self.reached(name, added.change.revision, len(self.sets[name]) - before)
        assert added.change.items[-1].reason == "UNDECODABLE_IMAGE"
        self.last_addition = (name, sent, key, added.change)

    @precondition(lambda self: self.last_addition)
    @rule(server=servers)
    def retry_the_last_addition(self, server):
        name, sent, key, change = self.last_addition
        assert self.run(self.servers[server].add(*sent, name=name, key=key)).change == change

    @precondition(lambda self: self.sets)
    @rule(server=servers, data=st.data(), ids=ids)
    def remove(self, server, data, ids):
        name = data.draw(st.sampled_from(sorted(self.sets)))
        change = self.run(self.servers[server].remove(*ids, name=name))
        gone = {i for i in ids if self.sets[name].pop(i, None)}
        self.reached(name, change.revision, gone)
        assert {item.exemplar_id for item in change.items} - {""} == gone

    @rule()
    def restart(self):
        self.start_servers()

    @rule(server=servers, name=names, k=st.integers(1, 4))
    def classify(self, server, name, k):
        query_D = unit_rows(self.random, 1)[0]
        asking = self.servers[server].classify(
            Vector(query_D.tobytes(), DIM, FINGERPRINT),
            name=name,
            min_revision=self.revisions.get(name, 0) + (name not in self.sets),
            k=k,
            include_neighbors=True,
        )
        if not self.sets.get(name):
            with pytest.raises(EmptySupportSetError if name in self.sets else NotFoundError):
                self.run(asking)
            return
        (answer,) = self.run(asking)
        found = [(n.exemplar_id, n.label) for n in answer.neighbors]
        assert found == self.nearest(name, query_D, k)

    def nearest(self, name, query_D, k):
        rows = self.sets[name]
        by_similarity = sorted(rows, key=lambda i: -float(rows[i][1] @ query_D))
        return [(i, rows[i][0]) for i in by_similarity[:k]]

    @invariant()
    def every_support_set_is_described_as_it_is(self):
        for name, rows in self.sets.items():
            described, counts = self.run(self.servers[0].sets.describe("tenant", name, 0))
            assert (described.revision, described.exemplar_count) == (
                self.revisions[name],
                len(rows),
            )
            assert sum(counts.values()) == len(rows)

    def teardown(self):
        self.runner.close()


class SqliteHistories(Histories):
    """The same on disk; starting anew opens the file again."""

    def open_store(self):
        return SqlStore(self.url)

    @cached_property
    def folder(self):
        return TemporaryDirectory()

    @property
    def url(self):
        return f"sqlite:///{self.folder.name}/store.db"

    @rule()
    def restart(self):
        self.store.close()
        self.store = SqlStore(self.url)
        self.start_servers()

    def teardown(self):
        super().teardown()
        self.store.close()
        self.folder.cleanup()


TestAnyHistoryOverTheFakeStore = Histories.TestCase
TestAnyHistoryOverTheFakeStore.settings = settings(
    deadline=None, max_examples=120, stateful_step_count=30
)
