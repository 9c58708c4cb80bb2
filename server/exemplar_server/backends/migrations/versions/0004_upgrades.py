"""Backbone upgrades of support sets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _text(length: int) -> sa.String:
    """Ordered by code point on PostgreSQL, too."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "upgrade",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("state", _text(16), nullable=False),
        sa.Column("is_forced", sa.Boolean(), nullable=False),
        sa.Column("from_backbone", _text(129), nullable=False),
        sa.Column("from_fingerprint", _text(64), nullable=False),
        sa.Column("from_dim", sa.Integer(), nullable=False),
        sa.Column("to_backbone", _text(129), nullable=False),
        sa.Column("to_fingerprint", _text(64), nullable=False),
        sa.Column("to_dim", sa.Integer(), nullable=False),
        sa.Column("from_accuracy", sa.Float(), nullable=False),
        sa.Column("to_accuracy", sa.Float(), nullable=False),
        sa.Column("measured_count", sa.BigInteger(), nullable=False),
        sa.Column("message", _text(1000), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["incarnation"], ["support_set.incarnation"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("incarnation"),
    )
    op.create_index("upgrade_state", "upgrade", ["state"], unique=False)
