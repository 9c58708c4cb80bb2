"""The SDK and the command line against a real server process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from exemplar import AsyncClient, Client, Confusion, FailedPreconditionError, NotFoundError
from pictures import png
from server_process import server_process

EXEMPLAR = Path(sys.executable).with_name("exemplar")


@pytest.fixture(scope="module")
def address(backbone_dir):
    with server_process(backbone_dir) as serving:
        yield serving


@pytest.fixture
def client(address):
    with Client(address, tenant="acme") as connected:
        yield connected


def run(address, *arguments):
    return subprocess.run(
        [EXEMPLAR, "--server", address, *arguments], capture_output=True, text=True, check=False
    )


def test_taught_images_are_told_apart(client):
    client.create_support_set("first")
    added = client.add_exemplars("first", [("one", png(1)), ("two", png(2))])
    answers = client.classify("first", [png(2), png(1)], k=1)
    assert [answer.label for answer in answers] == ["two", "one"]
    assert [answer.neighbors[0].exemplar_id for answer in answers] == added.exemplar_ids[::-1]


def test_one_bad_image_among_hundred_costs_itself(client):
    client.create_support_set("hundred")
    images = [png(seed) for seed in range(100)]
    images[70] = b"not an image"
    added = client.add_exemplars("hundred", [(f"label-{n}", i) for n, i in enumerate(images)])
    assert list(added.errors) == [70]
    assert "exemplars[70]" in added.errors[70].message
    assert added.exemplar_count == 99


def test_embeddings_are_unit_vectors_for_numpy(client):
    vector = np.asarray(client.embed([png(1)])[0])
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)


def test_a_support_set_that_was_recreated_is_read_without_its_past(client):
    client.create_support_set("again")
    client.add_exemplars("again", [("old", png(1))])
    client.delete_support_set("again")
    client.create_support_set("again")
    with pytest.raises(FailedPreconditionError, match="no exemplars yet"):
        client.classify("again", [png(1)])


def test_tenants_do_not_see_each_other(address, client):
    client.create_support_set("private")
    with Client(address, tenant="other") as other, pytest.raises(NotFoundError):
        other.get_support_set("private")


def test_streamed_answers_come_in_order(client):
    client.create_support_set("stream")
    client.add_exemplars("stream", [(str(seed), png(seed)) for seed in range(10)])
    answers = client.stream_classify("stream", (png(seed % 10) for seed in range(40)), k=1)
    assert [answer.label for answer in answers] == [str(seed % 10) for seed in range(40)]


def test_a_map_shows_every_exemplar_with_its_picture(client, tmp_path):
    client.create_support_set("map")
    client.add_exemplars("map", [(str(seed % 3), png(seed)) for seed in range(30)])
    seen = []
    result = client.compute_map("map", thumbnails=True, on_progress=seen.append)
    assert len(result.points) == 30
    assert all(point.thumbnail.startswith(b"\xff\xd8") for point in result.points)
    assert seen[-1].iteration == seen[-1].total_iterations
    result.save_html(tmp_path / "map.html")
    assert "<canvas" in (tmp_path / "map.html").read_text(encoding="utf-8")


async def test_asynchronous_callers_share_a_client(address):
    async with AsyncClient(address, tenant="async") as client:
        await client.create_support_set("shared")
        await client.add_exemplars("shared", [(str(seed), png(seed)) for seed in range(8)])
        jobs = (client.classify("shared", [png(seed)], k=1) for seed in range(8))
        answers = await asyncio.gather(*jobs)
    assert [answer[0].label for answer in answers] == [str(seed) for seed in range(8)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for seed in range(6):
        path = root / ("even" if seed % 2 == 0 else "odd") / f"{seed}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(seed))
    (root / "odd" / "broken.png").write_bytes(b"broken")
    return root


def test_an_exemplar_among_strangers_is_suspected(client):
    client.create_support_set("mixed")
    seeds = [1, 1, 1, 2, 2, 2, 2]
    labels = ["one", "one", "one", "two", "two", "two", "one"]
    pairs = [(label, png(seed)) for label, seed in zip(labels, seeds, strict=True)]
    added = client.add_exemplars("mixed", pairs)
    found = client.evaluate("mixed", thumbnails=True)
    stranger = added.exemplar_ids[-1]
    assert found.suggestions == {stranger: "two"}
    assert found.accuracy.value == pytest.approx(6 / 7)
    assert found.confusions == (Confusion("one", "two", 1, (stranger,)),)
    twins = [{d.exemplar_id, d.other_exemplar_id} for d in found.duplicates if d.is_contradiction]
    assert len(twins) == 3
    assert all(stranger in pair for pair in twins)
    assert found.thumbnails[stranger].startswith(b"\xff\xd8")


def test_the_command_line_evaluates(address, folder):
    run(address, "add", "judged", str(folder))
    done = run(address, "evaluate", "judged")
    assert (done.returncode, done.stderr) == (0, "")
    assert "answered right by the others" in done.stdout
    assert "even" in done.stdout


def test_the_command_line_shows_what_is_wrong_as_a_page_and_on_a_map(address, folder, tmp_path):
    run(address, "add", "looked-at", str(folder))
    report, page = tmp_path / "report.html", tmp_path / "map.html"
    done = run(address, "evaluate", "looked-at", "--html", str(report), "--json")
    told = json.loads(done.stdout)
    assert (told["support_set"], told["exemplar_count"]) == ("looked-at", 6)
    assert "looked-at" in report.read_text(encoding="utf-8")
    query = str(folder / "odd" / "1.png")
    asked = ("--suspects", "--place", query, "--false-accept-rate", "0")
    assert run(address, "map", "looked-at", "--out", str(page), *asked).returncode == 0
    assert all(f'"{one["exemplar_id"]}"' in page.read_text() for one in told["suspects"])


def test_the_command_line_adds_classifies_and_maps(address, folder, tmp_path):
    added = run(address, "add", "shapes", str(folder))
    assert "broken.png" in added.stdout + added.stderr
    classified = run(address, "classify", "shapes", str(folder / "even" / "2.png"), "--k", "1")
    assert classified.returncode == 0
    assert "even" in classified.stdout
    page = tmp_path / "map.html"
    assert run(address, "map", "shapes", "--out", str(page)).returncode == 0
    assert page.stat().st_size > 10_000


def test_the_command_line_says_what_is_wrong_in_one_line(address):
    failed = run(address, "classify", "nowhere", str(EXEMPLAR))
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "nowhere" in failed.stderr


def test_the_command_line_ends_quietly_when_its_reader_has_enough(address):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:  # noqa: PTH123 - a descriptor, not a path
        command = [EXEMPLAR, "--server", address, "info"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
