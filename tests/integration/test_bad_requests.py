"""Bad requests through the real service: refused in words, changing and harming nothing."""

import grpc
import pytest

from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import map_pb2 as maps
from exemplar.v1 import support_set_pb2 as sets
from rpc_calls import (
    EXEMPLARS,
    IMAGES,
    QUERIES,
    add,
    classify,
    copy,
    forget,
    goes_on,
    keep_images,
    prepare,
    refusal,
    remove,
    roll_back,
    save,
    update,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
EXISTS = grpc.StatusCode.ALREADY_EXISTS
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
MESSAGE_BYTES = 2**20
NAME = "expected [A-Za-z0-9._-]{1,64}, not . or .., got"


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"message_bytes": MESSAGE_BYTES})


@pytest.fixture
async def server(server):
    """A server with a support set of two exemplars, and an empty one."""
    await prepare(server)
    return server


REFUSED = {
    # Empty
    "no images": (embedding.EmbedRequest(), INVALID, "images: expected 1..64, got none"),
    "no queries": (classify(queries=[]), INVALID, "queries: expected 1..64, got none"),
    "no exemplars": (add(exemplars=[]), INVALID, "exemplars: expected 1..64, got none"),
    "no ids": (remove(exemplar_ids=[]), INVALID, "exemplar_ids: expected 1..1000, got none"),
    "an empty question": (classification.ClassifyRequest(), INVALID, f"support_set: {NAME} ''"),
    "an empty creation": (sets.CreateSupportSetRequest(), INVALID, f"name: {NAME} ''"),
    # Too many
    "65 images": (
        embedding.EmbedRequest(images=IMAGES[:1] * 65),
        INVALID,
        "images: expected 1..64, got 65",
    ),
    "65 queries": (classify(queries=QUERIES[:1] * 65), INVALID, "queries: expected 1..64, got 65"),
    "65 exemplars": (
        add(exemplars=EXEMPLARS[:1] * 65),
        INVALID,
        "exemplars: expected 1..64, got 65",
    ),
    "1001 ids": (
        remove(exemplar_ids=["a"] * 1001),
        INVALID,
        "exemplar_ids: expected 1..1000, got 1001",
    ),
    "an odd id to remove": (
        remove(exemplar_ids=["a", "../x"]),
        INVALID,
        f"exemplar_ids[1]: {NAME} '../x'",
    ),
    "a backbone of 20,000 characters": (
        embedding.EmbedRequest(images=IMAGES, backbone="b" * 20_000),
        INVALID,
        f"backbone: {NAME} '{'b' * 40}...'",
    ),
    "a message over the limit": (
        embedding.EmbedRequest(images=[bytes(MESSAGE_BYTES)]),
        EXHAUSTED,
        f"SERVER: Received message larger than max ({MESSAGE_BYTES + 4} vs. {MESSAGE_BYTES})",
    ),
    # Options out of their range
    "k of 0": (classify(k=0), INVALID, "k: expected 1..100, got 0"),
    "k of 101": (classify(k=101), INVALID, "k: expected 1..100, got 101"),
    "temperature 0": (
        classify(temperature=0),
        INVALID,
        "temperature: expected above 0, up to 100, got 0",
    ),
    "temperature NaN": (
        classify(temperature=float("nan")),
        INVALID,
        "temperature: expected above 0, up to 100, got nan",
    ),
    "an unknown head": (
        classify(head=7),
        INVALID,
        (
            "head: expected one of HEAD_UNSPECIFIED, HEAD_KNN, HEAD_PROTOTYPE, HEAD_RIDGE, "
            "HEAD_AUTO, got 7"
        ),
    ),
    "a rate above 1": (
        classify(false_accept_rate=1.5),
        INVALID,
        "false_accept_rate: expected 0..1, got 1.5",
    ),
    "a coverage of 1": (
        classify(coverage=1),
        INVALID,
        "coverage: expected above 0 and below 1, got 1",
    ),
    "a map of 2001 iterations": (
        maps.ComputeMapRequest(support_set="set", iterations=2001),
        INVALID,
        "iterations: expected 1..2000, got 2001",
    ),
    "a page of 1001": (
        sets.ListSupportSetsRequest(page_size=1001),
        INVALID,
        "page_size: expected 1..1000, got 1001",
    ),
    "a bad page token of sets": (
        sets.ListSupportSetsRequest(page_token="no token!"),  # noqa: S106 - no password
        INVALID,
        f"page_token: {NAME} 'no token!'",
    ),
    "a bad page token of exemplars": (
        sets.ListExemplarsRequest(support_set="set", page_token="../x"),  # noqa: S106 - as above
        INVALID,
        f"page_token: {NAME} '../x'",
    ),
    "a long request id": (
        remove(request_id="x" * 65),
        INVALID,
        f"request_id: expected up to 64 printable characters, got '{'x' * 40}...'",
    ),
    # What is not there, or is
    "an unknown backbone to embed with": (
        embedding.EmbedRequest(images=IMAGES, backbone="nope"),
        NOT_FOUND,
        "backbone: expected one of tiny@1, got 'nope'",
    ),
    "an unknown backbone to create with": (
        sets.CreateSupportSetRequest(name="new", backbone="nope"),
        NOT_FOUND,
        "backbone: expected one of tiny@1, got 'nope'",
    ),
    "a duplicate name": (
        sets.CreateSupportSetRequest(name="set"),
        EXISTS,
        "there is a support set 'set' already",
    ),
    "a question to an empty support set": (
        classify("empty"),
        PRECONDITION,
        "support set 'empty' has no exemplars yet: add some first",
    ),
    "a map of an empty support set": (
        maps.ComputeMapRequest(support_set="empty"),
        PRECONDITION,
        "support set 'empty' has no exemplars yet: add some first",
    ),
}


