"""Makes a backbone artifact: build, check, export, compare, write. A failed gate writes nothing."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from exemplar_server.backends.images import preprocessing_id
from exemplar_server.core.artifact import (
    MODEL_FILE,
    Artifact,
    Manifest,
    encode_golden,
    fingerprint_of,
    golden_images,
    sha256_of,
    write_manifest,
)
from exemplar_training import backbones, onnx_file, parity
from exemplar_training.embedder import Embedder
from exemplar_training.errors import ExportError
from exemplar_training.fit.trained import trained_backbone
from exemplar_training.photos import check_photos, decode_all, labelled_photos
from exemplar_training.publish import publish, scratch_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from exemplar_training.backbones import Backbone
    from exemplar_training.photos import LabelledPhoto, PhotoCheck

_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")
_PHOTOS_SKIPPED = "skipped: foolbox is not installed"
_PHOTOS_FOREIGN = "skipped: the backbone has no classifier of ImageNet's classes"


@dataclass(frozen=True)
class ExportRequest:
    """What to export and where to: OUT/NAME/VERSION. No `name` means the backbone's own.

    With `run`, the folder of a run, it is the backbone that was trained there.
    """

    backbone: str
    out: Path
    weights_file: Path | None = None
    name: str | None = None
    version: str = "1"
    run: Path | None = None

    def __post_init__(self) -> None:
        if self.run and self.weights_file:
            raise ExportError("--weights: expected none with --checkpoint, which has its own")
        for field, value in (("name", self.artifact_name), ("version", self.version)):
            if not _NAME.fullmatch(value):
                expectation = "1..64 characters of A-Z a-z 0-9 . _ - and no leading dot"
                raise ExportError(f"{field}: expected {expectation}, got {value!r}")

    @property
    def artifact_name(self) -> str:
        return self.name or self.backbone


@dataclass(frozen=True)
class _Evidence:
    """What was measured on the way to the artifact."""

    photos: PhotoCheck | None
    parity: dict[int, float]
    compared: str
    golden_ND: NDArray[np.float32]


def export(request: ExportRequest, report: Callable[[str], None]) -> Artifact:
    """The artifact of `request`, written; `report` gets a line a step.

    Raises:
        TrainingError: the backbone, its weights, a gate or the writing failed.
    """
    step = _Steps(report)
    backbone = _backbone(request)
    embedder = Embedder(backbone).eval()
    step.done("build", f"{request.backbone}: {backbone.spec.origin}")
    probes = _probes(backbone.spec.input_size)
    photos = _judge_photos(backbone, embedder, probes)
    step.done("photos", _told(photos, backbone))
    expected_ND = parity.reference(embedder, probes.images_NHWC)
    with scratch_directory(request.out / request.artifact_name, request.version) as scratch:
        model = scratch / MODEL_FILE
        onnx_file.write_onnx(embedder, backbone.spec.input_size, _facts(backbone), model)
        step.done("export", f"{model.stat().st_size / 1e6:.1f} MB, opset {onnx_file.OPSET}")
        cosines = parity.check_parity(model, probes.images_NHWC, expected_ND)
        step.done("parity", _cosines_told(cosines))
        evidence = _Evidence(photos, cosines, probes.told, expected_ND[probes.photos_count :])
        write_manifest(scratch, _manifest(request, backbone, evidence, sha256_of(model)))
        artifact = publish(scratch, request.out / request.artifact_name / request.version)
    step.done("write", str(artifact.directory))
    return artifact


@dataclass(frozen=True)
class _Probes:
    """Images that PyTorch and ONNX must agree on: the labelled photos, then the golden images."""

    photos: list[LabelledPhoto]
    images_NHWC: NDArray[np.uint8]

    @property
    def photos_count(self) -> int:
        return len(self.photos)

    @property
    def told(self) -> str:
        golden_count = len(self.images_NHWC) - self.photos_count
        return f"{self.photos_count} photos and {golden_count} golden images"


def _probes(input_size: int) -> _Probes:
    photos = labelled_photos()
    images = [decode_all(photos, input_size), golden_images(input_size)]
    return _Probes(photos, np.concatenate(images))


def _judge_photos(backbone: Backbone, embedder: Embedder, probes: _Probes) -> PhotoCheck | None:
    """None where the photos are not installed, or the network does not know their classes.

    Raises:
        ExportError: too few are classified right: wrong weights or wrong preprocessing.
    """
    if not probes.photos or backbone.classifier is None:
        return None
    images_NHWC = probes.images_NHWC[: probes.photos_count]
    check = check_photos(backbone, embedder, images_NHWC, probes.photos)
    if check.top_1 < backbone.spec.photos_right:
        raise ExportError(
            f"photos: expected at least {backbone.spec.photos_right} of {check.photos} classified "
            f"right, got {check.top_1}: the weights and the preprocessing do not belong together"
        )
    return check


def _told(check: PhotoCheck | None, backbone: Backbone) -> str:
    if check is None:
        return f"WARNING: {_skipped(backbone)}: weights and preprocessing are unchecked"
    return f"{check.top_1} of {check.photos} right, {check.top_5} among the first five"


def _skipped(backbone: Backbone) -> str:
    return _PHOTOS_FOREIGN if backbone.classifier is None else _PHOTOS_SKIPPED


def _cosines_told(cosines: dict[int, float]) -> str:
    told = ", ".join(f"{cosine:.7f} at batch {batch}" for batch, cosine in cosines.items())
    return f"cosine to PyTorch {told}"


def _facts(backbone: Backbone) -> dict[str, str]:
    """Metadata of the model file. No names: a renamed artifact stays in its embedding space."""
    return {
        "exemplar.preprocessing_id": preprocessing_id(backbone.spec.input_size),
        "exemplar.weights_sha256": backbone.spec.weights_sha256,
    }


def _manifest(
    request: ExportRequest, backbone: Backbone, evidence: _Evidence, model_sha256: str
) -> Manifest:
    spec = backbone.spec
    return Manifest(
        name=request.artifact_name,
        version=request.version,
        fingerprint=fingerprint_of(model_sha256, preprocessing_id(spec.input_size)),
        dim=evidence.golden_ND.shape[1],
        input_size=spec.input_size,
        preprocessing_id=preprocessing_id(spec.input_size),
        precision="fp32",
        opset=onnx_file.OPSET,
        license=spec.license,
        provenance=_provenance(backbone, evidence),
        files={MODEL_FILE: model_sha256},
        golden_embeddings=encode_golden(evidence.golden_ND),
    )


def _provenance(backbone: Backbone, evidence: _Evidence) -> dict[str, Any]:
    """Where the artifact comes from; no paths and no times, so that equal exports are equal."""
    spec = backbone.spec
    return {
        "backbone": spec.name,
        "method": spec.origin,
        "weights_sha256": spec.weights_sha256,
        "power": spec.power,
        "torch": str(torch.__version__),
        "onnx": onnx_file.VERSION,
        "onnxruntime": parity.VERSION,
        "labelled_photos": asdict(evidence.photos) if evidence.photos else _skipped(backbone),
        "parity_images": evidence.compared,
        "parity_cosine": {str(b): round(c, 6) for b, c in evidence.parity.items()},
        **({} if backbone.run is None else {"run": dict(backbone.run)}),
    }


def _backbone(request: ExportRequest) -> Backbone:
    if request.run is not None:
        return trained_backbone(request.run)
    return backbones.build(request.backbone, request.weights_file)


class _Steps:
    """Reports each step with the seconds since the one before."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._since = time.monotonic()

    def done(self, step: str, what: str) -> None:
        now = time.monotonic()
        self._report(f"{step:<7} {now - self._since:5.1f} s  {what}")
        self._since = now
