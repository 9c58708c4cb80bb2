"""Letters of many scripts: which are unseen, who draws them, and how each image lies."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from exemplar_training import config_file
from exemplar_training.comparison.study import Study, arm_runs
from exemplar_training.config import SELF_SUPERVISED
from exemplar_training.data import scripts
from exemplar_training.data.scripts import SEEN, UNSEEN, Script, placed
from exemplar_training.errors import DataError
from training_archives import deb

FACES = [(family, weight) for family in ("Sans", "Serif") for weight in ("Regular", "Bold")]
LETTERS = Script("Latin", "AW")


@pytest.fixture
def archive(tmp_path):
    """A package in which Pillow's own font is each of Latin's four."""
    font = ImageFont.load_default(20).font_bytes
    path = tmp_path / "fonts.deb"
    path.write_bytes(deb({LETTERS.file(*face).removeprefix("./"): font for face in FACES}))
    return path


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(image.content)))


def test_unseen_is_the_second_of_each_three_scripts_that_share_no_letters_with_others():
    others = {each for each in SEEN if each.name not in ("Latin", "Greek", "Cyrillic")}
    in_order = sorted(others | set(UNSEEN), key=lambda script: script.characters)
    assert tuple(in_order[1::3]) == UNSEEN


def test_no_letter_is_in_two_scripts():
    letters = "".join(script.characters for script in (*SEEN, *UNSEEN))
    assert len(set(letters)) == len(letters)


def test_a_class_is_a_letter_and_a_source_a_family_in_two_weights(archive, monkeypatch):
    monkeypatch.setattr(scripts, "SEEN", (LETTERS,))
    images = list(scripts.scripts([archive]))
    assert sorted(image.path for image in images) == [
        f"{family}/Latin-{letter}/{weight}.png"
        for family in ("sans", "serif")
        for letter in ("0041", "0057")
        for weight in ("bold", "regular")
    ]
    assert len(images) == scripts.image_count((LETTERS,))
    assert list(scripts.scripts([archive])) == images


def test_each_image_lies_in_its_own_way_and_all_of_its_letter_is_there(archive, monkeypatch):
    monkeypatch.setattr(scripts, "UNSEEN", (LETTERS,))
    images = [pixels(image) for image in scripts.unseen_scripts([archive])]
    assert len({image.tobytes() for image in images}) == len(images)
    for image in images:
        assert image.shape == (64, 64)
        edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (edge == 255).all()


def test_no_name_puts_a_letter_over_the_edge():
    letter = Image.new("L", (64, 64), 255)
    letter.paste(0, (8, 8, 56, 56))
    areas = []
    for number in range(300):
        image = np.asarray(placed(letter, str(number)))
        assert image[[0, -1]].min() == image[:, [0, -1]].min() == 255
        areas.append((image < 128).sum() / 48**2)
    assert 0.55 < min(areas) < 0.65  # the smallest is three quarters as wide and high
    assert 0.85 < max(areas) < 0.92


def test_a_package_without_a_font_of_a_letter_is_named(archive, monkeypatch):
    monkeypatch.setattr(scripts, "SEEN", (Script("Latin", "A\u4e00"),))
    with pytest.raises(DataError, match=r"NotoSans-Regular\.ttf: .* got none for \u4e00"):
        list(scripts.scripts([archive]))


def test_every_method_without_labels_learns_from_scripts_and_is_judged_by_unseen_ones():
    path = Path(config_file.__file__).parent / "configs/scripts_without_labels.toml"
    study = config_file.read_as(Study, path)
    runs = arm_runs(study, Path("out"))
    assert {run.config.method for run in runs} == {*SELF_SUPERVISED, "supervised"}
    assert {run.config.data.name for run in runs} == {"scripts"}
    assert study.trial.data == "unseen-scripts"
