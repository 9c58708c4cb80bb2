"""What each support set and each tenant stores, counted: quotas are held against it.

Stores that 0001 made are filled from their rows. PostgreSQL tries no more to compress what does not
get smaller.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# The tables as they are after this migration; later ones change nothing here.
tenant = sa.table(
    "tenant",
    sa.column("incarnation"),
    sa.column("exemplar_count"),
    sa.column("stored_bytes"),
)
support_set = sa.table(
    "support_set",
    sa.column("incarnation"),
    sa.column("tenant"),
    sa.column("exemplar_count"),
    sa.column("stored_bytes"),
)
embedding = sa.table("embedding", sa.column("incarnation"), sa.column("values"))
image = sa.table("image", sa.column("incarnation"), sa.column("bytes"))


def upgrade() -> None:
    for table, column in (
        ("support_set", "stored_bytes"),
        ("tenant", "exemplar_count"),
        ("tenant", "stored_bytes"),
    ):
        counter = sa.Column(column, sa.BigInteger(), nullable=False, server_default="0")
        op.add_column(table, counter)
    _fill()
    if op.get_bind().dialect.name == "postgresql":
        for table, column in (("embedding", "values"), ("image", "bytes")):
            op.execute(f'ALTER TABLE {table} ALTER COLUMN "{column}" SET STORAGE EXTERNAL')


def _fill() -> None:
    sizes = [
        _total(sa.func.length(column), owner == support_set.c.incarnation)
        for column, owner in (
            (embedding.c["values"], embedding.c.incarnation),
            (image.c.bytes, image.c.incarnation),
        )
    ]
    op.execute(support_set.update().values(stored_bytes=sizes[0] + sizes[1]))
    its_own = support_set.c.tenant == tenant.c.incarnation
    op.execute(
        tenant.update().values(
            exemplar_count=_total(support_set.c.exemplar_count, its_own),
            stored_bytes=_total(support_set.c.stored_bytes, its_own),
        )
    )


def _total(value: sa.ColumnElement[int], its_own: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    total = sa.select(sa.func.coalesce(sa.func.sum(value), 0)).where(its_own)
    return sa.cast(total.scalar_subquery(), sa.BigInteger)  # PostgreSQL sums to a numeric
