"""The verb `exemplar-train report`: one page that shows what a backbone is worth."""

from __future__ import annotations

import argparse
from pathlib import Path

from exemplar_training.evaluation.command import add_trial, trial_of

_EXAMPLES = """\
examples:
  exemplar-train report --artifact backbones/adapted/1 --before backbones/lite0/1 \\
    --run runs/adapted --data textile --n-way 3 --out report.html
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "report",
        help="show a backbone beside the one before it, as one HTML page",
        description="Plays few-shot episodes as evaluate does and writes one page that needs no "
        "network: verdict, accuracy of each head, recall of each label, confusion, t-SNE maps "
        "before and after, the hardest images, learning curves.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--artifact", required=True, type=Path, metavar="DIR", help="NAME/VERSION to show"
    )
    parser.add_argument(
        "--before", type=Path, metavar="DIR", help="to hold it against (default: raw pixels)"
    )
    parser.add_argument(
        "--run", type=Path, dest="run_folder", metavar="RUN", help="that it was exported from"
    )
    add_trial(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the HTML page")
    parser.set_defaults(run=_report)


def _report(parsed: argparse.Namespace) -> None:
    # Here, because ONNX Runtime takes seconds to import and --help must not.
    from exemplar_training.report.run import ReportRequest, report  # noqa: PLC0415

    asked = ReportRequest(
        artifact=parsed.artifact,
        before=parsed.before,
        run=parsed.run_folder,
        trial=trial_of(parsed),
        out=parsed.out,
    )
    # A command line prints.
    report(asked, lambda line: print(line, flush=True))  # noqa: T201
