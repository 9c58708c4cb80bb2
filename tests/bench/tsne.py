"""Maps of many exemplars: how long, how true, and what queries notice of them.

A real server over gRPC on loopback; this process is its client, and shares its cores. Quiet spells
and maps alternate, and so do our maps and scikit-learn's, so that a machine that slows down slows
down both. Data are the unseen images of a fetched set, embedded here, or an .npz file with
embeddings `e` (N, D) and labels `y` (N,).

    PYTHONPATH=tests .venv/bin/python tests/bench/tsne.py --data cifar10 --count 10000
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from embed import labelled_photos, spread
from reports import add_out, tell
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

from exemplar import Client, Embedding, NewExemplar
from exemplar_server.backends import tsne_worker
from exemplar_server.core.artifact import load_artifact
from exemplar_server.core.maps import MapOptions
from server_process import server_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

FEW = 2000  # points that scikit-learn's map is compared on
NEIGHBORS = 12


@dataclass(frozen=True)
class Data:
    embeddings_ND: NDArray[np.float32]
    labels_N: NDArray[np.int64]

    def sample(self, count: int) -> Data:
        rows = np.random.default_rng(0).permutation(len(self.labels_N))[:count]
        return Data(self.embeddings_ND[rows], self.labels_N[rows])


def read(arguments: argparse.Namespace) -> Data:
    if arguments.embeddings:
        file = np.load(arguments.embeddings)
        return Data(file["e"], file["y"]).sample(arguments.count)
    # torch is imported only where its data are asked for
    from exemplar_training.data.layout import DEFAULT_ROOT  # noqa: PLC0415
    from exemplar_training.evaluation.embeddings import by_model_file  # noqa: PLC0415
    from exemplar_training.evaluation.trial import images_of  # noqa: PLC0415

    images = images_of(arguments.data, DEFAULT_ROOT.expanduser(), part="test")
    images = images.of(np.random.default_rng(0).permutation(len(images))[: arguments.count])
    artifact = load_artifact(arguments.backbone)
    manifest = artifact.manifest
    embeddings_ND = by_model_file(artifact.model_path, manifest.input_size, images, manifest.name)
    return Data(embeddings_ND, images.class_ids_N)


# Through a server


@dataclass
class Latencies:
    """Milliseconds of each call, in quiet spells and while a map was drawn."""

    quiet: list[list[float]] = field(default_factory=list)
    drawing: list[list[float]] = field(default_factory=list)
    map_seconds: list[float] = field(default_factory=list)


def teach(client: Client, data: Data) -> None:
    fingerprint = client.list_backbones()[0].fingerprint
    client.create_support_set("map")
    exemplars = (
        NewExemplar(str(label), Embedding(row_D.tobytes(), fingerprint))
        for row_D, label in zip(data.embeddings_ND, data.labels_N, strict=True)
    )
    client.add_exemplars("map", exemplars)


def classify_until(
    client: Client, photos: Iterator[bytes], is_over: threading.Event
) -> list[float]:
    times = []
    while not is_over.is_set():
        started = time.perf_counter()
        client.classify("map", [next(photos)], head="knn")
        times.append((time.perf_counter() - started) * 1e3)
    return times


def quiet_spell(client: Client, photos: Iterator[bytes], seconds: float) -> list[float]:
    is_over = threading.Event()
    timer = threading.Timer(seconds, is_over.set)
    timer.start()
    return classify_until(client, photos, is_over)


def latencies(client: Client, rounds: int, seconds: float) -> Latencies:
    photos = itertools.cycle(labelled_photos())
    found = Latencies()
    quiet_spell(client, photos, 3)  # warm-up
    for number in range(rounds):
        found.quiet.append(quiet_spell(client, photos, seconds))
        is_over = threading.Event()

        def draw() -> None:
            started = time.perf_counter()
            client.compute_map("map")
            found.map_seconds.append(time.perf_counter() - started)
            is_over.set()  # noqa: B023 - the thread ends within the round

        thread = threading.Thread(target=draw)
        thread.start()
        found.drawing.append(classify_until(client, photos, is_over))
        thread.join()
        quiet, drawing = p99(found.quiet[-1]), p99(found.drawing[-1])
        print(
            f"round {number + 1}: p99 {quiet:.1f} -> {drawing:.1f} ms, "
            f"map {found.map_seconds[-1]:.1f} s",
            file=sys.stderr,
        )
    return found


def p99(times: Sequence[float]) -> float:
    return float(np.percentile(times, 99))


def alone_seconds(client: Client, rounds: int) -> list[float]:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        client.compute_map("map")
        seconds.append(time.perf_counter() - started)
        print(f"alone: {seconds[-1]:.1f} s", file=sys.stderr)
    return seconds


# Beside scikit-learn


@dataclass
class Beside:
    """Processor seconds and trustworthiness of our maps and of scikit-learn's, in turn."""

    ours_seconds: list[float] = field(default_factory=list)
    theirs_seconds: list[float] = field(default_factory=list)
    ours_trusted: list[float] = field(default_factory=list)
    theirs_trusted: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        return [t / o for t, o in zip(self.theirs_seconds, self.ours_seconds, strict=True)]


