"""The process that computes one t-SNE map. The server's only file that imports openTSNE.

Reads a JSON line and float32 values from standard input; writes JSON lines, progress and a last
one that tells the perplexity, then the points as float32 values.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from openTSNE import TSNEEmbedding, affinity, initialization

from exemplar_server.core import maps

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# van der Maaten & Hinton 2008, section 3.4; the numbers are openTSNE's defaults.
EARLY_ITERATIONS = 250
EARLY_EXAGGERATION = 12
# Among fewer points nearly all are neighbors, and exaggerated attraction outweighs repulsion: maps
# of 4 to 20 unlike images fell into one point for good. Without it their divergence is as low.
FEWEST_EXAGGERATED = 100
REPORT_EVERY = 25
LOWEST_PRIORITY = 19


def main() -> None:
    os.nice(LOWEST_PRIORITY)  # requests come first
    header = json.loads(sys.stdin.buffer.readline())
    values = np.frombuffer(sys.stdin.buffer.read(), "<f4")
    options = maps.MapOptions(header["perplexity"], header["seed"], header["iterations"])
    embedding, perplexity = compute(values.reshape(header["shape"]), options, _write)
    total = EARLY_ITERATIONS + options.iterations
    _write(
        maps.OPTIMIZATION,
        total,
        total,
        float(embedding.kl_divergence),
        perplexity=perplexity,
    )
    sys.stdout.buffer.write(np.asarray(embedding).astype("<f4").tobytes())
    sys.stdout.buffer.flush()


def compute(
    embeddings_ND: NDArray[np.float32], options: maps.MapOptions, report: Callable[..., None]
) -> tuple[TSNEEmbedding, float]:
    """The map and the perplexity used. Same seed, same rows: same map."""
    perplexity = maps.effective_perplexity(options.perplexity, len(embeddings_ND))
    rows_ND = embeddings_ND.astype(np.float64)
    affinities = affinity.PerplexityBasedNN(
        rows_ND, perplexity=perplexity, n_jobs=1, random_state=options.seed
    )
    start_N2 = initialization.pca(rows_ND, random_state=options.seed)
    embedding = TSNEEmbedding(start_N2, affinities, n_jobs=1, random_state=options.seed)
    total = EARLY_ITERATIONS + options.iterations
    exaggeration = EARLY_EXAGGERATION if len(rows_ND) >= FEWEST_EXAGGERATED else 1

    def reporter(phase: str, done: int) -> dict[str, Any]:
        def callback(iteration: int, divergence: float, _: object) -> bool:
            report(phase, done + iteration, total, float(divergence))
            return False  # True would stop

        return {"callbacks": [callback], "callbacks_every_iters": REPORT_EVERY}

    early = reporter(maps.EARLY_EXAGGERATION, 0)
    embedding = embedding.optimize(
        EARLY_ITERATIONS, exaggeration=exaggeration, momentum=0.5, **early
    )
    late = reporter(maps.OPTIMIZATION, EARLY_ITERATIONS)
    return embedding.optimize(options.iterations, momentum=0.8, **late), perplexity


def _write(phase: str, iteration: int, total: int, divergence: float, **more: Any) -> None:
    frame = {
        "phase": phase,
        "iteration": iteration,
        "total_iterations": total,
        "kl_divergence": divergence,
    }
    sys.stdout.write(json.dumps(frame | more) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
