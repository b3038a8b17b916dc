"""Every operation of the API as its own OpenAPI document tells it, and requests made from that: no list to keep."""

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
"""Where a value stands in a body: `("params", "region")`."""

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
        """The path or query parameters, by name."""
        return {one["name"]: one["schema"] for one in self.parameters if one["in"] == place}

    def address(self, values: Mapping[str, str], **query: str) -> str:
        """The address with each path parameter filled; `query` counts before the examples of required options."""
        path = self.path
        for name in self.parameters_in("path"):
            path = path.replace("{" + name + "}", quote(values.get(name, "none"), safe=""))
        required = {one["name"]: "x" for one in self.parameters if one["in"] == "query" and one["required"]}
        chosen = required | query
        return f"{path}?{urlencode(chosen, errors='surrogatepass')}" if chosen else path


def operations(document: Schema, *, under: str = "/v1/") -> list[Operation]:
    """What the OpenAPI document offers under a path."""
    return [
        Operation(
            method.upper(), path, tuple(one.get("parameters", ())), _body_schema(document, one), resolved(document, one)
        )
        for path, methods in document["paths"].items()
        for method, one in methods.items()
        if path.startswith(under)
    ]


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of what the application itself routes; HEAD goes with GET."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        for method in getattr(route, "methods", None) or ():
            if method != "HEAD":
                yield method, getattr(route, "path_format", "")


def resolved(document: Schema, schema: Any) -> Any:
    """A part of the document with every `$ref` replaced by what it names."""
    if isinstance(schema, list):
        return [resolved(document, one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return resolved(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return {name: resolved(document, value) for name, value in schema.items()}


def _body_schema(document: Schema, operation: Schema) -> Schema | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    found: Schema | None = resolved(document, content["schema"]) if content else None
    return found


def example(schema: Schema) -> Any:
    """A value that fits a schema: only what is required, the first of what can be chosen."""
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
    return {"string": "x", "array": [], "integer": schema.get("minimum", 0), "boolean": True}[schema["type"]]


def texts(schema: Schema, place: Place = ()) -> Iterator[Place]:
    """Every place of a body where free text may stand: fields, items of lists, keys' values, keys themselves."""
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
    """A body with a value at a place; what leads there is made where it is missing."""
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(first, int):
        return [put(None, rest, value)]
    return {**(body or {}), first: put((body or {}).get(first), rest, value)}
