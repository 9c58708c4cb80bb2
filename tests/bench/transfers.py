"""What exports, imports and backups cost: time, memory, and time of another tenant's writes.

PYTHONPATH=tests python tests/bench/transfers.py --out tests/bench/results/DATE-transfers.md
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import tiny_backbone
from exemplar import Client, Embedding, NewExemplar
from exemplar_server.core.exemplars import Exemplar
from exemplar_server.core.support_set_file import SupportSetWriter
from fakes import support_set, unit_rows
from server_process import Server

MIB = 2**20


def made_file(path, backbone, count, image_bytes):
    """A support set's file with images that do not compress."""
    rows_ND = unit_rows(np.random.default_rng(0), count, backbone.dim)
    rng = random.Random(0)  # noqa: S311 - a benchmark
    target = support_set(
        fingerprint=backbone.fingerprint, dim=backbone.dim, exemplar_count=count, backbone="tiny"
    )
    with path.open("w+b") as file, SupportSetWriter(file, 2**40) as writer:
        writer.begin(target)
        for n in range(count):
            found = Exemplar(f"{n:07}", f"{n % 9}", {}, 1, image_bytes > 0, embedding_D=rows_ND[n])
            images = {found.exemplar_id: rng.randbytes(image_bytes)} if image_bytes else {}
            writer.take([found], images)
        writer.finish()


class Neighbor(threading.Thread):
    """Another tenant that adds one embedding after the other; the time that each takes."""

    def __init__(self, address, backbone):
        super().__init__(daemon=True)
        self.client = Client(address, tenant="neighbor", timeout_seconds=600)
        self.vector = Embedding(
            unit_rows(np.random.default_rng(1), 1, backbone.dim).tobytes(), backbone.fingerprint
        )
        self.client.create_support_set("set")
        self.calls = []
        self.is_over = False

    def run(self):
        while not self.is_over:
            began = time.perf_counter()
            self.client.add_exemplars("set", [NewExemplar("a", self.vector)])
            self.calls.append((began, time.perf_counter() - began))

    def wait_for_call_after(self, moment):
        """What the job kept waiting is over then."""
        while not self.calls or self.calls[-1][0] < moment:
            time.sleep(0.01)

    def between(self, began, ended):
        """Median and longest of the calls that overlap the span, in milliseconds."""
        took = [s * 1e3 for start, s in self.calls if start < ended and start + s > began]
        return f"{np.median(took):.1f} | {max(took):.0f}" if took else "- | -"


def peak_mib(process_id):
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def reset_peak(process_id):
    Path(f"/proc/{process_id}/clear_refs").write_text("5")


def command(store, *words):
    done = subprocess.run(
        [Path(sys.executable).with_name("exemplar-server"), *map(str, words)],
        env=os.environ | {"EXEMPLAR_STORE_URL": f"sqlite:///{store}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def rows(folder, count, image_bytes):
    """One line of the report a job."""
    backbones = folder / "backbones"
    tiny_backbone.write(backbones)
    store, path = folder / "store.db", folder / "set.tar"
    server = Server(backbones, store, EXEMPLAR_TRANSFER_BYTES=str(2**40))
    try:
        address = server.address()
        client = Client(address, tenant="owner", timeout_seconds=600)
        backbone = client.list_backbones()[0]
        made_file(path, backbone, count, image_bytes)
        size = path.stat().st_size / MIB
        neighbor = Neighbor(address, backbone)
        neighbor.start()
        jobs = {
            "import": lambda: client.import_support_set(path, "set"),
            "export": lambda: client.export_support_set("set", folder / "again.tar"),
            "backup": lambda: command(store, "backup", folder / "backup"),
            "verify": lambda: command(store, "verify"),
        }
        time.sleep(2)
        for name, job in jobs.items():
            reset_peak(server.process.pid)
            before, began = peak_mib(server.process.pid), time.perf_counter()
            job()
            ended = time.perf_counter()
            neighbor.wait_for_call_after(ended)
            grown = peak_mib(server.process.pid) - before
            yield name, size, ended - began, f"{grown} | {neighbor.between(began, ended)}"
        neighbor.is_over = True
        neighbor.join()
    finally:
        server.stop()
    began = time.perf_counter()
    command(folder / "other.db", "restore", folder / "backup")
    yield "restore", size, time.perf_counter() - began, "- | - | -"


def report(shapes):
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    yield "# Exports, imports and backups\n"
    yield f"{machine}, shared with other work; SQLite on disk.\n"
    yield "Peak: by how much the server's memory grew at most. Neighbor: another tenant that adds"
    yield "one embedding after the other; its calls that overlap the job.\n"
    columns = ["exemplars", "bytes an image", "job", "seconds", "MiB/s", "peak MiB"]
    columns += ["neighbor's median ms", "longest ms"]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for count, image_bytes in shapes:
        with tempfile.TemporaryDirectory() as folder:
            for name, size, seconds, rest in rows(Path(folder), count, image_bytes):
                yield (
                    f"| {count:,} | {image_bytes:,} | {name} | {seconds:.1f} "
                    f"| {size / seconds:.0f} | {rest} |"
                )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shapes", nargs="+", default=["2000x500000", "100000x0"])
    options = parser.parse_args()
    lines = []
    for line in report([tuple(map(int, s.split("x"))) for s in options.shapes]):
        print(line, flush=True)
        lines.append(line)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
