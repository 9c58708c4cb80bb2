"""What a second backbone and a running upgrade cost the queries of the first one.

Two real servers: one runs one backbone, the other two of equal size. Rounds alternate between the
first server, the second one idle, and the second one while it embeds a support set anew, so that a
machine that slows down slows down all three.

    PYTHONPATH=tests python tests/bench/upgrade.py
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
import onnx
from embed import labelled_photos
from reports import add_out, tell

from exemplar.v1 import classification_pb2, classification_pb2_grpc, upgrade_pb2_grpc
from exemplar.v1 import support_set_pb2 as sets
from exemplar.v1 import support_set_pb2_grpc as sets_rpc
from exemplar.v1 import upgrade_pb2 as upgrades
from exemplar_server.core import artifact
from server_process import server_process

if TYPE_CHECKING:
    from collections.abc import Sequence

SET = "set"
CASES = ("one backbone", "a second one, idle", "a second one, upgrading")


@dataclass(frozen=True)
class Load:
    """Queries that come at random times, `rate` a second, or (0) from so many callers at once."""

    name: str
    rate: float
    callers: int

    def seconds(self, asked: argparse.Namespace) -> float:
        """Callers without a pause ask more in a third of the time."""
        return asked.seconds / 3 if self.callers else asked.seconds


LOADS = (Load("at random, {rate:g}/s", 10.0, 0), Load("4 callers without a pause", 0.0, 4))


@dataclass
class Seen:
    """Latencies in ms of every round, and how many images were embedded anew in each."""

    rounds: list[list[float]] = field(default_factory=list)
    embedded: list[int] = field(default_factory=list)


def twin(source: Path, root: Path) -> None:
    """Under `root`: the backbone as version 1, and the same network under another fingerprint."""
    first = artifact.load_artifact(source)
    name = first.manifest.name
    shutil.copytree(source, root / name / "1")
    shutil.copytree(source, root / name / "2")
    model = onnx.load(root / name / "2" / artifact.MODEL_FILE)
    model.doc_string = "a twin"
    onnx.save(model, root / name / "2" / artifact.MODEL_FILE)
    sha256 = artifact.sha256_of(root / name / "2" / artifact.MODEL_FILE)
    files = first.manifest.files | {artifact.MODEL_FILE: sha256}
    fingerprint = artifact.fingerprint_of(sha256, first.manifest.preprocessing_id)
    manifest = replace(first.manifest, version="2", files=files, fingerprint=fingerprint)
    artifact.write_manifest(root / name / "2", manifest)


class Client:
    """Calls of one server."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(address)
        self.classify = classification_pb2_grpc.ClassificationServiceStub(self.channel).Classify
        self.sets = sets_rpc.SupportSetServiceStub(self.channel)
        self.upgrades = upgrade_pb2_grpc.UpgradeServiceStub(self.channel)

    async def teach(self, photos: Sequence[bytes], count: int) -> None:
        await self.sets.CreateSupportSet(sets.CreateSupportSetRequest(name=SET))
        for start in range(0, count, 32):
            new = [
                sets.NewExemplar(label=f"{n % 20}", image=photos[n % len(photos)])
                for n in range(start, min(start + 32, count))
            ]
            await self.sets.AddExemplars(sets.AddExemplarsRequest(support_set=SET, exemplars=new))

    async def asked_ms(self, photo: bytes) -> float:
        query = classification_pb2.Query(image=photo)
        started = time.perf_counter()
        await self.classify(classification_pb2.ClassifyRequest(support_set=SET, queries=[query]))
        return (time.perf_counter() - started) * 1e3

    async def latencies_ms(
        self, load: Load, photos: Sequence[bytes], seconds: float, seed: int
    ) -> list[float]:
        if load.callers:
            return await self._closed(load.callers, photos, seconds)
        random, started = np.random.default_rng(seed), time.perf_counter()
        tasks, due = [], 0.0
        for photo in itertools.cycle(photos):
            due += random.exponential(1 / load.rate)
            if due > seconds:
                break
            await asyncio.sleep(max(started + due - time.perf_counter(), 0))
            tasks.append(asyncio.create_task(self.asked_ms(photo)))
        return list(await asyncio.gather(*tasks))

    async def _closed(self, callers: int, photos: Sequence[bytes], seconds: float) -> list[float]:
        stop, supply = time.perf_counter() + seconds, itertools.cycle(photos)

        async def caller() -> list[float]:
            times = []
            while time.perf_counter() < stop:
                times.append(await self.asked_ms(next(supply)))
            return times

        return list(itertools.chain(*await asyncio.gather(*(caller() for _ in range(callers)))))


