"""The long form of the tests of replicas: `make torture RUN=replicas`, half an hour.

Writes a report; ends with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import tiny_backbone
from call_history import ADD
from history_checker import DUPLICATE, LOST, RESURRECTED, UNEXPLAINED, WENT_BACK
from postgres_server import postgres_server
from replica_checker import BROKEN, HEALTHY, HINTLESS, Lag, lags, replica_violations
from replica_control import control as control_calls
from replica_faults import KINDS as FAULTS
from replica_run import Plan, run
from replicas import faketime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from call_history import Call
    from replica_faults import Fault

VIOLATIONS = (LOST, RESURRECTED, DUPLICATE, WENT_BACK, UNEXPLAINED)
BARS_MS = {HEALTHY: 200, HINTLESS: 2000}  # the 99th percentile of staleness
MISSED = " (the bar is missed)"
UUID_CHARACTERS = 36
HALF_AN_HOUR = 1800.0
PARTS = "p50 / p99 / most, ms"


@dataclass
class Totals:
    """Of all runs so far."""

    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    lags: dict[str, list[Lag]] = field(
        default_factory=lambda: {HEALTHY: [], HINTLESS: [], BROKEN: []}
    )
    read_seconds: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)

    def add(self, calls: Sequence[Call], faults: Sequence[Fault]) -> int:
        """How many violations this run had."""
        found = replica_violations(calls)
        for violation in found:
            _say(str(violation))
        reads = [c for c in calls if not c.is_change and c.outcome == "OK"]
        self.runs += 1
        self.faults.update(fault.kind for fault in faults)
        self.violations.update(v.kind for v in found)
        self.counts["acknowledged writes"] += sum(c.is_acknowledged_write for c in calls)
        self.counts["changes that were sent more than once"] += sum(
            c.tries > 1 and c.is_change for c in calls
        )
        self.counts["reads with a token"] += sum(c.min_revision > 0 for c in reads)
        self.counts["reads without"] += sum(c.min_revision == 0 for c in reads)
        self.counts["exemplar ids that a server made with its clock an hour off"] += _odd(calls)
        for circumstances, lags_of in lags(calls, faults).items():
            self.lags[circumstances] += lags_of
        self.read_seconds += [c.ended - c.started for c in reads]
        self.load.append(os.getloadavg()[0])
        return len(found)


def _odd(calls: Sequence[Call]) -> int:
    """Ids that servers make are UUIDv7: they begin with 48 bits of milliseconds."""
    ids = [row.exemplar_id for c in calls if c.kind == ADD and c.outcome == "OK" for row in c.rows]
    made = [int(i.replace("-", "")[:12], 16) / 1000 for i in ids if len(i) == UUID_CHARACTERS]
    return int(np.sum(np.abs(np.array(made) - np.median(made)) > HALF_AN_HOUR)) if made else 0


def main() -> None:
    arguments = _arguments()
    totals, control = Totals(), Totals()
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres:
        backbones = Path(folder) / "backbones"
        tiny_backbone.write(backbones)
        control.add(control_calls(backbones, postgres), [])
        for seed in range(arguments.seed, arguments.seed + arguments.runs):
            done = run(backbones, postgres, Plan(arguments.seconds, seed))
            if totals.add(done.history.calls, done.faults):
                done.history.write(Path(tempfile.gettempdir()) / f"replicas-{seed}.jsonl")
            _say(f"{datetime.now(UTC):%H:%M:%S} {totals.runs} runs, {dict(totals.violations)}")
            report = _report(totals, control, arguments)
            if arguments.out:
                arguments.out.write_text(report)
    _say(report)
    sys.exit("a bar is missed" if MISSED in report else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60, help="of faults, each run")
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--out", type=Path, help="where the report goes")
    return parser.parse_args()


def _report(totals: Totals, control: Totals, arguments: argparse.Namespace) -> str:
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _commit(),
        "machine": f"{len(os.sched_getaffinity(0))} shared cores ({platform.machine()})",
        "python": platform.python_version(),
        "runs": totals.runs,
        "planned": arguments.runs,
        "seconds": arguments.seconds,
        "load": f"{np.median(totals.load):.0f}",
        "clock": "" if faketime() else " (left out: no libfaketime)",
    }
    rows = "".join(f"| {name} | {figure} |\n" for name, figure in _figures(totals, control))
    return INTRODUCTION.format(**facts) + rows


def _figures(totals: Totals, control: Totals) -> Iterator[tuple[str, str]]:
    yield from ((name, str(count)) for name, count in totals.counts.items())
    yield f"an answered read, {PARTS}", _told(_quantiles(totals.read_seconds))
    yield from ((f"fault: {kind}", str(totals.faults[kind])) for kind in FAULTS)
    for kind in VIOLATIONS:
        count = totals.violations[kind]
        yield kind, f"{count}{MISSED if count else ''}"
    for circumstances, lags_of in totals.lags.items():
        yield from _staleness(circumstances, lags_of)
    caught = control.violations[WENT_BACK]
    yield (
        "control: answers that went back, one of 2 servers broken",
        (f"{caught}{'' if caught else MISSED}"),
    )
    longest = max(lag.unseen for lags_of in control.lags.values() for lag in lags_of)
    yield "control: staleness, the most, ms", f"{1000 * longest:.0f}"


def _staleness(circumstances: str, found: Sequence[Lag]) -> Iterator[tuple[str, str]]:
    if not found:
        return
    bar_ms = BARS_MS.get(circumstances, np.inf)
    unseen = _quantiles([lag.unseen for lag in found])
    name = f"staleness, {circumstances}: last read that did not show it, {PARTS}"
    yield name, f"{_told(unseen)} of {len(found)}{MISSED if unseen[1] >= bar_ms else ''}"
    yield "the same: first read that showed it", _told(_quantiles([lag.seen for lag in found]))


def _quantiles(seconds: Sequence[float]) -> NDArray[np.float64]:
    return 1000 * np.quantile(seconds, [0.5, 0.99, 1])


def _told(milliseconds: NDArray[np.float64]) -> str:
    return " / ".join(f"{value:.0f}" for value in milliseconds)


INTRODUCTION = """# Replicas under faults: what each answer may be, and how stale

{date}, commit {commit}, {machine}, median load average {load}, Python {python}.
`make torture RUN=replicas`: {runs} of {planned} runs of {seconds:.0f} s. Three server processes
over one PostgreSQL, four clients that write and read through any of them, with and without a token
(min_revision); what is not answered is sent to another replica with the same request_id. One fault
after the other at random moments, 1 to 4 s apart; the third replica has a clock of its own, which a
fault sets an hour off{clock}. Every answer is held against what must be there at its revision
(tests/history_checker.py), and its revision against what its client and its replica were told
before (tests/replica_checker.py).

Staleness: from the acknowledgment of an addition to the start of the last read without a token at
another replica that does not show it; the reader asks again 5 ms after each answer, so the first
read that shows it is later by what a read takes. "Healthy" is from 2 s after one
fault's end to the next one. The control is one client's story with a server that follows
nothing and minds no token: it must be found.

| | |
|---|---|
"""


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
