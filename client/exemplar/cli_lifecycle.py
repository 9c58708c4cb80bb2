"""The commands about what becomes of support sets after they were filled."""

from __future__ import annotations

import argparse
from typing import Any

from exemplar.cli_files import report_failures
from exemplar.client import Client
from exemplar.lifecycle import ExemplarUpdate


def add_commands(commands: Any) -> None:  # argparse keeps the type of subparsers to itself
    relabel = commands.add_parser("relabel", help="give exemplars another label")
    relabel.set_defaults(command=_relabel)
    relabel.add_argument("support_set", metavar="SET")
    relabel.add_argument("label", metavar="LABEL")
    relabel.add_argument("exemplar_ids", metavar="ID", nargs="+")


def _relabel(client: Client, options: argparse.Namespace) -> int:
    ids = options.exemplar_ids
    updates = [ExemplarUpdate(exemplar_id, options.label) for exemplar_id in ids]
    result = client.update_exemplars(options.support_set, updates)
    relabelled = len(ids) - len(result.errors)
    print(f"{options.support_set}: {relabelled} relabelled, revision {result.revision}")
    return report_failures((ids[at], error) for at, error in result.errors.items())
