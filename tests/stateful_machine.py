"""Support sets as dictionaries and brute force: what any sequence of calls must come to.

One more rule is one more method, here or in a subclass: it calls a service, changes the rows of
the model, and ends with `changed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from exemplar_server.core.vectors import Vector
from exemplar_server.errors import (
    AlreadyExistsError,
    EmptySupportSetError,
    NotFoundError,
    RevisionMismatchError,
    UndecodableImageError,
)
from fakes import BAD_IMAGE, DIM, FINGERPRINT, unit_rows
from stateful_world import Asked

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("one", "two")
MOST_REOPENED = 1  # in one example: it takes as long as ten other steps
SIMILAR = 1e-6  # float32 sums in another order

a_service = st.integers(0, 1)
a_name = st.sampled_from(NAMES)
a_size = st.integers(1, 6)
# Of the exemplars that are there, and one that never was.
places = st.lists(st.integers(0, 8), min_size=1, max_size=4)
# By how much the revision is off that a change expects; None: it expects none.
an_expectation = st.sampled_from([None, None, None, None, 0, 0, 1, -1])


@dataclass(frozen=True)
class Batch:
    """An addition; an empty id is the server's to make."""

    ids: list[str]
    label: str
    is_whole: bool
    has_bad: bool


batches = st.builds(
    Batch,
    st.lists(st.sampled_from(["", *"abcdefgh"]), min_size=1, max_size=6),
    st.sampled_from("xyz"),
    is_whole=st.sampled_from([False, False, False, True]),
    has_bad=st.sampled_from([False, False, False, True]),
)


@dataclass
class Modeled:
    """One support set; its rows are exemplar id -> (label, embedding)."""

    name: str
    revision: int
    rows: dict[str, Any] = field(default_factory=dict)
    is_live: bool = True

    def expected(self, off):
        return None if off is None else self.revision + off


@dataclass(frozen=True)
class Sent:
    """A change that was answered, and may be sent again. A deletion outlives its support set."""

    of: Modeled
    again: Callable[[Asked], Any]
    answer: Any
    outlives: bool = False


