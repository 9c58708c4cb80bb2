"""A one-line progress bar with the time left, on a terminal only."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_WIDTH = 24
_HOUR_SECONDS = 3600


class ProgressBar:
    """Draws where `is_wanted` and the stream is a terminal. A `total` of 0 means unknown."""

    def __init__(
        self, title: str, total: int, is_wanted: bool, stream: TextIO | None = None
    ) -> None:
        self._title = title
        self._total = total
        self._stream = stream or sys.stderr
        self._is_drawn = is_wanted and self._stream.isatty()
        self._started = time.monotonic()
        self._done = 0

    def advance(self, count: int) -> None:
        self._done += count
        self._write(f"\r{self._line(time.monotonic() - self._started)}\x1b[K")

    def close(self) -> None:
        if self._done:
            self._write("\n")

    def _line(self, elapsed_seconds: float) -> str:
        if not self._total:
            return f"{self._title} {self._done}"
        filled = _WIDTH * min(self._done, self._total) // self._total
        left_seconds = elapsed_seconds / max(self._done, 1) * max(self._total - self._done, 0)
        bar = "#" * filled + "-" * (_WIDTH - filled)
        return f"{self._title} [{bar}] {self._done}/{self._total}, {_clock(left_seconds)} left"

    def _write(self, text: str) -> None:
        if self._is_drawn:
            self._stream.write(text)
            self._stream.flush()


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole >= _HOUR_SECONDS:
        return f"{whole // _HOUR_SECONDS}:{whole % _HOUR_SECONDS // 60:02}:{whole % 60:02}"
    return f"{whole // 60}:{whole % 60:02}"
