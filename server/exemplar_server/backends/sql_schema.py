"""The tables. Rows are keyed by a random incarnation, not a name: what was deleted stays deleted.

The migrations under migrations/versions make them; a test proves that both agree.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()


def text(length: int) -> String:
    """Ordered by code point everywhere, as Python and SQLite do: not by a language's rules."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


# One row: store_epoch changes when the store is restored from a backup.
store = Table("store", metadata, Column("epoch", text(36), primary_key=True))

tenant = Table(
    "tenant",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("name", text(64), nullable=False, unique=True),
    # The highest revision of any deleted support set: a new one starts above it, so that a
    # revision that a caller has seen under a name is never reached by another support set.
    Column("last_revision", BigInteger, nullable=False),
    # What all of its support sets come to: what quotas are held against.
    Column("exemplar_count", BigInteger, nullable=False, server_default="0"),
    Column("stored_bytes", BigInteger, nullable=False, server_default="0"),
)

support_set = Table(
    "support_set",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("tenant", ForeignKey("tenant.incarnation"), nullable=False),
    Column("name", text(64), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("fingerprint", text(64), nullable=False),
    Column("backbone", text(64), nullable=False),
    Column("dim", Integer, nullable=False),
    Column("exemplar_count", BigInteger, nullable=False),
    Column("keep_images", Boolean, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("stored_bytes", BigInteger, nullable=False, server_default="0"),  # embeddings, images
    UniqueConstraint("tenant", "name", name="support_set_tenant_name"),
)

exemplar = Table(
    "exemplar",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("exemplar_id", text(64), primary_key=True),
    Column("label", text(512), nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Index("exemplar_revision", "incarnation", "revision"),
)

# Apart from exemplar, so that a backbone upgrade writes new rows beside the old ones.
embedding = Table(
    "embedding",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("exemplar_id", text(64), primary_key=True),
    Column("fingerprint", text(64), primary_key=True),
    Column("values", LargeBinary, nullable=False),  # float32, little-endian, unit length
    Column("crc32", BigInteger, nullable=False),  # SQLite's pages have no checksum
)

image = Table(
    "image",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("exemplar_id", text(64), primary_key=True),
    Column("bytes", LargeBinary, nullable=False),
)

# Tombstones: what a snapshot of an older revision must drop.
removal = Table(
    "removal",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("exemplar_id", text(64), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Index("removal_revision", "incarnation", "revision"),
)

# The first answer to each request_id, given again to its retries.
answer = Table(
    "answer",
    metadata,
    Column("tenant", text(64), primary_key=True),  # a name: it outlives what it changed
    Column("method", text(32), primary_key=True),
    Column("request_id", text(64), primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("answer", JSON, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Index("answer_created", "created"),
)
