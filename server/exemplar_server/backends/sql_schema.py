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
    Float,
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
store = Table(
    "store",
    metadata,
    Column("epoch", text(36), primary_key=True),
    # The highest revision of any deleted tenant: as tenant.last_revision, of which nothing is left.
    Column("last_revision", BigInteger, nullable=False, server_default="0"),
)

tenant = Table(
    "tenant",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("name", text(64), nullable=False, unique=True),
    # The highest revision of any deleted support set: a new one starts above it, so that a
    # revision that a caller has seen under a name is never reached by another support set.
    Column("last_revision", BigInteger, nullable=False),
    # What all of its support sets come to, with what only snapshots keep: quotas bound it.
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
    # Of embeddings and images, with those that only snapshots keep.
    Column("stored_bytes", BigInteger, nullable=False, server_default="0"),
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
    # The revision that brought its embedding and image; a new label leaves it as it is.
    Column("content_revision", BigInteger, nullable=False, server_default="0"),
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

# Revisions with a name: RollBackSupportSet leads back to them.
snapshot = Table(
    "snapshot",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("name", text(64), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("fingerprint", text(64), nullable=False),
    Column("exemplar_count", BigInteger, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
)

# What is live no more and a snapshot shows, apart from what is live, so that only rolling back
# reads it. An exemplar was as a row says from `revision` on, and before `removed_revision`.
past_exemplar = Table(
    "past_exemplar",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("exemplar_id", text(64), primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("removed_revision", BigInteger, nullable=False),
    Column("content_revision", BigInteger, nullable=False),
    Column("label", text(512), nullable=False),
    Column("metadata", JSON, nullable=False),
)

past_embedding = Table(
    "past_embedding",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("exemplar_id", text(64), primary_key=True),
    Column("content_revision", BigInteger, primary_key=True, autoincrement=False),
    Column("fingerprint", text(64), primary_key=True),
    Column("values", LargeBinary, nullable=False),
    Column("crc32", BigInteger, nullable=False),
)

past_image = Table(
    "past_image",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("exemplar_id", text(64), primary_key=True),
    Column("content_revision", BigInteger, primary_key=True, autoincrement=False),
    Column("bytes", LargeBinary, nullable=False),
)

# Tenants that are being deleted: nobody sees their rows any more, which go bit by bit.
deletion = Table(
    "deletion",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("tenant", text(64), nullable=False),
    Column("request_id", text(64), nullable=False),
    Column("requested", DateTime(timezone=True), nullable=False),
    Column("counts", JSON, nullable=False),  # what is gone so far
)

# Their support sets that still have rows.
purge = Table(
    "purge",
    metadata,
    Column("incarnation", text(36), primary_key=True),
    Column("deletion", text(36), nullable=False),
    Index("purge_deletion", "deletion"),
)

# The backbone upgrade of a support set, until it is finished or cancelled; it ends with its set.
upgrade = Table(
    "upgrade",
    metadata,
    Column(
        "incarnation",
        ForeignKey("support_set.incarnation", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("state", text(16), nullable=False),
    Column("is_forced", Boolean, nullable=False),
    Column("from_backbone", text(129), nullable=False),  # name@version
    Column("from_fingerprint", text(64), nullable=False),
    Column("from_dim", Integer, nullable=False),
    Column("to_backbone", text(129), nullable=False),
    Column("to_fingerprint", text(64), nullable=False),
    Column("to_dim", Integer, nullable=False),
    # Leave-one-out accuracies, of so many exemplars; 0 until they were measured.
    Column("from_accuracy", Float, nullable=False),
    Column("to_accuracy", Float, nullable=False),
    Column("measured_count", BigInteger, nullable=False),
    Column("message", text(1000), nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Index("upgrade_state", "state"),
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
    Column("incarnation", text(36)),  # of the support set that the answer is about, if it is there
    Index("answer_created", "created"),
    Index("answer_incarnation", "incarnation"),
)
