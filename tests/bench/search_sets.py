"""Support sets for benchmarks of search: clustered rows of unit length, and snapshots of them.

Shapes: N rows, D dim.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core.exemplars import Delta, SupportSet
from exemplar_server.core.snapshot import advance, empty

LABELS = 200
# Of a label's rows around its center: cosines of a row with its neighbors are near 0.55 then.
SPREAD = 1.0
BLOCK = 65_536


def clustered(count, dim, seed):
    """Rows around the centers of LABELS labels, and each row's label."""
    centers_LD = np.random.default_rng(dim).normal(size=(LABELS, dim)).astype(np.float32)
    centers_LD /= np.linalg.norm(centers_LD, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    codes_N = rng.integers(0, LABELS, count)
    rows_ND = np.empty((count, dim), np.float32)
    for start in range(0, count, BLOCK):
        block_ND = rows_ND[start : start + BLOCK]
        rng.standard_normal(out=block_ND, dtype=np.float32)
        block_ND *= SPREAD / dim**0.5
        block_ND += centers_LD[codes_N[start : start + BLOCK]]
        block_ND /= np.linalg.norm(block_ND, axis=1, keepdims=True)
    return rows_ND, codes_N


def exemplar_id(number):
    return f"0199b5c0-0000-7000-8000-{number:012d}"


def described(count, dim, revision=1):
    now = datetime.now(UTC)
    return SupportSet(
        "incarnation", "set", revision, "f" * 64, "none", dim, count, keep_images=False, created=now
    )


def added(rows_ND, codes_N, first=0, revision=1, removed=()):
    """The change that adds these rows; their ids are numbered from `first`."""
    ids = tuple(exemplar_id(first + number) for number in range(len(rows_ND)))
    labels = tuple(f"label-{code}" for code in codes_N)
    target = described(first + len(rows_ND), rows_ND.shape[1], revision)
    return Delta(target, frozenset(removed), ids, labels, rows_ND)


def snapshot_of(rows_ND, codes_N, dead=()):
    """A snapshot of the rows, those in `dead` removed."""
    delta = added(rows_ND, codes_N)
    snapshot = advance(empty(delta.support_set), delta, FlatIndex)
    none_ND, none_N = rows_ND[:0], codes_N[:0]
    return advance(snapshot, added(none_ND, none_N, removed=map(exemplar_id, dead)), FlatIndex)
