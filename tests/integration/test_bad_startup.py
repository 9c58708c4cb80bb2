"""A server that cannot serve rightly does not start: exit code 1, one line that says what to do."""

import dataclasses
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tiny_backbone
from exemplar_server.core import artifact
from server_process import PATIENCE_SECONDS, Server

# What can be wrong with a backbone's directory


def whole(_):
    pass


def without_backbone(directory):
    shutil.rmtree(directory)


def without_model(directory):
    (directory / "model.onnx").unlink()


def with_corrupt_model(directory):
    path = directory / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def with_model_that_is_none(directory):
    """Junk whose hash its manifest has."""
    (directory / "model.onnx").write_bytes(b"junk")
    sha256 = artifact.sha256_of(directory / "model.onnx")
    fingerprint = artifact.fingerprint_of(sha256, manifest_of(directory).preprocessing_id)
    change(directory, files={"model.onnx": sha256}, fingerprint=fingerprint)


def with_another_hash(directory):
    change(directory, files={"model.onnx": "0" * 64})


def with_other_golden_embeddings(directory):
    change(directory, golden_embeddings=manifest_of(directory).golden_embeddings[::-1])


def manifest_of(directory):
    document = json.loads((directory / "manifest.json").read_text())
    return artifact.Manifest(**document)


def change(directory, **changes):
    artifact.write_manifest(directory, dataclasses.replace(manifest_of(directory), **changes))


# What the server says: a regular expression, where HERE is the case's folder


@dataclasses.dataclass(frozen=True)
class Case:
    message: str
    damage: object = whole
    settings: dict[str, str] = dataclasses.field(default_factory=dict)


def stored(path, message):
    """The data folder; none of these can be written by root either, whom no permission stops."""
    return Case(f"EXEMPLAR_STORE_URL: {message}", settings={"STORE_URL": f"sqlite:///{path}"})


SHA = "[0-9a-f]{64}"
MODEL = "HERE/tiny/1/model.onnx"
CORRUPT = "the file is corrupt, export the backbone again"
CASES = {
    "no backbone built": Case(
        "EXEMPLAR_BACKBONE_DIR: HERE: no backbone there: "
        "build one with 'exemplar-train export --backbone lite0 --out HERE'",
        without_backbone,
    ),
    "no model": Case(
        f"{MODEL}: expected a plain file, found none: export the backbone again", without_model
    ),
    "a corrupt model": Case(
        f"{MODEL}: sha256: expected {SHA}, got {SHA}: {CORRUPT}", with_corrupt_model
    ),
    "a hash of another model": Case(
        f"{MODEL}: sha256: expected 0{{64}}, got {SHA}: {CORRUPT}", with_another_hash
    ),
    "a model that is none": Case(
        f"{MODEL}: ONNX Runtime cannot load it: .*INVALID_PROTOBUF.*", with_model_that_is_none
    ),
    "golden images that do not come out": Case(
        rf"{MODEL}: golden images: expected cosine 0\.9999 and more on \w+, got -?0\.\d{{6}}",
        with_other_golden_embeddings,
    ),
    "a store below a file": stored("HERE/file/store.db", "HERE/file: no such folder"),
    "a read-only data folder": stored(
        "/proc/store.db", "/proc/store.db: cannot open the store: .* a folder that can be written"
    ),
    "a store that is none": stored(
        "HERE/file", "HERE/file: cannot open the store: file is not a database: .*"
    ),
    "a port in use": Case(
        "EXEMPLAR_LISTEN: cannot listen on TAKEN: is the port in use?.*",
        settings={"LISTEN": "TAKEN"},
    ),
    "a metrics port in use": Case(
        "EXEMPLAR_METRICS_LISTEN: cannot listen on TAKEN: .*Address already in use",
        settings={"METRICS_LISTEN": "TAKEN"},
    ),
    "the world without TLS": Case(
        r"EXEMPLAR_LISTEN: 0\.0\.0\.0:0 is reachable from outside: set EXEMPLAR_TLS_CERTIFICATE_FIL"
        "E, EXEMPLAR_TLS_KEY_FILE and EXEMPLAR_API_KEYS_FILE, or EXEMPLAR_INSECURE=1 .*",
        settings={"LISTEN": "0.0.0.0:0"},
    ),
    "TLS files that are missing": Case(
        "EXEMPLAR_TLS_KEY_FILE, EXEMPLAR_TLS_CERTIFICATE_FILE: "
        "expected a key and its certificate as PEM: .*'HERE/tls.key'",
        settings={"TLS_KEY_FILE": "HERE/tls.key", "TLS_CERTIFICATE_FILE": "HERE/tls.crt"},
    ),
    "an unknown variable": Case(
        "unknown settings EXEMPLAR_PORT: known are EXEMPLAR_API_KEYS_FILE, .*",
        settings={"PORT": "50051"},
    ),
}


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A server's start in a folder of its own."""

    folder: Path
    taken: str
    process: subprocess.CompletedProcess[str]

    def says(self, pattern):
        """Whether standard error is one line of this pattern; gRPC may have said why before."""
        for word, meaning in (("HERE", str(self.folder)), ("TAKEN", self.taken)):
            pattern = pattern.replace(word, re.escape(meaning))
        lines = [line for line in self.process.stderr.splitlines() if "add_port.cc" not in line]
        return len(lines) == 1 and re.fullmatch(f"exemplar-server: {pattern}", lines[0])


def attempted(case, folder, taken):
    case.damage(tiny_backbone.write(folder))
    (folder / "file").write_bytes(b"junk" * 1000)
    defaults = {
        "LISTEN": "127.0.0.1:0",
        "METRICS_LISTEN": "127.0.0.1:0",
        "BACKBONE_DIR": "HERE",
        "STORE_URL": "sqlite:///HERE/store.db",
    }
    environment = {
        f"EXEMPLAR_{name}": value.replace("HERE", str(folder)).replace("TAKEN", taken)
        for name, value in (defaults | case.settings).items()
    }
    process = subprocess.run(
        [Path(sys.executable).with_name("exemplar-server"), "serve"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Attempt(folder, taken, process)


@pytest.fixture(scope="module")
def attempts(tmp_path_factory):
    """Every case's attempt, as a future: a start takes a core for a second, so all cores start."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        ThreadPoolExecutor(os.cpu_count()) as threads,
    ):
        taken = f"127.0.0.1:{listening.getsockname()[1]}"
        yield {
            name: threads.submit(attempted, case, tmp_path_factory.mktemp("case"), taken)
            for name, case in CASES.items()
        }
        threads.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", CASES)
def test_a_server_that_cannot_serve_rightly_says_why_and_ends(attempts, name):
    attempt = attempts[name].result()
    assert attempt.says(CASES[name].message), attempt.process.stderr
    assert "Traceback" not in attempt.process.stderr
    assert attempt.process.returncode == 1


def test_what_the_store_does_not_own_it_does_not_touch(attempts):
    folder = attempts["a store that is none"].result().folder
    assert (folder / "file").read_bytes() == b"junk" * 1000


def test_exporting_again_as_the_message_says_puts_it_right(attempts):
    folder = attempts["a corrupt model"].result().folder
    shutil.rmtree(folder / "tiny")
    tiny_backbone.write(folder)
    server = Server(folder, folder / "store.db")
    try:
        assert server.address().startswith("127.0.0.1:")
        assert server.stop() == 0
    finally:
        server.kill()
