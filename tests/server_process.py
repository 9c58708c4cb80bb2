"""A real server as a process of its own, for benchmarks and end-to-end tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def server_process(backbone: Path, **settings: str) -> Iterator[str]:
    """Starts `exemplar-server serve` on a free port; yields its address and stops it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "EXEMPLAR_LISTEN": "127.0.0.1:0",
            "EXEMPLAR_METRICS_LISTEN": "127.0.0.1:0",
            "EXEMPLAR_BACKBONE_DIR": str(backbone),
            "EXEMPLAR_STORE_URL": f"sqlite:///{folder}/store.db",
            **settings,
        }
        command = [Path(sys.executable).with_name("exemplar-server"), "serve"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        # Read on after the address, or the pipe fills and the server's log blocks it.
        reader = threading.Thread(target=process.stdout.read)
        address = _address(process)
        reader.start()
        try:
            yield address
        finally:
            process.terminate()
            process.wait()
            reader.join()
            process.stdout.close()


def _address(process: subprocess.Popen[str]) -> str:
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "serving":
            return event["listen"]
    process.communicate()
    raise RuntimeError(f"the server did not start: exit code {process.returncode}")
