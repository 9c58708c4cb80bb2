"""What the demo says: steps with the time since the start, and the one error that it ends with."""

from __future__ import annotations

import sys
import time

_STARTED = time.perf_counter()


class DemoError(Exception):
    """The demo cannot go on; the message says why, and what to do."""


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def step(line: str) -> None:
    """Announces what comes next, after the seconds that went by so far."""
    say(f"[{time.perf_counter() - _STARTED:5.1f} s] {line}")


def percent(share: float) -> str:
    """A share in [0, 1] for people: 0.691 is "69.1 %"."""
    return f"{100 * share:.1f} %"
