"""Embedding through gRPC beside the same work in process, as ratios from one interleaved run.

In process: threads that decode and run ONNX Runtime at the setting that the server measured as its
best. Through gRPC: a real server process, this process as its client. Rounds of both alternate, so
that a machine that slows down slows down both.

    make bench
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import itertools
import platform
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from reports import add_out, tell

from exemplar.v1 import embedding_pb2 as pb
from exemplar.v1 import embedding_pb2_grpc as rpc
from exemplar_server.backends import images, onnx_backbone
from exemplar_server.core.artifact import load_artifact
from server_process import server_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


CONCURRENCY = 16
LIMITS = images.ImageLimits()


@dataclass(frozen=True)
class InProcess:
    """Decode and run without a server, on as many threads as there are sessions."""

    loaded: onnx_backbone.LoadedBackbone

    def one(self, photo: bytes, session: int = 0) -> NDArray[np.float32]:
        input_size = self.loaded.backbone.manifest.input_size
        image_HWC = images.decode(photo, input_size, LIMITS)
        return self.loaded.sessions[session].run(image_HWC[None])

    def images_per_second(self, photos: Sequence[bytes], seconds: float) -> float:
        counts = [0] * len(self.loaded.sessions)
        stop = time.perf_counter() + seconds

        def work(number: int) -> None:
            for photo in itertools.cycle(photos):
                if time.perf_counter() > stop:
                    return
                self.one(photo, number)
                counts[number] += 1

        threads = [threading.Thread(target=work, args=(n,)) for n in range(len(counts))]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - started)


async def grpc_images_per_second(address: str, photos: Sequence[bytes], seconds: float) -> float:
    async with grpc.aio.insecure_channel(address) as channel:
        embed = rpc.EmbeddingServiceStub(channel).Embed
        stop = time.perf_counter() + seconds
        supply = itertools.cycle(photos)

        async def caller() -> int:
            count = 0
            while time.perf_counter() < stop:
                await embed(pb.EmbedRequest(images=[next(supply)]))
                count += 1
            return count

        started = time.perf_counter()
        counts = await asyncio.gather(*(caller() for _ in range(CONCURRENCY)))
        return sum(counts) / (time.perf_counter() - started)


def latencies_ms(work, photos: Sequence[bytes]) -> list[float]:
    times = []
    for photo in photos:
        started = time.perf_counter()
        work(photo)
        times.append((time.perf_counter() - started) * 1e3)
    return times


def compare_latency(
    in_process: InProcess, address: str, photos: Sequence[bytes], rounds: int
) -> tuple[float, float]:
    """Medians in ms of one image at a time: in process, through gRPC; photo by photo in turn."""
    with grpc.insecure_channel(address) as channel:
        embed = rpc.EmbeddingServiceStub(channel).Embed
        inside, through = [], []
        for _ in range(rounds):
            inside += latencies_ms(in_process.one, photos)
            through += latencies_ms(lambda p: embed(pb.EmbedRequest(images=[p])), photos)
    return statistics.median(inside), statistics.median(through)


def labelled_photos() -> list[bytes]:
    spec = importlib.util.find_spec("foolbox")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    return [path.read_bytes() for path in sorted(folder.glob("imagenet_*.jpg"))]


def spread(values: Sequence[float], digits: int = 0) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def report(arguments: argparse.Namespace) -> str:
    photos = labelled_photos()
    artifact = load_artifact(arguments.backbone)
    cores = onnx_backbone.available_cores()
    in_process = InProcess(onnx_backbone.load_backbone(artifact, "cpu", cores))
    inside, through, ratios = [], [], []
    with server_process(arguments.backbone) as address:
        asyncio.run(grpc_images_per_second(address, photos, 1.0))  # warm-up
        for number in range(arguments.rounds):
            inside.append(in_process.images_per_second(photos, arguments.seconds))
            through.append(asyncio.run(grpc_images_per_second(address, photos, arguments.seconds)))
            ratios.append(through[-1] / inside[-1])
            print(
                f"round {number + 1} of {arguments.rounds}: ratio {ratios[-1]:.3f}", file=sys.stderr
            )
        alone_ms, served_ms = compare_latency(in_process, address, photos, 10)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - the git that made the checkout
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    size = statistics.mean(map(len, photos)) / 1024
    return f"""# Embedding through gRPC beside the same work in process

{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {cores} shared cores ({platform.machine()}),
Python {platform.python_version()}.
`make bench`: {artifact.manifest.name}, 20 photos of {size:.0f} KB on average, one image a call,
{arguments.rounds} interleaved rounds of {arguments.seconds:g} s; median (lowest to highest).

| measure | in process | through gRPC | bar |
|---|---|---|---|
| images/s at concurrency {CONCURRENCY} | {spread(inside)} | {spread(through)} | |
| ratio, pair by pair | | {spread(ratios, 3)} | at least 0.85 |
| p50 latency at concurrency 1, ms | {alone_ms:.2f} | {served_ms:.2f} | |
| added p50 latency, ms | | {served_ms - alone_ms:.2f} | under 3 |

In process: {len(in_process.loaded.sessions)} threads, each with a session of one thread.
The client shares the cores with the server: the ratio counts its work as the server's loss.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, default=Path("build/backbones/lite0/1"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0)
    add_out(parser)
    arguments = parser.parse_args()
    tell(report(arguments), arguments.out)


if __name__ == "__main__":
    main()
