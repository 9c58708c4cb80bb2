"""Deletes every row that a support set has, and tells how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete as sql_delete

from exemplar_server.backends import sql_answers
from exemplar_server.backends import sql_schema as schema
from exemplar_server.backends.sql_history import total_bytes
from exemplar_server.core.exemplars import Receipt

if TYPE_CHECKING:
    from sqlalchemy import Connection

# What each table's rows count as in a receipt.
COUNTED_AS = {
    schema.image: "images",
    schema.past_image: "images",
    schema.embedding: "embeddings",
    schema.past_embedding: "embeddings",
    schema.past_exemplar: "",  # labels of before, of exemplars that are counted by their content
    schema.exemplar: "exemplars",
    schema.removal: "",
    schema.snapshot: "snapshots",
}


def everything(connection: Connection, incarnation: str) -> Receipt:
    """Deletes all rows of a support set but its own, in the caller's transaction."""
    receipt = Receipt(support_sets=1, answers=sql_answers.blank(connection, incarnation))
    for table, name in COUNTED_AS.items():
        mine = table.c.incarnation == incarnation
        if name == "images":
            receipt += Receipt(image_bytes=total_bytes(connection, table, "bytes", mine))
        count = connection.execute(sql_delete(table).where(mine)).rowcount
        receipt += Receipt(**{name: count} if name else {})
    return receipt
