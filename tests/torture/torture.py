"""The long form of the tests of what must never be lost: `make torture`, half an hour at most.

Writes a report; ends with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import tiny_backbone
from exemplar_server.backends.sql_store import SqlStore
from history_checker import DUPLICATE, LOST, RESURRECTED, UNEXPLAINED, WENT_BACK, violations
from kill_loop import Plan, run
from postgres_server import postgres_server
from stateful_machine import Histories
from stateful_world import World
from upgrade_machine import UpgradeHistories

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

    from kill_loop import Run

KINDS = (LOST, RESURRECTED, DUPLICATE, WENT_BACK, UNEXPLAINED)
MISSED = " (the bar is missed)"
TOLD_EVERY = 20  # kills
SEED = 11
CLIENTS = 6
STEPS = 50  # of a history
WRITES_A_KILL = 220  # at most; half of it on average
READY_SECONDS = 5.0


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tiny_backbone.write(folder / "backbones")
        server = stack.enter_context(postgres_server())
        urls = {"SQLite": f"sqlite:///{folder}/store.db", "PostgreSQL": server.create("killed")}
        with ThreadPoolExecutor() as threads:
            working = {
                dialect: threads.submit(run, folder / "backbones", url, _plan(dialect, arguments))
                for dialect, url in urls.items()
            }
            runs = {dialect: work.result() for dialect, work in working.items()}
        columns = {dialect: _figures(done, arguments) for dialect, done in runs.items()}
        more = {"SQLite": f"sqlite:///{folder}/any.db", "PostgreSQL": server.create("any")}
        for dialect, url in more.items():
            columns[dialect] |= _any_history(dialect, url, arguments)
            columns[dialect] |= _any_upgrade(dialect, url, arguments)
    report = _report(columns, arguments)
    _say(report)
    if arguments.out:
        arguments.out.write_text(report)
    is_missed = any(MISSED in figure for column in columns.values() for figure in column.values())
    sys.exit("a bar is missed" if is_missed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="on each store")
    parser.add_argument("--writes", type=int, default=30_000, help="the bar, on each store")
    parser.add_argument("--minutes", type=float, default=25, help="no kill comes later")
    parser.add_argument("--examples", type=int, default=200, help="histories on each store")
    parser.add_argument("--out", type=Path, help="where the report goes")
    return parser.parse_args()


def _plan(dialect: str, arguments: argparse.Namespace) -> Plan:
    def told(line: str) -> None:
        if int(line.split(maxsplit=1)[0]) % TOLD_EVERY == 0:
            _say(f"{datetime.now(UTC):%H:%M:%S} {dialect}: {line}")

    until = time.monotonic() + 60 * arguments.minutes
    return Plan(arguments.kills, WRITES_A_KILL, SEED, CLIENTS, until, told)


def _figures(done: Run, arguments: argparse.Namespace) -> dict[str, str]:
    calls = done.history.calls
    found = violations(calls)
    for violation in found:
        _say(repr(violation))
    kinds = [violation.kind for violation in found]
    writes = sum(call.is_acknowledged_write for call in calls)
    retried = sum(call.tries > 1 and call.is_change for call in calls)
    slowest = max(done.ready_seconds)
    return {
        "kills": _judged(done.kills, done.kills >= arguments.kills),
        "acknowledged writes": _judged(writes, writes >= arguments.writes),
        "reads that were checked": str(sum(not c.is_change and c.outcome == "OK" for c in calls)),
        "calls that a kill interrupted and that were sent once more": str(retried),
        **{kind: _judged(kinds.count(kind), not kinds.count(kind)) for kind in KINDS},
        "ready after a kill, slowest, s": _judged(f"{slowest:.2f}", slowest < READY_SECONDS),
        "the same, median": f"{median(done.ready_seconds):.2f}",
        "processor time to be ready, slowest, s": f"{max(done.ready_cpu_seconds):.2f}",
    }


def _any_history(dialect: str, url: str, arguments: argparse.Namespace) -> dict[str, str]:
    """As tests/contract/test_stateful.py, with more examples. Raises where one goes wrong."""
    world = World(url)

    class OfThisWorld(Histories):
        pass

    OfThisWorld.world = world
    try:
        _run(f"{dialect}: histories", OfThisWorld, arguments)
    finally:
        world.end()
    return {f"histories of {STEPS} steps that came to what the model says": str(arguments.examples)}


def _any_upgrade(dialect: str, url: str, arguments: argparse.Namespace) -> dict[str, str]:
    """As tests/contract/test_upgrade_histories.py."""
    store = SqlStore(url)

    class InThisStore(UpgradeHistories):
        stores: ClassVar = [store]

    try:
        _run(f"{dialect}: histories of upgrades", InThisStore, arguments)
    finally:
        store.close()
    return {f"the same, of {STEPS} steps, with switches of backbones": str(arguments.examples)}


def _run(told: str, machine: type[RuleBasedStateMachine], arguments: argparse.Namespace) -> None:
    started = time.monotonic()
    most = settings(
        deadline=None,
        max_examples=arguments.examples,
        stateful_step_count=STEPS,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=most)
    _say(f"{told}: {arguments.examples} in {time.monotonic() - started:.0f} s")


def _judged(figure: object, is_good: bool) -> str:
    return f"{figure}{'' if is_good else MISSED}"


def _report(columns: dict[str, dict[str, str]], arguments: argparse.Namespace) -> str:
    rows = next(iter(columns.values()))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[row, *(column[row] for column in columns.values())] for row in rows]
    table = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _commit(),
        "machine": f"{len(os.sched_getaffinity(0))} shared cores ({platform.machine()})",
        "python": platform.python_version(),
        "clients": CLIENTS,
        "kills": arguments.kills,
        "minutes": arguments.minutes,
    }
    return INTRODUCTION.format(**facts) + table


INTRODUCTION = """# Kills under load: what was acknowledged, and what is there

{date}, commit {commit}, {machine}, Python {python}.
`make torture`: both stores at once, each with {clients} clients that share three support sets: they
add, remove, delete, make anew under the same name, list and classify. SIGKILL of the server at a
random moment, {kills} times, for up to {minutes:.0f} minutes; what was interrupted is sent once
more with its request_id. Every answer is held against what must be there at its revision
(tests/history_checker.py). Then histories by chance through two services in one process, held
against dictionaries and brute force (tests/stateful_machine.py, tests/upgrade_machine.py).

"""


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
