"""The Python client is held to the OpenAPI document, and its types to what callers write."""

import inspect
import os
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

import httpx2
import pytest

import one_runtime_client
from one_runtime_client import (
    AsyncOneRuntime,
    AsyncPages,
    Connection,
    CreatedSession,
    Event,
    Integration,
    OneRuntime,
    Page,
    Pages,
)
from one_runtime_client.errors import OneRuntimeError
from one_runtime_client.resources import ROUTES
from tests.api.operations import operations
from tests.application import Client

PROXY = "/v1/proxy/"


async def test_every_operation_has_one_method_and_every_method_an_operation(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    offered = sorted(one.name for one in operations(document) if not one.path.startswith(PROXY))
    assert offered == sorted(ROUTES.values())


async def test_every_option_of_an_operation_is_an_argument_of_its_method(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    described = {one.name: one for one in operations(document)}
    with OneRuntime("http://127.0.0.1", "oru_key") as one_runtime:
        for method, route in ROUTES.items():
            arguments = set(inspect.signature(attrgetter(method)(one_runtime)).parameters)
            wanted = set(described[route].parameters_in("query"))
            body = described[route].body
            wanted |= set() if body is None or method.startswith("custom") else set(body["properties"])
            assert arguments - set(described[route].parameters_in("path")) - {"definition"} == wanted, method


@pytest.mark.parametrize("method", sorted(ROUTES))
def test_every_method_says_what_it_does(method: str) -> None:
    with OneRuntime("http://127.0.0.1", "oru_key") as one_runtime:
        assert inspect.getdoc(attrgetter(method)(one_runtime))


@pytest.mark.parametrize("method", ["request", "stream", "get", "head", "post", "put", "patch", "delete"])
def test_a_call_of_the_proxy_tells_its_arguments(method: str) -> None:
    with OneRuntime("http://127.0.0.1", "oru_key") as one_runtime:
        call = getattr(one_runtime.proxy, method)
    arguments = list(inspect.signature(call).parameters)
    assert arguments[: arguments.index("path")] == ["method"] * (method in {"request", "stream"}) + ["integration_slug"]
    assert "connection_id" in arguments
    assert inspect.getdoc(call)


def test_the_table_of_methods_has_every_attribute_of_both_clients() -> None:
    with OneRuntime("http://127.0.0.1", "oru_key") as one_runtime:
        nouns = set(vars(one_runtime)) - {"_transport", "proxy"}
    assert {method.partition(".")[0] for method in ROUTES} == nouns | {"disconnect"}


def test_the_client_imports_nothing_of_the_server(tmp_path: Path) -> None:
    source = Path(one_runtime_client.__file__).parent.parent
    program = "import sys, one_runtime_client; sys.exit('one_runtime' in sys.modules or 'pydantic' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(source)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, check=False).returncode == 0


def test_every_error_that_can_be_caught_is_one_of_ours() -> None:
    classes = [one for one in vars(one_runtime_client).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert all(issubclass(one, OneRuntimeError) for one in classes)
    assert len(classes) == 8


if TYPE_CHECKING:

    async def _what_callers_get(client: OneRuntime, waiting: AsyncOneRuntime) -> None:
        """Read by the type checker alone."""
        assert_type(client.sessions.create(end_user_id="u"), CreatedSession)
        assert_type(await waiting.sessions.create(end_user_id="u"), CreatedSession)
        assert_type(client.integrations.list(end_user_id="u"), tuple[Integration, ...])
        assert_type(client.connections.list(), Pages[Connection])
        assert_type(waiting.events.list(type="connection.created"), AsyncPages[Event])
        assert_type(client.connections.list(limit=2).page(), Page[Connection])
        assert_type(await waiting.events.list(type="connection.created").page("cursor"), Page[Event])
        assert_type(client.oauth_clients.delete("acme"), None)
        assert_type(client.proxy.get("hubspot", "/x", end_user_id="u"), httpx2.Response)
        assert_type(await waiting.proxy.request("GET", "hubspot", "/x", connection_id="c"), httpx2.Response)
        with client.proxy.stream("GET", "hubspot", "/x", end_user_id="u") as response:
            assert_type(response, httpx2.Response)
        client.sessions.create(end_user="u")  # type: ignore[call-arg] # a typo is told
