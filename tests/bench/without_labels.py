"""A backbone continued without labels on cloth: what each of the five methods is worth.

300 images, drawn by label and seed, are for the score alone. A method is shown the other 1,700
without their labels, and exported; 50 exemplars a label are drawn from these 1,700 five times and
enrolled, and the 300 ask. In process, with the decoder, model file and heads that the server
runs. Beside it: the same poolings of the backbone as it comes, and its own.
Shapes: N images, C labels, D dim, X exemplars, Q queries, S seeds and draws.

    exemplar-train data fetch textile
    python tests/bench/without_labels.py --work build/without_labels
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from textile import line

from exemplar_training import config_file
from exemplar_training.adapter import Adapted
from exemplar_training.config import SELF_SUPERVISED
from exemplar_training.evaluation.embeddings import by_artifact
from exemplar_training.evaluation.heads import HEADS, head_name, scores
from exemplar_training.evaluation.metrics import confusion, recalls
from exemplar_training.export import ExportRequest, export
from exemplar_training.fit.build import backbone_of
from exemplar_training.fit.images import images_of, rows_of_each, unlabelled
from exemplar_training.fit.kept import below_adapter
from exemplar_training.fit.run import RunRequest, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exemplar_server.core.classify import ClassifyOptions
    from exemplar_training.config import RunConfig
    from exemplar_training.data.image_set import ImageSet

CONFIG = (
    Path(__file__).parents[2] / "training/exemplar_training/configs/textile_without_labels.toml"
)
HELD, HELD_SEED, DEVELOPMENT_SEED = {"global": 75, "local": 75, "nominal": 150}, 2025, 7
DRAWS, N_SHOT = 5, 50
# CPC makes its patches anew in each step: smaller batches, and fewer.
CPC = ("method=cpc", "views.kept=0", "data.batch=64", "schedule.steps=50")


def main() -> None:
    asked = arguments()
    config = config_file.read(CONFIG)
    images = images_of(config.data)
    protocol = protocol_of(images, is_development=asked.development)
    print("| embedding, head | mean recall | " + " | ".join(images.class_names) + " |")
    print("|---|" + "---|" * (1 + len(images.class_names)))
    for name, embeddings_ND in () if asked.without_frozen else frozen(config, protocol):
        tell(name, [embeddings_ND], protocol)
    for method in asked.methods:
        learned = [continued(config_of(method, seed), protocol, asked.work) for seed in asked.seeds]
        tell(method, learned, protocol)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, type=Path, help="a folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", default=SELF_SUPERVISED, choices=SELF_SUPERVISED)
    parser.add_argument("--without-frozen", action="store_true")
    parser.add_argument(
        "--development", action="store_true", help="ask 300 of the 1,700, which then teach nothing"
    )
    return parser.parse_args()


@dataclass(frozen=True)
class Protocol:
    """What is shown without labels, and what is embedded: exemplars of each draw, and queries."""

    shown: ImageSet
    embedded: ImageSet
    exemplars_SX: list[np.ndarray]
    held_Q: np.ndarray


def protocol_of(images: ImageSet, *, is_development: bool) -> Protocol:
    everything = np.arange(len(images))
    held = drawn(images, everything, HELD_SEED)
    shown = np.setdiff1d(everything, held)
    if is_development:
        held = drawn(images, shown, DEVELOPMENT_SEED)
        shown = np.setdiff1d(shown, held)
    class_ids = images.class_ids_N[shown]
    draws = [shown[rows_of_each(class_ids, N_SHOT, draw)] for draw in range(DRAWS)]
    needed = np.unique(np.concatenate([held, *draws]))
    return Protocol(
        unlabelled(images.of(shown)),
        images.of(needed),
        [np.searchsorted(needed, draw) for draw in draws],
        np.searchsorted(needed, held),
    )


def drawn(images: ImageSet, rows: np.ndarray, seed: int) -> np.ndarray:
    """As many of these rows of each label as HELD says."""
    random = np.random.default_rng(seed)
    found = []
    for name, count in HELD.items():
        own = rows[images.class_ids_N[rows] == images.class_names.index(name)]
        found.append(random.permutation(own)[:count])
    return np.sort(np.concatenate(found))


def config_of(method: str, seed: int) -> RunConfig:
    changes = CPC if method == "cpc" else (f"method={method}",)
    return config_file.read(CONFIG, [*changes, f"seed={seed}"])


def continued(config: RunConfig, protocol: Protocol, work: Path) -> np.ndarray:
    """Fitted on what is shown and exported; what the artifact says of the others, (N, D)."""
    out = work / f"{config.method}-{config.seed}"
    run(RunRequest(config, out, is_resumed=True), protocol.shown, print)
    made = export(ExportRequest(out.name, out / "backbones", run=out), print)
    return by_artifact(made, protocol.embedded, out.name)


def frozen(config: RunConfig, protocol: Protocol) -> Iterator[tuple[str, np.ndarray]]:
    """The backbone as it comes, with its own and with the configuration's poolings."""
    for size in (224, config.model.input_size):
        own = replace(config.model, pooled=(), input_size=size)
        name = f"frozen, its own pooling, {size} pixels"
        yield name, below_adapter(backbone_of(own, seed=0), protocol.embedded).numpy()
    backbone = backbone_of(config.model, seed=0)
    pooled_ND = below_adapter(backbone, protocol.embedded)
    yield "frozen, equal pooling", pooled_ND.numpy()
    if not isinstance(backbone.trunk, Adapted):
        raise TypeError("expected a configuration with an adapter")
    adapter = backbone.trunk.adapter
    adapter.measure(below_adapter(backbone, protocol.shown))
    yield "the same, standardized", adapter.standardized(pooled_ND).numpy()


def tell(name: str, learned: list[np.ndarray], protocol: Protocol) -> None:
    """A line for each head, over draws of exemplars and over seeds where there are several."""
    for head in HEADS:
        found = [
            recall(embeddings_ND, exemplars_X, protocol, head)
            for embeddings_ND in learned
            for exemplars_X in protocol.exemplars_SX
        ]
        print(line(f"{name}, {head_name(head)}", 100 * np.stack(found)), flush=True)


def recall(
    embeddings_ND: np.ndarray, exemplars_X: np.ndarray, protocol: Protocol, head: ClassifyOptions
) -> np.ndarray:
    """Each label's share of right answers among the queries."""
    unit_ND = embeddings_ND / np.linalg.norm(embeddings_ND, axis=1, keepdims=True)
    class_ids_N, held_Q = protocol.embedded.class_ids_N, protocol.held_Q
    answered = scores(unit_ND[exemplars_X], class_ids_N[exemplars_X], unit_ND[held_Q], head)
    answer_Q = answered.scores_QL.argmax(axis=1)
    return recalls(confusion(class_ids_N[held_Q], answer_Q, len(protocol.embedded.class_names)))


if __name__ == "__main__":
    main()
