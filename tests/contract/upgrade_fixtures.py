"""A support set to be upgraded, on each dialect."""

import pytest

from upgrade_calls import UpgradedService
from upgrade_rows import exemplars


@pytest.fixture
async def service(sql_store):
    service = UpgradedService(sql_store)
    yield service
    await service.cache.close()


@pytest.fixture
async def taught(service):
    await service.create()
    await service.add(*exemplars())
    return service
