"""Makes a backbone artifact: build, check, export, compare, write. A failed gate writes nothing."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from exemplar_server.backends.images import preprocessing_id
from exemplar_server.core.artifact import (
    BASE_FILE,
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
from exemplar_training.accuracy import measured_accuracy
from exemplar_training.data.layout import DEFAULT_ROOT
from exemplar_training.embedder import Embedder
from exemplar_training.errors import ExportError
from exemplar_training.evaluation.trial import images_of
from exemplar_training.fit.trained import trained_backbone
from exemplar_training.precision.convert import int8_images, to_half, to_int8
from exemplar_training.probes import judge_photos, photos_told, probes_of, skipped
from exemplar_training.publish import publish, scratch_directory
from exemplar_training.transform import choose_transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from exemplar_training.backbones import Backbone
    from exemplar_training.photos import PhotoCheck
    from exemplar_training.precision.convert import Int8Images
    from exemplar_training.probes import Probes
    from exemplar_training.transform import Transform

Precision = Literal["fp32", "fp16", "int8"]

_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")
_TRAINING_PART = "train"  # of a set that has one: what is judged comes from the other


@dataclass(frozen=True)
class ExportRequest:
    """What to export and where to: OUT/NAME/VERSION. No `name` means the backbone's own.

    With `run`, the folder of a run, it is the backbone that was trained there. `calibrate`,
    `transform_on` and `measure` are folders of images or sets under `root`; empty: none.
    """

    backbone: str
    out: Path
    weights_file: Path | None = None
    name: str | None = None
    version: str = "1"
    run: Path | None = None
    precision: Precision = "fp32"
    calibrate: str = ""
    transform_on: str = ""
    measure: str = ""
    root: Path = DEFAULT_ROOT

    def __post_init__(self) -> None:
        if (self.precision == "int8") != bool(self.calibrate):
            raise ExportError(
                f"--calibrate: expected images exactly with --precision int8, "
                f"got {self.calibrate or 'none'} with {self.precision}"
            )
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
    accuracy: dict[str, float]
    more: dict[str, Any]  # for the provenance


def export(request: ExportRequest, report: Callable[[str], None]) -> Artifact:
    """The artifact of `request`, written; `report` gets a line a step.

    Raises:
        TrainingError: the backbone, its weights, a gate or the writing failed.
    """
    step = _Steps(report)
    backbone = _backbone(request)
    if request.calibrate:
        _int8_images(request)  # refused before the minutes of work that would be lost
    step.done("build", f"{request.backbone}: {backbone.spec.origin}")
    transform = _transform(request, backbone, step)
    if transform:
        backbone = replace(backbone, spec=replace(backbone.spec, power=transform.power))
    embedder = Embedder(backbone, transform.center_D if transform else None).eval()
    probes = probes_of(backbone.spec.input_size)
    photos = judge_photos(backbone, embedder, probes)
    step.done("photos", photos_told(photos, backbone))
    with scratch_directory(request.out / request.artifact_name, request.version) as scratch:
        model = scratch / MODEL_FILE
        evidence = _write_model(request, backbone, embedder, probes, model, step=step)
        evidence = replace(evidence, photos=photos, more=evidence.more | _transform_told(transform))
        _write_base(backbone, evidence.golden_ND.shape[1], scratch / BASE_FILE)
        write_manifest(scratch, _manifest(request, backbone, evidence, scratch))
        artifact = publish(scratch, request.out / request.artifact_name / request.version)
    step.done("write", str(artifact.directory))
    return artifact


def _transform(request: ExportRequest, backbone: Backbone, step: _Steps) -> Transform | None:
    if not request.transform_on:
        return None
    base = images_of(request.transform_on, request.root, part=_TRAINING_PART)
    found = choose_transform(backbone, base)
    step.done("choose", f"{found.name}: the best transform on {found.data}")
    return found


def _int8_images(request: ExportRequest) -> Int8Images:
    return int8_images(images_of(request.calibrate, request.root, part=_TRAINING_PART))


def _transform_told(transform: Transform | None) -> dict[str, Any]:
    if transform is None:
        return {}
    chosen = {"chosen": transform.name, "data": transform.data}
    return {"transform": chosen | {"accuracy": transform.accuracy_by_candidate}}


def _write_model(
    request: ExportRequest,
    backbone: Backbone,
    embedder: Embedder,
    probes: Probes,
    model: Path,
    *,
    step: _Steps,
) -> _Evidence:
    """Writes the file in fp32, proves it, lowers the precision and measures what came out."""
    size = backbone.spec.input_size
    expected_ND = parity.reference(embedder, probes.images_NHWC)
    onnx_file.write_onnx(embedder, size, _facts(backbone), model)
    step.done("export", f"{model.stat().st_size / 1e6:.1f} MB, opset {onnx_file.OPSET}")
    cosines = parity.check_parity(model, probes.images_NHWC, expected_ND)
    step.done("parity", _cosines_told(cosines))
    evidence = _Evidence(None, cosines, probes.told, expected_ND[probes.photos_count :], {}, {})
    if request.precision == "fp16":
        evidence = replace(evidence, parity=_to_half(model, probes, expected_ND, step))
    if request.precision == "int8":
        evidence = replace(evidence, more=_to_int8(model, size, request, step))
    if request.precision != "fp32":
        evidence = replace(evidence, golden_ND=parity.answers(model, golden_images(size)))
    if request.measure:
        accuracy = measured_accuracy(model, size, request.measure, request.root)
        step.done("measure", "; ".join(f"{k} {100 * v:.1f}" for k, v in accuracy.items()))
        evidence = replace(evidence, accuracy=accuracy)
    return evidence


def _to_half(
    model: Path, probes: Probes, expected_ND: NDArray[np.float32], step: _Steps
) -> dict[int, float]:
    to_half(model)
    least = parity.HALF_PARITY_COSINE
    cosines = parity.check_parity(model, probes.images_NHWC, expected_ND, least)
    step.done("fp16", f"{model.stat().st_size / 1e6:.1f} MB, {_cosines_told(cosines)}")
    return cosines


def _to_int8(model: Path, size: int, request: ExportRequest, step: _Steps) -> dict[str, Any]:
    """Its part of the provenance."""
    evidence = to_int8(model, size, _int8_images(request))
    step.done("int8", f"{model.stat().st_size / 1e6:.1f} MB, {evidence.told}")
    return {"int8": evidence.provenance}


def _cosines_told(cosines: dict[int, float]) -> str:
    told = ", ".join(f"{cosine:.7f} at batch {batch}" for batch, cosine in cosines.items())
    return f"cosine to PyTorch {told}"


def _facts(backbone: Backbone) -> dict[str, str]:
    """Metadata of the model file. No names: a renamed artifact stays in its embedding space."""
    return {
        "exemplar.preprocessing_id": preprocessing_id(backbone.spec.input_size),
        "exemplar.weights_sha256": backbone.spec.weights_sha256,
    }


def _write_base(backbone: Backbone, dim: int, path: Path) -> None:
    """Where the backbone knows base classes. Not part of the fingerprint: embeddings stay."""
    base = backbone.base_prototypes(dim)
    if len(base.rows_PD):
        np.save(path, base.rows_PD, allow_pickle=False)


def _manifest(
    request: ExportRequest, backbone: Backbone, evidence: _Evidence, scratch: Path
) -> Manifest:
    spec = backbone.spec
    files = {path.name: sha256_of(path) for path in sorted(scratch.iterdir())}
    return Manifest(
        name=request.artifact_name,
        version=request.version,
        fingerprint=fingerprint_of(files[MODEL_FILE], preprocessing_id(spec.input_size)),
        dim=evidence.golden_ND.shape[1],
        input_size=spec.input_size,
        preprocessing_id=preprocessing_id(spec.input_size),
        precision=request.precision,
        opset=onnx_file.OPSET,
        license=spec.license,
        provenance=_provenance(backbone, evidence),
        files=files,
        golden_embeddings=encode_golden(evidence.golden_ND),
        accuracy=evidence.accuracy,
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
        "labelled_photos": asdict(evidence.photos) if evidence.photos else skipped(backbone),
        "parity_images": evidence.compared,
        "parity_cosine": {str(b): round(c, 6) for b, c in evidence.parity.items()},
        **evidence.more,
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