class Histories(RuleBasedStateMachine):
    """`world` is what subclasses bring. Each example has a tenant of its own in it."""

    world = None

    def __init__(self):
        super().__init__()
        self.tenant = self.world.new_tenant()
        self.random = np.random.default_rng(0)
        self.sets = {}  # by name
        self.past = {}  # (name, revision): the rows that it had
        self.seen = {}  # (service, name): the highest revision that an answer of it was of
        self.sent = []
        self.reopened = 0

    def service(self, number):
        return self.world.services[number]

    def live(self, data):
        return self.sets[data.draw(st.sampled_from(sorted(self.sets)))]

    def changed(self, modeled, revision, *, is_effective):
        """Checks that a change that changed something, and no other, took one revision."""
        assert revision == modeled.revision + is_effective
        modeled.revision = revision
        self.past[modeled.name, revision] = dict(modeled.rows)
        if (service := self.random.integers(4)) < 2:  # the others are left behind
            self.classify(int(service), modeled.name, 6, 1)

    # Changes

    @initialize(services=st.tuples(a_service, a_service), batch=batches)
    def begin(self, services, batch):
        """Else a third of all examples would have nothing to work on."""
        for service, name in zip(services, NAMES, strict=True):
            self.create(service, name)
            self.add_to(service, self.sets[name], batch)

    @rule(service=a_service, name=a_name)
    def create(self, service, name):
        key = self.world.new_key("CreateSupportSet")
        send = partial(Asked.create, tenant=self.tenant, name=name, key=key)
        if name in self.sets:
            with pytest.raises(AlreadyExistsError):
                send(self.service(service))
            return
        created = send(self.service(service))
        assert created.revision > max((r for n, r in self.past if n == name), default=0)
        self.sets[name] = modeled = Modeled(name, created.revision)
        self.past[name, created.revision] = {}
        self.sent.append(Sent(modeled, lambda s: send(s).incarnation, created.incarnation))

    @precondition(lambda self: len(self.sets) == len(NAMES))  # or most steps would find nothing
    @rule(service=a_service, name=a_name, off=an_expectation)
    def delete(self, service, name, off=None):
        modeled = self.sets.get(name, Modeled(name, 1))
        key = self.world.new_key("DeleteSupportSet")
        expected = modeled.expected(off)
        send = partial(
            Asked.delete, tenant=self.tenant, name=name, key=key, expected_revision=expected
        )
        if name not in self.sets or off:
            with pytest.raises(NotFoundError if name not in self.sets else RevisionMismatchError):
                send(self.service(service))
            return
        answer = send(self.service(service))
        assert answer.revision == modeled.revision + 1
        assert answer.exemplar_count == len(modeled.rows)
        self.past[name, answer.revision] = {}
        self.sets.pop(name).is_live = False
        self.sent.append(Sent(modeled, send, answer, outlives=True))

    @rule(service=a_service, name=a_name)
    def use_the_name_again(self, service, name):
        if name in self.sets:
            self.delete(service, name)
        self.create(service, name)

    @precondition(lambda self: self.sets)
    @rule(service=a_service, data=st.data(), batch=batches, off=an_expectation)
    def add(self, service, data, batch, off):
        self.add_to(service, self.live(data), batch, off)

    def add_to(self, service, modeled, batch, off=None):
        rows_ND = unit_rows(self.random, len(batch.ids))
        sent = [
            (i, batch.label, content(row_D, n))
            for n, (i, row_D) in enumerate(zip(batch.ids, rows_ND, strict=True))
        ]
        sent += [("", batch.label, BAD_IMAGE)] * batch.has_bad
        send = partial(
            Asked.add,
            tenant=self.tenant,
            name=modeled.name,
            sent=sent,
            key=self.world.new_key("AddExemplars"),
            expected_revision=modeled.expected(off),
            all_or_nothing=batch.is_whole,
        )
        if refusals := refusals_of(modeled, batch, off):
            with pytest.raises(refusals):
                send(self.service(service))
            return
        answer = send(self.service(service))
        self.added(modeled, batch, rows_ND, answer)
        self.sent.append(Sent(modeled, send, answer))

    def added(self, modeled, batch, rows_ND, answer):
        before = len(modeled.rows)
        *items, last = [*answer.items, *([None] * (not batch.has_bad))]
        assert last is None or last.reason == "UNDECODABLE_IMAGE"
        for sent_id, item, row_D in zip(batch.ids, items, rows_ND, strict=True):
            is_taken = bool(sent_id) and sent_id in modeled.rows
            assert item.reason == ("ALREADY_EXISTS" if is_taken else "")
            if not is_taken:
                assert sent_id in {"", item.exemplar_id}
                modeled.rows[item.exemplar_id] = (batch.label, row_D)
        self.changed(modeled, answer.revision, is_effective=len(modeled.rows) > before)
        assert answer.exemplar_count == len(modeled.rows)

    @precondition(lambda self: self.sets)
    @rule(service=a_service, data=st.data(), places=places, off=an_expectation)
    def remove(self, service, data, places, off):
        modeled = self.live(data)
        there = [*modeled.rows, "never"]
        ids = [there[place % len(there)] for place in places]
        send = partial(
            Asked.remove,
            tenant=self.tenant,
            name=modeled.name,
            ids=ids,
            key=self.world.new_key("RemoveExemplars"),
            expected_revision=modeled.expected(off),
        )
        if off:
            with pytest.raises(RevisionMismatchError):
                send(self.service(service))
            return
        answer = send(self.service(service))
        gone = {i for i in ids if modeled.rows.pop(i, None)}
        assert answer.exemplar_count == len(modeled.rows)
        assert [i.exemplar_id for i in answer.items] == [i if i in gone else "" for i in ids]
        self.changed(modeled, answer.revision, is_effective=bool(gone))
        self.sent.append(Sent(modeled, send, answer))

    @precondition(lambda self: self.sent)
    @rule(service=a_service, data=st.data())
    def send_again(self, service, data):
        sent = data.draw(st.sampled_from(self.sent[-5:]))
        if sent.of.is_live or sent.outlives:
            assert sent.again(self.service(service)) == sent.answer
            return
        with pytest.raises(NotFoundError):
            sent.again(self.service(service))

    # Reads

    @rule(service=a_service, name=a_name, k=a_size, queries=st.integers(1, 3))
    def classify(self, service, name, k, queries):
        queries_QD = unit_rows(self.random, queries)
        asking = partial(self.service(service).classify, self.tenant, name, queries_QD, k)
        if name not in self.sets or not self.sets[name].rows:
            least = max((r for n, r in self.past if n == name), default=1)
            with pytest.raises(EmptySupportSetError if name in self.sets else NotFoundError):
                asking(least)
            return
        answers, revision = asking(self.sets[name].revision)
        assert revision == self.sets[name].revision
        self.seen[service, name] = revision
        check_neighbors(answers, self.sets[name].rows, queries_QD, k)

    @rule(service=a_service, name=a_name, k=a_size)
    def classify_by_what_is_there(self, service, name, k):
        """A replica may be behind, but never half, and never further back than it was."""
        queries_QD = unit_rows(self.random, 1)
        try:
            answers, revision = self.service(service).classify(self.tenant, name, queries_QD, k, 0)
        except (EmptySupportSetError, NotFoundError):
            return
        assert revision >= self.seen.get((service, name), 0)
        self.seen[service, name] = revision
        check_neighbors(answers, self.past[name, revision], queries_QD, k)

    @precondition(lambda self: self.sets)
    @rule(service=a_service, data=st.data(), size=a_size, label=st.sampled_from(["", *"xyz"]))
    def list_page_by_page(self, service, data, size, label):
        modeled = self.live(data)
        listed, revisions = self.service(service).listed(
            self.tenant, modeled.name, size, label, modeled.revision
        )
        expected = sorted((i, row) for i, row in modeled.rows.items() if label in {"", row[0]})
        assert revisions == {modeled.revision}
        assert [(e.exemplar_id, e.label) for e in listed] == [(i, row[0]) for i, row in expected]
        for exemplar, (_, row) in zip(listed, expected, strict=True):
            assert np.array_equal(exemplar.embedding_D, row[1])

    @precondition(lambda self: self.sets)
    @rule(service=a_service, data=st.data())
    def describe(self, service, data):
        modeled = self.live(data)
        described, counts = self.service(service).describe(
            self.tenant, modeled.name, modeled.revision
        )
        assert described.revision == modeled.revision
        assert described.exemplar_count == sum(counts.values()) == len(modeled.rows)

    # What nobody may notice

    @rule(service=a_service, name=a_name)
    def evict(self, service, name):
        self.service(service).evict(self.tenant, name)
        self.seen.pop((service, name), None)

    @rule(service=a_service)
    def merge(self, service):
        self.service(service).settle()

    @precondition(lambda self: self.reopened < MOST_REOPENED)
    @rule()
    def reopen(self):
        self.reopened += 1
        self.world.reopen()
        self.seen.clear()

    def teardown(self):
        """At last, everything is as the model says, for both."""
        for name in self.sets:
            for service in range(2):
                self.classify(service, name, 6, 1)


