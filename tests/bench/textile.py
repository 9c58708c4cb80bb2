"""Textile inspection from 50 labelled images a label: what pooling and an adapter are worth.

For each draw of 50 images a label: which blocks to pool is searched, an adapter fitted and the
artifact exported from these images alone; they are enrolled, and all other images ask. In process,
with the decoder, the model file and the heads that the server runs.
Shapes: N images, X exemplars, Q queries, D dim.

    exemplar-train data fetch textile
    python tests/bench/textile.py --frozen build/backbones/lite0/1 --work build/textile
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core.artifact import load_artifact
from exemplar_training import config_file
from exemplar_training.evaluation.embeddings import by_artifact
from exemplar_training.evaluation.heads import HEADS, head_name, scores
from exemplar_training.evaluation.metrics import confusion, recalls
from exemplar_training.export import ExportRequest, export
from exemplar_training.fit.images import images_of, rows_of_each
from exemplar_training.fit.run import RunRequest, run
from exemplar_training.search.run import search

if TYPE_CHECKING:
    from exemplar_server.core.artifact import Artifact
    from exemplar_training.config import RunConfig
    from exemplar_training.data.image_set import ImageSet

CONFIG = Path(__file__).parents[2] / "training/exemplar_training/configs/textile.toml"
DRAWS, INPUT_SIZES = 5, (224, 250)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frozen", required=True, type=Path, metavar="ARTIFACT")
    parser.add_argument("--work", required=True, type=Path, help="a new folder for the runs")
    asked = parser.parse_args()
    config = config_file.read(CONFIG)
    images = images_of(config.data)
    frozen_ND = by_artifact(load_artifact(asked.frozen), images, "frozen")
    rows: dict[str, list[np.ndarray]] = {}
    for seed in range(DRAWS):
        drawn = replace(config, seed=seed)
        fixed = adapted(drawn, images, asked.work / f"as-configured-{seed}")
        found = adapted(searched(drawn, images), images, asked.work / f"searched-{seed}")
        told = {"frozen": frozen_ND, "as configured": fixed, "searched": found}
        for name, embeddings_ND in told.items():
            for head, recall_C in recalls_by_head(embeddings_ND, images, drawn).items():
                rows.setdefault(f"{name}, {head}", []).append(recall_C)
    print("| embedding, head | mean recall | " + " | ".join(images.class_names) + " |")
    print("|---|" + "---|" * (1 + len(images.class_names)))
    for name, found_SC in rows.items():
        print(line(name, 100 * np.stack(found_SC)))


def searched(config: RunConfig, images: ImageSet) -> RunConfig:
    """The configuration with the poolings that a search on this draw finds."""
    found = search(config, images, INPUT_SIZES, print)
    model = replace(config.model, input_size=found.input_size, pooled=found.choices)
    return replace(config, model=model)


def adapted(config: RunConfig, images: ImageSet, out: Path) -> np.ndarray:
    """Fitted on the draw and exported; what the artifact says of all images, (N, D)."""
    run(RunRequest(config, out), images, print)
    made: Artifact = export(ExportRequest(out.name, out / "backbones", run=out), print)
    return by_artifact(made, images, out.name)


def recalls_by_head(
    embeddings_ND: np.ndarray, images: ImageSet, config: RunConfig
) -> dict[str, np.ndarray]:
    """Each head's recall of each label on the images that the draw left."""
    exemplars_X = rows_of_each(images.class_ids_N, config.data.n_shot, config.seed)
    queries_Q = np.setdiff1d(np.arange(len(images)), exemplars_X)
    truth_Q = images.class_ids_N[queries_Q]
    answers = {
        head_name(head): scores(
            embeddings_ND[exemplars_X],
            images.class_ids_N[exemplars_X],
            embeddings_ND[queries_Q],
            head,
        ).scores_QL.argmax(axis=1)
        for head in HEADS
    }
    count = len(images.class_names)
    return {
        name: recalls(confusion(truth_Q, answer_Q, count)) for name, answer_Q in answers.items()
    }


def line(name: str, percent_SC: np.ndarray) -> str:
    mean_S = percent_SC.mean(axis=1)
    cells = [f"{mean_S.mean():.1f} ({mean_S.min():.1f} to {mean_S.max():.1f})"]
    cells += [f"{value:.1f}" for value in percent_SC.mean(axis=0)]
    return f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
