"""The command line `exemplar-train`: a function a verb; failure is a message and exit code 1."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from exemplar_server.errors import ExemplarError
from exemplar_training import export_command as exporting
from exemplar_training.adaptation import command as adaptation
from exemplar_training.comparison import command as comparing
from exemplar_training.data import command as data
from exemplar_training.errors import TrainingError
from exemplar_training.evaluation import command as evaluation
from exemplar_training.fit import command as fitting
from exemplar_training.layerwise import command as layers
from exemplar_training.report import command as reporting
from exemplar_training.search import command as searching
from exemplar_training.transfer import command as transferring

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    exporting.add_parser(verbs)
    data.add_parser(verbs)
    evaluation.add_parser(verbs)
    searching.add_parser(verbs)
    fitting.add_parser(verbs)
    transferring.add_parser(verbs)
    adaptation.add_parser(verbs)
    layers.add_parser(verbs)
    comparing.add_parser(verbs)
    reporting.add_parser(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
