"""The verbs export and import of the command sets."""

from __future__ import annotations

import argparse
import json
import tarfile
from pathlib import Path
from typing import Any

from exemplar.client import Client
from exemplar.errors import InvalidArgumentError

# What comes before the images in a support set's file.
_MANIFEST = "manifest.json"


def add_verbs(verb: Any) -> None:  # argparse keeps the type of subparsers to itself
    send = verb.add_parser("export", help="write a support set with its images to a file")
    send.set_defaults(command=_export)
    send.add_argument("name", metavar="NAME")
    send.add_argument("file", type=Path, metavar="FILE", help="a plain tar, whatever its name")
    take = verb.add_parser("import", help="make a support set from such a file")
    take.set_defaults(command=_import)
    take.add_argument("file", type=Path, metavar="FILE")
    take.add_argument("name", nargs="?", metavar="NAME", help="default: the one it had")
    take.add_argument("--reembed", action="store_true", help="embed its images anew")
    take.add_argument("--backbone", default="", help="which embeds them; default: the server's")


def _export(client: Client, options: argparse.Namespace) -> int:
    found = client.export_support_set(options.name, options.file, progress=True)
    size = options.file.stat().st_size
    print(
        f"{options.file}: {found.exemplar_count} exemplars, revision {found.revision}, {size} bytes"
    )
    return 0


def _import(client: Client, options: argparse.Namespace) -> int:
    made = client.import_support_set(
        options.file,
        options.name or _name_in(options.file),
        reembed=options.reembed,
        backbone=options.backbone,
        progress=True,
    )
    print(f"{made.name}: {made.exemplar_count} exemplars, revision {made.revision}")
    return 0


def _name_in(path: Path) -> str:
    try:
        with tarfile.open(path) as archive, archive.extractfile(_MANIFEST) as manifest:  # type: ignore[union-attr]
            return str(json.load(manifest)["name"])
    except (tarfile.TarError, ValueError, KeyError) as error:
        raise InvalidArgumentError(
            f"FILE: expected a file that sets export wrote, got {str(path)!r}"
        ) from error
