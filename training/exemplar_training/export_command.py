"""The verb `exemplar-train export`: a backbone artifact, checked."""

from __future__ import annotations

import argparse
from pathlib import Path

from exemplar_training.data.layout import DEFAULT_ROOT

_EXAMPLES = """\
examples:
  exemplar-train export --backbone lite0 --out ./backbones
  exemplar-train export --backbone resnet18 --weights resnet18-f37072fd.pth --out ./backbones
  exemplar-train export --checkpoint runs/digits --out ./backbones
  exemplar-train export --backbone lite0 --precision int8 --calibrate cifar10 --out ./backbones
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "export",
        help="write a backbone artifact",
        description="Writes OUT/NAME/VERSION with model.onnx and manifest.json, checked.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--backbone",
        help="lite0, mnv2 or any torchvision classification model, such as resnet18",
    )
    source.add_argument(
        "--checkpoint", type=Path, metavar="RUN", help="the backbone that this run trained"
    )
    parser.add_argument("--out", required=True, type=Path, help="where the backbones live")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="not its published weights")
    parser.add_argument("--name", help="the artifact's name (default: the backbone's or RUN's)")
    parser.add_argument("--version", default="1", help="the artifact's version (default: 1)")
    _add_measured(parser)
    parser.set_defaults(run=_export)


def _add_measured(parser: argparse.ArgumentParser) -> None:
    """What is decided by measuring on images: fetched sets, or folders with a folder a class."""
    parser.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="(default: fp32)"
    )
    for option, purpose in (
        ("--calibrate", "for int8: images like those to come, 1,128 and more (part train)"),
        ("--transform-on", "choose power and centering by these base classes (part train)"),
        ("--measure", "write the few-shot accuracy on these into the manifest (part test)"),
    ):
        parser.add_argument(option, default="", metavar="NAME_OR_FOLDER", help=purpose)
    parser.add_argument(
        "--root", type=Path, default=DEFAULT_ROOT, help=f"of the sets (default: {DEFAULT_ROOT})"
    )


def _export(parsed: argparse.Namespace) -> None:
    # Here, because torch takes seconds to import and --help must not.
    from exemplar_training.export import ExportRequest, export  # noqa: PLC0415

    run: Path | None = parsed.checkpoint
    request = ExportRequest(
        backbone=parsed.backbone if run is None else run.resolve().name,
        out=parsed.out,
        weights_file=parsed.weights,
        name=parsed.name,
        version=parsed.version,
        run=run,
        precision=parsed.precision,
        calibrate=parsed.calibrate,
        transform_on=parsed.transform_on,
        measure=parsed.measure,
        root=parsed.root.expanduser(),
    )
    artifact = export(request, _say)
    size = artifact.model_path.stat().st_size
    _say(f"\nartifact     {artifact.directory}")
    _say(f"fingerprint  {artifact.manifest.fingerprint}")
    _say(f"dim          {artifact.manifest.dim}")
    _say(f"size         {size / 1e6:.1f} MB")
    _say(f"\nnext: EXEMPLAR_BACKBONE_DIR={artifact.directory} exemplar-server serve")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line prints
