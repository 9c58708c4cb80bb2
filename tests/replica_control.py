"""The negative control: a server that does not do a replica's part, and what came of asking it."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from call_history import ADD, CLASSIFY, CREATE, NOBODY_KNOWS, Call, Row
from replica_clients import CHASE_SECONDS, asked
from replica_run import database, start_all
from replicas import closing

if TYPE_CHECKING:
    from postgres_server import PostgresServer
    from replicas import Replica

BROKEN_SERVER = (sys.executable, Path(__file__).with_name("broken_server.py"))
STEP_SECONDS = 0.1


def control(backbone: Path, postgres: PostgresServer) -> list[Call]:
    """What one client was told: a token that is not minded, an addition that never shows."""
    with closing([]) as replicas:
        url = database(postgres, "control")
        start_all(replicas, backbone, url, None, ((), BROKEN_SERVER))
        good, broken = replicas
        told = [
            _told(CREATE, good, 0),
            _told(ADD, good, 1, "first"),
            _told(CLASSIFY, broken, 2),
            _told(ADD, good, 3, "second"),
        ]
        told.append(_told(CLASSIFY, broken, 4, token=told[-1].revision))
        told.append(_told(ADD, good, 5, "third"))
        while told[-1].started < told[5].ended + CHASE_SECONDS:
            told.append(_told(CLASSIFY, broken, len(told)))
            threading.Event().wait(STEP_SECONDS)
    return told


def _told(kind: str, replica: Replica, number: int, label: str = "", token: int = 0) -> Call:
    rows = (Row(label, label),) if label else ()
    started = time.monotonic()
    call = Call("client", "", kind, "set", started, 0, NOBODY_KNOWS, rows=rows)
    return asked(replica, replace(call, request_id=f"{number}", min_revision=token))
