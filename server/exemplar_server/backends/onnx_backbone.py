"""Runs a backbone's model.onnx. The only file that imports onnxruntime.

A device is a demand: where ONNX Runtime silently falls back from CUDA to the CPU
(onnxruntime#23372), loading fails.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from exemplar_server.core.artifact import GOLDEN_COSINE, Artifact, golden_images
from exemplar_server.core.embedder import Backbone
from exemplar_server.errors import ArtifactError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# On CPUs large batches are slower than small ones; a GPU gains up to some dozens.
MICRO_BATCHES = {"cpu": (1, 2, 4, 8), "cuda": (1, 8, 16, 32, 64)}
# One decodes its micro-batch while the other runs.
GPU_SESSIONS = 2
WARM_UP_RUNS = 5
# A smaller micro-batch answers sooner: a larger one must be faster an image by more than the noise.
WORTHWHILE_GAIN = 0.95


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone that embedded its golden images rightly, and the micro-batch that suits it."""

    backbone: Backbone
    sessions: Sequence[OnnxSession]
    micro_batch: int


class OnnxSession:
    """One ONNX Runtime session with one thread: N of them beat one with N threads on CPUs."""

    def __init__(self, model_path: Path, provider: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if provider == PROVIDERS["cuda"]:
            ort.preload_dlls()
        try:
            self._session = ort.InferenceSession(str(model_path), options, providers=[provider])
        except Exception as error:  # ONNX Runtime's errors have no common type of their own
            raise ArtifactError(f"{model_path}: ONNX Runtime cannot load it: {error}") from error
        self.provider: str = self._session.get_providers()[0]
        if self.provider != provider:
            raise ConfigurationError(
                f"EXEMPLAR_DEVICE: expected {provider}, but ONNX Runtime fell back to "
                f"{self.provider}: see its warnings above for the library that is missing"
            )

    def run(self, images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        embeddings_BD: NDArray[np.float32] = self._session.run(
            ["embedding"], {"image": images_BHWC}
        )[0]
        return embeddings_BD


def load_backbone(artifact: Artifact, device: str, cores: int) -> LoadedBackbone:
    """Sessions of the artifact, proved right on its golden images.

    Args:
        artifact: verified against its manifest.
        device: "cpu", "cuda", or "auto" for CUDA exactly where this machine has an NVIDIA GPU.
        cores: sessions to make on CPUs.

    Raises:
        ArtifactError: not loadable, or its embeddings of the golden images are wrong.
        ConfigurationError: the device is not to be had.
    """
    chosen = _device(device)
    provider = PROVIDERS[chosen]
    count = cores if chosen == "cpu" else GPU_SESSIONS
    sessions = [OnnxSession(artifact.model_path, provider) for _ in range(count)]
    for session in sessions:
        _prove(session, artifact)
    micro_batch = _best_micro_batch(
        sessions[0], artifact.manifest.input_size, MICRO_BATCHES[chosen]
    )
    backbone = Backbone(artifact.manifest, provider, artifact.base())
    return LoadedBackbone(backbone, sessions, micro_batch)


def available_cores() -> int:
    """Cores that this process may use: affinity and cgroup quota, not what the host has."""
    cores = len(os.sched_getaffinity(0))
    quota_file = Path("/sys/fs/cgroup/cpu.max")  # cgroup v2: "QUOTA PERIOD" or "max PERIOD"
    if quota_file.is_file():
        quota, period = quota_file.read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _device(asked: str) -> str:
    has_gpu = Path("/dev/nvidiactl").exists()
    has_provider = PROVIDERS["cuda"] in ort.get_available_providers()
    if asked == "auto":
        return "cuda" if has_gpu and has_provider else "cpu"
    if asked == "cuda" and not has_provider:
        raise ConfigurationError(
            "EXEMPLAR_DEVICE: cuda needs onnxruntime-gpu: pip install 'exemplar[server-gpu]' "
            "in an environment without onnxruntime"
        )
    return asked


def _prove(session: OnnxSession, artifact: Artifact) -> None:
    manifest = artifact.manifest
    images_NHWC = golden_images(manifest.input_size)
    try:
        embeddings_ND = session.run(images_NHWC)
    except Exception as error:
        raise ArtifactError(
            f"{artifact.model_path}: fails on its golden images: {error}"
        ) from error
    expected_ND = manifest.golden()
    if embeddings_ND.shape != expected_ND.shape:
        raise ArtifactError(
            f"{artifact.model_path}: embeddings: expected shape {expected_ND.shape}, "
            f"got {embeddings_ND.shape}"
        )
    # The cosine of unit vectors, and far below it for what is no unit vector.
    cosine = 1 - float(np.square(embeddings_ND - expected_ND).sum(axis=1).max()) / 2
    if not cosine >= GOLDEN_COSINE[manifest.precision]:
        raise ArtifactError(
            f"{artifact.model_path}: golden images: expected cosine "
            f"{GOLDEN_COSINE[manifest.precision]} and more on {session.provider}, got {cosine:.6f}"
        )


def _best_micro_batch(session: OnnxSession, input_size: int, candidates: Sequence[int]) -> int:
    """The smallest micro-batch that no larger one beats by more than the noise."""
    best, best_seconds = candidates[0], float("inf")
    for count in candidates:
        images_BHWC = np.zeros((count, input_size, input_size, 3), dtype=np.uint8)
        session.run(images_BHWC)  # the first run of a shape allocates
        seconds = _median_seconds(session, images_BHWC) / count
        if seconds < WORTHWHILE_GAIN * best_seconds:
            best, best_seconds = count, seconds
    return best


def _median_seconds(session: OnnxSession, images_BHWC: NDArray[np.uint8]) -> float:
    times = []
    for _ in range(WARM_UP_RUNS):
        started = time.perf_counter()
        session.run(images_BHWC)
        times.append(time.perf_counter() - started)
    return statistics.median(times)
