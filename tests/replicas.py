"""Replicas of the service: server processes over one PostgreSQL, each started again after its end.

One of them may have a clock of its own: libfaketime makes it, as Debian's package has it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from process_calls import OPTIONS, Calls
from server_process import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CALL_SECONDS = 3.0  # then a caller asks another replica
FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"
UNDER_FAKETIME = (sys.executable, Path(__file__).with_name("shifted_clock.py"))


def faketime() -> str:
    """The library that shifts a process's clock; empty where there is none."""
    found = sorted(Path("/").glob(FAKETIME.lstrip("/")))
    return str(found[0]) if found else ""


class Replica:
    """One server process at a time. Any thread may read `calls`; one thread does the rest."""

    def __init__(
        self,
        name: str,
        backbone: Path,
        url: str,
        *,
        under: Sequence[str | Path] = (),
        clock: Path | None = None,
    ) -> None:
        self.name = name
        self._backbone = backbone
        self._under = [*under, *([] if clock is None else UNDER_FAKETIME)]
        self._settings = {"EXEMPLAR_STORE_URL": url, "EXEMPLAR_CORES": "1"}
        self._settings |= {} if clock is None else _clock(clock)
        self._channels: list[grpc.Channel] = []
        self._server = self._started()
        try:
            self.calls = self._connected()
        except BaseException:
            self.kill()
            raise

    def restart(self) -> None:
        """After `kill`. Returns when it serves."""
        self._server = self._started()
        self.calls = self._connected()

    def kill(self) -> None:
        self._server.kill()

    def pause(self) -> None:
        os.kill(self._server.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._server.process.pid, signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        for channel in self._channels:
            channel.close()

    def _started(self) -> Server:
        return Server(self._backbone, Path(), under=self._under, **self._settings)

    def _connected(self) -> Calls:
        """The channels before stay open: calls of other threads may be on them."""
        address = self._server.address()
        self._channels.append(grpc.insecure_channel(address, OPTIONS))
        return Calls(address, self._channels[-1], CALL_SECONDS)


def _clock(file: Path) -> dict[str, str]:
    """The wall clock is what the file says ("+0", "+1h"); what measures time is the true one."""
    return {
        "LD_PRELOAD": faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@contextmanager
def closing(replicas: list[Replica]) -> Iterator[list[Replica]]:
    """Ends all that were put into the list, however far that came."""
    try:
        yield replicas
    finally:
        for replica in replicas:
            replica.close()
