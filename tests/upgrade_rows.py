"""Exemplars for upgrades: two labels that neighbors tell apart; and looks at what is stored."""

import numpy as np
from sqlalchemy import create_engine, text

from exemplar_server.core.upgrades import Gate
from fakes import DIM
from service_calls import labelled

PER_LABEL = 6
MEASURED = Gate(1.0, 1.0, 2 * PER_LABEL)


def picture(axis, number):
    """An image near an axis: those of one axis are nearest to each other."""
    values = np.eye(DIM, dtype=np.float64)[axis] + 0.1 * np.random.default_rng(number).random(DIM)
    return (values / np.linalg.norm(values)).astype("<f4").tobytes()


PICTURES = {
    f"{label}{n}": (label, picture(axis, 10 * axis + n))
    for axis, label in enumerate("ab")
    for n in range(PER_LABEL)
}


def exemplars(names=PICTURES):
    return [labelled(PICTURES[name][0], PICTURES[name][1], name) for name in names]


async def neighbors(service, image, k=3):
    (answer,) = await service.classify(image, k=k, include_neighbors=True)
    return [(n.exemplar_id, round(n.similarity, 5)) for n in answer.neighbors]


def spaces(url):
    """How many embeddings are stored of each fingerprint."""
    engine = create_engine(url)
    with engine.connect() as connection:
        query = text("SELECT fingerprint, count(*) FROM embedding GROUP BY fingerprint")
        found = {row[0]: row[1] for row in connection.execute(query)}
    engine.dispose()
    return found


def counters(url):
    """What is counted for the support set and its tenant, and what is really there."""
    engine = create_engine(url)
    with engine.connect() as connection:
        one = "SELECT coalesce(sum(stored_bytes), 0) FROM {}"
        sizes = [
            connection.execute(text(one.format(t))).scalar_one() for t in ("support_set", "tenant")
        ]
        real = 'SELECT coalesce(sum(length("values")), 0) FROM embedding'
        kept = "SELECT coalesce(sum(length(bytes)), 0) FROM image"
        there = sum(int(connection.execute(text(q)).scalar_one()) for q in (real, kept))
    engine.dispose()
    return [*map(int, sizes), there]
