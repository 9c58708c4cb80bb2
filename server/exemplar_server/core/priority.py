"""The priority of threads whose work nobody waits for."""

from __future__ import annotations

import os

# A thread of the usual niceness, 0, gets ten times the share of a core (1024 to 110). Not 19, which
# is 70 times: Python's lock may be held by this thread, and others then wait until it runs again.
NICENESS = 10


def lower_priority() -> None:
    """Of the calling thread alone: so Linux has it, setpriority(2)."""
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
