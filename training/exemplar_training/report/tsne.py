"""t-SNE of embeddings. The only file of training that imports openTSNE.

Shapes: N images, D dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from openTSNE import TSNE
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from exemplar_server.core.maps import MapOptions, effective_perplexity

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Exaggerated attraction draws few points into one (server backends/tsne_worker.py).
_FEWEST_EXAGGERATED = 100


def layout(embeddings_ND: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """The map (N, 2), N at least 4, as the server's with its default options.

    Same seed, same rows: same map.
    """
    options = MapOptions()
    exaggeration = {} if len(embeddings_ND) >= _FEWEST_EXAGGERATED else {"early_exaggeration": 1}
    tsne = TSNE(
        perplexity=effective_perplexity(options.perplexity, len(embeddings_ND)),
        n_iter=options.iterations,
        n_jobs=1,
        random_state=seed,
        **exaggeration,
    )
    return np.asarray(tsne.fit(embeddings_ND.astype(np.float64)))


def faithfulness(embeddings_ND: NDArray[np.float32], points_N2: NDArray[np.float64]) -> float:
    """Trustworthiness of the 5 nearest (Venna & Kaski 2001), of fewer where images are few."""
    nearest = min(5, (len(points_N2) - 1) // 2)
    return float(trustworthiness(embeddings_ND, points_N2, n_neighbors=nearest))


def agreement(places_ND: NDArray[np.floating], class_ids_N: NDArray[np.int64]) -> float:
    """The share of images whose nearest other one has their class."""
    finder = NearestNeighbors(n_neighbors=1).fit(places_ND)
    nearest_N = finder.kneighbors(return_distance=False)[:, 0]
    return float((class_ids_N[nearest_N] == class_ids_N).mean())
