"""What a search costs beside FAISS alone, and what large support sets take.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=tests \
      .venv/bin/python tests/bench/search.py --parts cost batch large

Parts: `cost` and `batch` of searches beside FAISS's IndexFlatIP over the live rows; `crossover` of
exact and approximate search; `large`: one million rows, approximate, and growing by single rows;
`load` and `memory`: from a store, with `build/backbones/lite0/1` for the server that is started;
`races`: readers beside changes.
Candidates take turns of a few milliseconds, and `cost` and `batch` count processor time, so that
other programs disturb little. One thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import UTC, datetime

import faiss
import numpy as np
from reports import add_out, tell
from search_large import crossover, large
from search_sets import clustered, snapshot_of
from search_store import load, memory
from tsne import commit

from snapshot_races import READERS, Race

K = 5
DEAD_SHARE = 0.01
# FAISS 1.15's own: below, a batch is searched by a scan a query.
DEFAULT_THRESHOLD = 128_000
TURN_SECONDS = 0.004
RACE_SECONDS = 300


def turns(candidates, rounds):
    """Microseconds of processor time a call of each candidate in each round."""
    times = {name: [] for name in candidates}
    for call in candidates.values():
        call()  # warm-up
    started = time.thread_time()
    next(iter(candidates.values()))()
    calls = max(1, int(TURN_SECONDS / (time.thread_time() - started)))
    for _ in range(rounds):
        for name, call in candidates.items():
            started = time.thread_time()
            for _ in range(calls):
                call()
            times[name].append((time.thread_time() - started) / calls * 1e6)
    return times


def ratios(times, over, under):
    return [a / b for a, b in zip(times[over], times[under], strict=True)]


def quartiles(values, digits=2):
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def pair(count, dim):
    """A snapshot with one row in a hundred removed, and FAISS alone with the others."""
    rows_ND, codes_N = clustered(count, dim, seed=1)
    dead = np.random.default_rng(2).permutation(count)[: int(DEAD_SHARE * count)]
    raw = faiss.IndexFlatIP(dim)
    raw.add(np.delete(rows_ND, dead, axis=0))
    return snapshot_of(rows_ND, codes_N, dead), raw


def cost(rounds):
    lines = [
        "| D | N | FAISS alone, us | snapshot, us | ratio | bar |",
        "|---|---|---|---|---|---|",
    ]
    bars = {25: "under 30 us", 1000: "ratio 1.2", 100_000: "ratio 1.1"}
    for dim in (512, 1280):
        queries_QD, _ = clustered(8, dim, seed=3)
        for count, bar in bars.items():
            snapshot, raw = pair(count, dim)
            query_QD = queries_QD[:1].copy()
            times = turns(
                {
                    "raw": lambda: raw.search(query_QD, K),  # noqa: B023 - called at once
                    "own": lambda: snapshot.search(query_QD, K),  # noqa: B023 - as above
                },
                rounds if count < 10_000 else max(5, rounds // 10),
            )
            share = quartiles(ratios(times, "own", "raw"), 3)
            own, alone = quartiles(times["own"], 1), quartiles(times["raw"], 1)
            lines.append(f"| {dim} | {count:,} | {alone} | {own} | {share} | {bar} |")
    return "\n".join(lines)


def batch(rounds):
    lines = [
        "| D | N | FAISS by default, us a query | FAISS, 4 D | snapshot | times faster | bar |",
        "|---|---|---|---|---|---|---|",
    ]
    for dim in (512, 1280):
        queries_QD, _ = clustered(64, dim, seed=3)
        for count, bar in ((25, ""), (1000, ""), (100_000, "5")):
            snapshot, raw = pair(count, dim)

            def alone(threshold):
                faiss.cvar.distance_compute_blas_threshold = threshold
                raw.search(queries_QD, K)  # noqa: B023 - called at once

            times = turns(
                {
                    "default": lambda: alone(DEFAULT_THRESHOLD),
                    "tuned": lambda: alone(4 * dim),  # noqa: B023 - as above
                    "own": lambda: snapshot.search(queries_QD, K),  # noqa: B023 - as above
                },
                rounds if count < 10_000 else max(3, rounds // 40),
            )
            a_query = {n: quartiles([v / 64 for v in values], 1) for n, values in times.items()}
            gain = quartiles(ratios(times, "default", "own"), 1)
            figures = " | ".join([a_query["default"], a_query["tuned"], a_query["own"], gain])
            lines.append(f"| {dim} | {count:,} | {figures} | {bar} |")
    return "\n".join(lines)


def races(_rounds):
    outcome = Race(RACE_SECONDS).run()
    figures = outcome.answers, outcome.changes, outcome.merges, outcome.wrong
    return "\n".join(
        [
            f"{READERS} readers, {RACE_SECONDS} s; brute force on the revision of each answer.",
            "",
            "| answers | changes | merges | wrong answers |",
            "|---|---|---|---|",
            f"| {' | '.join(f'{figure:,}' for figure in figures)} |",
        ]
    )


PARTS = {
    "cost": ("One query, k = 5, 1 % of the rows removed", cost),
    "batch": ("A batch of 64 queries, the same rows", batch),
    "crossover": ("Exact and approximate search by size, D = 512", crossover),
    "large": ("One million rows, D = 512", large),
    "load": ("From a store on disk (SQLite)", load),
    "memory": ("Memory under more support sets than fit", memory),
    "races": ("One writer, one merger and readers on one support set", races),
}


def report(arguments):
    head = f"""# Search beside FAISS

{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {os.cpu_count()} shared cores, no GPU
({platform.machine()}), Python {platform.python_version()}, FAISS {faiss.__version__}, one thread.
Medians (quartiles) of {arguments.rounds} turns, fewer where rows are many.
"""
    parts = []
    for name in arguments.parts:
        title, measure = PARTS[name]
        parts.append(f"## {title}\n\n{measure(arguments.rounds)}\n")
        print(parts[-1], flush=True)
    return "\n".join([head, *parts])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=200)
    add_out(parser)
    arguments = parser.parse_args()
    tell(report(arguments), arguments.out)


if __name__ == "__main__":
    main()
