"""What the store costs on each dialect: additions by many clients at once, and one big read.

PYTHONPATH=tests python tests/bench/store.py --out tests/bench/results/$(date -u +%F)-store.md
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import subprocess
import tempfile
import time
from statistics import median

import numpy as np
from reports import add_out, tell

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.exemplars import NewExemplar
from fakes import once, retried
from postgres_server import postgres_server
from store_calls import Calls

CLIENTS = (1, 8, 32)
ADDITIONS = 10  # a client
ROUNDS = 3
ROWS, DIM, BATCH = 20_000, 1280, 1000
IMAGE = bytes(2000)


async def additions_a_second(store, clients, *, shared):
    """Single additions of `clients` at once: to one support set, or each to its tenant's own."""
    name = f"set-{time.monotonic_ns()}"
    calls = [Calls(store, "shared" if shared else f"tenant-{n}") for n in range(clients)]
    targets = [await c.create(name) for c in (calls[:1] if shared else calls)]
    vector_D = np.ones(4, np.float32) / 2

    async def work(number):
        for turn in range(ADDITIONS):
            new = NewExemplar(f"{number}-{turn}", "a", vector_D, IMAGE, {})
            await calls[number].add(targets[0 if shared else number], new, key=retried())

    begun = time.perf_counter()
    await asyncio.gather(*map(work, range(clients)))
    return clients * ADDITIONS / (time.perf_counter() - begun)


async def seconds_to_read(store):
    """All of a support set of ROWS exemplars, several times."""
    target = await store.create(
        "tenant",
        "big",
        backbone="tiny",
        fingerprint="f" * 64,
        dim=DIM,
        keep_images=False,
        key=once(),
    )
    random = np.random.default_rng(0)
    for start in range(0, ROWS, BATCH):
        rows_ND = random.normal(size=(BATCH, DIM)).astype(np.float32)
        new = [NewExemplar(f"{start + n}", "a", row, None, {}) for n, row in enumerate(rows_ND)]
        await Calls(store, "tenant").add(target, *new)
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        await store.delta("tenant", "big", "", 0)
        seconds.append(time.perf_counter() - begun)
    return seconds


def commit():
    git = shutil.which("git")
    return subprocess.check_output([git, "rev-parse", "--short", "HEAD"], text=True).strip()


def shown(values, digits=0):
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


async def measured(stores):
    """One line a dialect and measure; rounds of both dialects take turns."""
    lines = []
    for shared in (False, True):
        for clients in CLIENTS:
            found = {name: [] for name in stores}
            for _ in range(ROUNDS):
                for name, store in stores.items():
                    found[name].append(await additions_a_second(store, clients, shared=shared))
            what = "one support set" if shared else "own tenants"
            cells = " | ".join(shown(found[name]) for name in stores)
            lines.append(f"| additions a second, {clients} clients, {what} | {cells} |")
    reads = [await seconds_to_read(store) for store in stores.values()]
    cells = " | ".join(shown(seconds, 2) for seconds in reads)
    lines.append(f"| seconds to read {ROWS} exemplars of {DIM} | {cells} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_out(parser)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres_server(fsync="on", full_page_writes="on") as server,
    ):
        stores = {
            "SQLite": SqlStore(f"sqlite:///{folder}/store.db"),
            "PostgreSQL": SqlStore(server.create("bench")),
        }
        lines = asyncio.run(measured(stores))
        for store in stores.values():
            store.close()
    where = f"{platform.machine()}, Python {platform.python_version()}"
    date = time.strftime("%F", time.gmtime())
    head = [
        "# The store on each dialect",
        "",
        f"{date}, commit {commit()}, {where}. Median of {ROUNDS} rounds (lowest-highest).",
        "",
        f"| | {' | '.join(stores)} |",
        "|---|---|---|",
    ]
    tell("\n".join([*head, *lines, ""]), arguments.out)


if __name__ == "__main__":
    main()
