"""Fixtures of the tests of Acme's OAuth: a registered app, and a clock to move."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX, INITECH, Acme, new_key
from tests.demo.acme_app import ACME, CALLBACK, App, MovedClock


@pytest.fixture
def acme_clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def app(acme_clock: MovedClock) -> AsyncIterator[App]:
    acme = Acme({GLOBEX: new_key(), INITECH: new_key()}, clock=acme_clock)
    client_id, client_secret = acme.register_client(CALLBACK, name="Fernhill")
    transport = httpx2.ASGITransport(app=acme.app)
    async with httpx2.AsyncClient(transport=transport, base_url=ACME) as http:
        yield App(acme, http, client_id, client_secret)
