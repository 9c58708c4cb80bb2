"""The command line `exemplar`: the SDK's calls over files and folders."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exemplar.answers import Answer, SupportSet
from exemplar.cli_files import image_paths, labelled_files
from exemplar.cli_tables import table, told
from exemplar.client import Client
from exemplar.embedding import ItemError
from exemplar.errors import ExemplarError, NotFoundError
from exemplar.map_result import MapProgress, saver_for
from exemplar.npy import write_npy

# What shells report for a program that Ctrl-C ended: 128 + SIGINT.
_INTERRUPTED = 130

Command = Callable[[Client, argparse.Namespace], int]
Subparsers = Any  # argparse keeps the type of subparsers to itself


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


def _add(client: Client, options: argparse.Namespace) -> int:
    files = labelled_files(options.paths, options.label)
    _create_where_missing(client, options.support_set)
    result = client.add_exemplars(
        options.support_set, [(file.label, file.path) for file in files], progress=True
    )
    failed = Counter(files[position].label for position in result.errors)
    counts = Counter(file.label for file in files)
    rows = [[label, counts[label] - failed[label], failed[label]] for label in sorted(counts)]
    _print_table(["label", "added", "failed"], rows)
    print(f"{options.support_set}: {result.exemplar_count} exemplars, revision {result.revision}")
    return _report((files[position].path, error) for position, error in result.errors.items())


def _create_where_missing(client: Client, support_set: str) -> None:
    try:
        client.get_support_set(support_set)
    except NotFoundError:
        client.create_support_set(support_set)


def _classify(client: Client, options: argparse.Namespace) -> int:
    paths = image_paths(options.paths)
    answers = client.classify(
        options.support_set, paths, k=options.k, head=options.head, progress=True
    )
    answered = list(zip(paths, answers, strict=True))
    if options.json:
        for path, answer in answered:
            print(json.dumps({"file": str(path), **asdict(answer)}))
    else:
        rows = [_answer_row(path, answer) for path, answer in answered if not answer.error]
        _print_table(["file", "label", "score", "nearest exemplar"], rows)
    return _report((path, answer.error) for path, answer in answered if answer.error)


def _answer_row(path: Path, answer: Answer) -> list[object]:
    label = f"none of these ({answer.label}?)" if answer.is_unknown else answer.label
    nearest = answer.neighbors[0] if answer.neighbors else None
    near = f"{nearest.exemplar_id} {nearest.label} {nearest.similarity:.3f}" if nearest else "-"
    return [path, label, f"{answer.score:.3f}", near]


def _embed(client: Client, options: argparse.Namespace) -> int:
    paths = image_paths(options.paths)
    embeddings = client.embed(paths, progress=True)
    made = [(path, e) for path, e in zip(paths, embeddings, strict=True) if not e.error]
    if options.out and made:
        write_npy(options.out, [embedding.data for _, embedding in made], made[0][1].dim)
    for row, (path, embedding) in enumerate(made):
        if options.json:
            values = {"fingerprint": embedding.fingerprint, "values": list(embedding)}
            print(json.dumps({"file": str(path), **values}))
        else:
            print(f"{row}\t{path}")
    return _report((p, e.error) for p, e in zip(paths, embeddings, strict=True) if e.error)


def _evaluate(client: Client, options: argparse.Namespace) -> int:
    print(told(client.evaluate(options.support_set, head=options.head)))
    return 0


def _map(client: Client, options: argparse.Namespace) -> int:
    save = saver_for(options.out)
    paths = image_paths(options.place) if options.place else []
    result = client.compute_map(
        options.support_set,
        perplexity=options.perplexity,
        seed=options.seed,
        iterations=options.iterations,
        thumbnails=not options.no_thumbnails,
        on_progress=_show_progress,
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    places = client.place_on_map(result, paths)
    answers = client.classify(options.support_set, paths)
    save(result.with_answers(map(str, paths), places, answers), options.out)
    print(f"{options.out}: {len(result.points)} points, revision {result.revision}")
    return _report((p, place.error) for p, place in zip(paths, places, strict=True) if place.error)


def _show_progress(progress: MapProgress) -> None:
    if sys.stderr.isatty():
        print(f"\r{progress}\x1b[K", end="", file=sys.stderr, flush=True)


def _list_sets(client: Client, options: argparse.Namespace) -> int:
    rows = [
        [found.name, found.exemplar_count, found.revision, found.backbone]
        for found in client.list_support_sets()
    ]
    _print_table(["support set", "exemplars", "revision", "backbone"], rows)
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
    _print_table(["support set", found.name], list(facts.items())[1:])
    if found.labels:
        print()
        _print_table(["label", "exemplars"], found.labels.items())
    return 0


def _delete_set(client: Client, options: argparse.Namespace) -> int:
    result = client.delete_support_set(options.name)
    print(f"{options.name}: deleted with {result.deleted_exemplar_count} exemplars")
    return 0


def _info(client: Client, options: argparse.Namespace) -> int:
    info = client.get_server_info()
    facts = [("tenant", info.tenant), ("execution provider", info.execution_provider)]
    _print_table(["server", info.version], [*facts, *asdict(info.limits).items()])
    print()
    rows = [[b.name, b.version, b.dim, b.input_size, b.fingerprint[:12]] for b in info.backbones]
    _print_table(["backbone", "version", "dim", "input size", "fingerprint"], rows)
    return 0


def _report(errors: Iterable[tuple[Path, ItemError | None]]) -> int:
    """Each failed file on stderr; the exit code."""
    code = 0
    for path, error in errors:
        print(f"{path}: {error}", file=sys.stderr)
        code = 1
    return code


def _print_table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    print(table(head, rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="exemplar", description="Few-shot image inference.")
    parser.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    parser.add_argument("--tenant", help="for servers without credentials")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE")
    parser.add_argument("--root-certificates", type=Path, metavar="FILE", help="PEM; turns TLS on")
    parser.add_argument("--tls", action="store_true", help="TLS with the system's certificates")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_image_commands(commands)
    _add_map_command(commands)
    _add_evaluate_command(commands)
    _add_set_commands(commands)
    info = commands.add_parser("info", help="what the server is and allows")
    info.set_defaults(command=_info)
    return parser


def _add_image_commands(commands: Subparsers) -> None:
    add = commands.add_parser("add", help="add labelled images; creates the support set if missing")
    add.set_defaults(command=_add)
    add.add_argument("support_set", metavar="SET")
    add.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a folder a label")
    add.add_argument("--label", help="the label of all images named")
    classify = commands.add_parser("classify", help="classify images")
    classify.set_defaults(command=_classify)
    classify.add_argument("support_set", metavar="SET")
    classify.add_argument("paths", metavar="PATH", nargs="+", type=Path)
    classify.add_argument("--k", type=int, help="how many neighbors vote")
    classify.add_argument("--head", help="auto (the default), prototype, knn or ridge")
    classify.add_argument("--json", action="store_true", help="one JSON object a line")
    embed = commands.add_parser("embed", help="embed images")
    embed.set_defaults(command=_embed)
    embed.add_argument("paths", metavar="PATH", nargs="+", type=Path)
    embed.add_argument("--out", type=Path, metavar="FILE.npy", help="one float32 row an image")
    embed.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_evaluate_command(commands: Subparsers) -> None:
    evaluate = commands.add_parser("evaluate", help="how good a support set is, and what is wrong")
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("support_set", metavar="SET")
    evaluate.add_argument("--head", help="auto (the default), prototype, knn or ridge")


def _add_map_command(commands: Subparsers) -> None:
    draw = commands.add_parser("map", help="draw a support set as a page or a picture")
    draw.set_defaults(command=_map)
    draw.add_argument("support_set", metavar="SET")
    draw.add_argument(
        "--out", type=Path, default=Path("map.html"), metavar="FILE", help=".html or .png"
    )
    draw.add_argument(
        "--place", type=Path, nargs="+", metavar="PATH", help="images to show among the exemplars"
    )
    draw.add_argument("--perplexity", type=float)
    draw.add_argument("--iterations", type=int)
    draw.add_argument("--seed", type=int, default=0)
    draw.add_argument("--no-thumbnails", action="store_true")


def _add_set_commands(commands: Subparsers) -> None:
    verbs = commands.add_parser("sets", help="list, show, create and delete support sets")
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


if __name__ == "__main__":
    sys.exit(main())
