"""The commands about what becomes of support sets after they were filled."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from exemplar.cli_files import report_failures
from exemplar.cli_tables import table
from exemplar.client import Client
from exemplar.lifecycle import ExemplarUpdate


def add_commands(commands: Any) -> None:  # argparse keeps the type of subparsers to itself
    relabel = commands.add_parser("relabel", help="give exemplars another label")
    relabel.set_defaults(command=_relabel)
    relabel.add_argument("support_set", metavar="SET")
    relabel.add_argument("label", metavar="LABEL")
    relabel.add_argument("exemplar_ids", metavar="ID", nargs="+")
    end = commands.add_parser("delete-tenant", help="delete everything that this tenant has")
    end.set_defaults(command=_delete_tenant)
    end.add_argument("confirmation", metavar="TENANT", help="its name again, as `info` tells it")


def add_verbs(verb: Any) -> None:
    """Of the command `sets`."""
    update = verb.add_parser("update", help="keep images or delete them")
    update.set_defaults(command=_update)
    update.add_argument("name", metavar="NAME")
    update.add_argument("--keep-images", action=argparse.BooleanOptionalAction, required=True)
    copy = verb.add_parser("copy", help="make a support set with the exemplars of another")
    copy.set_defaults(command=_copy)
    copy.add_argument("name", metavar="NAME")
    copy.add_argument("new_name", metavar="NEW")
    warm_up = verb.add_parser("warm-up", help="get the server ready for queries")
    warm_up.set_defaults(command=_warm_up)
    warm_up.add_argument("name", metavar="NAME")
    snapshots = verb.add_parser("snapshots", help="list snapshots")
    snapshots.set_defaults(command=_snapshots)
    snapshots.add_argument("name", metavar="NAME")
    for name, told, command in (
        ("snapshot", "give the support set as it is now a name", _snapshot),
        ("roll-back", "make the support set as it was in a snapshot", _roll_back),
        ("delete-snapshot", "delete a snapshot with what only it shows", _delete_snapshot),
    ):
        parser = verb.add_parser(name, help=told)
        parser.set_defaults(command=command)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("snapshot", metavar="SNAPSHOT")


def _relabel(client: Client, options: argparse.Namespace) -> int:
    ids = options.exemplar_ids
    updates = [ExemplarUpdate(exemplar_id, options.label) for exemplar_id in ids]
    result = client.update_exemplars(options.support_set, updates)
    relabelled = len(ids) - len(result.errors)
    print(f"{options.support_set}: {relabelled} relabelled, revision {result.revision}")
    return report_failures((ids[at], error) for at, error in result.errors.items())


def _update(client: Client, options: argparse.Namespace) -> int:
    result = client.update_support_set(options.name, keep_images=options.keep_images)
    kept = "images are kept" if options.keep_images else f"{result.deleted_images} images deleted"
    print(f"{options.name}: {kept}, revision {result.revision}")
    return 0


def _copy(client: Client, options: argparse.Namespace) -> int:
    result = client.copy_support_set(options.name, options.new_name)
    print(f"{options.new_name}: {result.exemplar_count} exemplars, revision {result.revision}")
    return 0


def _warm_up(client: Client, options: argparse.Namespace) -> int:
    ready = client.warm_up(options.name)
    took = f"{ready.index_bytes} bytes in {ready.warm_up_ms:.0f} ms"
    print(f"{options.name}: revision {ready.revision} is ready, {took}")
    return 0


def _snapshots(client: Client, options: argparse.Namespace) -> int:
    rows = (
        (s.name, s.exemplar_count, s.revision, s.create_time.isoformat(" ", "seconds"))
        for s in client.list_snapshots(options.name)
    )
    print(table(["snapshot", "exemplars", "revision", "created"], rows))
    return 0


def _snapshot(client: Client, options: argparse.Namespace) -> int:
    made = client.create_snapshot(options.name, options.snapshot)
    shown = f"{made.exemplar_count} exemplars of revision {made.revision}"
    print(f"{options.name}: snapshot {options.snapshot} has {shown}")
    return 0


def _roll_back(client: Client, options: argparse.Namespace) -> int:
    result = client.roll_back(options.name, options.snapshot)
    now = f"{result.exemplar_count} exemplars, revision {result.revision}"
    print(f"{options.name}: as in {options.snapshot}, {now}")
    return 0


def _delete_snapshot(client: Client, options: argparse.Namespace) -> int:
    client.delete_snapshot(options.name, options.snapshot)
    print(f"{options.name}: snapshot {options.snapshot} deleted")
    return 0


def _delete_tenant(client: Client, options: argparse.Namespace) -> int:
    receipt = client.delete_tenant(options.confirmation)
    print(table(["deleted", options.confirmation], asdict(receipt).items()))
    return 0
