"""The option --set of every verb that reads a TOML file: what is different today."""

from __future__ import annotations

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
