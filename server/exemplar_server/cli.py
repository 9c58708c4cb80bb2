"""The command `exemplar-server`: serve, new-key, and what is done to a store."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exemplar_server.errors import ExemplarError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# FAISS and BLAS read these when they are loaded. One thread each: parallelism comes from requests,
# and OpenMP's spinning threads cost up to 50 times under contention.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def main() -> None:
    """Exits 0 after a clean stop, 1 with one line on standard error when something is wrong."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except ExemplarError as error:
        print(f"exemplar-server: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        advice = f"{error.name} is missing: pip install 'exemplar[server]'"
        print(f"exemplar-server: {advice}", file=sys.stderr)
        raise SystemExit(1) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="exemplar-server", description="Few-shot image inference."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve", help="serve until SIGTERM; settings come from EXEMPLAR_* in the environment"
    )
    serve.set_defaults(run=_serve)
    new_key = commands.add_parser("new-key", help="make an API key and its line for the keys file")
    new_key.add_argument("--tenant", required=True, help="who the key belongs to")
    new_key.set_defaults(run=_new_key)
    _add_store_commands(commands)
    return parser


def _add_store_commands(commands: Any) -> None:  # argparse keeps the type of subparsers to itself
    store = "the store of EXEMPLAR_STORE_URL"
    backup = commands.add_parser("backup", help=f"write {store} to a file; servers may go on")
    backup.set_defaults(run=_backup)
    backup.add_argument("file", type=Path, metavar="FILE", help="replaced at the end")
    restore = commands.add_parser("restore", help=f"put a backup into {store}; no server may run")
    restore.set_defaults(run=_restore)
    restore.add_argument("file", type=Path, metavar="FILE", help="of either kind of database")
    restore.add_argument("--force", action="store_true", help="replace what is in the store")
    verify = commands.add_parser("verify", help=f"look through {store}, or through a file")
    verify.set_defaults(run=_verify)
    verify.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="a backup or an exported support set"
    )


def _serve(_: argparse.Namespace) -> None:
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    from exemplar_server.settings import read_settings  # noqa: PLC0415 - pydantic takes its time

    settings = read_settings(os.environ)
    # Only now: these load FAISS, ONNX Runtime and gRPC.
    from exemplar_server.app import serve  # noqa: PLC0415 - after the environment is set
    from exemplar_server.edge.logs import configure_logs  # noqa: PLC0415 - as above

    configure_logs()
    asyncio.run(serve(settings))


def _backup(arguments: argparse.Namespace) -> None:
    from exemplar_server.backends.sql_backup import back_up  # noqa: PLC0415 - after settings

    part: Path = arguments.file.with_name(f"{arguments.file.name}.part")
    try:
        with _no_disk_errors(), part.open("wb") as file:
            counts = back_up(_store_url(), file)
            file.flush()
            os.fsync(file.fileno())
            part.replace(arguments.file)
    finally:
        part.unlink(missing_ok=True)
    print(f"{arguments.file}: {arguments.file.stat().st_size} bytes")
    _print_counts(counts)


def _restore(arguments: argparse.Namespace) -> None:
    from exemplar_server.backends.sql_restore import restore  # noqa: PLC0415 - as above
    from exemplar_server.core.backup_file import BackupFile  # noqa: PLC0415 - as above

    with _no_disk_errors(), arguments.file.open("rb") as file:
        restored = restore(_store_url(), BackupFile(file), is_forced=arguments.force)
    print(f"restored; store_epoch is now {restored.epoch}")
    _print_counts(restored.counts)


def _verify(arguments: argparse.Namespace) -> None:
    from exemplar_server.backends.sql_verify import verify  # noqa: PLC0415 - after settings
    from exemplar_server.core.verification import verify_file  # noqa: PLC0415 - as above

    if arguments.file is None:
        checks = verify(_store_url())
    else:
        with _no_disk_errors(), arguments.file.open("rb") as file:
            checks = verify_file(file)
    print(f"{'check':<32} {'examined':>12} {'wrong':>8}")
    for check in checks:
        print(f"{check.what:<32} {check.examined:>12} {check.wrong_count:>8}")
    for line in (line for check in checks for line in check.wrong):
        print(line, file=sys.stderr)
    if any(check.wrong_count for check in checks):
        raise SystemExit(1)


def _print_counts(counts: dict[str, int]) -> None:
    for table, count in counts.items():
        print(f"  {table:<16} {count:>12} rows")


def _store_url() -> str:
    from exemplar_server.settings import read_settings  # noqa: PLC0415 - pydantic takes its time

    return read_settings(os.environ).store_url


@contextmanager
def _no_disk_errors() -> Iterator[None]:
    """What the disk says becomes one line, as any other error."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(f"FILE: {error.filename or ''}: {error.strerror}") from error


def _new_key(arguments: argparse.Namespace) -> None:
    from exemplar_server.edge.credentials import NAME, key_hash  # noqa: PLC0415 - as above
    from exemplar_server.errors import InvalidInputError  # noqa: PLC0415 - as above

    if not NAME.fullmatch(arguments.tenant):
        raise InvalidInputError(
            f"--tenant: expected [A-Za-z0-9._-]{{1,64}}, got {arguments.tenant!r}"
        )
    key = secrets.token_urlsafe(32)
    print(f"API key, shown only now: {key}")
    print(f"line for EXEMPLAR_API_KEYS_FILE: {arguments.tenant} {key_hash(key)}")
