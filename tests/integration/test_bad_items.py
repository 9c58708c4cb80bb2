"""Bad exemplars and queries through the real service: each costs itself, or the whole if asked."""

import grpc
import numpy as np
import pytest

import tiny_backbone
from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import support_set_pb2 as sets
from rpc_calls import IMAGES, QUERIES, add, ask, classify, goes_on, prepare, refusal
from tiny_backbone import DIM

CODES = {
    "INVALID_INPUT": grpc.StatusCode.INVALID_ARGUMENT,
    "LIMIT_EXCEEDED": grpc.StatusCode.INVALID_ARGUMENT,
    "ALREADY_EXISTS": grpc.StatusCode.ALREADY_EXISTS,
    "FINGERPRINT_MISMATCH": grpc.StatusCode.FAILED_PRECONDITION,
}
ID = "exemplars[1].exemplar_id: expected [A-Za-z0-9._-]{1,64}, not . or .., got"
LABEL = "exemplars[1].label: expected"
NOT_FINITE = "expected finite values, not all zero"
FOREIGN = "0" * 64


@pytest.fixture
async def server(server):
    await prepare(server)
    return server


@pytest.fixture
def fingerprint(backbone_dir):
    return tiny_backbone.artifact.load_artifact(backbone_dir / "tiny" / "1").manifest.fingerprint


def reason_of(error):
    return embedding.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_")


def exemplar(label="c", image=IMAGES[0], **fields):
    return sets.NewExemplar(label=label, image=image, **fields)


async def assert_costs_only_itself(server, bad, reason, message):
    """`bad` between two good exemplars: they are added, in order."""
    around = [exemplar(exemplar_id="before"), exemplar(exemplar_id="after")]
    response = await ask(server, add("empty", [around[0], bad, around[1]]))
    first, error, last = (getattr(r, r.WhichOneof("result")) for r in response.results)
    assert (first, last, response.exemplar_count) == ("before", "after", 2)
    assert (reason_of(error), error.message) == (reason, message)


async def assert_costs_all(server, bad, reason, message):
    """`bad` in an all-or-nothing request: nothing is added."""
    request = add("set", [exemplar(exemplar_id="before"), bad], all_or_nothing=True)
    assert await refusal(server, request) == (CODES[reason], message)


BAD_EXEMPLARS = {
    "no label": (exemplar(""), "INVALID_INPUT", f"{LABEL} 1..128 characters, got 0"),
    "a label of 10,000 characters": (
        exemplar("x" * 10_000),
        "INVALID_INPUT",
        f"{LABEL} 1..128 characters, got 10000",
    ),
    "NUL in the label": (
        exemplar("c\0d"),
        "INVALID_INPUT",
        rf"{LABEL} no control characters, got 'c\x00d'",
    ),
    "a path as id": (exemplar(exemplar_id="../x"), "INVALID_INPUT", f"{ID} '../x'"),
    "NUL in the id": (exemplar(exemplar_id="x\0"), "INVALID_INPUT", rf"{ID} 'x\x00'"),
    "an emoji as id": (exemplar(exemplar_id="\U0001f355"), "INVALID_INPUT", rf"{ID} '\U0001f355'"),
    "an id of 65 characters": (
        exemplar(exemplar_id="x" * 65),
        "INVALID_INPUT",
        f"{ID} '{'x' * 40}...'",
    ),
    "an id that is there": (
        exemplar(exemplar_id="before"),
        "ALREADY_EXISTS",
        "exemplars[1].exemplar_id: 'before' is taken",
    ),
    "4097 bytes of metadata": (
        exemplar(metadata={"k": "v" * 4096}),
        "LIMIT_EXCEEDED",
        "exemplars[1].metadata: expected up to 4096 bytes, got 4097",
    ),
    "neither image nor embedding": (
        sets.NewExemplar(label="c"),
        "INVALID_INPUT",
        "exemplars[1]: expected an image or an embedding, got neither",
    ),
}


@pytest.mark.parametrize(
    ("bad", "reason", "message"), list(BAD_EXEMPLARS.values()), ids=list(BAD_EXEMPLARS)
)
async def test_a_bad_exemplar_is_left_out_in_words(server, bad, reason, message):
    await assert_costs_all(server, bad, reason, message)
    await assert_costs_only_itself(server, bad, reason, message)
    assert await goes_on(server)


def vector(fingerprint, values=1.0, dim=DIM, count=DIM):
    data = np.full(count, values, "<f4").tobytes()
    return embedding.Embedding(values=data, dim=dim, fingerprint=fingerprint)


