"""The server of the moment, for clients that go on over every kill."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server_process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from process_calls import Calls


@dataclass(frozen=True)
class Life:
    """A server from its start to its end; numbered from 1 on."""

    number: int
    calls: Calls
    is_last: bool = False


class GivenUpError(Exception):
    """There will be no next server."""


class Lives:
    """Any number of threads call `after`; one thread calls the rest."""

    def __init__(self, clients: int) -> None:
        self._changed = threading.Condition()
        self._clients = clients
        self._waiting = 0
        self._life: Life | None = None
        self._is_over = False

    def begin(self, life: Life) -> None:
        with self._changed:
            self._life = life
            self._changed.notify_all()

    def end(self) -> None:
        """Returns when no client calls the dead server any more: all wait for the next one."""
        with self._changed:
            self._life = None
            self._wait(lambda: self._waiting >= self._clients)

    def give_up(self) -> None:
        """Whoever waits for a server fails."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def after(self, number: int) -> Life:
        """The first life above this number; waits for it."""
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            self._wait(lambda: self._is_over or self._is_above(number))
            self._waiting -= 1
            if self._is_over or self._life is None:
                raise GivenUpError
            return self._life

    def _wait(self, condition: Callable[[], bool]) -> None:
        if not self._changed.wait_for(condition, PATIENCE_SECONDS):
            raise TimeoutError(f"{self._waiting} of {self._clients} clients wait")

    def _is_above(self, number: int) -> bool:
        return self._life is not None and self._life.number > number
