"""Which backbone of a folder is served."""

import shutil

import pytest

import tiny_backbone
from exemplar_server.core.artifact import find_artifact, find_artifacts
from exemplar_server.errors import ConfigurationError


@pytest.mark.parametrize(
    ("versions", "newest"),
    [(["2", "10"], "10"), (["1.10", "2.0"], "2.0"), (["1.9", "1.10"], "1.10")],
)
def test_the_newest_version_is_served(backbone_dir, tmp_path, versions, newest):
    directory = next(backbone_dir.rglob("manifest.json")).parent
    for version in versions:
        shutil.copytree(directory, tmp_path / "backbones" / "tiny" / version)
    assert find_artifact(tmp_path / "backbones", "").directory.name == newest


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Two versions of one name, and another name."""
    root = tmp_path_factory.mktemp("several")
    tiny_backbone.write(root)
    tiny_backbone.write(root, offset=100.0, version="2")
    tiny_backbone.write(root, "other", offset=90.0)
    return root


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("tiny", ["tiny@2"]),
        ("tiny@1", ["tiny@1"]),
        ("tiny@1,tiny@2", ["tiny@1", "tiny@2"]),
        ("tiny@2, other, tiny@1", ["tiny@2", "other@1", "tiny@1"]),
    ],
)
def test_several_backbones_are_found_in_the_order_of_their_names(several, names, labels):
    found = find_artifacts(several, names)
    assert [artifact.manifest.label for artifact in found] == labels


@pytest.mark.parametrize("names", ["tiny,tiny@2", "other,other"])
def test_one_backbone_under_two_names_is_refused(several, names):
    with pytest.raises(ConfigurationError, match="expected different backbones"):
        find_artifacts(several, names)


@pytest.mark.parametrize(
    ("name", "known"),
    [("", "other, tiny"), ("none", "other, tiny"), ("tiny@3", "other@1, tiny@1, tiny@2")],
)
def test_a_backbone_that_is_not_there_is_refused_with_those_that_are(several, name, known):
    with pytest.raises(ConfigurationError, match=f"expected one of {known}, got '{name}'"):
        find_artifacts(several, name)
