"""A real server as a process of its own, for benchmarks and end-to-end tests."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Longer than anything a test waits for, on a busy machine.
PATIENCE_SECONDS = 60


class Server:
    """`exemplar-server serve` and the events that it logs. Whoever starts it ends it.

    `under` is a program that runs it as the same process.
    """

    def __init__(
        self, backbone: Path, store: Path, *, under: Sequence[str | Path] = (), **settings: str
    ) -> None:
        environment = os.environ | {
            "EXEMPLAR_LISTEN": "127.0.0.1:0",
            "EXEMPLAR_METRICS_LISTEN": "127.0.0.1:0",
            "EXEMPLAR_BACKBONE_DIR": str(backbone),
            "EXEMPLAR_STORE_URL": f"sqlite:///{store}",
            **settings,
        }
        command = [*under, Path(sys.executable).with_name("exemplar-server"), "serve"]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        watchdog.begun(watchdog.PROCESS, self.process.pid)
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        # Reads to the end, or the pipe fills and the server's log blocks it.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def event(self, name: str) -> dict[str, Any]:
        """The next event of this name; waits for it."""
        while (event := self._events.get(timeout=PATIENCE_SECONDS)) is not None:
            if event["event"] == name:
                return event
        raise RuntimeError(f"the server ended without {name!r}: exit code {self.process.wait()}")

    def address(self) -> str:
        """Where the server listens; waits until it serves."""
        listen: str = self.event("serving")["listen"]
        return listen

    def cpu_seconds(self) -> float:
        """What it has used so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]  # as proc(5) numbers them: 14, 15
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def ended(self) -> int:
        """The exit code; waits for the end."""
        code = self.process.wait(PATIENCE_SECONDS)
        watchdog.ended(watchdog.PROCESS, self.process.pid)
        self._reader.join()
        return code

    def kill(self) -> None:
        """As the out-of-memory killer does it. Harmless where the process has ended."""
        self.process.kill()
        self.ended()

    def stop(self) -> int:
        """As Kubernetes does it. The exit code."""
        self.process.terminate()
        return self.ended()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._events.put(json.loads(line))
        self._events.put(None)


@contextmanager
def server_process(backbone: Path, **settings: str) -> Iterator[str]:
    """Starts a server on a free port with a store of its own; yields its address and stops it."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(backbone, Path(folder) / "store.db", **settings)
        try:
            yield server.address()
        finally:
            server.stop()
