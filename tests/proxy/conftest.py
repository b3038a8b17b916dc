"""The relay of each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from one_runtime.settings import Settings
from tests.application import RunningAcme
from tests.proxy.relay import Relay, relaying


@pytest_asyncio.fixture
async def relay(settings: Settings, acme: RunningAcme) -> AsyncIterator[Relay]:
    async with relaying(settings, acme) as running_relay:
        yield running_relay
