"""The verb `exemplar-train compare`: which way to make a backbone is best on your images."""

from __future__ import annotations

import argparse

from exemplar_training.set_option import add_study

_EXAMPLES = """\
examples:
  exemplar-train compare compare_letters.toml --out studies/letters
  exemplar-train compare STUDY --out studies/quick --set seeds=[0] --set shared.schedule.steps=50

Ctrl-C and SIGTERM leave a checkpoint; the same command goes on from there.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "compare",
        help="compare ways to make a backbone",
        description="Trains each arm of STUDY for each seed, measures its few-shot accuracy "
        "beside that of an untrained network and raw pixels, prints one table and writes "
        "DIR/table.md, DIR/result.json and the page DIR/compare.html.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_study(parser, "seeds=[0]")
    parser.set_defaults(run=_compare)


def _compare(parsed: argparse.Namespace) -> None:
    # Here, because torch takes seconds to import and --help must not.
    from exemplar_training.comparison.run import compare  # noqa: PLC0415
    from exemplar_training.comparison.study import Study  # noqa: PLC0415
    from exemplar_training.config_file import read_as  # noqa: PLC0415

    study = read_as(Study, parsed.study, parsed.overrides)
    compare(study, parsed.out, lambda line: print(line, flush=True))  # noqa: T201 - it prints
