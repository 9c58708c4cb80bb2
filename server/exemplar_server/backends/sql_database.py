"""What the dialects do differently, in one shape that the store works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from concurrent.futures import Future

    from sqlalchemy import Connection, Engine
    from sqlalchemy.exc import DBAPIError

    from exemplar_server.core.exemplars import Hint
    from exemplar_server.errors import StoreUnavailableError

T = TypeVar("T")

# Threads that read, each on a connection of its own.
READERS = 4
EXPECTED = "sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE"


class Writing(Protocol):
    """Runs mutations; each is one transaction, and its future is answered when it is on disk."""

    def submit(self, run: Callable[[Connection], T], *, makes_room: bool = False) -> Future[T]:
        """Raises what `run` raises, through the future; nothing of it is then written.

        What `makes_room` is written also where the disk is full, if that can be done.
        """
        ...

    def scrub(self) -> None:
        """Takes what was deleted out of logs, too, as soon as it can. Returns at once."""
        ...

    def stop(self) -> None:
        """Returns when everything that was submitted before has been answered."""
        ...


class Feed(Protocol):
    """How servers that share the database tell each other what they changed."""

    def tell(self, hint: Hint) -> None:
        """Returns at once; any thread may call it. For what is committed."""
        ...

    def hints(self) -> AsyncGenerator[Hint | None]:
        """As core.ports.Store has them."""
        ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Database:
    """A database that the store is in. Nothing in it shows a password."""

    name: str
    # Where a store can be made; for whoever reads that it cannot be opened.
    place: str
    write_engine: Engine
    read_engine: Engine
    start_writing: Callable[[], Writing]
    start_feed: Callable[[], Feed]
    # Called in the transaction of the upgrade, before it.
    before_upgrade: Callable[[Connection], None]
    # What callers are told where the store cannot do something: "the store ...", and why.
    refusal: Callable[[str, DBAPIError], StoreUnavailableError]

    def dispose(self) -> None:
        """Closes every connection; SQLite then folds its write-ahead log into the file."""
        self.read_engine.dispose()
        self.write_engine.dispose()