def beside(data: Data, rounds: int) -> Beside:
    """Same points, perplexity, start and number of iterations; one thread each."""
    found = Beside()
    judged = np.random.default_rng(1).permutation(len(data.labels_N))[:FEW]

    def trusted(points_N2: NDArray[np.float32]) -> float:
        rows_SD = data.embeddings_ND[judged]
        return float(trustworthiness(rows_SD, points_N2[judged], n_neighbors=NEIGHBORS))

    for seed in range(rounds):
        with threadpool_limits(1):
            started = time.process_time()
            options = MapOptions(seed=seed)
            codes_N = data.labels_N.astype(np.int32)
            ours = tsne_worker.compute(data.embeddings_ND, codes_N, options, lambda _: None)
            between = time.process_time()
            theirs_N2 = TSNE(
                init="pca",
                perplexity=options.perplexity,
                max_iter=tsne_worker.EARLY_ITERATIONS + options.iterations,
                random_state=seed,
            ).fit_transform(data.embeddings_ND)
            ended = time.process_time()
        found.ours_seconds.append(between - started)
        found.theirs_seconds.append(ended - between)
        found.ours_trusted.append(trusted(ours.points_N2))
        found.theirs_trusted.append(trusted(theirs_N2))
        print(
            f"{len(data.labels_N)} points: {found.ours_seconds[-1]:.1f} s beside "
            f"{found.theirs_seconds[-1]:.1f} s, trusted {found.ours_trusted[-1]:.4f} beside "
            f"{found.theirs_trusted[-1]:.4f}",
            file=sys.stderr,
        )
    return found


def beside_row(points: int, found: Beside) -> str:
    gained = [o - t for o, t in zip(found.ours_trusted, found.theirs_trusted, strict=True)]
    return (
        f"| {points:,} | {len(gained)} | {spread(found.ours_seconds, 1)} "
        f"| {spread(found.theirs_seconds, 1)} | {spread(found.ratios(), 1)} "
        f"| {statistics.median(found.ours_trusted):.4f} "
        f"| {statistics.median(found.theirs_trusted):.4f} | {spread(gained, 4)} |"
    )


def report(arguments: argparse.Namespace) -> str:
    data = read(arguments)
    with (
        server_process(arguments.backbone, EXEMPLAR_MAP_WORKERS="2") as address,
        Client(address, timeout_seconds=120) as client,
    ):
        teach(client, data)
        alone = alone_seconds(client, arguments.rounds)
    with (
        server_process(arguments.backbone, EXEMPLAR_MAP_WORKERS="1") as address,
        Client(address, timeout_seconds=120) as client,
    ):
        teach(client, data)
        found = latencies(client, arguments.rounds, arguments.seconds)
    few, many = beside(data.sample(FEW), arguments.rounds), beside(data, arguments.full_rounds)
    count, dim = data.embeddings_ND.shape
    return f"""# Maps: speed, trustworthiness, and what queries notice

{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {os.cpu_count()} shared cores, no GPU
({platform.machine()}), Python {platform.python_version()}.
Embeddings of {count:,} x {dim}; median (lowest to highest).

| measure | value | bar |
|---|---|---|
| ComputeMap over gRPC, nothing else asked, 2 workers, s | {spread(alone, 1)} | under 90 |
{latency_rows(found)}

Beside scikit-learn's TSNE: one thread each, same points, perplexity, iterations and start by
principal components, in turn.

| points | rounds | processor s, ours | theirs | ratio | trustworthiness, ours | theirs | gained |
|---|---|---|---|---|---|---|---|
{beside_row(FEW, few)}
{beside_row(count, many)}

Bars: a ratio of 5; trustworthiness no lower by more than 0.005.
"""


def latency_rows(found: Latencies) -> str:
    quiet, drawing = ([p99(times) for times in spells] for spells in (found.quiet, found.drawing))
    ratios = [d / q for d, q in zip(drawing, quiet, strict=True)]
    medians = [
        statistics.median(itertools.chain.from_iterable(spells))
        for spells in (found.quiet, found.drawing)
    ]
    calls = sum(map(len, found.drawing))
    return f"""| Classify p99, one caller, a photo a call, quiet, ms | {spread(quiet, 1)} | |
| the same while a map is drawn, 1 worker, {calls:,} calls, ms | {spread(drawing, 1)} | |
| ratio, spell by spell | {spread(ratios, 2)} | at most 1.5 |
| p50, quiet and while a map is drawn, ms | {medians[0]:.1f}, {medians[1]:.1f} | |
| ComputeMap beside that caller, s | {spread(found.map_seconds, 1)} | |"""


def commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - the git that made the checkout
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, default=Path("build/backbones/lite0/1"))
    parser.add_argument("--data", default="cifar10", help="a fetched set; its part test is drawn")
    parser.add_argument("--embeddings", type=Path, help="an .npz file in place of --data")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full-rounds", type=int, default=3, help="with all points")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a quiet spell")
    add_out(parser)
    arguments = parser.parse_args()
    tell(report(arguments), arguments.out)


if __name__ == "__main__":
    main()
