"""A support set whose rows in the store are not what was written: refused alone, others go on."""

import sqlite3

import grpc
import pytest

from exemplar.v1 import support_set_pb2 as sets
from rpc_calls import add, ask, classify, prepare


def corrupt(settings, name):
    """As a disk may do it: the checksums stay as they were."""
    path = settings.store_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute(
            'UPDATE embedding SET "values" = zeroblob(length("values")) WHERE incarnation IN '
            "(SELECT incarnation FROM support_set WHERE name = ?)",
            (name,),
        )
    connection.close()


async def test_a_corrupt_support_set_is_refused_alone_and_can_be_made_anew(settings, serving):
    async with serving(settings) as server:
        await prepare(server)
        await ask(server, add("empty"))
    corrupt(settings, "set")
    async with serving(settings) as server:
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(server, classify())
            assert refused.value.code() is grpc.StatusCode.DATA_LOSS
            assert "not what was written" in refused.value.details()
            reason = dict(refused.value.trailing_metadata())["exemplar-reason"]
            assert reason == "CORRUPT_SUPPORT_SET"
        assert (await ask(server, classify("empty"))).answers[0].label == "a"
        await ask(server, sets.DeleteSupportSetRequest(name="set"))
        await ask(server, sets.CreateSupportSetRequest(name="set"))
        await ask(server, add())
        assert (await ask(server, classify())).answers[0].label == "a"