# How the embedding differs from a good one; OWN stands for the server's fingerprint.
BAD_EMBEDDINGS = {
    "NaN": ({"values": float("nan")}, "INVALID_INPUT", NOT_FINITE),
    "infinity": ({"values": float("-inf")}, "INVALID_INPUT", NOT_FINITE),
    "all zero": ({"values": 0.0}, "INVALID_INPUT", NOT_FINITE),
    "another dim": (
        {"dim": 3, "count": 3},
        "INVALID_INPUT",
        "expected dim 192 in 768 bytes, got dim 3 in 12 bytes",
    ),
    "fewer values than its dim": (
        {"count": 191},
        "INVALID_INPUT",
        "expected dim 192 in 768 bytes, got dim 192 in 764 bytes",
    ),
    "another fingerprint": (
        {"fingerprint": FOREIGN},
        "FINGERPRINT_MISMATCH",
        f"fingerprint: expected OWN (tiny), got '{FOREIGN}'",
    ),
    "no fingerprint": (
        {"fingerprint": ""},
        "FINGERPRINT_MISMATCH",
        "fingerprint: expected OWN (tiny), got ''",
    ),
}
each_bad_embedding = pytest.mark.parametrize(
    ("changes", "reason", "message"), list(BAD_EMBEDDINGS.values()), ids=list(BAD_EMBEDDINGS)
)


@each_bad_embedding
async def test_a_bad_embedding_is_not_added(server, fingerprint, changes, reason, message):
    bad = vector(**{"fingerprint": fingerprint} | changes)
    located = "exemplars[1].embedding: " + message.replace("OWN", fingerprint)
    await assert_costs_all(server, sets.NewExemplar(label="c", embedding=bad), reason, located)
    await assert_costs_only_itself(
        server, sets.NewExemplar(label="c", embedding=bad), reason, located
    )
    assert await goes_on(server)


@each_bad_embedding
async def test_a_bad_embedding_is_not_classified(server, fingerprint, changes, reason, message):
    bad = vector(**{"fingerprint": fingerprint} | changes)
    queries = [QUERIES[0], classification.Query(embedding=bad), classification.Query(), QUERIES[1]]
    first, refused, empty, last = (await ask(server, classify(queries=queries))).answers
    assert (first.label, last.label) == ("a", "b")
    located = "queries[1].embedding: " + message.replace("OWN", fingerprint)
    assert (reason_of(refused.error), refused.error.message) == (reason, located)
    assert empty.error.message == "queries[2]: expected an image or an embedding, got neither"
    assert await goes_on(server)


ODD_LABELS = [
    "../x",
    "a/b",
    " ",
    "\N{SLICE OF PIZZA}" * 128,
    "'; DROP TABLE exemplar; --",
    "\u202e%s",
]


@pytest.mark.parametrize("label", ODD_LABELS, ids=ascii)
async def test_an_odd_label_is_a_label_like_others(server, label):
    await ask(server, add("empty", [exemplar(label)]))
    (answer,) = (await ask(server, classify("empty", QUERIES[:1]))).answers
    assert answer.label == label
    request = sets.ListExemplarsRequest(support_set="empty", label=label)
    assert [e.label for e in (await ask(server, request)).exemplars] == [label]
    assert await goes_on(server)


# A support set of another backbone


BOTH = (
    "support set 'set' was made with backbone tiny (fingerprint {}), "
    "this server runs other@1 (fingerprint {})"
)


async def running_fingerprint(server):
    answer = await server.embedding.ListBackbones(embedding.ListBackbonesRequest())
    return answer.backbones[0].fingerprint


@pytest.fixture
def other_settings(settings, tmp_path):
    """The same store, another backbone."""
    tiny_backbone.write(tmp_path / "backbones", "other", offset=100.0)
    return settings.model_copy(update={"backbone_dir": tmp_path / "backbones"})


@pytest.mark.parametrize("request_", [classify(), add()], ids=["Classify", "AddExemplars"])
async def test_a_support_set_of_another_backbone_is_refused_with_both_names(
    serving, settings, other_settings, fingerprint, request_
):
    async with serving(settings) as server:
        await prepare(server)
    async with serving(other_settings) as server:
        fingerprints = [fingerprint[:12], (await running_fingerprint(server))[:12]]
        message = BOTH.format(*fingerprints)
        assert await refusal(server, request_) == (grpc.StatusCode.FAILED_PRECONDITION, message)
        await ask(server, sets.CreateSupportSetRequest(name="new"))
        await ask(server, add("new"))
        assert [a.label for a in (await ask(server, classify("new"))).answers] == ["a", "b"]
    async with serving(settings) as server:
        assert await goes_on(server)
