"""A server of the demo's own: a process on a free port, with a store that is thrown away."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backbone import NAME, program
from console import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 30.0
SHOWN_LINES = 15
_LOOK_SECONDS = 0.05


@contextmanager
def serving(backbones: Path, log_file: Path) -> Iterator[str]:
    """Starts a server and yields its address; then stops it with SIGTERM.

    Raises:
        DemoError: it did not start, or did not stop with exit code 0; shows the end of its log.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as store, log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [program("exemplar-server"), "serve"],
            env=_environment(backbones, store),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _wait_for_address(process, log_file)
        except BaseException:
            process.kill()
            process.wait()
            raise
        _stop(process, log_file)


def _environment(backbones: Path, store: str) -> dict[str, str]:
    """The caller's, less settings that were meant for another server."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("EXEMPLAR_")}
    return inherited | {
        "EXEMPLAR_LISTEN": "127.0.0.1:0",
        "EXEMPLAR_METRICS_LISTEN": "127.0.0.1:0",
        "EXEMPLAR_BACKBONE_DIR": str(backbones),
        "EXEMPLAR_BACKBONE": NAME,
        "EXEMPLAR_STORE_URL": f"sqlite:///{store}/store.db",
    }


def _wait_for_address(process: subprocess.Popen[bytes], log_file: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        address = _announced_address(log_file)
        if address:
            return address
        if process.poll() is not None:
            raise DemoError(f"the server ended with exit code {process.returncode}{_end(log_file)}")
        time.sleep(_LOOK_SECONDS)
    raise DemoError(f"the server was not ready after {START_SECONDS:.0f} s{_end(log_file)}")


def _announced_address(log_file: Path) -> str:
    """From the log line {"event": "serving", "listen": "127.0.0.1:PORT"}; empty before it."""
    for line in log_file.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # half a line, or a traceback's
            continue
        if isinstance(event, dict) and event.get("event") == "serving":
            return str(event["listen"])
    return ""


def _stop(process: subprocess.Popen[bytes], log_file: Path) -> None:
    process.terminate()
    try:
        code = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise DemoError(
            f"the server did not stop in {STOP_SECONDS:.0f} s{_end(log_file)}"
        ) from None
    if code:
        raise DemoError(f"the server stopped with exit code {code}{_end(log_file)}")


def _end(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8").splitlines()[-SHOWN_LINES:]
    return "\n  ".join([f"; the end of {log_file}:", *lines])
