"""Add descriptions and examples to the OpenAPI document: those of `property_descriptions`, and one of each error."""

from collections.abc import Iterable, Iterator, Mapping
from types import EllipsisType
from typing import Any, Final, TypeAlias

from pydantic import JsonValue

from one_runtime.api.described import EXAMPLE_ID, EXAMPLE_TIME, Described
from one_runtime.api.property_descriptions import find
from one_runtime.connections.connections import SeveralConnections
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.errors import InvalidInput, OneRuntimeError

_Schema: TypeAlias = dict[str, Any]

_OF_TYPE: Final[Mapping[str, JsonValue]] = {"string": "text", "integer": 1, "number": 1, "boolean": True, "null": None}

_REQUEST_ID: Final = "01a21075-411f-70e2-9562-12b446456c0b"
_MORE_OF_ERRORS: Final[Mapping[str, Mapping[str, Any]]] = {
    InvalidInput.code: {"errors": [{"field": "end_user_id", "message": "is required"}]},
    ProviderUnavailable.code: {"provider_reason": "Service Unavailable"},
    SeveralConnections.code: {
        "connections": [
            {"id": EXAMPLE_ID, "name": "ada@example.com", "status": "active", "created_at": EXAMPLE_TIME},
        ]
    },
}
"""The further properties of some errors, by code."""


def describe(document: _Schema) -> None:
    """Describe each property and parameter of the document that has no description yet, and add examples.

    Each JSON body of a request and of a successful response gets an example.
    """
    for owner, name, part in described_parts(document):
        described = find(owner, name)
        if described is not None:
            part.setdefault("description", described.description)
    schemas = document["components"]["schemas"]
    examples = _Examples(schemas)
    for operation in _operations(document):
        for response in operation["responses"].values():
            if response["description"] == "Successful Response":  # FastAPI's text
                response["description"] = _describe_response(response, schemas)
        for content in _contents(operation):
            if "schema" in content and not {"example", "examples"} & content.keys():
                content["example"] = examples.of(content["schema"], operation["operationId"])


def _describe_response(response: _Schema, schemas: Mapping[str, _Schema]) -> str:
    """Return the first line of the description of the body."""
    reference: str = response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    schema = schemas.get(reference.rpartition("/")[2], {})
    first: str = schema.get("description", "The request succeeded.").partition("\n")[0]
    return first


def described_parts(document: _Schema) -> Iterator[tuple[str, str, _Schema]]:
    """Yield each property and parameter: the schema or operation, the name, and the part of the document."""
    for owner, schema in document["components"]["schemas"].items():
        for name, part in schema.get("properties", {}).items():
            yield owner, name, part
    for operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            yield operation["operationId"], parameter["name"], parameter
        for content in _contents(operation):
            for name, part in content.get("schema", {}).get("properties", {}).items():
                yield "CustomIntegration", name, part


def _operations(document: _Schema) -> Iterator[_Schema]:
    for path in document["paths"].values():
        yield from path.values()


def _contents(operation: _Schema) -> Iterator[_Schema]:
    """Yield the JSON contents of the request and of the successful responses."""
    successful = [response for status, response in operation["responses"].items() if status.startswith("2")]
    for body in (operation.get("requestBody", {}), *successful):
        if "application/json" in body.get("content", {}):
            yield body["content"]["application/json"]


class _Examples:
    """Examples of values, by schema."""

    def __init__(self, schemas: Mapping[str, _Schema]) -> None:
        self._schemas = schemas

    def of(self, schema: _Schema, owner: str, described: Described | None = None) -> JsonValue:
        """Return an example. `owner`: the name of the schema. `described`: the description of the property."""
        if described is not None and not isinstance(described.example, EllipsisType):
            return described.example
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self.of(self._schemas[name], name)
        if "examples" in schema:
            first: JsonValue = schema["examples"][0]
            return first
        return self._composed(schema, owner)

    def _composed(self, schema: _Schema, owner: str) -> JsonValue:
        for choices in ("anyOf", "allOf"):
            if choices in schema:
                return self.of(schema[choices][0], owner)
        if "properties" in schema:
            return {name: self.of(part, owner, find(owner, name)) for name, part in schema["properties"].items()}
        if schema.get("type") == "array":
            return [self.of(schema["items"], owner)]
        if schema.get("type") == "object":
            return {}
        value: JsonValue = schema.get("const", schema.get("enum", [_OF_TYPE.get(schema.get("type", "string"))])[0])
        return value


def error_references(errors: Iterable[type[OneRuntimeError]]) -> dict[str, Any]:
    """Return the examples of a response, by code: references to the examples of the document."""
    codes = sorted({error.code for error in errors})
    return {code: {"$ref": f"#/components/examples/{code}"} for code in codes}


def error_components(errors: Iterable[type[OneRuntimeError]], public_url: str) -> dict[str, Any]:
    """Return the examples of errors, by code. The text of an actual error names the values of the request."""
    by_code = {error.code: error for error in errors}
    return {code: _error_example(by_code[code], public_url) for code in sorted(by_code)}


def _error_example(error: type[OneRuntimeError], public_url: str) -> Mapping[str, Any]:
    detail = " ".join(error.explanation)
    value: dict[str, Any] = {
        "type": f"{public_url}/docs/errors#{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": detail,
        "code": error.code,
        "request_id": _REQUEST_ID,
        "error": detail,
    }
    return {"summary": error.title, "value": value | dict(_MORE_OF_ERRORS.get(error.code, {}))}
