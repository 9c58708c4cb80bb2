"""How long an evaluation takes, and how many flipped labels its suspects name.

Time: 10,000 exemplars, in process and through a real server over gRPC on loopback, each run on a
revision that was never evaluated. Suspects: ten labels of twenty exemplars, ten of them flipped;
how many are among the first twenty suspects.

    PYTHONPATH=tests .venv/bin/python tests/bench/evaluation.py --data cifar10
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from embed import spread
from reports import add_out, tell
from threadpoolctl import threadpool_limits
from tsne import Data, commit

from exemplar import Client, Embedding, NewExemplar
from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core import heads
from exemplar_server.core.artifact import load_artifact
from exemplar_server.core.evaluation import evaluate
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.snapshot import advance, empty
from exemplar_training.data.layout import DEFAULT_ROOT
from exemplar_training.evaluation.embeddings import by_artifact
from exemplar_training.evaluation.trial import images_of
from fakes import support_set
from server_process import Server

HEADS = (heads.AUTO, heads.PROTOTYPE, heads.RIDGE, heads.KNN)
N_WAY, N_SHOT, FLIPS, FIRST = 10, 20, 10, 20
FINDINGS = 100


def read(arguments):
    if arguments.embeddings:
        file = np.load(arguments.embeddings)
        return Data(file["e"], file["y"]).sample(arguments.count)
    parts = [arguments.part] if arguments.part else None
    images = images_of(arguments.data, DEFAULT_ROOT.expanduser(), parts)
    rows = np.random.default_rng(0).permutation(len(images))[: arguments.count]
    images = images.of(rows)
    artifact = load_artifact(arguments.backbone)
    return Data(by_artifact(artifact, images, arguments.data), images.class_ids_N)


def snapshot_of(data):
    """A new snapshot: nothing of it is kept from an earlier evaluation."""
    count, dim = data.embeddings_ND.shape
    ids = tuple(f"{row:06}" for row in range(count))
    labels = tuple(map(str, data.labels_N.tolist()))
    target = support_set(2, count, dim=dim)
    delta = Delta(target, frozenset(), ids, labels, data.embeddings_ND)
    return advance(empty(target), delta, FlatIndex)


def in_process(data, head):
    """Seconds by the clock and of the processor: other programs cost the first, not the second."""
    snapshot = snapshot_of(data)
    with threadpool_limits(1):
        started, worked = time.perf_counter(), time.process_time()
        evaluate(snapshot, head, heads.DEFAULT_K, FINDINGS)
        return time.perf_counter() - started, time.process_time() - worked


def new_exemplar(row_D, label, fingerprint):
    return NewExemplar(str(label), Embedding(row_D.tobytes(), fingerprint))


def processor_seconds(pid):
    """Of all threads of a process, by Linux's proc(5), fields 14 and 15 of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def through_grpc(client, pid, data, head):
    """As in_process, the server's processor. One exemplar more makes a revision never seen."""
    fingerprint = client.list_backbones()[0].fingerprint
    one = new_exemplar(data.embeddings_ND[0], data.labels_N[0], fingerprint)
    client.add_exemplars("bench", [one])
    started, worked = time.perf_counter(), processor_seconds(pid)
    client.evaluate("bench", head=head.lower())
    return time.perf_counter() - started, processor_seconds(pid) - worked


def teach(client, data):
    fingerprint = client.list_backbones()[0].fingerprint
    rows = zip(data.embeddings_ND, data.labels_N, strict=True)
    client.create_support_set("bench")
    client.add_exemplars("bench", (new_exemplar(*row, fingerprint) for row in rows))


def timed(arguments, data):
    """Seconds and processor seconds of each head, in process and through gRPC in turn."""
    found = {head: [] for head in HEADS}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(arguments.backbone, Path(folder) / "store.db")
        try:
            with Client(server.address(), timeout_seconds=120) as client:
                teach(client, data)
                for head in HEADS * arguments.rounds:
                    asked = through_grpc(client, server.process.pid, data, head)
                    found[head].append((*in_process(data, head), *asked))
                    print(head, *(f"{value:.1f} s" for value in found[head][-1]), file=sys.stderr)
        finally:
            server.stop()
    return found


def flips_found(data, seed):
    """The share of the flipped exemplars among the first suspects of one draw."""
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.unique(data.labels_N))[:N_WAY]
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(data.labels_N == c), N_SHOT, replace=False) for c in classes]
    )
    labels = data.labels_N[rows]
    flipped = rng.choice(len(rows), FLIPS, replace=False)
    for row in flipped:
        labels[row] = rng.choice(classes[classes != labels[row]])
    snapshot = snapshot_of(Data(data.embeddings_ND[rows], labels))
    suspects = evaluate(snapshot, heads.PROTOTYPE, heads.DEFAULT_K, FIRST).suspects
    named = {int(suspect.exemplar_id) for suspect in suspects}
    return len(named & set(flipped.tolist())) / FLIPS


def report(arguments):
    data = read(arguments)
    shares = [flips_found(data, seed) for seed in range(arguments.draws)]
    error = np.std(shares, ddof=1) / len(shares) ** 0.5
    count, dim = data.embeddings_ND.shape
    text = f"""# Evaluations: time and suspects

{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {os.cpu_count()} shared cores, no GPU
({platform.machine()}), Python {platform.python_version()}. {arguments.data} {arguments.part},
{count:,} x {dim}.

{100 * np.mean(shares):.1f} % of {FLIPS} flips among {N_WAY} labels x {N_SHOT} exemplars are among
the first {FIRST} suspects: {arguments.draws} draws, standard error {100 * error:.1f}.
"""
    if not arguments.rounds:
        return text
    rows = [
        f"| {head} | {' | '.join(spread(times, 1) for times in zip(*runs, strict=True))} |"
        for head, runs in timed(arguments, data).items()
    ]
    return f"""{text}
Seconds, median (lowest to highest) of {arguments.rounds}; one BLAS thread.

| head | in process | processor | through gRPC | processor |
|---|---|---|---|---|
{chr(10).join(rows)}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, default=Path("build/backbones/lite0/1"))
    parser.add_argument("--data", default="cifar10", help="a fetched set")
    parser.add_argument("--part", default="", help="of the set; default: test, where it has one")
    parser.add_argument("--embeddings", type=Path, help="an .npz file in place of the set's images")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3, help="0: time is not measured")
    add_out(parser)
    arguments = parser.parse_args()
    tell(report(arguments), arguments.out)


if __name__ == "__main__":
    main()
