"""Snapshots and what they keep, tenants that are being deleted, answers by support set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# The columns as they are after this migration; later ones change nothing here.
exemplar = sa.table("exemplar", sa.column("revision"), sa.column("content_revision"))


def _text(length: int) -> sa.String:
    """Ordered by code point on PostgreSQL, too."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    _add_columns()
    _create_snapshots()
    _create_deletions()


def _add_columns() -> None:
    for table, column in (("exemplar", "content_revision"), ("store", "last_revision")):
        counter = sa.Column(column, sa.BigInteger(), nullable=False, server_default="0")
        op.add_column(table, counter)
    # No label has changed so far.
    op.execute(exemplar.update().values(content_revision=exemplar.c.revision))
    op.add_column("answer", sa.Column("incarnation", _text(36)))
    op.create_index("answer_incarnation", "answer", ["incarnation"], unique=False)


def _create_snapshots() -> None:
    op.create_table(
        "snapshot",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("name", _text(64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("exemplar_count", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "name"),
    )
    op.create_table(
        "past_exemplar",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("exemplar_id", _text(64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("removed_revision", sa.BigInteger(), nullable=False),
        sa.Column("content_revision", sa.BigInteger(), nullable=False),
        sa.Column("label", _text(512), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "exemplar_id", "revision"),
    )
    op.create_table(
        "past_embedding",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("exemplar_id", _text(64), nullable=False),
        sa.Column("content_revision", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("values", sa.LargeBinary(), nullable=False),
        sa.Column("crc32", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "exemplar_id", "content_revision", "fingerprint"),
    )
    op.create_table(
        "past_image",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("exemplar_id", _text(64), nullable=False),
        sa.Column("content_revision", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "exemplar_id", "content_revision"),
    )


def _create_deletions() -> None:
    op.create_table(
        "deletion",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("tenant", _text(64), nullable=False),
        sa.Column("request_id", _text(64), nullable=False),
        sa.Column("requested", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation"),
    )
    op.create_table(
        "purge",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("deletion", _text(36), nullable=False),
        sa.PrimaryKeyConstraint("incarnation"),
    )
    op.create_index("purge_deletion", "purge", ["deletion"], unique=False)
