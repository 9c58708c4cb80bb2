"""The backbone artifact: a directory with model.onnx and the manifest.json that describes it.

Where training and serving meet: training writes it, the server refuses what does not match.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin, get_type_hints

import numpy as np

from exemplar_server.core import base_prototypes
from exemplar_server.errors import ArtifactError, ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_server.core.base_prototypes import BasePrototypes

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
BASE_FILE = "base_prototypes.npy"  # optional: of backbones that know base classes
FORMAT = 1
GOLDEN_COUNT = 3  # of golden_images

# Cosine that the golden images must reach at start, by precision of the weights.
GOLDEN_COSINE = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.99}


@dataclass(frozen=True)
class Manifest:
    """What manifest.json says. Unknown keys are refused, so that a typo is not an opinion."""

    name: str
    version: str
    fingerprint: str
    dim: int
    input_size: int
    preprocessing_id: str
    precision: str
    opset: int
    license: str
    provenance: dict[str, Any]
    files: dict[str, str]  # file name -> sha256
    golden_embeddings: list[str]  # base64 of float32 little-endian, one a golden image
    accuracy: dict[str, float] = field(default_factory=dict)  # protocol -> share right, in [0, 1]
    format: int = FORMAT

    @property
    def label(self) -> str:
        """Tells versions of one name apart, for people and settings."""
        return f"{self.name}@{self.version}"

    def golden(self) -> NDArray[np.float32]:
        """The expected embeddings of `golden_images`, (3, D)."""
        rows = [np.frombuffer(base64.b64decode(row), "<f4") for row in self.golden_embeddings]
        return np.stack(rows).astype(np.float32)


@dataclass(frozen=True)
class Artifact:
    """A verified artifact: every file has the hash that its manifest names."""

    manifest: Manifest
    directory: Path

    @property
    def model_path(self) -> Path:
        return self.directory / MODEL_FILE

    def base(self) -> BasePrototypes:
        """Read from disk.

        Raises:
            ArtifactError: the file holds something else.
        """
        if BASE_FILE not in self.manifest.files:
            return base_prototypes.NO_BASE
        return base_prototypes.read(self.directory / BASE_FILE, self.manifest.dim)


def golden_images(input_size: int) -> NDArray[np.uint8]:
    """Three images made by formula, (3, H, W, 3): integer arithmetic only, so equal everywhere."""
    row_HW, column_HW = np.indices((input_size, input_size), dtype=np.int64)
    frequencies = ((3, 5, 7), (1, 11, 2), (13, 4, 6))
    channels = [
        [(a * row_HW + b * column_HW + (row_HW * column_HW) // c) % 256 for a, b, c in ordered]
        for ordered in (
            frequencies,
            frequencies[::-1],
            (frequencies[1], frequencies[2], frequencies[0]),
        )
    ]
    return np.stack([np.stack(image, axis=-1) for image in channels]).astype(np.uint8)


def fingerprint_of(model_sha256: str, preprocessing_id: str) -> str:
    """The name of an embedding space: the model file and how images reach it."""
    return hashlib.sha256(f"{model_sha256}\n{preprocessing_id}\n".encode()).hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encode_golden(embeddings_ND: NDArray[np.float32]) -> list[str]:
    return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in embeddings_ND]


def write_manifest(directory: Path, manifest: Manifest) -> None:
    text = json.dumps(asdict(manifest), indent=2, sort_keys=True)
    (directory / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def find_artifacts(root: Path, names: str) -> list[Artifact]:
    """The backbones that `names` lists, separated by commas, in their order; see find_artifact.

    Raises:
        ArtifactError: one is missing, or does not match its manifest.
        ConfigurationError: one is not to be found, or two are the same.
    """
    wanted = [name.strip() for name in names.split(",")]
    found = [find_artifact(root, name) for name in wanted]
    first: dict[str, str] = {}
    for name, artifact in zip(wanted, found, strict=True):
        known = first.setdefault(artifact.manifest.fingerprint, name)
        if known is not name:
            raise ConfigurationError(
                f"EXEMPLAR_BACKBONE: expected different backbones, got {known!r} and {name!r}, "
                "which have one fingerprint"
            )
    return found


def find_artifact(root: Path, name: str) -> Artifact:
    """The backbone `name` below `root` (root/name/version), or `root` itself.

    `name` alone is its newest version, `name@version` that one; empty is the only name there is.

    Raises:
        ArtifactError: there is none, or it does not match its manifest.
        ConfigurationError: there are several names and none is chosen, or not this version.
    """
    directories = [root] if (root / MANIFEST_FILE).is_file() else _directories(root)
    if not directories:
        raise ArtifactError(
            f"EXEMPLAR_BACKBONE_DIR: {root}: no backbone there: build one with "
            f"'exemplar-train export --backbone lite0 --out {root}'"
        )
    names = sorted({directory.parent.name for directory in directories})
    labels = {directory: _names_of(directory) for directory in directories}
    chosen = [directory for directory in directories if name in {"", *labels[directory]}]
    if not chosen or (not name and len(names) > 1):
        known = names if "@" not in name else sorted(versioned for _, versioned in labels.values())
        raise ConfigurationError(
            f"EXEMPLAR_BACKBONE: expected one of {', '.join(known)}, got {name!r}"
        )
    return load_artifact(max(chosen, key=_version_order))


def _names_of(directory: Path) -> tuple[str, str]:
    return directory.parent.name, f"{directory.parent.name}@{directory.name}"


def _directories(root: Path) -> list[Path]:
    return [path.parent for path in root.glob(f"*/*/{MANIFEST_FILE}")]


def _version_order(directory: Path) -> tuple[list[int], str]:
    """Puts 2 before 10 and 1.10 before 2.0."""
    return [int(number) for number in re.findall(r"\d+", directory.name)], directory.name


def load_artifact(directory: Path) -> Artifact:
    """The artifact in `directory`, verified.

    Raises:
        ArtifactError: missing or unreadable, or a file's hash or the fingerprint does not match.
    """
    manifest = _read_manifest(directory / MANIFEST_FILE)
    if manifest.precision not in GOLDEN_COSINE:
        known = ", ".join(GOLDEN_COSINE)
        raise ArtifactError(
            f"{directory / MANIFEST_FILE}: precision: expected one of {known}, "
            f"got {manifest.precision!r}"
        )
    for name, expected in manifest.files.items():
        _check_file(directory / name, expected)
    expected = fingerprint_of(manifest.files[MODEL_FILE], manifest.preprocessing_id)
    if manifest.fingerprint != expected:
        message = f"fingerprint: expected {expected}, got {manifest.fingerprint}"
        raise ArtifactError(f"{directory / MANIFEST_FILE}: {message}")
    return Artifact(manifest, directory)


def _check_file(path: Path, expected: str) -> None:
    if not path.is_file() or path.is_symlink():
        raise ArtifactError(f"{path}: expected a plain file, found none: export the backbone again")
    actual = sha256_of(path)
    if actual != expected:
        raise ArtifactError(
            f"{path}: sha256: expected {expected}, got {actual}: "
            "the file is corrupt, export the backbone again"
        )


def _read_manifest(path: Path) -> Manifest:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtifactError(f"{path}: format: expected an object with format {FORMAT}")
    names = {f.name for f in fields(Manifest)}
    if set(document) != names:
        wrong = ", ".join(sorted(set(document) ^ names))
        raise ArtifactError(f"{path}: unknown or missing keys: {wrong}")
    _check_types(path, document)
    manifest = Manifest(**document)
    if MODEL_FILE not in manifest.files or any(Path(n).name != n for n in manifest.files):
        raise ArtifactError(f"{path}: files: expected plain names, {MODEL_FILE} among them")
    _check_golden(path, manifest)
    return manifest


def _check_types(path: Path, document: dict[str, Any]) -> None:
    for name, hint in get_type_hints(Manifest).items():
        expected = get_origin(hint) or hint
        if not isinstance(document[name], expected):
            got = type(document[name]).__name__
            raise ArtifactError(f"{path}: {name}: expected {expected.__name__}, got {got}")


def _check_golden(path: Path, manifest: Manifest) -> None:
    expected = (GOLDEN_COUNT, manifest.dim)
    try:
        shape = manifest.golden().shape
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: golden_embeddings: not readable: {error}") from error
    if shape != expected:
        raise ArtifactError(f"{path}: golden_embeddings: expected shape {expected}, got {shape}")
