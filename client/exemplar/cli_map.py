"""The command map."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from exemplar.cli_files import image_paths, report_failures
from exemplar.cli_images import add_false_accept_rate
from exemplar.client import Client
from exemplar.errors import InvalidArgumentError
from exemplar.map_result import MapProgress, saver_for


def add_commands(commands: Any) -> None:  # argparse keeps the type of subparsers to itself
    draw = commands.add_parser("map", help="draw a support set as a page or a picture")
    draw.set_defaults(command=_map)
    draw.add_argument("support_set", metavar="SET")
    draw.add_argument(
        "--out", type=Path, default=Path("map.html"), metavar="FILE", help=".html or .png"
    )
    draw.add_argument("--suspects", action="store_true", help="mark likely mislabelled exemplars")
    draw.add_argument(
        "--place", type=Path, nargs="+", metavar="PATH", help="images to show among the exemplars"
    )
    add_false_accept_rate(draw)
    draw.add_argument("--perplexity", type=float)
    draw.add_argument("--iterations", type=int)
    draw.add_argument("--seed", type=int, default=0)
    draw.add_argument("--no-thumbnails", action="store_true")


def _map(client: Client, options: argparse.Namespace) -> int:
    save = saver_for(options.out)
    paths = _placed(options)
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
    rate: float | None = options.false_accept_rate
    answers = client.classify(options.support_set, paths, false_accept_rate=rate)
    result = result.with_answers(map(str, paths), places, answers)
    if options.suspects:
        result = result.with_suspects(client.evaluate(options.support_set).suggestions)
    save(result, options.out)
    print(f"{options.out}: {len(result.points)} points, revision {result.revision}")
    return report_failures((p, place.error) for p, place in zip(paths, places, strict=True))


def _placed(options: argparse.Namespace) -> list[Path]:
    if options.place:
        return image_paths(options.place)
    if options.false_accept_rate is not None:
        raise InvalidArgumentError("--false-accept-rate: expected with --place, got it alone")
    return []


def _show_progress(progress: MapProgress) -> None:
    if sys.stderr.isatty():
        print(f"\r{progress}\x1b[K", end="", file=sys.stderr, flush=True)
