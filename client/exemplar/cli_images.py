"""The commands that take images: add, classify and embed."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exemplar.answers import Answer, Calibration
from exemplar.cli_files import image_paths, labelled_files, report_failures
from exemplar.cli_tables import table
from exemplar.client import Client
from exemplar.errors import NotFoundError
from exemplar.npy import write_npy


def add_commands(commands: Any) -> None:  # argparse keeps the type of subparsers to itself
    add = commands.add_parser("add", help="add labelled images; creates the support set if missing")
    add.set_defaults(command=_add)
    add.add_argument("support_set", metavar="SET")
    add.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a folder a label")
    add.add_argument("--label", help="the label of all images named")
    _add_classify(commands.add_parser("classify", help="classify images"))
    embed = commands.add_parser("embed", help="embed images")
    embed.set_defaults(command=_embed)
    embed.add_argument("paths", metavar="PATH", nargs="+", type=Path)
    embed.add_argument("--out", type=Path, metavar="FILE.npy", help="one float32 row an image")
    embed.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_classify(classify: argparse.ArgumentParser) -> None:
    classify.set_defaults(command=_classify)
    classify.add_argument("support_set", metavar="SET")
    classify.add_argument("paths", metavar="PATH", nargs="+", type=Path)
    classify.add_argument("--k", type=int, help="how many neighbors vote")
    classify.add_argument("--head", help="auto (the default), prototype, knn or ridge")
    add_false_accept_rate(classify)
    classify.add_argument(
        "--coverage",
        type=float,
        metavar="C",
        help="show the label sets that hold the right label for this share of the images",
    )
    classify.add_argument("--json", action="store_true", help="one JSON object a line")


def add_false_accept_rate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--false-accept-rate",
        type=float,
        metavar="R",
        help='say "none of these", so that only this share of such images gets a label',
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
    print(table(["label", "added", "failed"], rows))
    print(f"{options.support_set}: {result.exemplar_count} exemplars, revision {result.revision}")
    return report_failures((files[at].path, error) for at, error in result.errors.items())


def _create_where_missing(client: Client, support_set: str) -> None:
    try:
        client.get_support_set(support_set)
    except NotFoundError:
        client.create_support_set(support_set)


def _classify(client: Client, options: argparse.Namespace) -> int:
    paths = image_paths(options.paths)
    answers = client.classify(
        options.support_set,
        paths,
        k=options.k,
        head=options.head,
        false_accept_rate=options.false_accept_rate,
        coverage=options.coverage,
        progress=True,
    )
    answered = list(zip(paths, answers, strict=True))
    if options.json:
        for path, answer in answered:
            print(json.dumps({"file": str(path), **asdict(answer)}))
    else:
        print(_told([one for one in answered if not one[1].error], options.coverage is not None))
    return report_failures((path, answer.error) for path, answer in answered)


def _told(answered: list[tuple[Path, Answer]], has_sets: bool) -> str:
    head = ["file", "label", "score", "probability", "nearest exemplar"]
    rows = [_row(path, answer) for path, answer in answered]
    if has_sets:
        head.insert(4, "label set")
        for row, (_, answer) in zip(rows, answered, strict=True):
            row.insert(4, _first(answer.label_set))
    calibrations = {answer.calibration for _, answer in answered if answer.calibration}
    notes = sorted({note for calibration in calibrations for note in _notes(calibration)})
    return "\n".join([table(head, rows), *notes])


def _row(path: Path, answer: Answer) -> list[object]:
    label = f"none of these ({answer.label}?)" if answer.is_unknown else answer.label
    probability = "-" if answer.probability is None else f"{answer.probability:.0%}"
    nearest = answer.neighbors[0] if answer.neighbors else None
    near = f"{nearest.exemplar_id} {nearest.label} {nearest.similarity:.3f}" if nearest else "-"
    return [path, label, f"{answer.score:.3f}", probability, near]


def _first(labels: Sequence[str], most: int = 4) -> str:
    more = [f"and {len(labels) - most} more"] if len(labels) > most else []
    return ", ".join([*labels[:most], *more])


def _notes(calibration: Calibration) -> Iterator[str]:
    if calibration.true_accept_rate is not None:
        share = f"about {calibration.true_accept_rate:.0%}"
        yield f"{share} of the images that belong to a label get one; the rest is none of these"
    if calibration.note:
        yield calibration.note


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
    return report_failures((p, e.error) for p, e in zip(paths, embeddings, strict=True))
