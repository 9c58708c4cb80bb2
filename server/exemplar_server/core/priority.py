"""The priority of threads whose work nobody waits for."""

from __future__ import annotations

import os

# The process's other threads get ten times the share of a core (1024 to 110, where they have 0).
# Not 19, which is 70 times: this thread may hold Python's lock, and others wait until it runs on.
NICENESS = 10
LOWEST = 19


def lower_priority() -> None:
    """Of the calling thread alone: so Linux has it, setpriority(2)."""
    now = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, min(now + NICENESS, LOWEST))
