"""The OpenAPI document describes itself: descriptions, examples, names of the clients' methods, no empty response."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import jsonschema_rs
from pydantic import SecretStr

from one_runtime.api.openapi_examples import described_parts
from one_runtime.api.property_descriptions import DESCRIPTIONS
from one_runtime.encryption.vault import new_key
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from tests.clients.python_callers import ROUTES
from tests.in_one_test import in_one_test

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"


@cache
def document() -> dict[str, Any]:
    built: dict[str, Any] = create_app(Settings(encryption_keys=SecretStr(new_key()))).app.openapi()
    return built


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the operations by name, such as `GET /v1/connections`."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def json_contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the JSON contents of requests and successful responses, each with a name."""
    for name, operation in operations():
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for part, body in bodies.items():
            if JSON in body.get("content", {}):
                yield f"{name} {part}", body["content"][JSON]


def parts() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the described parts of the document. Build the document only when the test runs."""
    yield from described_parts(document())


@in_one_test(parts(), lambda part: f"{part[0]}.{part[1]}")
def test_every_property_and_parameter_has_a_description(part: tuple[str, str, dict[str, Any]]) -> None:
    owner, name, described = part
    text = described.get("description", "")
    assert text, f"describe {owner}.{name} in the annotation of its field (Described)"
    assert text[0].isupper() or text[0] == "`", text
    assert text.endswith("."), text


def test_every_description_belongs_to_a_property_or_parameter() -> None:
    used = {name for _, name, _ in described_parts(document())}
    used |= {f"{owner}.{name}" for owner, name, _ in described_parts(document())}
    assert DESCRIPTIONS.keys() <= used


@in_one_test(json_contents(), lambda content: content[0])
def test_every_json_body_has_an_example_that_fits_its_schema(content: tuple[str, dict[str, Any]]) -> None:
    media = content[1]
    schema = {**media["schema"], "components": document()["components"]}
    value = media["example"] if "example" in media else media["schema"]["examples"][0]
    jsonschema_rs.validate(schema, value, validate_formats=True)


def test_every_error_has_an_example_that_fits_its_schema() -> None:
    seen = set()
    for name, operation in operations():
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get(PROBLEM)
            if content is None:
                continue
            schema = {**content["schema"], "components": document()["components"]}
            codes = schema["allOf"][1]["properties"]["code"]["enum"]
            assert [*content["examples"]] == codes, f"{name} {status}"
            for code, reference in content["examples"].items():
                assert reference == {"$ref": f"#/components/examples/{code}"}
                example = document()["components"]["examples"][code]["value"]
                jsonschema_rs.validate(schema, example, validate_formats=True)
                assert status in {str(example["status"]), f"{example['status'] // 100}XX"}, f"{name} {code}"
                seen.add(code)
    assert seen == document()["components"]["examples"].keys()
    assert len(seen) >= 30


def test_every_response_has_a_body_unless_its_status_has_none() -> None:
    for name, operation in operations():
        for status, response in operation["responses"].items():
            assert ("content" in response) == (status not in {"204", "304"}), f"{name} {status}"
            assert response["description"] not in {"", "Successful Response"}, f"{name} {status}"


def test_every_operation_has_the_name_of_the_clients_method() -> None:
    named = {name: operation.get("x-sdk-name") for name, operation in operations() if "/v1/proxy/" not in name}
    methods = {route: method for method, route in ROUTES.items()}
    assert {name: method for name, method in named.items() if method} == methods


def test_only_the_proxy_is_marked_as_unsuitable_for_generated_clients() -> None:
    internal = {name for name, operation in operations() if operation.get("x-internal")}
    assert internal == {name for name, _ in operations() if "/v1/proxy/" in name}
    assert internal


def test_public_operations_have_an_empty_security_requirement() -> None:
    for name, operation in operations():
        needs_key = "x-required-scope" in operation or "The API key can have any scope." in operation["description"]
        assert operation["security"] == ([{"apiKey": []}] if needs_key else []), name
