"""The verb `exemplar-train adapt`: methods compared from one domain to another, as a table."""

from __future__ import annotations

import argparse
import json

from exemplar_training.set_option import add_study

_EXAMPLES = """\
examples:
  exemplar-train adapt adapt_fonts_to_digits8.toml --out studies/digits8
  exemplar-train adapt adapt_fonts_to_digits8.toml --out studies/quick --set seeds=[0]

Finished runs in DIR are used again: after Ctrl-C the same command goes on.
"""
RESULT_FILE = "result.json"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "adapt",
        help="compare methods of domain adaptation",
        description="Trains as STUDY says, with source-only, oracle and labelled exemplars beside.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_study(parser, "shared.schedule.steps=50")
    parser.set_defaults(run=_adapt)


def _adapt(parsed: argparse.Namespace) -> None:
    # Here, because torch takes seconds to import and --help must not.
    from exemplar_training.adaptation import domains, table  # noqa: PLC0415
    from exemplar_training.adaptation.study import Study  # noqa: PLC0415
    from exemplar_training.adaptation.trials import Trials  # noqa: PLC0415
    from exemplar_training.config_file import read_as  # noqa: PLC0415
    from exemplar_training.files import replace_file  # noqa: PLC0415

    study = read_as(Study, parsed.study, parsed.overrides)
    loaded = domains.load(study)
    result = Trials(study, loaded, parsed.out, _say).play()
    names = loaded.source.class_names
    told = json.dumps(table.as_json(study, result, names), indent=1)
    replace_file(parsed.out / RESULT_FILE, told.encode())
    _say(f"\n{table.tables(result, names)}")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line prints
