"""The command `exemplar-server`: serve, and new-key."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys

from exemplar_server.errors import ExemplarError

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
    return parser


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
