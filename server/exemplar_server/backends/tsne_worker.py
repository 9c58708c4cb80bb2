"""The process that draws one map, or places queries on one: the server's only openTSNE.

Reads a JSON line and arrays from standard input. Writes JSON lines, progress and a last one that
tells how the map came about, then the points as float32 values.

Shapes: N points, Q queries, K neighbors, D dim, P principal components.
"""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from openTSNE import PartialTSNEEmbedding, TSNEEmbedding, affinity, initialization
from openTSNE.nearest_neighbors import PrecomputedNeighbors

from exemplar_server.backends import neighborhoods
from exemplar_server.core import maps
from exemplar_server.core.maps import Layout, MapFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

# van der Maaten & Hinton 2008, section 3.4; the numbers are openTSNE's defaults.
EARLY_ITERATIONS = 250
EARLY_EXAGGERATION = 12
# Among fewer points nearly all are neighbors, and exaggerated attraction outweighs repulsion: maps
# of 4 to 20 unlike images fell into one point for good. Without it their divergence is as low.
# And openTSNE's tree passes over pairs in one place: of 20 images enrolled twice, the divergence
# came out as -0.9. Summing up all pairs takes 0.4 s of processor time for as many points.
FEW = 100
# Processor seconds of 750 iterations by tree and by grid: 2.6 and 2.6 for 1,000 points, 5.9 and 3.4
# for 2,000. openTSNE's own grid, of 50 cells of up to 1, takes 46 for 10,000 points; of 25 cells of
# up to 2 it takes 11, and is as trustworthy (tests/bench/results/2026-11-25-tsne.md).
MANY = 2000
GRID = {"negative_gradient_method": "fft", "min_num_intervals": 25, "ints_in_interval": 2}
REPORT_EVERY = 25
LOWEST_PRIORITY = 19
# openTSNE's defaults for its `transform`. Of 360 digits placed on a map of the others 98.3 % lay
# among their own with this perplexity, 97.2 % with 30.
PLACING_PERPLEXITY = 5.0
PLACING_NEIGHBORS = 25
PLACING = {
    "n_iter": 250,
    "learning_rate": 0.1,
    "exaggeration": 1.5,
    "momentum": 0.8,
    "max_grad_norm": 0.25,  # without it single queries shoot off
}


def main() -> None:
    _give_way()
    job = json.loads(sys.stdin.buffer.readline())
    arrays = [_read(*described) for described in job["arrays"]]
    points = WORK[job["work"]](*arrays, **job["options"])
    sys.stdout.buffer.write(points.astype(np.float32).tobytes())
    sys.stdout.buffer.flush()


def _give_way() -> None:
    """Requests come first. Classify's p99 rose by a fifth with nice alone, not with SCHED_IDLE."""
    os.nice(LOWEST_PRIORITY)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def compute(
    embeddings_ND: NDArray[np.float32],
    codes_N: NDArray[np.int32],
    options: maps.MapOptions,
    report: Callable[[MapFrame], None],
) -> Layout:
    """The map. Same seed, same rows: same map."""
    perplexity = maps.effective_perplexity(options.perplexity, len(embeddings_ND))
    total = EARLY_ITERATIONS + options.iterations
    report(MapFrame(maps.EARLY_EXAGGERATION, 0, total, 0.0))
    embedding = _start(embeddings_ND, perplexity, options.seed)

    def reporter(phase: str, done: int) -> dict[str, Any]:
        def callback(iteration: int, divergence: float, _: object) -> bool:
            report(MapFrame(phase, done + iteration, total, float(divergence)))
            return False  # True would stop

        return {"callbacks": [callback], "callbacks_every_iters": REPORT_EVERY}

    exaggeration = EARLY_EXAGGERATION if len(embedding) >= FEW else 1
    early = reporter(maps.EARLY_EXAGGERATION, 0)
    embedding.optimize(
        EARLY_ITERATIONS, inplace=True, exaggeration=exaggeration, momentum=0.5, **early
    )
    late = reporter(maps.OPTIMIZATION, EARLY_ITERATIONS)
    embedding.optimize(options.iterations, inplace=True, momentum=0.8, **late)
    report(MapFrame(maps.OPTIMIZATION, total, total, float(embedding.kl_divergence)))
    points_N2 = np.asarray(embedding, np.float32)
    quality = neighborhoods.quality(embeddings_ND, points_N2, codes_N, options.seed)
    return Layout(points_N2, perplexity, float(embedding.kl_divergence), quality)


