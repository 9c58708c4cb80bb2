"""The verb `exemplar-train fit`: a configuration and images to a run with its checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from exemplar_training.fit.stop import exit_on
from exemplar_training.set_option import add_set_option

_EXAMPLES = """\
examples:
  exemplar-train fit digits.toml --out runs/digits --set data.root=DATA
  exemplar-train fit digits.toml --out runs/digits --set data.root=DATA --resume
  torchrun --nproc-per-node 2 -m exemplar_training.cli fit digits.toml --out runs/digits

Ctrl-C and SIGTERM leave a checkpoint that --resume goes on from; it gives the weights
that an uninterrupted run gives.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "fit",
        help="train a backbone",
        description="Trains as CONFIG says and writes config.toml, checkpoint.pt, metrics.jsonl.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file")
    parser.add_argument("--out", required=True, type=Path, metavar="RUN", help="the run's folder")
    add_set_option(parser, "CONFIG", "data.batch=32")
    parser.add_argument(
        "--resume", action="store_true", help="go on from RUN's checkpoint, where there is one"
    )
    parser.set_defaults(run=_fit)


def _fit(parsed: argparse.Namespace) -> None:
    # Here, because torch takes seconds to import and --help must not.
    from exemplar_training import config_file  # noqa: PLC0415
    from exemplar_training.fit.images import images_of_run  # noqa: PLC0415
    from exemplar_training.fit.run import RunRequest, run  # noqa: PLC0415

    config = config_file.read(parsed.config, parsed.overrides)
    request = RunRequest(config, parsed.out, parsed.resume)
    given = images_of_run(config)
    outcome = run(request, given.images, _say, given.target)
    if outcome.is_main:
        _say(f"done at step {outcome.step} of {outcome.steps}")
        _say(f"\nnext: exemplar-train {_next(parsed, is_whole=outcome.step == outcome.steps)}")
    exit_on(outcome.signal_number)


def _next(parsed: argparse.Namespace, *, is_whole: bool) -> str:
    if is_whole:
        return f"export --checkpoint {parsed.out} --out backbones"
    return f"fit {parsed.config} --out {parsed.out} --resume"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line prints
