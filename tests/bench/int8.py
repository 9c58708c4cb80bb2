"""int8 beside fp32: what it costs in cosine and few-shot accuracy, what it gains in speed.

Judged on images that neither calibrated nor chose anything: CIFAR-10's test part, and the textile
images that `export --calibrate` left over. Rounds of fp32 and int8 alternate, so that a machine
that slows down slows down both; processor time an image is beside the wall clock's, as it does
not count what other programs take.

    exemplar-train export --backbone lite0 --precision int8 --calibrate cifar10 \
        --name cifar10 --out build/int8
    exemplar-train export --backbone lite0 --precision int8 --calibrate textile \
        --name textile --out build/int8
    PYTHONPATH=tests .venv/bin/python tests/bench/int8.py
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from reports import add_out, tell

from exemplar_server.backends.onnx_backbone import PROVIDERS, OnnxSession
from exemplar_server.core.artifact import load_artifact
from exemplar_training.data.layout import DEFAULT_ROOT
from exemplar_training.evaluation.embeddings import by_model_file
from exemplar_training.evaluation.trial import images_of
from exemplar_training.precision import gates
from exemplar_training.precision.convert import int8_images

COSINE_IMAGES = 1000
EPISODE_IMAGES = 2000
SESSIONS = 2  # of one thread each
ROOT = DEFAULT_ROOT.expanduser()


def unseen(name):
    """Images that the int8 file has never met."""
    images = images_of(name, ROOT, part="train")
    if name != "cifar10":
        return int8_images(images).unseen
    images = images_of(name, ROOT, part="test")
    return images.of(np.random.default_rng(0).permutation(len(images))[:EPISODE_IMAGES])


def accuracy_row(name, fp32, int8):
    images = unseen(name)
    expected_ND, found_ND = (
        by_model_file(it.model_path, it.manifest.input_size, images, it.manifest.name)
        for it in (fp32, int8)
    )
    found = gates.cosines(found_ND[:COSINE_IMAGES], expected_ND[:COSINE_IMAGES])
    gained = gates.gains(found_ND, expected_ND, images)
    cells = [f"{found.mean:.4f}", f"**{found.percentile_1:.4f}**", f"{found.least:.4f}"]
    for gain in gained.values():
        low = 100 * (gain.mean - gain.half)
        cells.append(f"{100 * gain.mean:+.2f} +- {100 * gain.half:.2f} (**{low:+.2f}**)")
    kept = len(int8.manifest.provenance["int8"]["float_layers"])
    return f"| {name} | {len(images)} | {kept} | {' | '.join(cells)} |"


@dataclass(frozen=True)
class Speed:
    images_per_second: float
    processor_ms: float  # an image


class Sessions:
    """Two sessions in two threads, batch 1."""

    def __init__(self, artifact):
        self._size = artifact.manifest.input_size
        path = artifact.model_path
        self._sessions = [OnnxSession(path, PROVIDERS["cpu"]) for _ in range(SESSIONS)]
        self.run(0.5)

    def run(self, seconds):
        random = np.random.default_rng(0)
        image = random.integers(0, 256, (1, self._size, self._size, 3), np.uint8)
        counts, processor = [0] * SESSIONS, [0.0] * SESSIONS
        stop = time.perf_counter() + seconds

        def work(number):
            before = time.thread_time()
            while time.perf_counter() < stop:
                self._sessions[number].run(image)
                counts[number] += 1
            processor[number] = time.thread_time() - before

        threads = [threading.Thread(target=work, args=(n,)) for n in range(SESSIONS)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        total = sum(counts)
        return Speed(total / (time.perf_counter() - started), 1e3 * sum(processor) / total)


def spread(values, digits):
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def speed_rows(fp32, int8, rounds, seconds):
    one, other = Sessions(fp32), Sessions(int8)
    pairs = [(one.run(seconds), other.run(seconds)) for _ in range(rounds)]
    fast = [b.images_per_second / a.images_per_second for a, b in pairs]
    cheap = [a.processor_ms / b.processor_ms for a, b in pairs]
    rates = [spread([it[n].images_per_second for it in pairs], 0) for n in (0, 1)]
    costs = [spread([it[n].processor_ms for it in pairs], 2) for n in (0, 1)]
    return [
        f"| images/s | {rates[0]} | {rates[1]} | **{spread(fast, 2)}** | at least 1.8 |",
        f"| processor ms an image | {costs[0]} | {costs[1]} | {spread(cheap, 2)} | |",
    ]


def has_vnni():
    text = Path("/proc/cpuinfo").read_text(encoding="ascii")
    return "vnni" in text


def report(arguments):
    fp32 = load_artifact(arguments.fp32)
    int8 = {name: load_artifact(arguments.int8 / name / "1") for name in arguments.data}
    rows = [accuracy_row(name, fp32, it) for name, it in int8.items()]
    speed = speed_rows(fp32, next(iter(int8.values())), arguments.rounds, arguments.seconds)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - the git that made the checkout
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    vnni = "with" if has_vnni() else "without"
    sizes = [it.model_path.stat().st_size / 1e6 for it in (fp32, next(iter(int8.values())))]
    head = f"""# int8 of lite0 beside fp32

{datetime.now(UTC):%Y-%m-%d}, commit {commit}, 2 shared cores, no GPU ({platform.machine()}
{vnni} VNNI), Python {platform.python_version()}. The commands stand at the head of
`tests/bench/int8.py`. A file of {sizes[1]:.1f} MB for {sizes[0]:.1f}.

Bars: 1st percentile of cosine at least 0.97; lower end of the paired interval of 600 episodes
(5-shot, 5-way or all classes) above -0.5 points.

| unseen images of | number | layers in float | cosine, mean | 1st percentile | least | prototype, \
points (lower end) | 5-NN, points (lower end) |
|---|---|---|---|---|---|---|---|
"""
    middle = f"""

Two sessions of one thread, batch 1, {arguments.rounds} alternating rounds of
{arguments.seconds:g} s; median (lowest to highest), ratio pair by pair.

| measure | fp32 | int8 | ratio | bar |
|---|---|---|---|---|
"""
    return head + "\n".join(rows) + middle + "\n".join(speed) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fp32", type=Path, default=Path("build/backbones/lite0/1"))
    parser.add_argument("--int8", type=Path, default=Path("build/int8"))
    parser.add_argument("--data", nargs="*", default=["cifar10", "textile"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0)
    add_out(parser)
    arguments = parser.parse_args()
    tell(report(arguments), arguments.out)


if __name__ == "__main__":
    main()
