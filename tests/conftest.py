"""Fixtures: a tiny backbone, and a real server on a free port in this process."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import pytest
from hypothesis import settings

import tiny_backbone
from exemplar.v1 import (
    admin_pb2_grpc,
    classification_pb2_grpc,
    embedding_pb2_grpc,
    map_pb2_grpc,
    support_set_pb2_grpc,
)
from exemplar_server.app import running
from exemplar_server.settings import Settings
from postgres_server import postgres_server, why_there_is_none

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from postgres_server import PostgresServer

# Tests assert meaning, not speed: a busy machine fails none of them.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@dataclass(frozen=True)
class Stubs:
    """A server's address and one stub a service, over one channel."""

    address: str
    metrics_address: str
    channel: grpc.aio.Channel
    server: admin_pb2_grpc.ServerServiceAsyncStub
    embedding: embedding_pb2_grpc.EmbeddingServiceAsyncStub
    sets: support_set_pb2_grpc.SupportSetServiceAsyncStub
    classification: classification_pb2_grpc.ClassificationServiceAsyncStub
    maps: map_pb2_grpc.MapServiceAsyncStub


def stubs(addresses: dict[str, str], channel: grpc.aio.Channel) -> Stubs:
    return Stubs(
        addresses["listen"],
        addresses["metrics_listen"],
        channel,
        admin_pb2_grpc.ServerServiceStub(channel),
        embedding_pb2_grpc.EmbeddingServiceStub(channel),
        support_set_pb2_grpc.SupportSetServiceStub(channel),
        classification_pb2_grpc.ClassificationServiceStub(channel),
        map_pb2_grpc.MapServiceStub(channel),
    )


@pytest.fixture(scope="session")
def backbone_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("backbones")
    tiny_backbone.write(root)
    return root


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests that leave it running."""
    if missing := why_there_is_none():
        (pytest.fail if "CI" in os.environ else pytest.skip)(missing)
    with postgres_server() as started:
        started.create("used_by_all")
        yield started


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """A database without tables; only one at a time."""
    postgres.empty("used_by_all")
    return postgres.url("used_by_all")


@pytest.fixture
def settings(backbone_dir: Path, tmp_path: Path) -> Settings:
    return Settings(
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
        backbone_dir=backbone_dir,
        store_url=f"sqlite:///{tmp_path}/store.db",
        cores=1,
        drain_seconds=5,
        revision_wait_seconds=0,
    )


@pytest.fixture
def serving() -> Callable[[Settings], AbstractAsyncContextManager[Stubs]]:
    """Starts a server with the settings, and stops it at the end of the block."""

    @asynccontextmanager
    async def start(settings: Settings) -> AsyncIterator[Stubs]:
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        async with (
            running(settings) as addresses,
            grpc.aio.insecure_channel(addresses["listen"], options) as channel,
        ):
            yield stubs(addresses, channel)

    return start


@pytest.fixture
async def server(settings: Settings, serving) -> AsyncIterator[Stubs]:
    async with serving(settings) as started:
        yield started
