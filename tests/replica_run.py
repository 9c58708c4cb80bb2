"""Three replicas over one PostgreSQL, under clients and faults, for some seconds."""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from call_history import History
from replica_clients import SHARED, ReplicaClient, Seen, own
from replica_faults import Fault, Faults, Pace
from replicas import Replica, closing, faketime
from server_process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from postgres_server import PostgresServer

REPLICAS = 3
ACCOUNT = "exemplar"  # no superuser, as servers should be


@dataclass(frozen=True)
class Plan:
    """Faults come for `seconds` or `rounds`, whichever ends first; then all goes well."""

    seconds: float
    seed: int
    calm_seconds: float = 1.0
    clients: int = 4
    pace: Pace = field(default_factory=Pace)
    rounds: int = 1000


@dataclass
class Run:
    """What came of it."""

    history: History = field(default_factory=History)
    faults: list[Fault] = field(default_factory=list)


def run(backbone: Path, postgres: PostgresServer, plan: Plan) -> Run:
    """Returns when the faults are over, every change is answered, and everything was looked at."""
    name = f"replicas {plan.seed}"
    with tempfile.TemporaryDirectory() as folder, closing([]) as replicas:
        clock = Path(folder) / "clock" if faketime() else None
        start_all(replicas, backbone, database(postgres, name), clock, [()] * REPLICAS)
        random = np.random.default_rng(plan.seed)
        faults = Faults(replicas, postgres, name, clock, random)
        done = Run(faults=faults.happened)
        _work(replicas, done, plan, lambda over: faults.run(plan.pace, over, plan.rounds))
    return done


def database(postgres: PostgresServer, name: str) -> str:
    """A new one that belongs to an account without any privilege; returns its URL."""
    postgres.create(name)
    with postgres.connect(name) as connection:
        connection.execute(
            f"DO $$ BEGIN CREATE ROLE {ACCOUNT} LOGIN; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        connection.execute(f'ALTER DATABASE "{name}" OWNER TO {ACCOUNT}')
        connection.execute(f"ALTER SCHEMA public OWNER TO {ACCOUNT}")
    return postgres.url(name).replace("postgres:secret@", f"{ACCOUNT}:secret@")


def start_all(
    replicas: list[Replica],
    backbone: Path,
    url: str,
    clock: Path | None,
    unders: Sequence[Sequence[str | Path]],
) -> None:
    """One a program that runs it (`unders`), all at once; the last one has the clock."""
    if clock is not None:
        clock.write_text("+0\n")
    clocks = [*[None] * (len(unders) - 1), clock]
    with ThreadPoolExecutor() as threads:
        starting = [
            threads.submit(Replica, f"replica {n}", backbone, url, under=under, clock=its_clock)
            for n, (under, its_clock) in enumerate(zip(unders, clocks, strict=True))
        ]
        for start in starting:
            start.exception()  # all have ended, before one fails
    replicas += [start.result() for start in starting if start.exception() is None]
    for start in starting:
        start.result()


def _work(
    replicas: list[Replica],
    done: Run,
    plan: Plan,
    break_things: Callable[[threading.Event], None],
) -> None:
    enough, over, seen = threading.Event(), threading.Event(), Seen(done.history)
    clients = [
        ReplicaClient(f"client{n}", [plan.seed, n], replicas, seen, over)
        for n in range(plan.clients)
    ]
    for name in SHARED:
        clients[0].create(name)
    with ThreadPoolExecutor(plan.clients + 1) as threads:
        working = [threads.submit(client.work) for client in clients]
        breaking = threads.submit(break_things, enough)
        ends = threading.Timer(plan.seconds, enough.set)
        ends.start()
        try:
            breaking.result(plan.seconds + PATIENCE_SECONDS)
            over.wait(plan.calm_seconds)
        finally:
            for event in (enough, over):
                event.set()
            ends.cancel()
        for work in working:
            work.result(2 * PATIENCE_SECONDS)
    clients[0].audit([*SHARED, *[own(client.name) for client in clients]])
