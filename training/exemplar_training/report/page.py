"""Puts the parts of a report into page.html: one file that needs no network and runs no script."""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from tqdm import tqdm

from exemplar_training.report.accuracy import accuracy, verdict
from exemplar_training.report.curves import learning_curves
from exemplar_training.report.facts import facts
from exemplar_training.report.hardest import hardest
from exemplar_training.report.labels import labels
from exemplar_training.report.maps import maps
from exemplar_training.report.markup import as_html, element
from exemplar_training.report.neighbors import neighbors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exemplar_training.report.curves import Curve
    from exemplar_training.report.findings import Findings

_PARTS = (facts, accuracy, labels, maps, neighbors, hardest)


def render(found: Findings, run: str, curves: Mapping[str, Curve]) -> bytes:
    """The page, UTF-8. `curves` are those of the run of that name; none: no such section."""
    title = f"{found.after.name} on {found.images.name}"
    head = element("header", {}, element("h1", {}, title), verdict(found))
    parts = [part(found) for part in tqdm(_PARTS, "report", unit="part", disable=None)]
    if curves:
        parts.append(learning_curves(run, curves))
    return filled(title, [head, *parts])


def filled(title: str, parts: Sequence[Element]) -> bytes:
    """The page of these parts, UTF-8."""
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    page = template.substitute(title=as_html([_title(title)]), body=as_html(parts))
    # A folder's name that is no UTF-8 is a label with surrogates, which no page can hold.
    return page.encode("utf-8", errors="replace")


def _title(words: str) -> Element:
    return element("title", {}, f"{words}: Exemplar report")
