"""The schema of a store: which revision it has, which are known, and how it gets to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "head"


def migrate(connection: Connection, revision: str) -> None:
    """Upgrades to the revision, in the caller's transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def current(connection: Connection) -> str:
    """Empty where there is no store."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def head() -> str:
    """The revision of this server."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def known() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
