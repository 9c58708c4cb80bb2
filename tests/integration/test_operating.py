"""What those who run the server see: health, reflection, metrics, probes, timings and logs."""

import asyncio
import json
import logging
import re
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from exemplar.v1 import (
    admin_pb2,
    classification_pb2,
    embedding_pb2,
    evaluation_pb2,
    map_pb2,
    support_set_pb2,
    transfer_pb2,
    upgrade_pb2,
)
from exemplar_server.edge.credentials import key_hash
from exemplar_server.edge.logs import configure_logs
from rpc_calls import IMAGES, add, ask, classify, prepare, remove

MODULES = (
    admin_pb2,
    classification_pb2,
    embedding_pb2,
    evaluation_pb2,
    map_pb2,
    support_set_pb2,
    transfer_pb2,
    upgrade_pb2,
)
SERVICES = [s.full_name for m in MODULES for s in m.DESCRIPTOR.services_by_name.values()]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
KEY = "a-key-that-nobody-may-read"
EMBED = embedding_pb2.EmbedRequest(images=[*IMAGES, b"no image"])


async def get(server, path):
    """Status and body of a page of the metrics port."""

    def read():
        try:
            with urllib.request.urlopen(f"http://{server.metrics_address}{path}") as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(read)


async def metrics(server):
    """Values by name with labels."""
    _, text = await get(server, "/metrics")
    pairs = re.findall(r"^(exemplar_\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in pairs}


# Health


async def test_every_service_is_healthy(server):
    health = health_pb2_grpc.HealthStub(server.channel)
    requests = [health_pb2.HealthCheckRequest(service=name) for name in ("", *SERVICES)]
    assert {(await health.Check(request)).status for request in requests} == {SERVING}


async def test_the_health_of_an_unknown_service_is_not_found(server):
    health = health_pb2_grpc.HealthStub(server.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await health.Check(health_pb2.HealthCheckRequest(service="exemplar.v1.Nothing"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@asynccontextmanager
async def draining(serving, settings):
    """A server that was told to stop and waits for the call that watches its health."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(settings))
        async with grpc.aio.insecure_channel(server.address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            seen = [(await watch.read()).status]
            stopped = asyncio.create_task(stack.aclose())
            seen.append((await watch.read()).status)
            try:
                yield server, seen
            finally:
                watch.cancel()
                await stopped


async def test_who_watches_the_health_is_told_of_the_drain(serving, settings):
    async with draining(serving, settings) as (_, seen):
        assert seen == [SERVING, NOT_SERVING]


async def test_a_server_that_drains_is_alive_but_not_ready(serving, settings):
    async with draining(serving, settings) as (server, _):
        assert ((await get(server, "/livez"))[0], (await get(server, "/readyz"))[0]) == (200, 503)


async def test_a_server_that_serves_is_alive_and_ready(server):
    assert ((await get(server, "/livez"))[0], (await get(server, "/readyz"))[0]) == (200, 200)


# Reflection


async def reflected(server):
    """The names of the services that reflection tells of."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    (answer,) = [a async for a in stub.ServerReflectionInfo(iter([request]))]
    return {service.name for service in answer.list_services_response.service}


async def test_reflection_lists_every_service_and_its_own(server):
    public = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert await reflected(server) == public | set(SERVICES)


async def test_reflection_can_be_switched_off(serving, settings):
    async with serving(settings.model_copy(update={"reflection": False})) as server:
        # Nothing is sent: gRPC's core says INTERNAL where a message meets a call just refused.
        call = reflection_pb2_grpc.ServerReflectionStub(server.channel).ServerReflectionInfo()
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


# Metrics


async def test_metrics_count_calls_by_method_and_code(server):
    await prepare(server)
    with pytest.raises(grpc.aio.AioRpcError):
        await ask(server, classify("nowhere"))
    seen = await metrics(server)
    calls = 'exemplar_call_seconds_count{{code="{}",method="exemplar.v1.{}"}}'
    assert seen[calls.format("OK", "SupportSetService/CreateSupportSet")] == 2
    assert seen[calls.format("NOT_FOUND", "ClassificationService/Classify")] == 1


async def test_metrics_tell_the_time_of_every_stage(server):
    await prepare(server)
    for n in range(3):
        await ask(server, classify(min_revision=n))
    seen = await metrics(server)
    stages = {"queue": 4, "decode": 4, "infer": 4, "search": 3}  # one addition, which searches not
    for stage, count in stages.items():
        assert seen[f'exemplar_stage_seconds_count{{stage="{stage}"}}'] == count
    assert seen['exemplar_stage_seconds_sum{stage="search"}'] > 0


async def test_metrics_tell_of_the_queue_the_micro_batches_and_the_index(server):
    await prepare(server)
    await ask(server, EMBED)
    await ask(server, classify())
    seen = await metrics(server)
    assert seen['exemplar_micro_batch_images_sum{backbone="tiny@1"}'] == 6
    assert seen['exemplar_item_errors_total{reason="UNDECODABLE_IMAGE"}'] == 1
    assert seen["exemplar_index_support_sets"] == 1
    assert seen["exemplar_index_bytes"] > 0
    queue = 'exemplar_queue_images{backbone="tiny@1"}'
    idle = ["exemplar_admitted_images", queue, "exemplar_calls_in_flight"]
    assert [seen[name] for name in idle] == [0, 0, 0]


async def test_metrics_tell_what_is_served(server):
    (info,) = [name for name in await metrics(server) if name.startswith("exemplar_info")]
    assert 'backbone="tiny"' in info
    assert 'execution_provider="CPUExecutionProvider"' in info


async def test_metrics_never_name_a_tenant(server):
    await server.server.GetServerInfo(
        admin_pb2.GetServerInfoRequest(), metadata=(("x-exemplar-tenant", "acme"),)
    )
    assert "acme" not in (await get(server, "/metrics"))[1]


# Timings


TIMED = {
    "Embed": (EMBED, {"queue_ms", "decode_ms", "infer_ms"}),
    "AddExemplars": (
        add(exemplars=[support_set_pb2.NewExemplar(label="c", image=IMAGES[0])]),
        {"queue_ms", "decode_ms", "infer_ms"},
    ),
    "Classify": (classify(), {"queue_ms", "decode_ms", "infer_ms", "search_ms"}),
}


def test_every_unary_answer_that_needs_the_model_has_timings():
    outputs = {
        method.name
        for module in MODULES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if "timings" in method.output_type.fields_by_name
    }
    assert outputs == TIMED.keys()


@pytest.mark.parametrize(("request_", "stages"), list(TIMED.values()), ids=list(TIMED))
async def test_an_answer_tells_where_the_time_went(server, request_, stages):
    await prepare(server)
    timings = (await ask(server, request_)).timings
    assert {stage.name for stage, _ in timings.ListFields()} == stages
    assert all(0 < value < 60_000 for _, value in timings.ListFields())


async def test_what_never_went_to_the_model_took_no_time_there(server):
    await prepare(server)
    (result, *_) = (await ask(server, EMBED)).results
    ready_made = [classification_pb2.Query(embedding=result.embedding)]
    timings = (await ask(server, classify(queries=ready_made))).timings
    assert {stage.name for stage, _ in timings.ListFields()} == {"search_ms"}


# Logs


@contextmanager
def json_logs():
    """Logs as the command line sets them up, and everything as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs()
    structlog.configure(cache_logger_on_first_use=False)  # or it outlives this test
    try:
        yield
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture
def with_keys(settings, tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"acme {key_hash(KEY)}\n", encoding="ascii")
    return settings.model_copy(update={"api_keys_file": path})


async def attempts(server, request):
    """Calls with the key, with what is almost the key, and as somebody else."""
    for metadata in (
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": KEY},
        {"authorization": f"Bearer {KEY}", "x-exemplar-tenant": "other"},
    ):
        try:
            await ask(server, request, metadata=tuple(metadata.items()))
        except grpc.aio.AioRpcError:
            continue


REQUESTS = [
    support_set_pb2.CreateSupportSetRequest(name="set"),
    add(exemplars=[support_set_pb2.NewExemplar(label="secret-label", image=IMAGES[0])]),
    add(exemplars=[support_set_pb2.NewExemplar(label="secret-label\0")], all_or_nothing=True),
    classify(),
    classify("nowhere"),
    EMBED,
    remove(),
    support_set_pb2.ListExemplarsRequest(support_set="set"),
    map_pb2.ComputeMapRequest(support_set="set"),
    support_set_pb2.DeleteSupportSetRequest(name="set"),
]


@pytest.fixture
async def logged(serving, with_keys, capsys):
    """What the server wrote while it was called in every way."""
    with json_logs():
        async with serving(with_keys) as server:
            for request in REQUESTS:
                await attempts(server, request)
    return capsys.readouterr().out


async def test_every_log_line_is_json_with_event_level_and_time(logged):
    lines = [json.loads(line) for line in logged.splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    calls = [line for line in lines if line["event"] == "call"]
    assert len(calls) == 4 * len(REQUESTS)
    facts = {"method", "code", "duration_ms", "call_id"}
    assert all(facts <= call.keys() for call in calls)
    assert {c["tenant"] for c in calls if c["code"] == "OK"} == {"acme"}


async def test_the_log_never_has_the_key_its_hash_or_what_was_taught(logged):
    assert KEY not in logged
    assert key_hash(KEY) not in logged
    assert "secret-label" not in logged