def content(row_D, number):
    """An image or an embedding, one after the other."""
    if number % 2:
        return Vector(row_D.tobytes(), DIM, FINGERPRINT)
    return row_D.tobytes()  # what FakeEmbedder takes for an image


def refusals_of(modeled, batch, off):
    """The errors that the addition may be refused with as a whole."""
    has_taken = any(
        i and (i in modeled.rows or i in batch.ids[:n]) for n, i in enumerate(batch.ids)
    )
    possible = {
        RevisionMismatchError: bool(off),
        AlreadyExistsError: batch.is_whole and has_taken,
        UndecodableImageError: batch.is_whole and batch.has_bad,
    }
    return tuple(error for error, is_so in possible.items() if is_so)


def check_neighbors(answers, rows, queries_QD, k):
    """The ids, labels and similarities of the nearest rows, nearest first."""
    for answer, query_D in zip(answers, queries_QD, strict=True):
        similarities = {i: float(row[1] @ query_D) for i, row in rows.items()}
        nearest = sorted(similarities, key=similarities.__getitem__, reverse=True)[:k]
        assert [(n.exemplar_id, n.label) for n in answer.neighbors] == [
            (i, rows[i][0]) for i in nearest
        ]
        for neighbor, exemplar_id in zip(answer.neighbors, nearest, strict=True):
            assert abs(neighbor.similarity - similarities[exemplar_id]) < SIMILAR
