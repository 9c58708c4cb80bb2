"""Few-shot episodes: which images teach, which ask, and which ask without belonging.

Shapes: N images, E episodes, L labels (n_way), S exemplars a label (n_shot), Q queries a label
(n_query), M queries of unknown classes, K sources of a class. Rows number the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.errors import EvaluationError

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from exemplar_training.data.image_set import ImageSet

_FREE, _SUPPORT, _QUERY = 0, 1, 2  # the side that a source is on
_ATTEMPTS = 100  # to part the sources of an episode; one is enough unless they are few
_LEAST_SOURCES = 2  # one for the support, one for the queries


@dataclass(frozen=True)
class EpisodeSpec:
    """`episodes` problems of n_way labels, n_shot exemplars and n_query queries a label."""

    n_way: int
    n_shot: int
    n_query: int
    episodes: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"n_way": 2, "n_shot": 1, "n_query": 1, "episodes": 2, "seed": 0}
        for field, floor in least.items():
            value = getattr(self, field)
            if value < floor:
                raise EvaluationError(f"{field}: expected {floor} and more, got {value}")


@dataclass(frozen=True)
class Episodes:
    """E episodes as rows of an image set of which `sources_N` are the sources.

    `class_ids_EL` ascends within an episode. `unknown_EM` are queries of other classes than these,
    (E, 0) where there are too few. No instance leaks: making one that does raises EvaluationError.
    """

    class_ids_EL: NDArray[np.int64]
    support_ELS: NDArray[np.int64]
    query_ELQ: NDArray[np.int64]
    unknown_EM: NDArray[np.int64]
    sources_N: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        asked_EM = np.concatenate([self.query_ELQ.reshape(len(self), -1), self.unknown_EM], axis=1)
        taught = self.support_ELS.reshape(len(self), -1)
        for number, (support, asked) in enumerate(zip(taught, asked_EM, strict=True)):
            refuse_leak(support, asked, self.sources_N, f"episode {number}")

    def __len__(self) -> int:
        return len(self.class_ids_EL)


def refuse_leak(
    support_rows: NDArray[np.int64],
    query_rows: NDArray[np.int64],
    sources_N: NDArray[np.int64] | None,
    told: str,
) -> None:
    """Refuses an episode whose queries are, or come from where, its exemplars are; `told` names it.

    Sharing fonts adds 9 points to 20-way 5-shot glyphs and hides what the heads differ in.

    Raises:
        EvaluationError: support and query share an image or a source.
    """
    shared = np.intersect1d(support_rows, query_rows)
    if len(shared):
        raise EvaluationError(
            f"{told}: expected no image in support and query, got image {shared[0]}"
        )
    if sources_N is None:
        return
    shared = np.intersect1d(sources_N[support_rows], sources_N[query_rows])
    if len(shared):
        raise EvaluationError(f"{told}: expected no source in support and query, got {shared[0]}")


def sample(images: ImageSet, spec: EpisodeSpec) -> Episodes:
    """Episodes of the classes that have images; classes and images are drawn uniformly.

    Support and query come from different sources. Where there are twice n_way classes, n_way of
    the others give n_query unknown queries each, never from a source of the support. Episode i
    depends on the seed and i alone: more episodes begin with the same ones.

    Raises:
        EvaluationError: too few classes, or too few images or sources of a class.
    """
    pools = _pools(images, spec)
    source_count = 1 + max(int(pool.sources_N.max()) for pool in pools)
    drawn = [
        _episode(pools, source_count, spec, np.random.default_rng([spec.seed, number]))
        for number in range(spec.episodes)
    ]
    class_ids_EL, support_ELS, query_ELQ, unknown_EM = (
        np.stack(parts) for parts in zip(*drawn, strict=True)
    )
    return Episodes(class_ids_EL, support_ELS, query_ELQ, unknown_EM, images.sources_N)


@dataclass(frozen=True)
class _Pool:
    """The images of a class and the numbers of their sources, which hold `counts_K` of them."""

    name: str
    class_id: int
    rows_N: NDArray[np.int64]
    sources_N: NDArray[np.int64]
    sources_K: NDArray[np.int64]
    counts_K: NDArray[np.int64]


def _pools(images: ImageSet, spec: EpisodeSpec) -> list[_Pool]:
    sources_N = np.arange(len(images), dtype=np.int64)
    if images.sources_N is not None:
        sources_N = np.unique(images.sources_N, return_inverse=True)[1]
    class_ids = np.unique(images.class_ids_N).tolist()
    if len(class_ids) < spec.n_way:
        raise EvaluationError(
            f"{images.name}: expected at least {spec.n_way} classes (n_way), got {len(class_ids)}"
        )
    pools = [_pool(images, sources_N, class_id) for class_id in class_ids]
    for pool in pools:
        _check_enough(pool, spec)
    return pools


def _pool(images: ImageSet, sources_N: NDArray[np.int64], class_id: int) -> _Pool:
    rows_N = np.flatnonzero(images.class_ids_N == class_id)
    sources_K, counts_K = np.unique(sources_N[rows_N], return_counts=True)
    name = images.class_names[class_id]
    return _Pool(name, class_id, rows_N, sources_N[rows_N], sources_K, counts_K)


def _check_enough(pool: _Pool, spec: EpisodeSpec) -> None:
    need = spec.n_shot + spec.n_query
    told = f"{need} images (n_shot {spec.n_shot} + n_query {spec.n_query})"
    if len(pool.rows_N) < need:
        raise EvaluationError(
            f"class {pool.name!r}: expected at least {told}, got {len(pool.rows_N)}"
        )
    if len(pool.sources_K) < _LEAST_SOURCES:
        raise EvaluationError(
            f"class {pool.name!r}: expected at least {_LEAST_SOURCES} sources, "
            f"as support and query must not share one, got {len(pool.sources_K)}"
        )


def _episode(
    pools: list[_Pool], source_count: int, spec: EpisodeSpec, rng: Generator
) -> tuple[NDArray[np.int64], ...]:
    """Class ids (L), support (L, S), queries (L, Q) and unknown queries (M)."""
    order = rng.permutation(len(pools))
    known = [pools[i] for i in sorted(order[: spec.n_way])]
    has_unknown = len(pools) >= 2 * spec.n_way
    unknown = [pools[i] for i in order[spec.n_way : 2 * spec.n_way]] if has_unknown else []
    side_of_source = _parted(known, unknown, source_count, spec, rng)
    draw = _Draw(side_of_source, rng)
    return (
        np.array([pool.class_id for pool in known], np.int64),
        np.stack([draw.rows(pool, _SUPPORT, spec.n_shot) for pool in known]),
        np.stack([draw.rows(pool, _QUERY, spec.n_query) for pool in known]),
        np.concatenate(
            [np.zeros(0, np.int64)] + [draw.rows(p, _QUERY, spec.n_query) for p in unknown]
        ),
    )


@dataclass(frozen=True)
class _Draw:
    """Draws images of one side without replacement."""

    side_of_source: NDArray[np.int8]
    rng: Generator

    def rows(self, pool: _Pool, side: int, count: int) -> NDArray[np.int64]:
        candidates = pool.rows_N[self.side_of_source[pool.sources_N] == side]
        return self.rng.choice(candidates, count, replace=False)


def _parted(
    known: list[_Pool],
    unknown: list[_Pool],
    source_count: int,
    spec: EpisodeSpec,
    rng: Generator,
) -> NDArray[np.int8]:
    """The side of each source, such that every class finds its images on both."""
    needs = [(pool, spec.n_shot) for pool in known]
    stuck = known[0]
    for _ in range(_ATTEMPTS):
        side_of_source = np.full(source_count, _FREE, np.int8)
        shuffled = [needs[i] for i in rng.permutation(len(needs))]
        for pool, n_shot in [*shuffled, *((pool, 0) for pool in unknown)]:
            stuck = pool
            if not _part(pool, side_of_source, n_shot, spec.n_query, rng):
                break
        else:
            return side_of_source
    raise EvaluationError(
        f"class {stuck.name!r}: expected {spec.n_shot} images for the support and {spec.n_query} "
        f"for queries from sources of their own, got {len(stuck.rows_N)} images "
        f"in {len(stuck.sources_K)} sources"
    )


def _part(
    pool: _Pool, side_of_source: NDArray[np.int8], n_shot: int, n_query: int, rng: Generator
) -> bool:
    """Puts the free sources of a class on sides, half of what is possible on each; False: cannot.

    A class that needs no exemplars gives all of them to the queries.
    """
    sides_K = side_of_source[pool.sources_K]
    free_K = rng.permutation(np.flatnonzero(sides_K == _FREE))
    taken_K = np.concatenate([[0], np.cumsum(pool.counts_K[free_K])])  # by support, at each cut
    support_K = int(pool.counts_K[sides_K == _SUPPORT].sum()) + taken_K
    query_K = int(pool.counts_K[sides_K == _QUERY].sum()) + taken_K[-1] - taken_K
    cuts = np.flatnonzero((support_K >= n_shot) & (query_K >= n_query))
    if not len(cuts):
        return False
    cut = cuts[len(cuts) // 2] if n_shot else cuts[0]
    side_of_source[pool.sources_K[free_K[:cut]]] = _SUPPORT
    side_of_source[pool.sources_K[free_K[cut:]]] = _QUERY
    return True
