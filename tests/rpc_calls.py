"""Requests about small support sets, and their answers, refusals and traces in the metrics."""

import asyncio
import re
import urllib.request
from operator import attrgetter

import grpc
import pytest

from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import map_pb2 as maps
from exemplar.v1 import support_set_pb2 as sets
from pictures import png

IMAGES = [png(1), png(2)]
EXEMPLARS = [
    sets.NewExemplar(label=label, image=image, exemplar_id=label)
    for label, image in zip("ab", IMAGES, strict=True)
]
QUERIES = [classification.Query(image=image) for image in IMAGES]
METHODS = {
    embedding.EmbedRequest: "embedding.Embed",
    classification.ClassifyRequest: "classification.Classify",
    maps.ComputeMapRequest: "maps.ComputeMap",
    maps.PlaceOnMapRequest: "maps.PlaceOnMap",
    sets.CreateSupportSetRequest: "sets.CreateSupportSet",
    sets.GetSupportSetRequest: "sets.GetSupportSet",
    sets.ListSupportSetsRequest: "sets.ListSupportSets",
    sets.DeleteSupportSetRequest: "sets.DeleteSupportSet",
    sets.AddExemplarsRequest: "sets.AddExemplars",
    sets.RemoveExemplarsRequest: "sets.RemoveExemplars",
    sets.UpdateExemplarsRequest: "sets.UpdateExemplars",
    sets.UpdateSupportSetRequest: "sets.UpdateSupportSet",
    sets.CopySupportSetRequest: "sets.CopySupportSet",
    sets.CreateSnapshotRequest: "sets.CreateSnapshot",
    sets.ListSnapshotsRequest: "sets.ListSnapshots",
    sets.DeleteSnapshotRequest: "sets.DeleteSnapshot",
    sets.RollBackSupportSetRequest: "sets.RollBackSupportSet",
    sets.WarmUpRequest: "sets.WarmUp",
    sets.DeleteTenantRequest: "sets.DeleteTenant",
    sets.ListExemplarsRequest: "sets.ListExemplars",
}

PATIENCE_SECONDS = 60
CANCELLED = 'exemplar_call_seconds_count{{code="CANCELLED",method="exemplar.v1.{}"}}'


def classify(support_set="set", queries=QUERIES, **options):
    return classification.ClassifyRequest(support_set=support_set, queries=queries, **options)


def add(support_set="set", exemplars=EXEMPLARS, **options):
    return sets.AddExemplarsRequest(support_set=support_set, exemplars=exemplars, **options)


def remove(support_set="set", exemplar_ids=("a",), **options):
    return sets.RemoveExemplarsRequest(
        support_set=support_set, exemplar_ids=exemplar_ids, **options
    )


def update(support_set="set", exemplar_ids=("a",), label="new", **options):
    updates = [sets.ExemplarUpdate(exemplar_id=i, label=label) for i in exemplar_ids]
    return sets.UpdateExemplarsRequest(support_set=support_set, updates=updates, **options)


def keep_images(name="set", keep_images=False, **options):
    return sets.UpdateSupportSetRequest(name=name, keep_images=keep_images, **options)


def copy(support_set="set", new_name="copy", **options):
    return sets.CopySupportSetRequest(support_set=support_set, new_name=new_name, **options)


def save(support_set="set", snapshot="saved", **options):
    return sets.CreateSnapshotRequest(support_set=support_set, snapshot=snapshot, **options)


def forget(support_set="set", snapshot="pinned", **options):
    return sets.DeleteSnapshotRequest(support_set=support_set, snapshot=snapshot, **options)


def roll_back(support_set="set", snapshot="pinned", **options):
    return sets.RollBackSupportSetRequest(support_set=support_set, snapshot=snapshot, **options)


def begun(server, request, **options):
    """The call of any request."""
    return attrgetter(METHODS[type(request)])(server)(request, **options)


async def ask(server, request, **options):
    """The answer to any request; a list of answers where they are a stream."""
    call = begun(server, request, **options)
    if isinstance(call, grpc.aio.UnaryStreamCall):
        return [event async for event in call]
    return await call


async def refusal(server, request, **options):
    """The status and message of a request that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(server, request, **options)
    return refused.value.code(), refused.value.details()


async def prepare(server):
    """Creates "set" with two exemplars and a snapshot "pinned", and "empty"."""
    for name in ("set", "empty"):
        await ask(server, sets.CreateSupportSetRequest(name=name))
    await ask(server, add())
    await ask(server, save(snapshot="pinned"))


async def taught(server, images, label="", **options):
    """A support set of these images; number n is exemplar and label n."""
    await ask(server, sets.CreateSupportSetRequest(name="set"), **options)
    new = [
        sets.NewExemplar(label=f"{label}{n}", image=image, exemplar_id=f"{n}")
        for n, image in enumerate(images)
    ]
    await ask(server, add(exemplars=new), **options)


async def metric(server, name):
    url = f"http://{server.metrics_address}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])


async def metric_reaches(server, name, value):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await metric(server, name) != value:
            pass


async def goes_on(server):
    """Whether a good call right after is answered rightly, and "set" is as it was prepared."""
    answer = await ask(server, classify())
    described = await ask(server, sets.GetSupportSetRequest(name="set"))
    return [a.label for a in answer.answers] == ["a", "b"] and described.support_set.revision == 2
