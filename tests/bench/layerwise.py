"""Layer by layer on Fashion-MNIST: what pretraining is worth, with few labels and unrolled.

Three parts: `stacks` (sigmoid 784-256-128-64-32, three seeds), `conv` (convolutional autoencoder,
beside them) and `deep` (784-1000-500-250-30 against as many principal components). Settings were
chosen with --judge held-out, 10,000 training images that teach nothing; --judge test is for once.
Shapes: N images, P pixel values, K components.

    exemplar-train data fetch fashion-mnist
    OMP_NUM_THREADS=1 python tests/bench/layerwise.py stacks --work build/layers
    OMP_NUM_THREADS=2 python tests/bench/layerwise.py deep --work build/deep --judge test
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.config_file import read_as
from exemplar_training.evaluation.embeddings import embed
from exemplar_training.fit.images import RunImages, images_of
from exemplar_training.fit.study import train_once
from exemplar_training.layerwise.measured import row_of, table
from exemplar_training.layerwise.study import Study, stages, tuned

if TYPE_CHECKING:
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.layerwise.measured import Row
    from exemplar_training.layerwise.study import Planned

CONFIGS = Path(__file__).parents[2] / "training/exemplar_training/configs"
STACKS, DEEP = CONFIGS / "fashion_layerwise.toml", CONFIGS / "fashion_deep_autoencoder.toml"
SEEDS, HELD_OUT = (0, 1, 2), 10_000
CONV = (
    "pretraining.model.backbone=convnet",
    "pretraining.model.widths=[16, 32, 64]",
    "pretraining.schedule.steps=938",
)
# Of all images, not of the labelled ones that the configuration draws.
UNROLLED = (
    "tuning.data.n_shot=0",
    "tuning.data.batch=128",
    "tuning.optimizer.name=adamw",
    "tuning.optimizer.rate=0.002",
)


@dataclass(frozen=True)
class Images:
    """Those that teach and those that judge."""

    teaching: ImageSet
    judging: ImageSet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("stacks", "conv", "deep"))
    parser.add_argument("--work", required=True, type=Path, help="a new folder for the runs")
    parser.add_argument("--judge", choices=("held-out", "test"), default="held-out")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    asked = parser.parse_args()
    images = images_for(asked.judge)
    if asked.part == "deep":
        deep(read_as(Study, DEEP, asked.overrides), images, asked.work)
    else:
        own = CONV if asked.part == "conv" else ()
        arms = ("random", "autoencoder") if own else ("random", "denoising", "rbm")
        compare(arms, [*own, *asked.overrides], images, asked.work)


def images_for(judge: str) -> Images:
    """All of the test set judges, or those training images that are held out of the teaching."""
    test = read_as(Study, STACKS).test
    train = images_of(replace(test, parts=("train",)))
    if judge == "test":
        return Images(train, images_of(test))
    order_N = np.random.default_rng(0).permutation(len(train))
    return Images(train.of(np.sort(order_N[HELD_OUT:])), train.of(np.sort(order_N[:HELD_OUT])))


def compare(arms: tuple[str, ...], overrides: list[str], images: Images, work: Path) -> None:
    """Each arm, for each seed, fine-tuned with labels and unrolled, by equal steps."""
    found: dict[tuple[str, str], list[float]] = {}
    for seed in SEEDS:
        for arm in arms:
            rows = one(arm, [*overrides, f"pretraining.seed={seed}"], images, work / f"seed{seed}")
            told = {row.name: row for row in rows}
            found.setdefault((arm, "percent wrong"), []).append(
                100 * (told["supervised"].share_wrong or 0)
            )
            found.setdefault((arm, "unrolled"), []).append(told["unrolled"].error_of_pixels or 0)
    for (arm, what), values in found.items():
        each = ", ".join(f"{value:.4f}" for value in values)
        deviation = np.std(values, ddof=1)
        print(f"{arm:12} {what:14} {np.mean(values):8.4f} +- {deviation:.4f}  ({each})")


def one(arm: str, overrides: list[str], images: Images, work: Path) -> list[Row]:
    """All runs of an arm; "random" fine-tunes what has learned nothing."""
    method = [] if arm == "random" else [f"pretraining.method={arm}"]
    by_tuning = {
        name: read_as(Study, STACKS, [*own, *overrides, *method, f"fine_tuning={name}"])
        for name, own in (("supervised", ()), ("unrolled", UNROLLED))
    }
    last = [each for study in by_tuning.values() for each in tuned(study, work / arm)]
    if arm == "random":
        return played([from_nothing(each) for each in last], images)
    return played([*stages(by_tuning["supervised"], work / arm), *last], images)


def from_nothing(planned: Planned) -> Planned:
    model = replace(planned.config.model, init="")
    return replace(planned, config=replace(planned.config, model=model))


def played(planned: list[Planned], images: Images) -> list[Row]:
    rows = []
    for each in planned:
        start = (time.monotonic(), time.process_time())
        train_once(each.config, each.folder, RunImages(images.teaching, None), lambda _: None)
        wall, processor = time.monotonic() - start[0], time.process_time() - start[1]
        rows.append(row_of(each.name, each.layers, each.folder, images.judging))
        print(f"{each.folder}: {wall:.0f} s, {processor:.0f} s of processor time", flush=True)
    print("\n".join(table(rows, images.judging)), flush=True)
    return rows


def deep(study: Study, images: Images, work: Path) -> None:
    """The deep autoencoder against principal components of the same images, as many as its code."""
    start = time.monotonic()
    rows = played([*stages(study, work), *tuned(study, work)], images)
    minutes = (time.monotonic() - start) / 60
    by_pca = principal(images, study.pretraining.model.widths[-1])
    error = rows[-1].error_of_pixels or 0
    print(f"autoencoder {error:.5f}, PCA {by_pca:.5f}: {100 * (1 - error / by_pca):.1f} % less")
    print(f"{minutes:.1f} minutes, pretraining and measuring included")


def principal(images: Images, count: int) -> float:
    """The squared error of the judging images by the teaching images' first components."""
    teaching_NP, judging_NP = (gray(each) for each in (images.teaching, images.judging))
    mean_P = teaching_NP.mean(axis=0)
    _, vectors_PP = np.linalg.eigh(np.cov(teaching_NP, rowvar=False))
    kept_PK = vectors_PP[:, -count:]
    centered_NP = judging_NP - mean_P
    left_NP = centered_NP - centered_NP @ kept_PK @ kept_PK.T
    return float(np.square(left_NP).mean())


def gray(images: ImageSet) -> np.ndarray:
    """As a stack is given them, float64 (N, P) in 0..1."""

    def flat(image_BHWC: np.ndarray) -> np.ndarray:
        return image_BHWC.mean(axis=3).reshape(len(image_BHWC), -1) / 255

    return embed(images, 28, flat, "pixels", batch=256, threads=1)


if __name__ == "__main__":
    main()
