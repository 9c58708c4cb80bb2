"""The command line `exemplar`: the SDK's calls over files and folders."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from exemplar import cli_evaluation, cli_images, cli_lifecycle, cli_map, cli_sets, cli_upgrades
from exemplar.client import Client
from exemplar.errors import ExemplarError

# What shells report for a program that Ctrl-C ended: 128 + SIGINT.
_INTERRUPTED = 130

Command = Callable[[Client, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 where anything failed, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        with _client(options) as client:
            code = command(client, options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `exemplar ... | head`: whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ExemplarError, OSError) as error:
        print(f"exemplar: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _client(options: argparse.Namespace) -> Client:
    key_file: Path | None = options.api_key_file
    return Client(
        options.server,
        tenant=options.tenant,
        api_key=key_file.read_text(encoding="utf-8").strip() if key_file else None,
        root_certificates=options.root_certificates,
        tls=options.tls,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="exemplar", description="Few-shot image inference.")
    parser.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    parser.add_argument("--tenant", help="for servers without credentials")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE")
    parser.add_argument("--root-certificates", type=Path, metavar="FILE", help="PEM; turns TLS on")
    parser.add_argument("--tls", action="store_true", help="TLS with the system's certificates")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for area in (cli_images, cli_map, cli_evaluation, cli_lifecycle, cli_sets, cli_upgrades):
        area.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
