"""The composition root: build, prove ready, serve, drain, stop."""

from __future__ import annotations

import asyncio
import signal
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from exemplar.v1 import (
    admin_pb2_grpc,
    classification_pb2_grpc,
    embedding_pb2_grpc,
    evaluation_pb2_grpc,
    map_pb2_grpc,
    support_set_pb2_grpc,
    transfer_pb2_grpc,
    upgrade_pb2_grpc,
)
from exemplar_server.backbones import serve_backbones
from exemplar_server.backends import images
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.backends.sql_transfers import SqlTransfers
from exemplar_server.backends.tsne import TsneProcesses
from exemplar_server.core.admission import Admission
from exemplar_server.core.maps import Maps
from exemplar_server.core.support_sets import SupportSets
from exemplar_server.core.thumbnails import Thumbnails
from exemplar_server.core.transfers import Transfers
from exemplar_server.edge.classification_service import ClassificationServicer
from exemplar_server.edge.credentials import Credentials, read_api_keys
from exemplar_server.edge.embedding_service import EmbeddingServicer
from exemplar_server.edge.evaluation_service import EvaluationServicer
from exemplar_server.edge.interceptor import CallInterceptor
from exemplar_server.edge.map_service import MapServicer
from exemplar_server.edge.metrics import Metrics, MetricsServer
from exemplar_server.edge.server_service import ServerServicer
from exemplar_server.edge.support_set_service import SupportSetServicer
from exemplar_server.edge.transfer_service import TransferServicer
from exemplar_server.edge.upgrade_service import UpgradeServicer
from exemplar_server.errors import ConfigurationError
from exemplar_server.indexes import hold_indexes
from exemplar_server.settings import Settings, host_and_port
from exemplar_server.upgrading import work_off_upgrades

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from exemplar_server.backbones import Served
    from exemplar_server.core.upgrades import Upgrades

log = structlog.get_logger()

SERVICES = (
    "exemplar.v1.ServerService",
    "exemplar.v1.EmbeddingService",
    "exemplar.v1.SupportSetService",
    "exemplar.v1.ClassificationService",
    "exemplar.v1.EvaluationService",
    "exemplar.v1.MapService",
    "exemplar.v1.TransferService",
    "exemplar.v1.UpgradeService",
)
# Connections are renewed, so that new replicas get their share; the longest call may end first.
CONNECTION_AGE_MS = 30 * 60 * 1000
CONNECTION_GRACE_MS = 10 * 60 * 1000
PING_INTERVAL_MS = 60 * 1000
METADATA_BYTES = 16 * 1024


@dataclass(frozen=True)
class Service:
    """Everything between the backends and the edge."""

    support_sets: SupportSets
    maps: Maps
    transfers: Transfers
    upgrades: Upgrades
    backbones: Sequence[Served]
    store: SqlStore
    metrics: Metrics


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains: calls in hand are answered.

    Raises:
        ExemplarError: something that serving needs is missing or wrong; says what to do.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(settings) as addresses:
        log.info("serving", **addresses)
        await stop.wait()
        log.info("draining", seconds=settings.drain_seconds)
    log.info("stopped")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[dict[str, str]]:
    """A ready server; yields the addresses that it listens on. Leaving drains and stops it."""
    async with AsyncExitStack() as stack:
        service = await _build(settings, stack)
        healthy = health.aio.HealthServicer()
        interceptor = CallInterceptor(_credentials(settings), service.metrics)
        server = grpc.aio.server(interceptors=[interceptor], options=_options(settings))
        _register(server, service, settings, healthy)
        listen = _bind(server, settings)
        serving = asyncio.Event()
        metrics_listen = _expose(settings, service, interceptor, serving.is_set, stack)
        await server.start()
        serving.set()
        for name in ("", *SERVICES):
            await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
        try:
            yield {"listen": listen, "metrics_listen": metrics_listen}
        finally:
            serving.clear()
            await healthy.enter_graceful_shutdown()
            await server.stop(settings.drain_seconds)


async def _build(settings: Settings, stack: AsyncExitStack) -> Service:
    metrics = Metrics()
    admission = Admission(settings.queue_images, settings.queue_bytes)
    served = await serve_backbones(settings, metrics, admission, stack)
    store = SqlStore(settings.store_url, settings.quotas())
    stack.callback(store.close)
    cache = hold_indexes(settings, store, metrics, stack)
    limits = images.ImageLimits(settings.image_bytes, settings.image_pixels)
    thumbnails = Thumbnails(store, partial(images.thumbnail, limits=limits))
    support_sets = SupportSets(
        store,
        cache,
        [one.embedder for one in served],
        thumbnails,
        settings.revision_wait_seconds,
    )
    stored = SqlTransfers(store, settings.quotas())
    await stored.sweep_at_start()
    transfers = Transfers(store, stored, support_sets, cache, settings.transfer_bytes)
    upgrades = work_off_upgrades(
        store,
        support_sets,
        cache,
        embedders=[one.background for one in served],
        admission=admission,
        metrics=metrics,
        stack=stack,
    )
    map_maker = TsneProcesses(settings.map_workers, metrics.map_seconds.observe)
    maps = Maps(map_maker, thumbnails, settings.map_points)
    metrics.watch("exemplar_maps_running", "Jobs that hold a worker.", lambda: map_maker.running)
    metrics.watch("exemplar_maps_waiting", "Jobs without one yet.", lambda: map_maker.waiting)
    metrics.watch(
        "exemplar_admitted_images", "Images between arrival and answer.", lambda: admission.images
    )
    metrics.watch_backbones(
        "exemplar_queue_images",
        "Images that wait for a session.",
        {one.label: one.waiting for one in served},
    )
    return Service(support_sets, maps, transfers, upgrades, served, store, metrics)


