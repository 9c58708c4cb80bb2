"""A client, blocking and asyncio in turn, and the fake server that it talks to."""

from collections.abc import AsyncIterator

import pytest

from exemplar import AsyncClient, Client
from unit.sdk_fake_server import FakeServer
from unit.sdk_serving import serving


@pytest.fixture
def fake():
    return FakeServer()


@pytest.fixture
def target(fake):
    with serving(fake) as target:
        yield target


class Asked:
    """Client and AsyncClient alike: every call awaited, every iterator read to its end."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        async def ask(*args, **kwargs):
            result = getattr(self._client, name)(*args, **kwargs)
            if isinstance(result, AsyncIterator):
                return [item async for item in result]
            if hasattr(result, "__await__"):
                return await result
            return list(result) if hasattr(result, "__next__") else result

        return ask


@pytest.fixture(params=["blocking", "asyncio"])
async def client(request, target):
    if request.param == "blocking":
        with Client(target, tenant="acme") as blocking:
            yield Asked(blocking)
    else:
        async with AsyncClient(target, tenant="acme") as nonblocking:
            yield Asked(nonblocking)


@pytest.fixture
async def inspection(client):
    await client.create_support_set("inspection")
    await client.add_exemplars("inspection", [("ok", b"a1"), ("scratch", b"b1")])
