"""The schema of a store: which revision it has, which are known, and how it gets to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FOLDER = Path(__file__).parent / "migrations"


def migrate(connection: Connection, revision: str) -> None:
    """Upgrades to the revision, in the caller's transaction."""
    # Here, because it takes a fifth of a server's start, and few starts need it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def current(connection: Connection) -> str:
    """Empty where there is no store."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    return connection.scalar(sa.text("SELECT version_num FROM alembic_version")) or ""


def head() -> str:
    """The revision of this server."""
    return max(known())


def known() -> set[str]:
    """By the names of their files, NUMBER_WORDS.py."""
    return {path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py")}
