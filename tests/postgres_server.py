"""A real PostgreSQL server for tests, in a temporary folder and on a free port of this machine.

Debian's package is enough: its programs need not be on the path, and no server of it need run.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

import watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator

DEBIAN = Path("/usr/lib/postgresql")
OWNER = "postgres"
PATIENCE_SECONDS = 60
# What was committed need not outlive the machine here; tests of durability say otherwise.
FORGETFUL = {"fsync": "off", "full_page_writes": "off", "deadlock_timeout": "50ms"}
# Superuser "postgres", and whoever is on this machine is let in.
INITDB = ("-U", "postgres", "-A", "trust", "--no-sync")
# The language's order of names is not the code points' order: what tests must not depend on.
LOCALE = ("--locale-provider=icu", "--icu-locale=de-DE", "--encoding=UTF8")


def program(name: str) -> str | None:
    """PostgreSQL's own program of this name, of the newest version that is installed."""
    versions = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda p: float(p.parts[-3]))
    return str(versions[-1]) if versions else shutil.which(name)


def why_there_is_none() -> str:
    """Empty where a server can be had."""
    if program("initdb") is None or program("postgres") is None:
        return "no PostgreSQL server is installed: on Debian, apt-get install postgresql"
    return ""


@dataclass
class PostgresServer:
    """Whoever starts it ends it, by `kill` or `stop`; between them it may start again."""

    folder: Path
    port: int
    settings: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres:secret@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database, autocommit=True
        )

    def start(self) -> None:
        """Returns when it answers."""
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            **self.settings,
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_as_owner(), str(program("postgres")), "-D", str(self.folder / "data"), *flags],
                stdout=log,
                stderr=log,
            )
        watchdog.begun(watchdog.PROCESS, self.process.pid)
        self._wait()

    def stop(self) -> None:
        """Ends every session at once, then writes everything down."""
        self._end(lambda process: process.send_signal(2))  # SIGINT: "fast shutdown"

    def kill(self) -> None:
        """Ends it as a lost machine does: nothing is written down any more."""
        self._end(lambda process: process.send_signal(3))  # SIGQUIT: "immediate shutdown"

    def create(self, database: str, template: str = "template0") -> str:
        """A new database; returns its URL."""
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE "{database}" WITH (FORCE)')

    def empty(self, database: str) -> None:
        """Ends its sessions and drops its tables: a third of the time that a new one takes."""
        with self.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [database],
            )
        with self.connect(database) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def _end(self, signal: Any) -> None:
        if self.process is not None and self.process.poll() is None:
            signal(self.process)
            self.process.wait(PATIENCE_SECONDS)
            watchdog.ended(watchdog.PROCESS, self.process.pid)

    def _wait(self) -> None:
        assert self.process is not None
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(psycopg.OperationalError), self.connect():
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()}")


@contextmanager
def postgres_server(**settings: str) -> Iterator[PostgresServer]:
    """A running server that forgets at a power cut, unless settings say otherwise."""
    folder = Path(tempfile.mkdtemp(prefix="exemplar-postgres-"))
    watchdog.begun(watchdog.FOLDER, folder)
    try:
        if _as_owner():
            shutil.chown(folder, OWNER)
        subprocess.run(
            [*_as_owner(), str(program("initdb")), "-D", folder / "data", *INITDB, *LOCALE],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        server = PostgresServer(folder, _free_port(), FORGETFUL | settings)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder)
        watchdog.ended(watchdog.FOLDER, folder)


def _as_owner() -> list[str]:
    """PostgreSQL refuses to run as root: its package made an account for it.

    Popen's own `user` forks, where else it does not; gRPC's threads in this process may abort then
    ("Check failed: next_worker->state == KICKED").
    """
    if os.getuid() != 0:
        return []
    return ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", "--"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
