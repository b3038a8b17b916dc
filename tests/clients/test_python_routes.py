"""The Python client has the operations of the OpenAPI document, and its types are exact."""

import inspect
import os
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import one_runtime_client
from one_runtime_client import (
    OneRuntime,
)
from one_runtime_client.errors import (
    CLASS_OF_CODE,
    CLASS_OF_STATUS,
    ConnectionFailed,
    OneRuntimeError,
    WebhookVerificationError,
)
from tests.api.operations import Schema, operations
from tests.application import Client
from tests.clients.python_callers import ROUTES

PROXY = "/v1/proxy/"


async def test_every_operation_has_one_method_and_every_method_an_operation(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    offered = sorted(operation.name for operation in operations(document) if not operation.path.startswith(PROXY))
    assert offered == sorted(ROUTES.values())


def changeable(body: Schema) -> set[str]:
    """Return the properties of a body without those that a request cannot change."""
    return {name for name, schema in body["properties"].items() if not schema.get("readOnly")}


async def test_every_option_of_an_operation_is_an_argument_of_its_method(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    described = {operation.name: operation for operation in operations(document)}
    with OneRuntime("http://127.0.0.1", "oru_key") as one_runtime:
        for method, route in ROUTES.items():
            arguments = set(inspect.signature(attrgetter(method)(one_runtime)).parameters)
            options = set(described[route].parameters_in("query"))
            body = described[route].body
            options |= set() if body is None or method.startswith("custom") else changeable(body)
            own = set(described[route].parameters_in("path")) | {"definition", "idempotency_key", "timeout", "headers"}
            assert arguments - own == options, method


def test_client_imports_nothing_of_the_server(tmp_path: Path) -> None:
    source = Path(one_runtime_client.__file__).parent.parent
    program = "import sys, one_runtime_client; sys.exit('one_runtime' in sys.modules or 'pydantic' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(source)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, check=False).returncode == 0


def test_every_exported_error_is_a_one_runtime_error() -> None:
    classes = [value for value in vars(one_runtime_client).values() if isinstance(value, type)]
    errors = [exported for exported in classes if issubclass(exported, Exception)]
    assert all(issubclass(error, OneRuntimeError) for error in errors)
    raised_without_a_response = {ConnectionFailed, WebhookVerificationError}
    raised_for_responses = {*CLASS_OF_CODE.values(), *CLASS_OF_STATUS.values(), OneRuntimeError}
    assert raised_for_responses | raised_without_a_response == {*errors}
