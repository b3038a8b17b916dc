"""The JavaScript client against the real application: runs each file of clients/js/test in Node."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest
import pytest_asyncio

from one_runtime.app import create_app
from one_runtime.settings import Settings
from tests.application import ACME_KEYS, Application, RunningAcme, SetClock, catalog_with_acme, running
from tests.clients.javascript import PACKAGE, TESTS, echo, run_tests
from tests.proxy.relay import relaying
from tests.redirects import RETURN_URL, connect_and_return, register

pytestmark = pytest.mark.only_database("sqlite")  # the client speaks HTTP: nothing here depends on the database

PROXIED: Final = frozenset({"deadline", "proxy"})
"""The files whose provider echoes the request."""


@dataclass(frozen=True, slots=True)
class Served:
    """The application on a port."""

    application: Application
    port: int


@pytest_asyncio.fixture
async def served(settings: Settings, acme: RunningAcme) -> AsyncIterator[Served]:
    """The application with Acme, on a port of loopback."""
    clock = SetClock()
    app = create_app(settings, catalog_with_acme(acme.url), clock=clock)
    async with running(app) as port:
        yield Served(Application(app, app.services.installation, clock, acme), port)


def environment(served: Served, key: str, **more: str) -> dict[str, str]:
    """The environment of every file of tests."""
    return {
        "ONE_RUNTIME_URL": f"http://127.0.0.1:{served.port}",
        "ONE_RUNTIME_KEY": key,
        "ONE_RUNTIME_READ_KEY": "",
        "ACME_URL": served.application.acme.url,
        "ACME_KEYS": ",".join(ACME_KEYS.values()),
        "BROUGHT_BACK": "[]",
        **more,
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TESTS if name not in PROXIED])
async def test_javascript_tests_pass_against_the_application(served: Served, name: str) -> None:
    application = served.application
    organization = await application.organization()
    key = await application.key(organization)
    client = application.client(key)
    await register(client, RETURN_URL)
    returns = [await connect_and_return(application, client) for _ in range(2)]
    more = {
        "ONE_RUNTIME_READ_KEY": await application.key(organization, "read"),
        "BROUGHT_BACK": json.dumps([{"sessionId": redirect.session_id, "code": redirect.code} for redirect in returns]),
    }
    await run_tests(name, environment(served, key, **more))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PROXIED))
async def test_javascript_tests_of_the_proxy_pass(settings: Settings, acme: RunningAcme, name: str) -> None:
    async with relaying(settings, acme) as relay:
        relay.upstream.handler = echo
        await run_tests(name, environment(Served(relay.application, relay.port), relay.key))


def test_package_has_no_dependencies() -> None:
    package = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))
    assert package["type"] == "module"
    assert not {"dependencies", "devDependencies", "peerDependencies"} & package.keys()


def test_package_is_complete_outside_of_this_repository() -> None:
    license_ = (PACKAGE / "LICENSE").read_text(encoding="utf-8")  # npm packs it whatever `files` says
    assert license_ == (PACKAGE.parents[1] / "LICENSE").read_text(encoding="utf-8")
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert [link for link in re.findall(r"\]\((.*?)\)", readme) if not link.startswith("https://")] == []
