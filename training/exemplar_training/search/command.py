"""The verb `exemplar-train search`: the poolings that tell a few labelled images apart best."""

from __future__ import annotations

import argparse
from pathlib import Path

from exemplar_training.set_option import add_set_option

_EXAMPLES = """\
examples:
  exemplar-train search textile.toml
  exemplar-train search textile.toml --input-size 224 250 --set seed=1
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "search",
        help="find which blocks to pool, and how",
        description="Pools every block of CONFIG's backbone in every way and adds what helps most, "
        "one by one: mean recall of the server's prototype head, cross-validated on the images "
        "that `fit CONFIG` would be shown, and on no others. Nothing is trained.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file, as for fit")
    parser.add_argument(
        "--input-size",
        type=int,
        nargs="+",
        default=[],
        metavar="PIXELS",
        help="sizes to try (default: CONFIG's)",
    )
    add_set_option(parser, "CONFIG", "data.n_shot=20")
    parser.set_defaults(run=_search)


def _search(parsed: argparse.Namespace) -> None:
    # Here, because torch takes seconds to import and --help must not.
    from exemplar_training import config_file  # noqa: PLC0415
    from exemplar_training.fit.images import images_of  # noqa: PLC0415
    from exemplar_training.search.run import search  # noqa: PLC0415

    config = config_file.read(parsed.config, parsed.overrides)
    found = search(config, images_of(config.data), parsed.input_size, _say)
    choices = ", ".join(f'"{choice}"' for choice in found.choices)
    _say(f"\n[model]\ninput_size = {found.input_size}\npooled = [{choices}]")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line prints
