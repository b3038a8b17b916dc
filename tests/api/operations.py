"""Operations of the API and example requests, read from the OpenAPI document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from one_runtime.api import application
from one_runtime.api.routing import RouteSpec

SPECS: Final = {spec.name: spec for spec in application.SPECS if spec.path.startswith("/v1/")}
"""The declared routes under /v1, by method and path."""

Place: TypeAlias = tuple[str | int, ...]
"""Position of a value in a body: `("params", "region")`."""

Schema: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    parameters: tuple[Schema, ...]
    body: Schema | None = field(repr=False)
    described: Schema = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def spec(self) -> RouteSpec:
        return SPECS[self.name]

    def parameters_in(self, place: str) -> dict[str, Schema]:
        """Return the schemas of the path or query parameters, by name."""
        return {parameter["name"]: parameter["schema"] for parameter in self.parameters if parameter["in"] == place}

    def address(self, values: Mapping[str, str], **query: str) -> str:
        """Return the address with filled path parameters; `query` overrides the examples of required parameters."""
        path = self.path
        for name in self.parameters_in("path"):
            path = path.replace("{" + name + "}", quote(values.get(name, "none"), safe="", errors="surrogatepass"))
        required = {
            parameter["name"]: "x"
            for parameter in self.parameters
            if parameter["in"] == "query" and parameter["required"]
        }
        chosen = required | query
        return f"{path}?{urlencode(chosen, errors='surrogatepass')}" if chosen else path


def operations(document: Schema, *, under: str = "/v1/") -> list[Operation]:
    """Return the operations of the OpenAPI document."""
    return [
        Operation(
            method.upper(),
            path,
            tuple(operation.get("parameters", ())),
            _body_schema(document, operation),
            resolved(document, operation),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith(under)
    ]


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Return method and path of each documented route of the application, without HEAD."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not getattr(route, "include_in_schema", True):
            continue
        for method in getattr(route, "methods", None) or ():
            if method != "HEAD":
                yield method, getattr(route, "path_format", "")


def resolved(document: Schema, schema: Any) -> Any:
    """Return a part of the document with every `$ref` replaced by its target."""
    if isinstance(schema, list):
        return [resolved(document, part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        _, _, kind, name = schema["$ref"].split("/")
        return resolved(document, document["components"][kind][name])
    return {name: resolved(document, value) for name, value in schema.items()}


def _body_schema(document: Schema, operation: Schema) -> Schema | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body: Schema | None = resolved(document, content["schema"]) if content else None
    return body


def example(schema: Schema) -> Any:
    """Return a valid value of a schema: required properties only, the first of several choices."""
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if schema.get("type") == "object":
        return {name: example(schema["properties"][name]) for name in schema.get("required", ())}
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "array" and schema.get("minItems"):
        return [example(schema["items"])]
    return {"string": "x", "array": [], "integer": schema.get("minimum", 0), "boolean": True}[schema["type"]]


def texts(schema: Schema, place: Place = ()) -> Iterator[Place]:
    """Return every position of free text in a body: fields, list items, values of maps, keys of maps."""
    for choice in schema.get("anyOf", ()):
        yield from texts(choice, place)
    kind = schema.get("type")
    if kind == "string" and "enum" not in schema and "const" not in schema:
        yield place
    elif kind == "array":
        yield from texts(schema["items"], (*place, 0))
    elif kind == "object":
        for name, inner in schema.get("properties", {}).items():
            yield from texts(inner, (*place, name))
        extra = schema.get("additionalProperties")
        if extra:
            yield (*place, "key")
            yield from texts(extra, (*place, "key")) if isinstance(extra, Mapping) else ()


def put(body: Any, place: Place, value: object) -> Any:
    """Return a body with a value at a position. Missing parents are created."""
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(first, int):
        return [put(None, rest, value)]
    return {**(body or {}), first: put((body or {}).get(first), rest, value)}
