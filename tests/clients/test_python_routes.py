"""The Python client has the operations of the OpenAPI document, and its types are exact."""

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
from one_runtime_client.errors import CLASS_OF_CODE, CLASS_OF_STATUS, ConnectionFailed, OneRuntimeError
from tests.api.operations import Schema, operations
from tests.application import Client
from tests.clients.python_callers import ROUTES

PROXY = "/v1/proxy/"


async def test_every_operation_has_one_method_and_every_method_an_operation(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    offered = sorted(operation.name for operation in operations(document) if not operation.path.startswith(PROXY))
    assert offered == sorted(ROUTES.values())


async def test_every_option_of_an_operation_is_an_argument_of_its_method(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    described = {operation.name: operation for operation in operations(document)}
    with OneRuntime("http://127.0.0.1", "oru_key") as one_runtime:
        for method, route in ROUTES.items():
            arguments = set(inspect.signature(attrgetter(method)(one_runtime)).parameters)
            options = set(described[route].parameters_in("query"))
            body = described[route].body
            options |= set() if body is None or method.startswith("custom") else changeable(body)
            assert arguments - set(described[route].parameters_in("path")) - {"definition"} == options, method


def changeable(body: Schema) -> set[str]:
    """Return the properties of a body without those that a request cannot change."""
    return {name for name, schema in body["properties"].items() if not schema.get("readOnly")}


def test_every_method_has_a_docstring_of_its_own() -> None:
    with OneRuntime("http://127.0.0.1", "oru_key") as one_runtime:
        methods = {method: attrgetter(method)(one_runtime) for method in ROUTES}
    docstrings = {inspect.getdoc(method) for method in methods.values()}
    assert len(docstrings - {None}) == len(ROUTES)
    returned = {inspect.signature(method).return_annotation for method in methods.values()}
    assert returned == {inspect.Signature.empty}  # type checkers know better than the wrapped function


@pytest.mark.parametrize("method", ["request", "stream", "get", "head", "post", "put", "patch", "delete"])
def test_methods_of_the_proxy_show_their_arguments(method: str) -> None:
    with OneRuntime("http://127.0.0.1", "oru_key") as one_runtime:
        call = getattr(one_runtime.proxy, method)
    arguments = list(inspect.signature(call).parameters)
    assert arguments[: arguments.index("path")] == ["method"] * (method in {"request", "stream"}) + ["integration_slug"]
    assert "connection_id" in arguments
    assert inspect.getdoc(call)


def test_routes_cover_every_resource_of_the_client() -> None:
    with OneRuntime("http://127.0.0.1", "oru_key") as one_runtime:
        nouns = set(vars(one_runtime)) - {"_transport", "proxy"}
    assert {method.partition(".")[0] for method in ROUTES} == nouns | {"disconnect"}


def test_client_imports_nothing_of_the_server(tmp_path: Path) -> None:
    source = Path(one_runtime_client.__file__).parent.parent
    program = "import sys, one_runtime_client; sys.exit('one_runtime' in sys.modules or 'pydantic' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(source)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, check=False).returncode == 0


def test_every_exported_error_is_a_one_runtime_error() -> None:
    classes = [value for value in vars(one_runtime_client).values() if isinstance(value, type)]
    errors = [exported for exported in classes if issubclass(exported, Exception)]
    assert all(issubclass(error, OneRuntimeError) for error in errors)
    assert {*CLASS_OF_CODE.values(), *CLASS_OF_STATUS.values(), ConnectionFailed, OneRuntimeError} == {*errors}


if TYPE_CHECKING:

    async def _types_of_results(client: OneRuntime, waiting: AsyncOneRuntime) -> None:
        """Only the type checker reads this."""
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
        client.sessions.create(end_user="u")  # type: ignore[call-arg] # a typo is an error
