"""Does watching tell a collapse from learning? SimSiam with and without its stop-gradient.

Runs of `fit` on 20,000 images of Fashion-MNIST, or on letters, without labels and with a backbone
of three convolutions, and what their logs say after each epoch. The other methods have to raise no
alarm. The product has no option that leaves out the stop-gradient: it is replaced here.

    exemplar-train data fetch fashion-mnist letters
    python tests/bench/collapse.py --work build/collapse
    python tests/bench/collapse.py --work build/collapse --methods byol simclr moco cpc --seeds 0
    python tests/bench/collapse.py --work build/letters --data letters --methods simsiam \\
        "simsiam without stop-gradient" byol --seeds 0 1
"""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from exemplar_training import config_file
from exemplar_training.backbones import Backbone
from exemplar_training.config import RunConfig
from exemplar_training.fit import checkpoint, metrics
from exemplar_training.fit import run as running
from exemplar_training.fit.images import images_of
from exemplar_training.self_supervised import simsiam
from exemplar_training.small_cnn import small_cnn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

WITHOUT = "simsiam without stop-gradient"
IMAGES, BATCH, EPOCHS, WIDTHS = 20_000, 256, 6, (32, 64, 128)
TABLE = {
    "data": {"name": "fashion-mnist", "parts": ["train"], "n_shot": IMAGES, "batch": BATCH},
    "moco": {"queue": 4096},
    "byol": {"hidden": 512, "dim": 128, "momentum": 0.99},
    "simclr": {"hidden": 512},
    "simsiam": {"hidden": 128, "dim": 512},
    "cpc": {"patch": 14, "dim": 128},
    "optimizer": {"name": "sgd", "rate": 0.06 * BATCH / 128, "weight_decay": 5e-4},
    "schedule": {"steps": EPOCHS * IMAGES // BATCH, "log_every_steps": 13},
    "compute": {"device": "cpu"},
}
LETTERS = Path(config_file.__file__).parent / "configs/letters_without_labels.toml"
LETTERS_CHANGES = ("data.workers=0", "schedule.steps=100", "schedule.log_every_steps=5")
NAMES = (
    "loss",
    "output_spread",
    "effective_rank",
    "feature_spread",
    "positive_similarity",
    "negative_similarity",
    "queue_age",
    "ema_distance",
    "knn_accuracy",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, type=Path, help="a folder for the runs")
    parser.add_argument("--data", choices=("fashion-mnist", "letters"), default="fashion-mnist")
    parser.add_argument("--methods", nargs="+", default=["simsiam", WITHOUT])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    print("| run | seed | epoch |", " | ".join(NAMES), "| said |")
    for name in asked.methods:
        for seed in asked.seeds:
            config = config_of(asked.data, "simsiam" if name == WITHOUT else name, seed)
            for line in told(name, config, asked.work / f"{name.replace(' ', '-')}-{seed}"):
                print(line, flush=True)


def config_of(data: str, method: str, seed: int) -> RunConfig:
    if data == "letters":
        return config_file.read(LETTERS, [*LETTERS_CHANGES, f"method={method}", f"seed={seed}"])
    return config_file.from_table(RunConfig, {**TABLE, "method": method, "seed": seed})


def told(name: str, config: RunConfig, out: Path) -> list[str]:
    """The last line of each epoch of a run's log, and what was said of a collapse."""
    said = fitted(name, config, out)
    by_epoch = {int(line["epoch"] - 1e-9): line for line in metrics.read(out)}
    rows = []
    for epoch, line in by_epoch.items():
        numbers = [f"{line[each]:.3f}" if each in line else "" for each in NAMES]
        heard = " ".join(each for each in said if f"step {line['step']:.0f}:" in each)
        rows.append(f"| {name} | {config.seed} | {epoch + 1} | {' | '.join(numbers)} | {heard} |")
    return [*rows, *(f"{name} {config.seed}: {each}" for each in said)]


def fitted(name: str, config: RunConfig, out: Path) -> list[str]:
    """What a run says; one that is there already is not made again."""
    if (out / checkpoint.FILE).exists():
        return []
    request, said = running.RunRequest(config, out), []
    distance = attracted if name == WITHOUT else simsiam.distance
    with replaced(running, "backbone_of", tiny), replaced(simsiam, "distance", distance):
        running.run(request, images_of(config.data), said.append)
    return [each for each in said if "collapse" in each]


def attracted(p_BD: Tensor, z_BD: Tensor) -> Tensor:
    """`simsiam.distance` whose gradient does not stop at z."""
    return -functional.cosine_similarity(p_BD, z_BD, dim=1).mean()


def tiny(_: object, seed: int) -> Backbone:
    """Three convolutions of stride 2: 93,000 parameters, 28 x 28 pixels, dim 128."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [
            layer
            for before, after in zip((3, *WIDTHS), WIDTHS, strict=False)
            for layer in (
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            )
        ]
        trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Backbone(replace(small_cnn().spec, name="tiny", input_size=28), trunk.eval(), None)


@contextmanager
def replaced(module: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


if __name__ == "__main__":
    main()
