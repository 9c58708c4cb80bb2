"""What callers saw of a service, call by call: the input of history_checker.py.

All times are of one clock, that of the process that made the calls.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CREATE, ADD, REMOVE, DELETE = "create", "add", "remove", "delete"
LIST, CLASSIFY = "list", "classify"
CHANGES = {CREATE, ADD, REMOVE, DELETE}
OK = "OK"
NOBODY_KNOWS = ""  # never answered, and never tried again


@dataclass(frozen=True)
class Row:
    """An exemplar. No two calls ever give the same label, so it says which call added it."""

    exemplar_id: str
    label: str = ""
    revision: int = 0  # at which the store says that it was added; lists tell it


@dataclass(frozen=True)
class Call:
    """One call with all its retries, from the first try's start to the last one's answer.

    `outcome` is OK, the name of a gRPC status, or NOBODY_KNOWS. `rows` are those added, removed or
    seen (`is_part`: only some of them); of an addition that nobody knows about, those sent.
    `refused` are the ids of those that were there already (additions) or were not there (removals).
    """

    client: str
    server: str  # the one that answered
    kind: str
    name: str
    started: float
    ended: float
    outcome: str
    tries: int = 1
    request_id: str = ""
    min_revision: int = 0
    revision: int = 0
    exemplar_count: int | None = None
    rows: tuple[Row, ...] = ()
    is_part: bool = False
    refused: tuple[str, ...] = ()

    @property
    def is_change(self) -> bool:
        return self.kind in CHANGES

    @property
    def is_acknowledged_write(self) -> bool:
        """Something was changed, and the caller was told."""
        is_effective = bool(self.rows) or self.kind in {CREATE, DELETE}
        return self.is_change and self.outcome == OK and is_effective


class History:
    """Any thread may record."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def record(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    @property
    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def write(self, path: Path) -> None:
        """One JSON object a line."""
        path.write_text("".join(json.dumps(asdict(call)) + "\n" for call in self.calls))
