"""Ctrl-C and SIGTERM as a wish: the loop ends after its step, with a checkpoint."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TOLD = b"\nstopping after this step, with a checkpoint; again to stop at once\n"
_STDERR = 2
_SIGNALLED = 128  # what a shell adds to the number of a signal


@dataclass
class Stop:
    """The signal that came, 0 while there was none. The handler writes it, the loop reads it."""

    signal_number: int = 0

    @property
    def is_asked(self) -> bool:
        return self.signal_number != 0


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turns the first signal into a wish; the second one does what it did before. Main thread."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def ask(number: int, _: Any) -> None:
        stop.signal_number = number
        _put_back(before)
        os.write(_STDERR, _TOLD)  # print may not run inside another print

    for number in _SIGNALS:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        _put_back(before)


def exit_on(signal_number: int) -> None:
    """Ends the program as one that this signal has ended; 0, no signal: goes on."""
    if signal_number:
        sys.exit(_SIGNALLED + signal_number)


def _put_back(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
