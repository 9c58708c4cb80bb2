"""One store under many clients and many kills of its server."""

from __future__ import annotations

import math
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from call_history import LIST, NOBODY_KNOWS, Call, History
from history_clients import NAMES, Client, answer
from process_calls import addition, serving
from server_lives import Life, Lives
from server_process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A kill comes so long after a write was acknowledged at most: anywhere in another one.
AFTER_SECONDS = 0.02
# Nobody changes it: its answers stay what they were at first.
STEADY = [f"{label}{number}" for label in "wxyz" for number in range(3)]


@dataclass(frozen=True)
class Plan:
    """`most_acknowledged` writes come before a kill, half of it on average."""

    kills: int
    most_acknowledged: int
    seed: int
    clients: int = 4
    until: float = math.inf  # no kill comes later, by time.monotonic
    told: Callable[[str], None] = lambda _: None


@dataclass
class Run:
    """What came of it."""

    history: History = field(default_factory=History)
    ready_seconds: list[float] = field(default_factory=list)
    ready_cpu_seconds: list[float] = field(default_factory=list)  # a busy machine changes it little
    steady_answers: list[Any] = field(default_factory=list)  # one entry a life
    kills: int = 0


def run(backbone: Path, url: str, plan: Plan) -> Run:
    """Kills the server again and again; the last one is left to answer everything."""
    done, lives = Run(), Lives(plan.clients)
    acknowledged: queue.SimpleQueue[Call] = queue.SimpleQueue()
    random = np.random.default_rng(plan.seed)
    clients = [
        Client(f"client{n}", [plan.seed, n], lives, done.history, acknowledged)
        for n in range(plan.clients)
    ]
    with ThreadPoolExecutor(plan.clients) as threads, _given_up(lives):
        working = [threads.submit(client.work) for client in clients]
        for number in range(1, plan.kills + 1):
            with _life(backbone, url, number, done) as (server, calls):
                lives.begin(Life(number, calls))
                _wait_for(acknowledged, int(random.integers(1, plan.most_acknowledged)))
                threading.Event().wait(random.uniform(0, AFTER_SECONDS))
                server.kill()
                lives.end()
            done.kills += 1
            plan.told(f"{number} kills, {len(done.history.calls)} calls")
            if time.monotonic() > plan.until:
                break
        with _life(backbone, url, done.kills + 1, done) as (_, calls):
            lives.begin(Life(done.kills + 1, calls, is_last=True))
            for work in working:
                work.result(PATIENCE_SECONDS)
            _look(done.history, Life(done.kills + 1, calls))
    return done


@contextmanager
def _given_up(lives):
    """Nobody waits for a server when this one failed."""
    try:
        yield
    finally:
        lives.give_up()


@contextmanager
def _life(backbone, url, number, done):
    """A server, once it was asked for everything: before any client sends something again."""
    started = time.monotonic()
    with serving(backbone, "", EXEMPLAR_STORE_URL=url) as (server, calls):
        if number == 1:
            calls.create("steady")
            calls.change(addition("steady", STEADY))
        done.steady_answers.append(calls.answers("steady"))
        done.ready_seconds.append(time.monotonic() - started)
        done.ready_cpu_seconds.append(server.cpu_seconds())
        _look(done.history, Life(number, calls))
        yield server, calls


def _look(history, life):
    for name in NAMES:
        call = Call("auditor", "", LIST, name, time.monotonic(), 0, NOBODY_KNOWS)
        history.record(answer(life, call))


def _wait_for(acknowledged, count):
    """For so many writes that are acknowledged from now on."""
    while not acknowledged.empty():
        acknowledged.get()
    for _ in range(count):
        acknowledged.get(timeout=PATIENCE_SECONDS)
