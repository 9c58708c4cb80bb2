"""What goes wrong while replicas serve: one fault at a time, at moments that a seed decides."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    import numpy as np

    from postgres_server import PostgresServer
    from replicas import Replica

TRIES = 5
KILL, PAUSE = "a replica killed and started again", "a replica stopped for up to 5 s"
CUT, DEAF = "connections of listeners cut", "listeners cut and no hints, polling only"
FAST, IMMEDIATE = "PostgreSQL stopped fast and started", "PostgreSQL killed and started"
CLOCK = "a replica's clock set an hour off"
KINDS = (KILL, PAUSE, CUT, DEAF, FAST, IMMEDIATE, CLOCK)
LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
# Servers are no superuser here, so this keeps all of them from telling anything.
SILENCE = "REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC"
SPEECH = "GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC"


@dataclass(frozen=True)
class Fault:
    """Times are of the clock that calls are timed by."""

    kind: str
    began: float
    ended: float


@dataclass(frozen=True)
class Pace:
    """How long it takes from one fault to the next, and how long some last, in seconds."""

    between: tuple[float, float] = (1.0, 4.0)
    pause: tuple[float, float] = (0.5, 5.0)
    deaf: tuple[float, float] = (4.0, 8.0)


class Faults:
    """Every kind once in random order, then again, for as long as it is wanted.

    `clock` sets the last replica's; without one that kind is left out.
    """

    def __init__(
        self,
        replicas: list[Replica],
        postgres: PostgresServer,
        database: str,
        clock: Path | None,
        random: np.random.Generator,
    ) -> None:
        self._replicas = replicas
        self._postgres = postgres
        self._database = database
        self._clock = clock
        self._random = random
        self._shifts = 0
        self.happened: list[Fault] = []

    def run(self, pace: Pace, over: threading.Event, rounds: int = 1000) -> None:
        """Until `over`, or so often everything; returns when everything runs again."""
        kinds = [kind for kind in KINDS if kind != CLOCK or self._clock]
        for _ in range(rounds):
            for kind in self._random.permutation(kinds):
                if over.wait(self._random.uniform(*pace.between)):
                    return
                began = time.monotonic()
                self._inject(str(kind), pace, over)
                self.happened.append(Fault(str(kind), began, time.monotonic()))

    def _inject(self, kind: str, pace: Pace, over: threading.Event) -> None:
        if kind == KILL:
            replica = self._some_replica()
            replica.kill()
            replica.restart()
        elif kind == PAUSE:
            self._pause(self._random.uniform(*pace.pause), over)
        elif kind == CUT:
            self._administer(LISTENERS)
        elif kind == DEAF:
            self._silence(self._random.uniform(*pace.deaf), over)
        elif kind == CLOCK:
            self._shift()
        else:
            (self._postgres.stop if kind == FAST else self._postgres.kill)()
            self._start_again()

    def _start_again(self) -> None:
        """Someone else may have its port for a moment, such as a client that looks for it there."""
        for _ in range(TRIES - 1):
            with suppress(RuntimeError):
                self._postgres.start()
                return
        self._postgres.start()

    def _pause(self, seconds: float, over: threading.Event) -> None:
        replica = self._some_replica()
        replica.pause()
        try:
            over.wait(seconds)
        finally:
            replica.resume()

    def _silence(self, seconds: float, over: threading.Event) -> None:
        self._administer(SILENCE)
        self._administer(LISTENERS)
        over.wait(seconds)
        self._administer(SPEECH)

    def _shift(self) -> None:
        assert self._clock is not None
        self._shifts += 1
        self._clock.write_text("+1h\n" if self._shifts % 2 else "-1h\n")

    def _administer(self, sql: str) -> None:
        with self._postgres.connect(self._database) as connection:
            connection.execute(sql)

    def _some_replica(self) -> Replica:
        return self._replicas[int(self._random.integers(len(self._replicas)))]
