"""kill -9 loses nothing that was acknowledged, tears nothing apart and applies nothing twice."""

from __future__ import annotations

import queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import ne
from typing import Any

import grpc
import numpy as np
import pytest

from exemplar.v1 import support_set_pb2 as sets
from process_calls import addition, removal, serving
from server_process import PATIENCE_SECONDS

KILLS = 5
WRITERS = 3
MOST_ACKNOWLEDGED = 40  # before a kill
SEED = 7
NAMES = [f"writer{number}" for number in range(WRITERS)]
STEADY = [f"{label}{number}" for label in "wxyz" for number in range(3)]

Ids = frozenset[str]


class Writer:
    """Adds three exemplars, removes one, and so on. `live`: what was acknowledged to be there."""

    def __init__(self, name):
        self.name = name
        self.live: Ids = frozenset()
        self.pending = None
        self.changes = 0

    def work(self, calls, acknowledged):
        """One change after the other until the server is gone."""
        while True:
            self.pending = self._next()
            try:
                calls.change(self.pending)
            except grpc.RpcError:
                return
            self.settle()
            acknowledged.put(self.name)

    def settle(self):
        """The pending change was acknowledged."""
        self.live, self.pending = self.after_pending(), None
        self.changes += 1

    def after_pending(self) -> Ids:
        """What must be there if the pending change was applied."""
        if isinstance(self.pending, sets.AddExemplarsRequest):
            return self.live | {e.exemplar_id for e in self.pending.exemplars}
        return self.live - set(self.pending.exemplar_ids)

    def _next(self):
        key = f"{self.name}-{self.changes}"
        if self.changes % 2:
            return removal("written", [min(self.live)], key)
        return addition("written", [f"{key}-{n}" for n in range(3)], self.name, key)


@dataclass(frozen=True)
class Found:
    """What a server tells of the written support set; `ids` one set a writer."""

    ids: list[Ids]
    revision: int
    exemplar_count: int


def found(calls):
    described, ids = calls.describe("written"), calls.ids("written")
    by_writer = [frozenset(i for i in ids if i.startswith(name)) for name in NAMES]
    return Found(by_writer, described.revision, described.exemplar_count)


@dataclass(frozen=True)
class Crash:
    """One kill. Without and with the changes in flight, what is there? And after retries?"""

    acknowledged: list[Ids]
    with_pending: list[Ids]
    changes: int  # acknowledged ones
    found: Found
    answers: list[Any]
    retried: list[Any]  # the results of the changes in flight, sent once more
    after_retries: Found


class History:
    """One store under several writers and many kills."""

    def __init__(self, backbone, store):
        self._random = np.random.default_rng(SEED)
        self._writers = [Writer(name) for name in NAMES]
        self.crashes = []
        with serving(backbone, store) as (server, calls):
            self.answers = begin(calls)
            self._write_until_killed(server, calls)
        for _ in range(KILLS):
            with serving(backbone, store) as (server, calls):
                self.crashes.append(self._recovered(calls))
                self._write_until_killed(server, calls)

    def _recovered(self, calls):
        """Looks at what is there, then sends once more what was never answered."""
        acknowledged = [w.live for w in self._writers]
        with_pending = [w.after_pending() for w in self._writers]
        changes = sum(w.changes for w in self._writers)
        at_first, answers = found(calls), calls.answers("steady")
        retried = [result for w in self._writers for result in calls.change(w.pending).results]
        for writer in self._writers:
            writer.settle()
        return Crash(acknowledged, with_pending, changes, at_first, answers, retried, found(calls))

    def _write_until_killed(self, server, calls):
        acknowledged = queue.SimpleQueue()
        with ThreadPoolExecutor(WRITERS) as threads:
            working = [threads.submit(w.work, calls, acknowledged) for w in self._writers]
            try:
                for _ in range(self._random.integers(1, MOST_ACKNOWLEDGED)):
                    acknowledged.get(timeout=PATIENCE_SECONDS)
            finally:
                server.kill()
        for work in working:
            work.result()


def begin(calls):
    """Makes both support sets; returns the answers of the one that nobody changes."""
    for name in ("steady", "written"):
        calls.create(name)
    calls.change(addition("steady", STEADY))
    return calls.answers("steady")


def applied(crash):
    """Which changes in flight were applied."""
    return [ids == full for ids, full in zip(crash.found.ids, crash.with_pending, strict=True)]


@pytest.fixture(scope="module")
def history(backbone_dir, tmp_path_factory):
    return History(backbone_dir, tmp_path_factory.mktemp("crash") / "store.db")


def test_the_kills_come_while_changes_are_in_flight(history):
    for crash in history.crashes:
        assert all(map(ne, crash.acknowledged, crash.with_pending))


def test_what_was_acknowledged_is_there_and_what_was_not_is_whole_or_absent(history):
    for crash in history.crashes:
        allowed = zip(crash.found.ids, crash.acknowledged, crash.with_pending, strict=True)
        assert all(ids in {old, new} for ids, old, new in allowed)


def test_the_revision_counts_what_was_applied(history):
    for crash in history.crashes:
        assert crash.found.revision == 1 + crash.changes + sum(applied(crash))


def test_the_number_of_exemplars_is_the_number_that_is_there(history):
    for crash in history.crashes:
        assert crash.found.exemplar_count == sum(map(len, crash.found.ids))


def test_a_change_sent_once_more_is_applied_once(history):
    for crash in history.crashes:
        assert [r.error for r in crash.retried if not r.exemplar_id] == []
        assert crash.after_retries.ids == crash.with_pending
        assert crash.after_retries.revision == 1 + crash.changes + WRITERS


def test_answers_are_what_they_were_before(history):
    for crash in history.crashes:
        for now, before in zip(crash.answers, history.answers, strict=True):
            assert now.label == before.label
            assert neighbors(now) == neighbors(before)
            assert similarities(now) == pytest.approx(similarities(before), abs=1e-5)


def neighbors(answer):
    return [(n.exemplar_id, n.label) for n in answer.neighbors]


def similarities(answer):
    return [n.similarity for n in answer.neighbors]
