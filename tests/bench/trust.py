"""Measures what answers promise: calibration, unknowns and label sets, on few-shot episodes.

PYTHONPATH=tests python tests/bench/trust.py --artifact build/backbones/lite0/1 --data cifar10
PYTHONPATH=tests python tests/bench/trust.py --artifact build/backbones/lite0/1 --data emoji6 \\
    --half judge --n-query 1

Support and queries come from different sources. Each emoji6 label has six images, one a house: with
one query, five houses teach and the sixth asks, also for the labels that were never enrolled.
Constants are chosen on the half "dev"; the half "judge" is only measured.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from exemplar_server.core import calibration, familiarity, heads
from exemplar_server.core.artifact import find_artifact
from exemplar_server.core.leave_one_out import LeftOut
from exemplar_training.data.layout import DEFAULT_ROOT
from exemplar_training.evaluation.embeddings import by_artifact
from exemplar_training.evaluation.episodes import sample
from exemplar_training.evaluation.metrics import auroc, calibration_error, interval
from exemplar_training.evaluation.trial import Trial, draw

RATES = (0.05, 0.1)
COVERAGE = 0.9
HALVES = {"all": (0, 1), "dev": (0,), "judge": (1,)}  # places of the labels, sorted by name, mod 2


def measured(embeddings_ND, base, support_LS, query_LQ, unknown_M):
    """One episode by prototypes: what each bar needs."""
    n_way, n_shot = support_LS.shape
    codes_X, truth_Q = (
        np.repeat(np.arange(n_way), n_shot),
        np.repeat(np.arange(n_way), query_LQ.shape[1]),
    )
    support_XD = embeddings_ND[support_LS.ravel()]
    own = LeftOut(support_XD, codes_X, n_way)
    known = calibration.calibrate(own, heads.PROTOTYPE, heads.DEFAULT_K)
    strange = familiarity.unfamiliar(own, base)
    prototypes_LD = heads.prototypes(support_XD, codes_X, n_way)
    own_QL = embeddings_ND[query_LQ.ravel()] @ prototypes_LD.T
    familiar = familiarity.familiarity(prototypes_LD, base)
    own_Q = familiar.of(embeddings_ND[query_LQ.ravel()])
    strange_M = familiar.of(embeddings_ND[unknown_M])
    probability_QL = known.probabilities(heads.softmax(own_QL))
    held_QL = 1 - probability_QL <= known.label_set_bound(COVERAGE) + 1e-9
    thresholds = [strange.threshold(rate) for rate in RATES]
    return {
        "probability": probability_QL.max(axis=1),
        "is_right": probability_QL.argmax(axis=1) == truth_Q,
        "auroc": auroc(own_Q, strange_M),
        "covered": held_QL[np.arange(len(truth_Q)), truth_Q].mean(),
        "set_size": np.maximum(held_QL.sum(axis=1), 1).mean(),
        **{
            f"false_accept_{r}": (strange_M >= t).mean()
            for r, t in zip(RATES, thresholds, strict=True)
        },
        **{f"true_accept_{r}": (own_Q >= t).mean() for r, t in zip(RATES, thresholds, strict=True)},
        **{
            f"estimated_{r}": strange.true_accept_rate(t)
            for r, t in zip(RATES, thresholds, strict=True)
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT)
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--n-query", type=int, default=15)
    parser.add_argument("--half", choices=HALVES, default="all", help="of the labels")
    asked = parser.parse_args()
    trial = Trial(
        asked.data, asked.root.expanduser(), None, 5, (5,), asked.n_query, asked.episodes, 0
    )
    drawn = half_of(draw(trial), HALVES[asked.half])
    print(*drawn.told, sep="\n")
    artifact = find_artifact(asked.artifact, "")
    embeddings_ND = by_artifact(artifact, drawn.images, "embedding")
    report(embeddings_ND, artifact.base(), drawn.episodes[0])


def half_of(drawn, places):
    """The same trial on the labels at even (0) or odd (1) places in the whole set."""
    class_ids = np.arange(len(drawn.images.class_names))
    images = drawn.images.of_classes(class_ids[np.isin(class_ids % 2, places)])
    return replace(
        drawn, images=images, episodes=[sample(images, spec) for spec in drawn.trial.specs]
    )


def report(embeddings_ND, base, episodes):
    found = [
        measured(embeddings_ND, base, support, query, unknown)
        for support, query, unknown in zip(
            episodes.support_ELS, episodes.query_ELQ, episodes.unknown_EM, strict=True
        )
    ]
    probability, is_right = (
        np.concatenate([f[n] for f in found]) for n in ("probability", "is_right")
    )
    error = calibration_error(probability, is_right)
    print(f"accuracy {is_right.mean():.3f}, calibration error {error:.3f}")
    for name in sorted(found[0].keys() - {"probability", "is_right"}):
        told = interval(np.array([f[name] for f in found]))
        print(f"{name} {told.mean:.3f} +- {told.half:.3f}")


if __name__ == "__main__":
    main()