async def measure(
    clients: Sequence[Client], photos: Sequence[bytes], asked: argparse.Namespace
) -> dict[tuple[Load, str], Seen]:
    for client in clients:
        await client.teach(photos, asked.exemplars)
        await client.latencies_ms(LOADS[1], photos, 1.0, 0)
    seen = {(load, case): Seen() for load in LOADS for case in CASES}
    for number, load in itertools.product(range(asked.rounds), LOADS):
        for case, client in zip(CASES, (clients[0], clients[1], clients[1]), strict=True):
            one = seen[load, case]
            if case == CASES[2]:
                await client.upgrades.StartUpgrade(
                    upgrades.StartUpgradeRequest(support_set=SET, backbone=asked.to)
                )
            one.rounds.append(await client.latencies_ms(load, photos, load.seconds(asked), number))
            one.embedded.append(await embedded(client) if case == CASES[2] else 0)
    return seen


async def embedded(client: Client) -> int:
    """How many images were embedded anew; ends the upgrade."""
    found = await client.upgrades.GetUpgrade(upgrades.GetUpgradeRequest(support_set=SET))
    assert found.upgrade.state == upgrades.UPGRADE_STATE_RUNNING, "too few exemplars for a round"
    await client.upgrades.CancelUpgrade(upgrades.CancelUpgradeRequest(support_set=SET))
    return found.upgrade.embedded_count


def spread(values: Sequence[float], digits: int = 1) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def row(load: Load, case: str, seen: dict[tuple[Load, str], Seen], seconds: float) -> str:
    """p99 of all rounds together: one round has too few queries for its own."""
    mine, base = seen[load, case], seen[load, CASES[0]]
    p99, base_p99 = (float(np.percentile(np.concatenate(s.rounds), 99)) for s in (mine, base))
    return " | ".join(
        [
            f"| {load.name.format(rate=load.rate)}",
            case,
            f"{sum(map(len, mine.rounds))}",
            spread([statistics.median(times) for times in mine.rounds]),
            f"{p99:.1f}",
            f"{p99 / base_p99:.2f}",
            spread([len(times) / seconds for times in mine.rounds]),
            spread([count / seconds for count in mine.embedded]) + " |",
        ]
    )


def report(asked: argparse.Namespace) -> str:
    photos = labelled_photos()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        twin(asked.backbone, root)
        name = asked.backbone.parent.name
        asked.to = f"{name}@2"
        addresses = [
            stack.enter_context(server_process(root, EXEMPLAR_BACKBONE=names))
            for names in (f"{name}@1", f"{name}@1,{name}@2")
        ]

        async def run() -> dict[tuple[Load, str], Seen]:
            return await measure([Client(address) for address in addresses], photos, asked)

        seen = asyncio.run(run())
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - the git that made the checkout
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    rows = "\n".join(row(load, case, seen, load.seconds(asked)) for load in LOADS for case in CASES)
    command = f"tests/bench/upgrade.py --rounds {asked.rounds} --seconds {asked.seconds:g}"
    return f"""# Queries beside a second backbone, and beside an upgrade

{datetime.now(UTC):%Y-%m-%d}, commit {commit}, 2 cores that others share: ratios count.
`PYTHONPATH=tests python {command}`: {name}, Classify of one photo a call;
rounds of each case in turn; median (lowest to highest).
The upgrade embeds a support set of {asked.exemplars} photos.

| queries | server | queries | p50, ms | p99, ms | / one backbone's | queries/s | images anew/s |
|---|---|---|---|---|---|---|---|
{rows}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, default=Path("build/backbones/lite0/1"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--exemplars", type=int, default=1000)
    add_out(parser)
    asked = parser.parse_args()
    tell(report(asked), asked.out)


if __name__ == "__main__":
    main()