@pytest.mark.parametrize(("request_", "code", "message"), list(REFUSED.values()), ids=list(REFUSED))
async def test_a_bad_request_is_refused_in_words(server, request_, code, message):
    assert await refusal(server, request_) == (code, message)
    assert await goes_on(server)


def requests_of(name):
    """Every request that names a support set, and the field where it does."""
    return [
        (sets.GetSupportSetRequest(name=name), "name"),
        (sets.DeleteSupportSetRequest(name=name), "name"),
        (sets.ListExemplarsRequest(support_set=name), "support_set"),
        (maps.ComputeMapRequest(support_set=name), "support_set"),
        (classify(name), "support_set"),
        (add(name), "support_set"),
        (remove(name), "support_set"),
        (update(name), "support_set"),
        (keep_images(name), "name"),
        (copy(name), "support_set"),
        (save(name), "support_set"),
        (sets.ListSnapshotsRequest(support_set=name), "support_set"),
        (forget(name), "support_set"),
        (roll_back(name), "support_set"),
        (sets.WarmUpRequest(support_set=name), "support_set"),
    ]


async def test_an_unknown_support_set_is_not_found_by_any_method(server):
    for request, _ in requests_of("unknown"):
        assert await refusal(server, request) == (NOT_FOUND, "there is no support set 'unknown'")
    assert await goes_on(server)


ODD_NAMES = {
    "path": ("../x", "'../x'"),
    "dots": ("..", "'..'"),
    "NUL": ("x\0y", r"'x\x00y'"),
    "emoji": ("\N{SLICE OF PIZZA}", r"'\U0001f355'"),
    "space": (" x", "' x'"),
    "newline": ("x\n", r"'x\n'"),
    "65 characters": ("x" * 65, f"'{'x' * 40}...'"),
}
each_odd_name = pytest.mark.parametrize(
    ("name", "shown"), list(ODD_NAMES.values()), ids=list(ODD_NAMES)
)


@each_odd_name
async def test_an_odd_name_of_a_support_set_is_refused_by_every_method(server, name, shown):
    creation = (sets.CreateSupportSetRequest(name=name), "name")
    for request, field in [creation, *requests_of(name)]:
        assert await refusal(server, request) == (INVALID, f"{field}: {NAME} {shown}")
    assert await goes_on(server)


# NUL and emoji are no metadata: gRPC clients do not send them.
@pytest.mark.parametrize("tenant", ["../x", "..", "a b", "a/b", "x" * 65])
async def test_an_odd_tenant_is_refused(server, tenant):
    refused = await refusal(server, classify(), metadata=[("x-exemplar-tenant", tenant)])
    assert refused == (
        INVALID,
        f"x-exemplar-tenant: expected [A-Za-z0-9._-]{{1,64}}, got {tenant!r}",
    )
    assert await goes_on(server)


async def raw(server, method, data):
    """The status and message that bytes get which no stub would send."""
    call = server.channel.stream_stream(f"/exemplar.v1.{method}")(iter([data]))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    return refused.value.code(), refused.value.details()


@pytest.mark.parametrize(
    "method", ["ClassificationService/Classify", "ClassificationService/StreamClassify"]
)
@pytest.mark.parametrize("data", [b"\xff\xff", b"\x0a\x02\xc3\x28"], ids=["cut", "no UTF-8"])
async def test_bytes_that_are_no_message_are_refused(server, method, data):
    status, message = await raw(server, method, data)
    assert status == INVALID
    assert message.startswith("request: expected this method's message, got bytes that are none")
    assert await goes_on(server)
