"""One writer, one merger and several readers on one support set, each reader checking every answer.

Shapes: N live rows of one revision, Q queries, K neighbors, D dim.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core import merging
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.merge import merge
from exemplar_server.core.snapshot import advance, empty
from fakes import support_set, unit_rows

DIM = 32
K = 5
ABOUT_ROWS = 3000
READERS = 8
# Rounding tells two cosines apart that differ by less.
ROUNDING = 1e-5


@dataclass
class Outcome:
    answers: int = 0
    wrong: int = 0
    changes: int = 0
    merges: int = 0


class Race:
    """`run` returns what happened; an exception in any thread is raised there."""

    def __init__(self, seconds, seed=0):
        self._ends = time.monotonic() + seconds
        self._rng = np.random.default_rng(seed)
        self._rows_ND = unit_rows(self._rng, 200_000, DIM)
        self._snapshot = empty(support_set(1, dim=DIM))
        self._live = {1: np.zeros(0, np.int64)}  # by revision: the rows that it has
        self._lock = threading.Lock()
        self._outcome = Outcome()
        self._failures = []
        self._next = 0

    def run(self):
        work = [self._write, self._merge, *[self._read] * READERS]
        threads = [threading.Thread(target=self._guarded, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        return self._outcome

    def _guarded(self, work):
        try:
            while time.monotonic() < self._ends and not self._failures:
                work()
        except Exception as error:  # noqa: BLE001 - raised by `run`
            self._failures.append(error)

    def _write(self):
        old = self._snapshot.support_set.revision
        live_N = self._live[old]
        share = 0.02 if len(live_N) > ABOUT_ROWS else 0.005
        gone_N = live_N[self._rng.random(len(live_N)) < share]
        new_N = self._next + np.arange(self._rng.integers(0, 60))
        self._next += len(new_N)
        new_N = np.setdiff1d(new_N % len(self._rows_ND), live_N)  # ids come again in time
        self._live[old + 1] = np.concatenate([np.setdiff1d(live_N, gone_N), new_N])
        delta = Delta(
            support_set(old + 1, dim=DIM),
            frozenset(map(_id, gone_N)),
            tuple(map(_id, new_N)),
            tuple(str(row % 7) for row in new_N),
            self._rows_ND[new_N],
        )
        with self._lock:
            self._snapshot = advance(self._snapshot, delta, FlatIndex)
        self._outcome.changes += 1

    def _merge(self):
        if due := merging.due(self._snapshot):
            merged = merge(due, FlatIndex)
            with self._lock:
                self._snapshot = merging.adopt(self._snapshot, merged) or self._snapshot
            self._outcome.merges += 1

    def _read(self):
        snapshot = self._snapshot  # one reference, as calls take it
        queries_QD = unit_rows(np.random.default_rng(), 4, DIM)
        found = snapshot.search(queries_QD, K)
        live_N = self._live[snapshot.support_set.revision]
        wrong = sum(
            self._is_wrong(query_D, near, live_N)
            for query_D, near in zip(queries_QD, found, strict=True)
        )
        with self._lock:
            self._outcome.answers += len(found)
            self._outcome.wrong += wrong

    def _is_wrong(self, query_D, near, live_N):
        """Whether these are not the nearest of the live rows, nearest first."""
        true_K = -np.sort(-(self._rows_ND[live_N] @ query_D))[:K]
        rows_K = np.array([int(n.exemplar_id) for n in near], np.int64)
        if len(rows_K) != len(true_K) or not np.isin(rows_K, live_N).all():
            return True
        told_K = np.array([n.similarity for n in near], np.float32)
        own_K = self._rows_ND[rows_K] @ query_D
        labels = [n.label for n in near]
        is_right = np.allclose(told_K, true_K, atol=ROUNDING, rtol=0)
        is_own = np.allclose(told_K, own_K, atol=ROUNDING, rtol=0)
        return not (is_right and is_own and labels == [str(row % 7) for row in rows_K.tolist()])


def _id(row):
    return f"{row:06}"
