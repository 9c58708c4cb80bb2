"""The verb evaluate with all its floors: the untrained one is a real export."""

from dataclasses import replace

import pytest

import tiny_backbone
from exemplar_server.core.artifact import load_artifact, write_manifest
from exemplar_training.cli import main
from pictures import png


def evaluated(folder, network):
    """Evaluates an artifact that says to be of `network`, on eight pictures."""
    artifact = tiny_backbone.write(folder / "backbones")
    made = {"provenance": {"backbone": network}}
    write_manifest(artifact, replace(load_artifact(artifact).manifest, **made))
    for number in range(8):
        path = folder / "photos" / ("even", "odd")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    where = ("--artifact", str(artifact), "--data", str(folder / "photos"))
    asked = ("--n-way", "2", "--n-query", "2", "--n-shot", "1", "--episodes", "5")
    return main(["evaluate", *where, *asked])


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("small_cnn", "\nuntrained small_cnn, prototype  "),
        ("resnet19", "\nuntrained resnet19: left out: backbone: expected lite0, "),
    ],
)
def test_the_untrained_floor_is_there_or_it_says_why_not(tmp_path, capsys, network, said):
    assert evaluated(tmp_path, network) == 0
    out = capsys.readouterr().out
    assert said in out
    assert "\nraw pixels, prototype  " in out
