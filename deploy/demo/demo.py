"""The whole service in one run: `make demo`.

Builds the backbone if it is missing, starts a server, teaches it 20 emoji from one drawing each and
asks about the same emoji drawn by another house, measures the accuracy over many such draws beside
raw pixels, draws a map, and stops the server.

    python deploy/demo/demo.py                   # emoji, 300 draws
    python deploy/demo/demo.py --images FOLDER   # your images: one folder a label
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import draws
import numpy as np
import raw_pixels
from backbone import build_if_missing
from classroom import share_right, show, teach_and_ask
from console import DemoError, percent, say, step
from emoji import Renderer, all_emoji
from folder import split_folder
from picture import save_picture
from split import LabelledImage, Split

from exemplar import Client, ExemplarError
from server_process import serving

ROOT = Path(__file__).resolve().parents[2]
BACKBONES = ROOT / "build" / "backbones"
WORK = ROOT / "build" / "demo"
N_WAY = 20
MAP_EPISODES = 5  # their labels make the map: about 100 emoji, each in both styles
SEED = 0


@dataclass(frozen=True)
class Outcome:
    """Shares of right answers, in [0, 1]."""

    accuracy: float
    raw_pixels: float
    queries: int


def main() -> int:
    """The exit code: 0, or 1 after a message on standard error."""
    arguments = _arguments()
    try:
        own = split_folder(arguments.images, arguments.shots, SEED) if arguments.images else None
        build_if_missing(BACKBONES)
        step("starting a server ...")
        with serving(BACKBONES, WORK / "server.log") as address, Client(address) as client:
            step(f"serving on {address}, log in {WORK / 'server.log'}")
            outcome = _own_images(client, own) if own else _emoji(client, arguments.draws)
            step("stopping the server ...")
    except (DemoError, ExemplarError, OSError) as error:
        sys.stderr.write(f"demo failed: {error}\n")
        return 1
    say(
        f"demo ok: accuracy {percent(outcome.accuracy)} over {outcome.queries} queries, "
        f"raw pixels {percent(outcome.raw_pixels)}"
    )
    return 0


def _emoji(client: Client, n_draws: int) -> Outcome:
    emoji = all_emoji()
    episodes = draws.draw(emoji, N_WAY, n_draws, SEED)
    step(f"rendering emoji: {len(emoji)} labels in two styles ...")
    images = draws.render(episodes, Renderer(WORK / "emoji"))
    first = draws.as_split(episodes[:1], images)
    step(f"teaching {N_WAY} emoji, one Twemoji drawing each, and asking about OpenMoji's ...")
    show(first.asked, teach_and_ask(client, "first-draw", first))
    _map(client, draws.as_split(episodes[:MAP_EPISODES], images))
    step(f"measuring {n_draws} draws of {N_WAY} out of {len(emoji)} emoji ...")
    served = draws.served_accuracies(client, episodes, images)
    raw = draws.raw_accuracies(episodes, images)
    step(f"accuracy {percent(float(np.mean(served)))} +- {100 * draws.interval(served):.1f} (95 %)")
    return Outcome(float(np.mean(served)), float(np.mean(raw)), n_draws * N_WAY)


def _own_images(client: Client, split: Split) -> Outcome:
    step(f"teaching {len(split.labels)} labels from {len(split.taught)} images ...")
    answers = teach_and_ask(client, "own-images", split)
    show(split.asked, answers)
    _map(client, split)
    return Outcome(
        share_right(split.asked, answers),
        raw_pixels.split_accuracy(split),
        len(split.asked),
    )


def _map(client: Client, split: Split) -> None:
    """The map of what taught and what asked together, as a page and as a picture."""
    exemplars: list[LabelledImage] = [*split.taught, *split.asked]
    step(f"computing a map of {len(exemplars)} images ...")
    client.create_support_set("map")
    client.add_exemplars("map", [(e.label, e.image) for e in exemplars])
    result = client.compute_map("map", thumbnails=True)
    result.save_html(WORK / "map.html")
    save_picture(result, f"{len(exemplars)} images of {len(split.labels)} labels", WORK / "map.png")
    step(f"map: {WORK / 'map.png'} and {WORK / 'map.html'}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="your own images: one folder a label")
    parser.add_argument(
        "--shots", type=_positive, default=5, help="with --images: how many teach a label"
    )
    parser.add_argument(
        "--draws", type=_at_least_two, default=300, help="emoji: how many draws to measure"
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    return _at_least(1, text)


def _at_least_two(text: str) -> int:
    """One draw has no interval."""
    return _at_least(2, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected {least} or more, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
