"""Support sets of many rows: exact beside approximate search, and growing by single rows."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import numpy as np
from search_sets import added, clustered, exemplar_id, snapshot_of

from exemplar_server.backends.faiss_index import FlatIndex, IvfIndex
from exemplar_server.core import merging
from exemplar_server.core.merge import approximated, merge
from exemplar_server.core.snapshot import advance

K = 5
QUERIES = 300
MILLION = 1_000_000
SINGLE_ADDITIONS = 2000


def approximate_of(snapshot):
    """The snapshot with its segment approximated, and the seconds that took."""
    started = time.perf_counter()
    built = approximated(snapshot.segments[:1], FlatIndex, IvfIndex)
    seconds = time.perf_counter() - started
    return merging.adopt(snapshot, built), seconds


def milliseconds(search, queries_QD):
    times = []
    for query in range(len(queries_QD)):
        query_QD = queries_QD[query : query + 1].copy()
        started = time.perf_counter()
        search(query_QD, K)
        times.append((time.perf_counter() - started) * 1e3)
    return times


def recall(snapshot, queries_QD):
    found, is_approximate = snapshot.approximate_search(queries_QD, K)
    assert is_approximate
    true = snapshot.search(queries_QD, K)
    pairs = zip(map(_ids, found), map(_ids, true), strict=True)
    return np.mean([len(near & nearest) / K for near, nearest in pairs])


def _ids(near):
    return {n.exemplar_id for n in near}


def percentiles(values, digits=2):
    middle, high = np.percentile(values, [50, 99])
    return f"{middle:.{digits}f}, {high:.{digits}f}"


def crossover(_rounds):
    lines = [
        "| N | exact, ms (p50, p99) | approximate | recall | lists for 10, 100 | built in s |",
        "|---|---|---|---|---|---|",
    ]
    queries_QD, _ = clustered(QUERIES, 512, seed=3)
    for count in (3_000, 10_000, 30_000, 100_000, 300_000):
        snapshot, seconds = approximate_of(snapshot_of(*clustered(count, 512, seed=1)))
        exact = percentiles(milliseconds(snapshot.search, queries_QD))
        quick = percentiles(milliseconds(snapshot.approximate_search, queries_QD))
        probes = ", ".join(str(most) for _, most in snapshot.segments[0].approximation.probes)
        share = f"{recall(snapshot, queries_QD):.4f}"
        lines.append(f"| {count:,} | {exact} | {quick} | {share} | {probes} | {seconds:.1f} |")
    return "\n".join(lines)


def large(_rounds):
    rows_ND, codes_N = clustered(MILLION, 512, seed=1)
    dead = np.random.default_rng(2).permutation(MILLION)[: MILLION // 100]
    snapshot, seconds = approximate_of(snapshot_of(rows_ND, codes_N, dead))
    queries_QD, _ = clustered(QUERIES, 512, seed=3)
    quick = percentiles(milliseconds(snapshot.approximate_search, queries_QD))
    exact = percentiles(milliseconds(snapshot.search, queries_QD[:20]), 0)
    lines = [
        "| measure | value | bar |",
        "|---|---|---|",
        f"| approximate search, ms (p50, p99) | {quick} | 3 |",
        f"| recall of 5, {QUERIES} new queries | {recall(snapshot, queries_QD):.4f} | 0.99 |",
        f"| exact search, ms (p50, p99) | {exact} | |",
        f"| index built and measured in, s | {seconds:.0f} | |",
    ]
    times, merges = grow(snapshot)
    lines.append(
        f"| add one row, {SINGLE_ADDITIONS:,} times, {merges} merges meanwhile, ms (p50, p99) "
        f"| {percentiles(times)} | 10 |"
    )
    lines.append(f"| the longest, ms | {max(times):.2f} | |")
    times, _ = grow(snapshot, remove=True)
    lines.append(f"| remove one row and add one, ms (p50, p99) | {percentiles(times)} | |")
    return "\n".join(lines)


def grow(snapshot, *, remove=False):
    """Milliseconds of single additions, and the number of merges that went on meanwhile."""
    kept = Kept(snapshot)
    rows_ND, codes_N = clustered(SINGLE_ADDITIONS, 512, seed=4)
    with kept.merging():
        times = []
        for number in range(SINGLE_ADDITIONS):
            one = slice(number, number + 1)
            gone = [exemplar_id(7 * number)] if remove else []
            delta = added(rows_ND[one].copy(), codes_N[one], 2 * MILLION + number, 2, gone)
            started = time.perf_counter()
            kept.change(delta)
            times.append((time.perf_counter() - started) * 1e3)
            time.sleep(0.001)  # as from a client: else the merges have no time
    return times, kept.merges


class Kept:
    """A snapshot that changes and merges as in the cache, here by threads."""

    def __init__(self, snapshot):
        self.snapshot = snapshot
        self.merges = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def change(self, delta):
        with self._lock:
            self.snapshot = advance(self.snapshot, delta, FlatIndex)

    @contextmanager
    def merging(self):
        thread = threading.Thread(target=self._merge)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _merge(self):
        while not self._ended.wait(0.001):
            if due := merging.due(self.snapshot):
                merged = merge(due, FlatIndex)
                with self._lock:
                    self.snapshot = merging.adopt(self.snapshot, merged) or self.snapshot
                self.merges += 1
