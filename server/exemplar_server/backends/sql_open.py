"""Picks the dialect of the store by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from exemplar_server.backends.sql_database import EXPECTED
from exemplar_server.backends.sql_sqlite import open_sqlite
from exemplar_server.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import URL

    from exemplar_server.backends.sql_database import Database


def open_database(url: str) -> Database:
    """Connects to nothing yet.

    Raises:
        ConfigurationError: not a URL that can be used. Its text has no part of the URL that could
            be a password.
    """
    parsed = _parsed(url)
    if parsed.drivername == "sqlite":
        return open_sqlite(parsed)
    if parsed.drivername == "postgresql+psycopg":
        return _open_postgres(parsed)
    raise ConfigurationError(
        f"EXEMPLAR_STORE_URL: expected {EXPECTED}, got {parsed.drivername}://..."
    )


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # Not "from error", whose text may hold a part of the password.
        raise ConfigurationError(
            f"EXEMPLAR_STORE_URL: expected {EXPECTED}, got something that is no URL"
        ) from None


def _open_postgres(url: URL) -> Database:
    try:
        # Here, because the driver is an extra.
        from exemplar_server.backends.sql_postgres import open_postgres  # noqa: PLC0415

        return open_postgres(url)
    except ImportError as error:
        raise ConfigurationError(
            "EXEMPLAR_STORE_URL: PostgreSQL needs a driver: install exemplar[server,postgres]"
        ) from error
