"""What was measured on what: names, fingerprints, licenses, where all of it is from; no paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exemplar_server.core.heads import DEFAULT_TEMPERATURE
from exemplar_training.data.layout import read_description
from exemplar_training.report.markup import description, element, section

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    from exemplar_server.core.artifact import Manifest
    from exemplar_training.evaluation.trial import Trial
    from exemplar_training.report.findings import Findings

_ORIGINS_SHOWN = 3  # glyphs come from a package a font


def facts(found: Findings) -> Element:
    drawn = found.drawn
    images = f"{len(drawn.images):,} images of {drawn.class_count:,} labels, {drawn.sources_told}"
    told = {
        "Images": f"{_data_name(found)}: {images}",
        **origin(drawn.trial),
        "Episodes": episodes_told(drawn.trial),
        "Raw pixels": "what no backbone at all would answer: the images at 32 x 32 as unit vectors",
    }
    backbones = [_backbone(each.name, each.manifest) for each in found.subjects if each.manifest]
    return section(
        "What was measured",
        description(told),
        *_seen(found),
        element("div", {"class": "charts"}, *backbones),
    )


def _data_name(found: Findings) -> str:
    parts = found.drawn.trial.parts
    return f"{found.images.name}, {', '.join(parts)}" if parts else found.images.name


def origin(trial: Trial) -> dict[str, str]:
    """Of a fetched set; nobody has written down where a plain folder is from."""
    if Path(trial.data).is_dir():
        return {"From": "a folder of images"}
    there = read_description(trial.root / trial.data)
    origin = ", ".join(there.origin[:_ORIGINS_SHOWN])
    if len(there.origin) > _ORIGINS_SHOWN:
        origin += f" and {len(there.origin) - _ORIGINS_SHOWN} more"
    return {"From": origin, "License": there.license, "Files": f"sha256 {there.files_sha256}"}


def episodes_told(trial: Trial) -> str:
    shots = " and ".join(f"{n_shot}-shot" for n_shot in trial.n_shots)
    return (
        f"{trial.episodes:,} of {trial.n_way}-way {shots}, queries a label: {trial.n_query}, "
        f"seed {trial.seed}; heads of the server, temperature {DEFAULT_TEMPERATURE:g}"
    )


def _backbone(name: str, made: Manifest) -> Element:
    told = {
        "Made by": str(made.provenance.get("method", "not stated")),
        "Fingerprint": made.fingerprint,
        "Embedding": f"{made.dim} numbers, {made.precision}, input {made.input_size} pixels",
        "License": made.license,
    }
    more = element(
        "details",
        {},
        element("summary", {}, "All of its provenance"),
        description({key: _plain(value) for key, value in flat(made.provenance).items()}),
    )
    return element("div", {}, element("h3", {}, name), description(told), more)


def flat(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Every value by its dotted key."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        values |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return values


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _seen(found: Findings) -> list[Element]:
    """A warning for each backbone that was trained on images of the same set."""
    name, parts = found.images.name, found.drawn.trial.parts
    return [
        element(
            "p",
            {"class": "warning"},
            element("strong", {}, "Seen in training. "),
            f"{subject.name} was trained on images of {name}: where they are the same images, "
            "its numbers are too good.",
        )
        for subject in found.subjects
        if subject.manifest and is_trained_on(subject.manifest, name, parts)
    ]


def is_trained_on(manifest: Manifest, name: str, parts: list[str] | None) -> bool:
    """Whether a set that the run names is this one; other parts of it are other images."""
    run = manifest.provenance.get("run", {})
    for key in (key for key in run if key.endswith(".name") and run[key] == name):
        trained = run.get(key.removesuffix("name") + "parts")
        if not (parts and trained and set(parts).isdisjoint(trained)):
            return True
    return False
