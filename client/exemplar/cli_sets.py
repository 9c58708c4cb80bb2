"""The commands about support sets and the server: sets and info."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from exemplar import cli_lifecycle, cli_transfers
from exemplar.answers import SupportSet
from exemplar.cli_tables import table
from exemplar.client import Client


def add_commands(commands: Any) -> None:  # argparse keeps the type of subparsers to itself
    verbs = commands.add_parser("sets", help="list, show, create, delete, export, import")
    verb = verbs.add_subparsers(required=True, metavar="VERB")
    verb.add_parser("list").set_defaults(command=_list_sets)
    show = verb.add_parser("show")
    show.set_defaults(command=_show_set)
    create = verb.add_parser("create")
    create.set_defaults(command=_create_set)
    create.add_argument("--backbone", default="", help="default: the server's")
    create.add_argument("--no-keep-images", action="store_true")
    delete = verb.add_parser("delete")
    delete.set_defaults(command=_delete_set)
    for parser in (show, create, delete):
        parser.add_argument("name", metavar="NAME")
    cli_transfers.add_verbs(verb)
    cli_lifecycle.add_verbs(verb)
    info = commands.add_parser("info", help="what the server is and allows")
    info.set_defaults(command=_info)


def _list_sets(client: Client, options: argparse.Namespace) -> int:
    rows = [
        [found.name, found.exemplar_count, found.revision, found.backbone]
        for found in client.list_support_sets()
    ]
    print(table(["support set", "exemplars", "revision", "backbone"], rows))
    return 0


def _show_set(client: Client, options: argparse.Namespace) -> int:
    return _show(client.get_support_set(options.name))


def _create_set(client: Client, options: argparse.Namespace) -> int:
    return _show(
        client.create_support_set(
            options.name, backbone=options.backbone, keep_images=not options.no_keep_images
        )
    )


def _show(found: SupportSet) -> int:
    facts = {key: value for key, value in asdict(found).items() if key != "labels"}
    print(table(["support set", found.name], list(facts.items())[1:]))
    if found.labels:
        print()
        print(table(["label", "exemplars"], found.labels.items()))
    return 0


def _delete_set(client: Client, options: argparse.Namespace) -> int:
    result = client.delete_support_set(options.name)
    print(f"{options.name}: deleted with {result.deleted_exemplar_count} exemplars")
    return 0


def _info(client: Client, options: argparse.Namespace) -> int:
    info = client.get_server_info()
    facts = [("tenant", info.tenant), ("execution provider", info.execution_provider)]
    print(table(["server", info.version], [*facts, *asdict(info.limits).items()]))
    print()
    rows = [[b.name, b.version, b.dim, b.input_size, b.fingerprint[:12]] for b in info.backbones]
    print(table(["backbone", "version", "dim", "input size", "fingerprint"], rows))
    return 0
