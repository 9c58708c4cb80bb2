"""The verb `exemplar-train transfer`: what knowing one set is worth on another, over seeds."""

from __future__ import annotations

import argparse

from exemplar_training.set_option import add_study

_EXAMPLES = """\
examples:
  exemplar-train transfer transfer_digits_to_letters.toml --out studies/letters
  exemplar-train transfer STUDY --out studies/quick --set seeds=[0] --set source.schedule.steps=50

Ctrl-C and SIGTERM leave a checkpoint; the same command goes on from there.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "transfer",
        help="compare ways to learn from what another set taught",
        description="Trains each arm of STUDY for each seed and number of parts, measures it on "
        "parts that taught none, prints the tables and writes DIR/result.json.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_study(parser, "seeds=[0]")
    parser.set_defaults(run=_transfer)


def _transfer(parsed: argparse.Namespace) -> None:
    # Here, because torch takes seconds to import and --help must not.
    from exemplar_training.config_file import read_as  # noqa: PLC0415
    from exemplar_training.transfer.run import transfer  # noqa: PLC0415
    from exemplar_training.transfer.study import Study  # noqa: PLC0415

    study = read_as(Study, parsed.study, parsed.overrides)
    transfer(study, parsed.out, lambda line: print(line, flush=True))  # noqa: T201 - it prints
