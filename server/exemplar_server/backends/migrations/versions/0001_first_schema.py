"""The first schema."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(length: int) -> sa.String:
    """Ordered by code point on PostgreSQL, too."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    _create_answers()
    _create_exemplars()
    _create_store()
    _create_support_sets()


def _create_answers() -> None:
    op.create_table(
        "answer",
        sa.Column("tenant", _text(64), nullable=False),
        sa.Column("method", _text(32), nullable=False),
        sa.Column("request_id", _text(64), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "method", "request_id"),
    )
    op.create_index("answer_created", "answer", ["created"], unique=False)


def _create_exemplars() -> None:
    op.create_table(
        "embedding",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("exemplar_id", _text(64), nullable=False),
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("values", sa.LargeBinary(), nullable=False),
        sa.Column("crc32", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "exemplar_id", "fingerprint"),
    )
    op.create_table(
        "exemplar",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("exemplar_id", _text(64), nullable=False),
        sa.Column("label", _text(512), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "exemplar_id"),
    )
    op.create_index("exemplar_revision", "exemplar", ["incarnation", "revision"], unique=False)
    op.create_table(
        "image",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("exemplar_id", _text(64), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "exemplar_id"),
    )
    op.create_table(
        "removal",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("exemplar_id", _text(64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "exemplar_id"),
    )
    op.create_index("removal_revision", "removal", ["incarnation", "revision"], unique=False)


def _create_store() -> None:
    op.create_table(
        "store",
        sa.Column("epoch", _text(36), nullable=False),
        sa.PrimaryKeyConstraint("epoch"),
    )
    epoch = sa.table("store", sa.column("epoch"))
    op.execute(epoch.insert().values(epoch=str(uuid.uuid4())))


def _create_support_sets() -> None:
    op.create_table(
        "tenant",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("name", _text(64), nullable=False),
        sa.Column("last_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "support_set",
        sa.Column("incarnation", _text(36), nullable=False),
        sa.Column("tenant", _text(36), nullable=False),
        sa.Column("name", _text(64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("backbone", _text(64), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("exemplar_count", sa.BigInteger(), nullable=False),
        sa.Column("keep_images", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant"],
            ["tenant.incarnation"],
        ),
        sa.PrimaryKeyConstraint("incarnation"),
        sa.UniqueConstraint("tenant", "name", name="support_set_tenant_name"),
    )
