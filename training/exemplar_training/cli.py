"""The command line `exemplar-train`: a function a verb; failure is a message and exit code 1."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from exemplar_server.errors import ExemplarError
from exemplar_training.adaptation import command as adaptation
from exemplar_training.data import command as data
from exemplar_training.errors import TrainingError
from exemplar_training.evaluation import command as evaluation
from exemplar_training.fit import command as fitting
from exemplar_training.report import command as reporting
from exemplar_training.transfer import command as transferring

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXPORT_EXAMPLES = """\
examples:
  exemplar-train export --backbone lite0 --out ./backbones
  exemplar-train export --backbone resnet18 --weights resnet18-f37072fd.pth --out ./backbones
  exemplar-train export --checkpoint runs/digits --out ./backbones
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and gives the exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except (TrainingError, ExemplarError) as error:
        print(f"exemplar-train: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        advice = f"{error.name} is missing: pip install 'exemplar[training]'"
        print(f"exemplar-train: {advice}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="exemplar-train", description="Makes the backbones that exemplar-server serves."
    )
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_export(verbs)
    data.add_parser(verbs)
    evaluation.add_parser(verbs)
    fitting.add_parser(verbs)
    transferring.add_parser(verbs)
    adaptation.add_parser(verbs)
    reporting.add_parser(verbs)
    return parser


def _add_export(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "export",
        help="write a backbone artifact",
        description="Writes OUT/NAME/VERSION with model.onnx and manifest.json, checked.",
        epilog=_EXPORT_EXAMPLES,
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
    parser.set_defaults(run=_export)


def _export(parsed: argparse.Namespace) -> None:
    # Here, because torch takes seconds to import and --help must not.
    from exemplar_training.export import ExportRequest, export  # noqa: PLC0415

    run: Path | None = parsed.checkpoint
    backbone = parsed.backbone if run is None else run.resolve().name
    request = ExportRequest(backbone, parsed.out, parsed.weights, parsed.name, parsed.version, run)
    artifact = export(request, lambda line: print(line, flush=True))
    size = artifact.model_path.stat().st_size
    print(f"\nartifact     {artifact.directory}")
    print(f"fingerprint  {artifact.manifest.fingerprint}")
    print(f"dim          {artifact.manifest.dim}")
    print(f"size         {size / 1e6:.1f} MB")
    print(f"\nnext: EXEMPLAR_BACKBONE_DIR={artifact.directory} exemplar-server serve")


if __name__ == "__main__":
    sys.exit(main())
