"""HTML and SVG as trees: ElementTree escapes whatever the data say, so nothing here is joined."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exemplar_training.evaluation.metrics import Interval

    Child = Element | str
    Attributes = Mapping[str, object]

NUMBER: Attributes = {"class": "number"}


def element(tag: str, attributes: Attributes, *children: Child) -> Element:
    made = Element(tag, {name: str(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def as_html(parts: Iterable[Element]) -> str:
    return "\n".join(tostring(part, encoding="unicode", method="html") for part in parts)


def section(title: str, *children: Child) -> Element:
    return element("section", {}, element("h2", {}, title), *children)


def paragraph(words: str, attributes: Attributes | None = None) -> Element:
    return element("p", attributes or {}, words)


def figure(caption: str, *children: Child) -> Element:
    return element("figure", {}, *children, element("figcaption", {}, caption))


def table(caption: str, head: Sequence[Child], rows: Iterable[Sequence[Child]]) -> Element:
    """Rows of cells; the first cell of a row is its header, a `td` is taken as it is.

    What is wider than the screen scrolls on its own, with the keyboard too.
    """
    body = [element("tr", {}, *_cells(row)) for row in rows]
    heads = [element("th", {"scope": "col"}, each) for each in head]
    made = element(
        "table",
        {},
        element("caption", {}, caption),
        element("thead", {}, element("tr", {}, *heads)),
        element("tbody", {}, *body),
    )
    return element(
        "div", {"class": "scroll", "role": "region", "aria-label": caption, "tabindex": 0}, made
    )


def _cells(row: Sequence[Child]) -> list[Element]:
    first, *others = row
    cells = [element("th", {"scope": "row"}, first)]
    for other in others:
        if isinstance(other, Element) and other.tag == "td":
            cells.append(other)
        else:
            cells.append(element("td", NUMBER, other))
    return cells


def description(facts: Mapping[str, str]) -> Element:
    """Names and what they are."""
    entries = [
        element("div", {}, element("dt", {}, name), element("dd", {}, value))
        for name, value in facts.items()
    ]
    return element("dl", {}, *entries)


def picture(jpeg: bytes, words: str) -> Element:
    """An image inside the page; `words` say what it shows."""
    source = f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"
    return element("img", {"src": source, "alt": words, "loading": "lazy"})


def percent(share: float) -> str:
    """0.8312 as 83.1."""
    return f"{100 * share:.1f}"


def with_half(value: Interval) -> str:
    """Percent and half of its 95 % interval."""
    return f"{percent(value.mean)} \N{PLUS-MINUS SIGN} {percent(value.half)}"


def signed(share: float) -> str:
    """Points with their sign; a true minus, as wide as the plus."""
    words = f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if words[1:] == "0.0" else words


def span(value: Interval) -> str:
    """The ends of a difference's 95 % interval, in points."""
    return f"{signed(value.mean - value.half)} to {signed(value.mean + value.half)}"
