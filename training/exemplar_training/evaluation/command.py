"""The verb `exemplar-train evaluate`: how well an artifact answers from a few exemplars."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from exemplar_training.data.layout import DEFAULT_ROOT

if TYPE_CHECKING:
    from exemplar_training.evaluation.trial import Trial

_EXAMPLES = """\
examples:
  exemplar-train evaluate --artifact backbones/lite0/1 --data cifar10
  exemplar-train evaluate --artifact backbones/lite0/1 backbones/mnv2/1 --data ./photos --n-way 20
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "evaluate",
        help="measure backbones on few-shot episodes",
        description="Plays few-shot episodes with the server's own heads and prints a table: "
        "percent right with its 95 % interval, AUROC of known against unknown classes, "
        "expected calibration error.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--artifact", required=True, type=Path, nargs="+", metavar="DIR", help="NAME/VERSION"
    )
    add_trial(parser)
    parser.add_argument(
        "--no-floors", action="store_true", help="without raw pixels and untrained networks"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    parser.set_defaults(run=_evaluate)


def add_trial(parser: argparse.ArgumentParser) -> None:
    """The arguments that `trial_of` reads: which images, and which episodes on them."""
    _add_images(parser)
    _add_episodes(parser)


def trial_of(parsed: argparse.Namespace) -> Trial:
    from exemplar_training.evaluation.trial import Trial  # noqa: PLC0415 - see _evaluate

    return Trial(
        data=parsed.data,
        root=parsed.root.expanduser(),
        parts=parsed.part,
        n_way=parsed.n_way,
        n_shots=tuple(dict.fromkeys(parsed.n_shot)),
        n_query=parsed.n_query,
        episodes=parsed.episodes,
        seed=parsed.seed,
        classes=tuple(parsed.classes),
    )


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        required=True,
        metavar="NAME_OR_FOLDER",
        help="a fetched set, or a folder with a folder for each class",
    )
    parser.add_argument(
        "--root", type=Path, default=DEFAULT_ROOT, help=f"of the sets (default: {DEFAULT_ROOT})"
    )
    parser.add_argument(
        "--part",
        nargs="+",
        metavar="PART",
        help="of the set (default: test where there is one, else all)",
    )
    parser.add_argument(
        "--classes", nargs="+", default=[], metavar="CLASS", help="that judge (default: all)"
    )


def _add_episodes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n-way", type=int, default=5, help="labels (default: 5)")
    parser.add_argument(
        "--n-shot", type=int, nargs="+", default=[1, 5], help="exemplars a label (default: 1 5)"
    )
    parser.add_argument("--n-query", type=int, default=15, help="queries a label (default: 15)")
    parser.add_argument("--episodes", type=int, default=600, help="(default: 600)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")


def _evaluate(parsed: argparse.Namespace) -> None:
    # Here, because ONNX Runtime takes seconds to import and --help must not.
    from exemplar_training.evaluation.run import Evaluation, evaluate  # noqa: PLC0415

    asked = Evaluation(
        artifacts=tuple(parsed.artifact),
        trial=trial_of(parsed),
        has_floors=not parsed.no_floors,
        json_file=parsed.json,
    )
    # A command line prints.
    evaluate(asked, lambda line: print(line, flush=True))  # noqa: T201
