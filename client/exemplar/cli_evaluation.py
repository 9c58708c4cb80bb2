"""The command evaluate."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from exemplar.cli_tables import told
from exemplar.client import Client


def add_commands(commands: Any) -> None:  # argparse keeps the type of subparsers to itself
    evaluate = commands.add_parser("evaluate", help="how good a support set is, and what is wrong")
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("support_set", metavar="SET")
    evaluate.add_argument("--head", help="auto (the default), prototype, knn or ridge")
    evaluate.add_argument("--findings", type=int, metavar="N", help="the most of each kind")
    evaluate.add_argument("--html", type=Path, metavar="FILE.html", help="write a page with images")
    evaluate.add_argument("--json", action="store_true", help="all of it as one JSON object")


def _evaluate(client: Client, options: argparse.Namespace) -> int:
    found = client.evaluate(
        options.support_set,
        head=options.head,
        findings=options.findings,
        thumbnails=options.html is not None,
    )
    if options.html:
        found.save_html(options.html)
    print(json.dumps(found.to_dict()) if options.json else told(found))
    return 0