def place(
    embeddings_ND: NDArray[np.float32],
    points_N2: NDArray[np.float32],
    queries_QD: NDArray[np.float32],
    perplexity: float,
) -> NDArray[np.float64]:
    """A place (Q, 2) for each query: attracted by its neighbors' points, repelled by all.

    What TSNEEmbedding.transform does, less its affinities among the points that stay.
    """
    count = len(embeddings_ND)
    few = maps.effective_perplexity(min(perplexity, PLACING_PERPLEXITY), count + 1)
    distances_QK, rows_QK = neighborhoods.nearest(embeddings_ND, queries_QD, _neighbors(few))
    affinities = affinity.joint_probabilities_nn(
        rows_QK,
        distances_QK,
        [few],
        symmetrize=False,
        normalization="point-wise",
        n_reference_samples=count,
    )
    # Of the affinities among points that stay only their number is asked.
    unused = affinity.PrecomputedAffinities(affinities.T, normalize=False)
    center_2 = (points_N2.max(axis=0) + points_N2.min(axis=0)) / 2  # the grid's is 0
    method = GRID if count >= MANY else {"negative_gradient_method": "bh"}
    points = TSNEEmbedding(points_N2 - center_2, unused, **method)
    start_Q2 = initialization.median(points, rows_QK[:, :PLACING_NEIGHBORS])
    placed = PartialTSNEEmbedding(start_Q2, points, affinities)
    places_Q2: NDArray[np.float64] = np.asarray(placed.optimize(**PLACING, **method)) + center_2
    return places_Q2


def _start(embeddings_ND: NDArray[np.float32], perplexity: float, seed: int) -> TSNEEmbedding:
    rows_NP = neighborhoods.principal(embeddings_ND, seed)
    distances_NK, rows_NK = neighborhoods.nearest(rows_NP, None, _neighbors(perplexity))
    affinities = affinity.PerplexityBasedNN(
        knn_index=PrecomputedNeighbors(rows_NK, distances_NK), perplexity=perplexity
    )
    start_N2 = initialization.pca(rows_NP.astype(np.float64), random_state=seed)
    return TSNEEmbedding(start_N2, affinities, **_repulsion(len(start_N2)))


def _repulsion(count: int) -> dict[str, Any]:
    """How the sum over all pairs is found: exactly, by a tree, or by a grid."""
    if count < FEW:
        return {"negative_gradient_method": _all_pairs}
    if count < MANY:
        return {"negative_gradient_method": "bh"}
    return GRID


def _all_pairs(
    embedding_N2: NDArray[np.float64], affinities_NN: csr_matrix, **_: Any
) -> tuple[float, NDArray[np.float64]]:
    """Divergence and gradient (van der Maaten & Hinton 2008, 5), less its 4 as in openTSNE."""
    points_N2 = np.asarray(embedding_N2)
    squares_NN = np.square(points_N2[:, None] - points_N2).sum(axis=2)
    closeness_NN = 1 / (1 + squares_NN)
    np.fill_diagonal(closeness_NN, 0)
    wanted_NN, found_NN = affinities_NN.toarray(), closeness_NN / closeness_NN.sum()
    pull_NN = (wanted_NN - found_NN) * closeness_NN
    gradient_N2 = pull_NN.sum(axis=1, keepdims=True) * points_N2 - pull_NN @ points_N2
    is_pair = wanted_NN > 0
    ratios = wanted_NN[is_pair] / np.maximum(found_NN[is_pair], np.finfo(float).tiny)
    return float(np.sum(wanted_NN[is_pair] * np.log(ratios))), gradient_N2


def _neighbors(perplexity: float) -> int:
    return int(3 * perplexity)  # as openTSNE does it


def _read(dtype: str, shape: list[int]) -> NDArray[Any]:
    values = sys.stdin.buffer.read(np.dtype(dtype).itemsize * math.prod(shape))
    return np.frombuffer(values, dtype).reshape(shape)


def _drawn(
    embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int32], **options: Any
) -> NDArray[np.float32]:
    def report(frame: MapFrame) -> None:
        _write(asdict(frame))

    layout = compute(embeddings_ND, codes_N, maps.MapOptions(**options), report)
    _write({name: value for name, value in asdict(layout).items() if name != "points_N2"})
    return layout.points_N2


def _write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


WORK: dict[str, Callable[..., NDArray[Any]]] = {"compute": _drawn, "place": place}


if __name__ == "__main__":
    main()