def _credentials(settings: Settings) -> Credentials:
    path = settings.api_keys_file
    return Credentials(None if path is None else read_api_keys(path))


def _options(settings: Settings) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", settings.message_bytes),
        ("grpc.max_send_message_length", settings.message_bytes),
        ("grpc.max_metadata_size", METADATA_BYTES),
        ("grpc.so_reuseport", 0),  # else a second server on the same port takes half of the calls
        ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
        ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_MS),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MS),
    ]


def _register(
    server: grpc.aio.Server,
    service: Service,
    settings: Settings,
    healthy: health.aio.HealthServicer,
) -> None:
    limits = settings.limits()
    backbones = [one.embedder.backbone for one in service.backbones]
    sets, metrics = service.support_sets, service.metrics
    admin_pb2_grpc.add_ServerServiceServicer_to_server(
        ServerServicer(version("exemplar"), limits, backbones, service.store.epoch), server
    )
    embedding_pb2_grpc.add_EmbeddingServiceServicer_to_server(
        EmbeddingServicer(sets, backbones, limits, metrics), server
    )
    support_set_pb2_grpc.add_SupportSetServiceServicer_to_server(
        SupportSetServicer(sets, limits, metrics), server
    )
    classification_pb2_grpc.add_ClassificationServiceServicer_to_server(
        ClassificationServicer(sets, limits, metrics), server
    )
    evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(
        EvaluationServicer(sets, limits), server
    )
    map_pb2_grpc.add_MapServiceServicer_to_server(
        MapServicer(sets, service.maps, limits, metrics), server
    )
    transfer_pb2_grpc.add_TransferServiceServicer_to_server(
        TransferServicer(service.transfers, limits), server
    )
    upgrade_pb2_grpc.add_UpgradeServiceServicer_to_server(UpgradeServicer(service.upgrades), server)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    if settings.reflection:
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)


def _bind(server: grpc.aio.Server, settings: Settings) -> str:
    """The address that the server listens on, with its true port."""
    host, _ = host_and_port(settings.listen)
    try:
        if settings.tls_certificate_file is None or settings.tls_key_file is None:
            port = server.add_insecure_port(settings.listen)
        else:
            pair = _read_pair(settings.tls_key_file, settings.tls_certificate_file)
            port = server.add_secure_port(settings.listen, grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        raise ConfigurationError(
            f"EXEMPLAR_LISTEN: cannot listen on {settings.listen}: is the port in use? ({error})"
        ) from error
    return f"{host}:{port}"


def _read_pair(key_file: Path, certificate_file: Path) -> tuple[bytes, bytes]:
    try:
        pair = key_file.read_bytes(), certificate_file.read_bytes()
        # gRPC says only that it cannot listen where the two are not a pair.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, key_file)
    except OSError as error:  # an SSLError is one
        raise ConfigurationError(
            "EXEMPLAR_TLS_KEY_FILE, EXEMPLAR_TLS_CERTIFICATE_FILE: "
            f"expected a key and its certificate as PEM: {error}"
        ) from error
    return pair


def _expose(
    settings: Settings,
    service: Service,
    interceptor: CallInterceptor,
    is_serving: Callable[[], bool],
    stack: AsyncExitStack,
) -> str:
    """Starts the metrics port; returns its address."""
    address = host_and_port(settings.metrics_listen)
    for backbone in (one.embedder.backbone for one in service.backbones):
        name, fingerprint = backbone.manifest.name, backbone.manifest.fingerprint
        facts = version("exemplar"), name, fingerprint, backbone.execution_provider
        service.metrics.info.labels(*facts).set(1)
    service.metrics.watch(
        "exemplar_calls_in_flight", "Calls being worked on.", lambda: interceptor.in_flight
    )

    def is_alive() -> bool:
        return all(one.is_alive for one in service.backbones)

    try:
        exposed = MetricsServer(
            address,
            service.metrics,
            is_live=is_alive,
            is_ready=lambda: is_serving() and is_alive(),
        )
    except OSError as error:
        raise ConfigurationError(
            f"EXEMPLAR_METRICS_LISTEN: cannot listen on {settings.metrics_listen}: {error}"
        ) from error
    stack.callback(exposed.stop)
    return f"{address[0]}:{exposed.port}"
