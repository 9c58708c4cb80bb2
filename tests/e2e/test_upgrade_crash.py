"""kill -9 in the middle of a backbone upgrade: it goes on, and what was embedded stays embedded."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import numpy as np
import pytest

import tiny_backbone
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import embedding_pb2_grpc, upgrade_pb2_grpc
from exemplar.v1 import support_set_pb2 as sets
from exemplar.v1 import upgrade_pb2 as upgrades
from pictures import png
from process_calls import addition, questions, removal, serving
from server_process import PATIENCE_SECONDS

EXEMPLARS = [f"{n % 10}-{n:03}" for n in range(640)]
A_REQUEST = 64
KILLS = 4
BETWEEN_KILLS = 60  # exemplars at least; how many more depends on the machine
SWITCHED = upgrades.UPGRADE_STATE_SWITCHED


@dataclass(frozen=True)
class Life:
    """A server: what it told of the upgrade first and last, and of which space it answered."""

    first: upgrades.Upgrade
    last: upgrades.Upgrade
    fingerprint: str


class Story:
    """A support set is upgraded by servers that are killed, one after the other."""

    def __init__(self, backbones, folder):
        self._backbones, self.store = backbones, folder / "store.db"
        with self._served() as (_, calls, upgrade):
            calls.create("set")
            for start in range(0, len(EXEMPLARS), A_REQUEST):
                calls.change(addition("set", EXEMPLARS[start : start + A_REQUEST]))
            upgrade.start()
        self.lives = [self._life(number) for number in range(KILLS)]
        with self._served() as (_, calls, upgrade):
            self.end = upgrade.reached(lambda now: now.state == SWITCHED)
            self.listed, self.expected = listed(calls), upgrade.embedded_anew(expected_ids())

    def _life(self, number):
        with self._served() as (_, calls, upgrade):
            first = upgrade.now()
            change(calls, number)
            enough = first.embedded_count + BETWEEN_KILLS
            last = upgrade.reached(lambda now: now.embedded_count >= enough)
            return Life(first, last, calls.classification.Classify(questions("set")).fingerprint)

    @contextmanager
    def _served(self):
        """Ends by SIGKILL."""
        names = {"EXEMPLAR_BACKBONE": "tiny@1,tiny@2"}
        with (
            serving(self._backbones, self.store, **names) as (server, calls),
            grpc.insecure_channel(calls.address) as channel,
        ):
            yield server, calls, Upgrade(channel)


class Upgrade:
    """The upgrade of the support set, which switches whatever its random pictures tell."""

    def __init__(self, channel):
        self._calls = upgrade_pb2_grpc.UpgradeServiceStub(channel)
        self._embed = embedding_pb2_grpc.EmbeddingServiceStub(channel).Embed

    def start(self):
        request = upgrades.StartUpgradeRequest(
            support_set="set", backbone="tiny@2", even_if_worse=True
        )
        self._calls.StartUpgrade(request)

    def now(self):
        request = upgrades.GetUpgradeRequest(support_set="set")
        return self._calls.GetUpgrade(request, timeout=PATIENCE_SECONDS).upgrade

    def reached(self, is_enough):
        while not is_enough(now := self.now()):
            assert now.state == upgrades.UPGRADE_STATE_RUNNING, now.message
        return now

    def embedded_anew(self, ids):
        """What the new backbone tells of each exemplar's image."""
        names, found = sorted(ids), {}
        for start in range(0, len(names), A_REQUEST):
            some = names[start : start + A_REQUEST]
            images = [png(sum(name.encode())) for name in some]
            answer = self._embed(embedding.EmbedRequest(images=images, backbone="tiny@2"))
            found |= dict(zip(some, (r.embedding for r in answer.results), strict=True))
        return found


def change(calls, number):
    """Something comes and something goes while images are embedded."""
    calls.change(addition("set", [f"x-{number}"]))
    calls.change(removal("set", [EXEMPLARS[number]]))


def listed(calls):
    request = sets.ListExemplarsRequest(support_set="set", page_size=1000, include_embeddings=True)
    return {e.exemplar_id: e.embedding for e in calls.sets.ListExemplars(request).exemplars}


def expected_ids():
    return {*EXEMPLARS[KILLS:], *(f"x-{number}" for number in range(KILLS))}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upgrade")
    tiny_backbone.write(folder / "backbones")
    tiny_backbone.write(folder / "backbones", offset=100.0, version="2")
    return Story(folder / "backbones", folder)


def test_the_kills_come_in_the_middle(story):
    states = {life.last.state for life in story.lives}
    assert states == {upgrades.UPGRADE_STATE_RUNNING}
    assert all(0 < life.last.embedded_count < len(EXEMPLARS) for life in story.lives)


def test_each_server_goes_on_where_the_last_one_was_killed(story):
    """One exemplar was removed meanwhile, which may have been embedded."""
    for before, after in zip(story.lives, story.lives[1:], strict=False):
        assert after.first.embedded_count >= before.last.embedded_count


def test_answers_before_the_switch_are_of_the_old_space(story):
    assert {life.fingerprint for life in story.lives} == {story.end.from_fingerprint}


def test_in_the_end_each_exemplar_has_the_new_backbone_s_embedding_of_its_image(story):
    assert story.listed.keys() == expected_ids() == story.expected.keys()
    for name, found in story.listed.items():
        expected = story.expected[name]
        assert found.fingerprint == expected.fingerprint == story.end.to_fingerprint
        np.testing.assert_allclose(
            np.frombuffer(found.values, "<f4"), np.frombuffer(expected.values, "<f4"), atol=1e-5
        )


def test_what_is_stored_is_counted(story):
    connection = sqlite3.connect(story.store)
    count = "SELECT sum(length({})) FROM {}"
    there = [
        connection.execute(count.format(column, table)).fetchone()[0]
        for column, table in (('"values"', "embedding"), ("bytes", "image"))
    ]
    (counted,) = connection.execute("SELECT stored_bytes FROM support_set").fetchone()
    connection.close()
    assert counted == sum(there)
