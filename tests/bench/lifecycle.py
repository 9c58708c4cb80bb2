"""What copies, rollbacks and deletions of a large support set cost, and what others wait for them.

PYTHONPATH=tests python tests/bench/lifecycle.py --out FILE.md
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from statistics import median

import numpy as np
from reports import add_out, tell

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.exemplars import NewExemplar
from fakes import once
from postgres_server import postgres_server
from store_calls import Calls

DIM, BATCH = 1280, 1000
IMAGE = bytes(20_000)
COMMIT = ("git", "rev-parse", "--short", "HEAD")


async def filled(calls, name, rng, count):
    target = await calls.create(name)
    for start in range(0, count, BATCH):
        rows_ND = rng.normal(size=(BATCH, DIM)).astype(np.float32)
        rows_ND /= np.linalg.norm(rows_ND, axis=1, keepdims=True)
        new = [
            NewExemplar(f"{start + n:06}", "label", row_D, IMAGE if n % 10 == 0 else None, {})
            for n, row_D in enumerate(rows_ND)
        ]
        await calls.store.add(
            calls.tenant,
            target,
            new,
            all_or_nothing=True,
            expected_revision=None,
            key=once(),
        )


class Other:
    """Another tenant that adds an exemplar again and again; how long each addition took."""

    def __init__(self, store):
        self._calls = Calls(store, "other")
        self.seconds = []
        self.is_over = False

    async def work(self):
        target = await self._calls.create(f"set-{time.monotonic_ns()}")
        while not self.is_over:
            started = time.perf_counter()
            await self._calls.add(target, str(len(self.seconds)))
            self.seconds.append(time.perf_counter() - started)
            await asyncio.sleep(0.005)


async def timed(store, working):
    """Seconds of the work, and the longest that the other tenant's additions waited meanwhile."""
    other = Other(store)
    beside = asyncio.create_task(other.work())
    await asyncio.sleep(0.2)
    before = len(other.seconds)
    started = time.perf_counter()
    await working
    seconds = time.perf_counter() - started
    other.is_over = True
    await beside
    return seconds, max(other.seconds[before:], default=0.0)


async def measured(store, count):
    rng, calls = np.random.default_rng(0), Calls(store)
    await filled(calls, "set", rng, count)
    ids = [f"{n:06}" for n in range(0, count, 2)]
    results = {"copy": await timed(store, calls.copy("set", "copy"))}
    await calls.save("good")
    for start in range(0, len(ids), BATCH):
        await calls.remove("set", *ids[start : start + BATCH])
    results["roll back to half of it removed"] = await timed(store, calls.roll_back("good"))
    results["roll back, nothing changed"] = await timed(store, calls.roll_back("good"))
    results["delete the support set"] = await timed(store, calls.delete("set"))
    results["delete the tenant"] = await timed(store, calls.delete_tenant())
    return results


def rounds(url_of, asked):
    """By work: (seconds, longest wait) of each round."""
    gathered = {}
    for number in range(asked.rounds):
        store = SqlStore(url_of(number))
        for name, result in asyncio.run(measured(store, asked.exemplars)).items():
            gathered.setdefault(name, []).append(result)
        store.close()
    return gathered


def spread(values):
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def table(gathered):
    lines = ["| work | seconds | longest wait of another tenant's addition, s |", "|---|---|---|"]
    for name, results in gathered.items():
        seconds, waits = zip(*results, strict=True)
        lines.append(f"| {name} | {spread(seconds)} | {spread(waits)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_out(parser)
    parser.add_argument("--exemplars", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sqlite = rounds(lambda number: f"sqlite:///{folder}/{number}.db", asked)
    with postgres_server(fsync="on", full_page_writes="on") as server:
        postgres = rounds(lambda number: server.create(f"bench{number}"), asked)
    commit = subprocess.run(COMMIT, capture_output=True, text=True, check=True).stdout.strip()
    options = f"--exemplars {asked.exemplars} --rounds {asked.rounds}"
    tell(
        f"""# Copies, rollbacks and deletions

{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {platform.machine()}, 2 cores that others share:
ratios count, times do not. {asked.exemplars} exemplars x {DIM}, every tenth with an image of
{len(IMAGE) // 1000} KB; meanwhile another tenant adds one exemplar after the other. Medians of
{asked.rounds} rounds (lowest to highest).
`PYTHONPATH=tests python tests/bench/lifecycle.py {options}`

## SQLite

{table(sqlite)}

## PostgreSQL

{table(postgres)}
""",
        asked.out,
    )


if __name__ == "__main__":
    main()
