"""The verb search: what it finds, on which images, and what it refuses."""

import tomllib

import numpy as np
import pytest
from PIL import Image

from exemplar_training import cli
from exemplar_training.data.image_set import ImageSet
from exemplar_training.errors import ConfigError
from exemplar_training.search.run import search
from fit_runs import config
from pictures import encoded
from training_images import squares, write_folder

pytestmark = pytest.mark.usefixtures("one_thread")


def specks(count):
    """Plain images of any brightness; every second one has a single white pixel."""
    random = np.random.default_rng(0)
    files = []
    for number in range(count):
        pixels = np.full((32, 32, 3), random.integers(40, 180), np.uint8)
        if number % 2:
            pixels[tuple(random.integers(4, 28, 2))] = 255
        files.append(encoded(Image.fromarray(pixels)))
    return ImageSet("specks", files, np.arange(count) % 2, ("clean", "speck"))


def test_a_speck_is_found_by_what_deviates_from_the_mean():
    lines = []
    found = search(config(model__dim=64), specks(20), (), lines.append)
    assert found.recall > 0.95
    assert not found.choices[0].endswith(":average")
    assert len(lines) == len(found.choices)


def test_what_the_verb_prints_last_goes_into_the_configuration(tmp_path, capsys):
    folder = write_folder(squares(30), tmp_path / "squares")
    toml = tmp_path / "config.toml"
    toml.write_text(f'[data]\nroot = "{folder}"\n', encoding="utf-8")
    assert cli.main(["search", str(toml), "--input-size", "32", "64"]) == 0
    table = tomllib.loads(capsys.readouterr().out.partition("\n\n")[2])
    assert table["model"].keys() == {"input_size", "pooled"}
    assert table["model"]["input_size"] in {32, 64}


def test_a_class_with_too_few_images_to_cross_validate_is_named():
    with pytest.raises(ConfigError, match=r"at least 5 images of each class, got 4 of 'speck'"):
        search(config(), specks(9), (), print)
