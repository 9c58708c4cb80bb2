"""The command upgrade: support sets to another backbone, and back."""

from __future__ import annotations

import argparse
from typing import Any

from exemplar.cli_tables import table
from exemplar.client import Client
from exemplar.errors import InvalidArgumentError
from exemplar.progress import ProgressBar
from exemplar.upgrades import Upgrade

# States that a caller who wanted the new backbone is not content with.
_FAILED = {"REFUSED", "STOPPED"}


def add_commands(commands: Any) -> None:  # argparse keeps the type of subparsers to itself
    upgrade = commands.add_parser("upgrade", help="move a support set to another backbone")
    upgrade.set_defaults(command=_upgrade)
    upgrade.add_argument("support_set", metavar="SET", nargs="?")
    upgrade.add_argument("--to", default="", metavar="BACKBONE", help="name or name@version")
    upgrade.add_argument("--even-if-worse", action="store_true", help="whatever the gate tells")
    upgrade.add_argument("--wait", action="store_true", help="until it is switched or refused")
    act = upgrade.add_mutually_exclusive_group()
    act.add_argument("--list", action="store_true", help="upgrades; with --to, what is needed")
    act.add_argument("--roll-back", action="store_true", help="back to the old embeddings")
    act.add_argument("--cancel", action="store_true", help="end what has not switched")
    act.add_argument("--finish", action="store_true", help="drop the embeddings not in use")


def _upgrade(client: Client, options: argparse.Namespace) -> int:
    if options.list:
        return _list(client, options.to)
    if not options.support_set:
        raise InvalidArgumentError("SET: expected a support set, or --list")
    if options.cancel or options.finish:
        return _end(client, options)
    return _told(client, _begun(client, options), is_waiting=options.wait)


def _begun(client: Client, options: argparse.Namespace) -> Upgrade:
    """Without --to: the upgrade that there is."""
    if options.roll_back:
        return client.roll_back_upgrade(options.support_set)
    if options.to:
        return client.start_upgrade(
            options.support_set, options.to, even_if_worse=options.even_if_worse
        )
    return client.get_upgrade(options.support_set)


def _told(client: Client, upgrade: Upgrade, *, is_waiting: bool) -> int:
    if is_waiting and upgrade.is_under_way:
        upgrade = _waited(client, upgrade)
    print(
        f"{upgrade.support_set}: {upgrade.from_backbone} -> {upgrade.to_backbone}: "
        f"{_state(upgrade)}, {upgrade.embedded_count} of {upgrade.exemplar_count} embedded"
    )
    if upgrade.gate:
        print(f"answered right by the others (of {upgrade.gate.exemplar_count}): {_gate(upgrade)}")
    if upgrade.message:
        print(upgrade.message)
    return 1 if upgrade.state in _FAILED else 0


def _waited(client: Client, upgrade: Upgrade) -> Upgrade:
    bar, done = ProgressBar("embedding", upgrade.exemplar_count, True), 0

    def show(now: Upgrade) -> None:
        nonlocal done
        bar.advance(max(now.embedded_count - done, 0))
        done = max(done, now.embedded_count)

    try:
        return client.wait_for_upgrade(
            upgrade.support_set, on_progress=show, timeout_seconds=float("inf")
        )
    finally:
        bar.close()


def _list(client: Client, backbone: str) -> int:
    rows = [
        [
            found.support_set,
            found.from_backbone,
            found.to_backbone,
            _state(found),
            f"{found.embedded_count}/{found.exemplar_count}",
            found.needs_images_count or "-",
            _gate(found),
        ]
        for found in client.list_upgrades(backbone=backbone)
    ]
    head = ["support set", "from", "to", "state", "embedded", "needs images", "accuracy"]
    print(table(head, rows))
    return 0


def _end(client: Client, options: argparse.Namespace) -> int:
    if options.cancel:
        client.cancel_upgrade(options.support_set)
        print(f"{options.support_set}: no upgrade is under way")
    else:
        client.finish_upgrade(options.support_set)
        print(f"{options.support_set}: only the embeddings in use are kept")
    return 0


def _state(upgrade: Upgrade) -> str:
    if upgrade.state == "UNSPECIFIED":
        return "not begun"
    return upgrade.state.lower().replace("_", " ")


def _gate(upgrade: Upgrade) -> str:
    if upgrade.gate is None:
        return "-"
    return f"{upgrade.gate.old_accuracy:.1%} before, {upgrade.gate.new_accuracy:.1%} after"
