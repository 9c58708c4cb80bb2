"""Where a benchmark's report goes: to standard output, and to a file if one is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser


def add_out(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, help="also write the report to this file")


def tell(text: str, out: Path | None) -> None:
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")
