"""SQLite's part of the store: one file, and exactly one connection that writes and checkpoints.

Write-ahead log and synchronous=FULL. Releases before 3.51.3 can lose pages where two connections
write or checkpoint at once: the WAL-reset bug.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from exemplar_server.backends.sql_database import EXPECTED, READERS, Database
from exemplar_server.backends.sql_reserve import CHECKPOINTS_A_RESERVE, Reserve, reserve_bytes
from exemplar_server.backends.sql_writer import Writer
from exemplar_server.errors import ConfigurationError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sqlalchemy.exc import DBAPIError

    from exemplar_server.core.exemplars import Hint

# 16 KiB pages: three embeddings of 5 KiB fit into one, where 4 KiB pages take two for each.
PAGE_BYTES = 16384
PRAGMAS = (
    f"page_size={PAGE_BYTES}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",  # what is deleted is overwritten with zeros
)
READER_PRAGMAS = ("query_only=ON", "wal_autocheckpoint=0")


def open_sqlite(url: URL) -> Database:
    path = _path(url)
    # An upgrade holds the one lock there is from its first statement on.
    write_engine = _engine(path, (*PRAGMAS, _checkpoints(path)), begin="BEGIN IMMEDIATE")
    reserve = path.with_name(f"{path.name}-reserve")
    return Database(
        name=str(path),
        place="a folder that can be written",
        write_engine=write_engine,
        read_engine=_engine(path, READER_PRAGMAS, begin="BEGIN"),
        start_writing=lambda: Writer(write_engine, Reserve(reserve, write_engine)),
        start_feed=Silence,
        before_upgrade=lambda _: None,
        refusal=_refusal,
    )


class Silence:
    """Implements sql_database.Feed: there is nobody else to tell, or to hear."""

    def tell(self, hint: Hint) -> None: ...

    async def hints(self) -> AsyncGenerator[Hint | None]:
        return
        yield  # makes it a generator

    def stop(self) -> None: ...


def _path(url: URL) -> Path:
    if not url.database:
        raise ConfigurationError(f"EXEMPLAR_STORE_URL: expected {EXPECTED}, got no PATH")
    path = Path(url.database)
    if not path.parent.is_dir():
        raise ConfigurationError(f"EXEMPLAR_STORE_URL: {path.parent}: no such folder")
    return path


def _checkpoints(path: Path) -> str:
    """How often the write-ahead log goes into the file: while the reserve can take it."""
    pages = reserve_bytes(path.parent) // CHECKPOINTS_A_RESERVE // PAGE_BYTES
    return f"wal_autocheckpoint={max(pages, 1)}"


def _engine(path: Path, pragmas: Sequence[str], begin: str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"check_same_thread": False}, pool_size=READERS
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy, not pysqlite, says when to begin
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _refusal(what: str, error: DBAPIError) -> StoreUnavailableError:
    return StoreUnavailableError(f"{what}: {error.orig}")
