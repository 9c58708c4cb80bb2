"""What verbs that read a TOML file have in common: --set, and the arguments of a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_set_option(parser: argparse.ArgumentParser, file: str, example: str) -> None:
    """`overrides` for `config_file.read`; `file` is what the verb calls its TOML file."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help=f"instead of what {file} says, such as {example}; may be repeated",
    )


def add_study(parser: argparse.ArgumentParser, example: str) -> None:
    """`study`, `out` and `overrides`, for which `example` is one."""
    parser.add_argument("study", type=Path, metavar="STUDY", help="a TOML file")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="for runs and results"
    )
    add_set_option(parser, "STUDY", example)
