"""The OpenAPI document: what FastAPI knows, the raw routes it does not, scopes, and the one error shape."""

from typing import Any, Final, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from one_runtime import __version__
from one_runtime.api.auth import PROXIED, SCOPES
from one_runtime.api.catalog import CatalogIntegration
from one_runtime.api.connections import ConnectionSummary
from one_runtime.api.proxy import PATH as PROXY_PATH
from one_runtime.db.ids import ID_PATTERN
from one_runtime.integrations.listing import CATEGORIES

_DESCRIPTION: Final = (
    "Let your users connect their third-party accounts, and use those accounts on their behalf. "
    "Send `Authorization: Bearer oru_…` with one of your organization's API keys."
)

_TAGS: Final = (
    "Integrations",
    "Hosted connection sessions",
    "Disconnect",
    "Connections",
    "Proxy",
    "OAuth clients",
    "Custom integrations",
    "End users",
    "Organization",
    "Events",
    "Catalog",
    "System",
)


class FieldProblem(BaseModel, title="FieldError"):
    """One field that was refused."""

    field: str
    message: str


class Problem(BaseModel):
    """Every error (RFC 9457). `code` is stable; `detail` says what to do; `error` repeats it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    error: str
    errors: list[FieldProblem] | None = None


class ListedIntegration(CatalogIntegration, title="Integration"):
    """An integration with the end user's state. `not_connected` never means "purge": the account may only need a
    hosted connection flow."""

    status: Literal["connected", "not_connected"]
    connections: list[ConnectionSummary] | None = None


class IntegrationListAnswer(BaseModel, title="IntegrationList"):
    """Every integration that is available to the end user, ordered by name."""

    end_user_id: str
    integrations: list[ListedIntegration]


def document(app: FastAPI, public_url: str) -> dict[str, Any]:
    """The whole document."""
    built = get_openapi(
        title="One Runtime",
        version=__version__,
        description=_DESCRIPTION,
        routes=app.routes,
        servers=[{"url": public_url}],
        tags=[{"name": name} for name in _TAGS],
        separate_input_output_schemas=False,
    )
    schemas = built["components"]["schemas"]
    for model in (Problem, IntegrationListAnswer):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    built["paths"]["/v1/integrations"] = {"get": _list_operation()}
    built["paths"][PROXY_PATH] = {method.lower(): _proxy_operation(method) for method in PROXIED}
    built["components"]["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "An organization's API key, `oru_…`."}
    }
    for source, targets in _LINKS.items():
        _link(built["paths"], source, targets)
    for path, operations in built["paths"].items():
        for method, operation in operations.items():
            _finish(operation, SCOPES.get(f"{method.upper()} {path}"))
    built["paths"] = dict(sorted(built["paths"].items()))
    return _with_public_names(built)


_SCHEMAS: Final = "#/components/schemas/"


def _with_public_names(built: dict[str, Any]) -> dict[str, Any]:
    """Name each schema by its title: the public noun, where the class needs another name inside the package."""
    schemas = built["components"]["schemas"]
    names = {name: schema.get("title", name) for name, schema in schemas.items()}
    if len(set(names.values())) != len(names):
        raise ValueError("Two schemas of the OpenAPI document have the same title.")

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        if not isinstance(value, dict):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            return {**value, "$ref": _SCHEMAS + names[reference.removeprefix(_SCHEMAS)]}
        return {name: renamed(inner) for name, inner in value.items()}

    built["components"]["schemas"] = {names[name]: schema for name, schema in sorted(schemas.items())}
    document: dict[str, Any] = renamed(built)
    return document


_CONNECTION: Final = tuple(
    f"{method} /v1/connections/{{connection_id}}{more}"
    for method, more in (("GET", ""), ("PATCH", ""), ("POST", "/check"), ("DELETE", ""))
)
_SESSION: Final = tuple(
    f"{method} /v1/hosted-connection-sessions/{{session_id}}{more}"
    for method, more in (("GET", ""), ("POST", "/redeem"), ("DELETE", ""))
)
_LINKS: Final = {"POST /v1/connections": _CONNECTION, "POST /v1/hosted-connection-sessions": _SESSION}
"""What an answer's `id` is good for: links of the document (OpenAPI 3.1 section 4.8.20)."""


def _link(paths: dict[str, Any], source: str, targets: tuple[str, ...]) -> None:
    method, path = source.split(" ")
    links = {}
    for target in targets:
        to, address = target.split(" ")
        name = address.partition("{")[2].partition("}")[0]
        operation_id = paths[address][to.lower()]["operationId"]
        links[operation_id] = {"operationId": operation_id, "parameters": {name: "$response.body#/id"}}
    for status, response in paths[path][method.lower()]["responses"].items():
        if status.startswith("2"):
            response["links"] = links


def _finish(operation: dict[str, Any], scope: str | None) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    other = responses.setdefault("default", {"description": "What went wrong, and what to do.", "content": {}})
    other["content"] |= problem
    if scope is not None:
        operation["security"] = [{"apiKey": []}]
        operation["x-required-scope"] = scope


_TEXT: Final = {"type": "string"}
_IDENTIFIER: Final = {**_TEXT, "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}


def _list_operation() -> dict[str, Any]:
    def option(name: str, description: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
        return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}

    text = {**_TEXT, "maxLength": 255, "pattern": r"^[^\x00]*$"}
    return {
        "tags": ["Integrations"],
        "summary": "List what an end user can connect, and what is connected",
        "description": "The answer to every settings page: the whole list, ordered by name (with `search`: by rank).",
        "operationId": "list_integrations",
        "parameters": [
            option(
                "end_user_id",
                "Your own identifier of the user.",
                _IDENTIFIER,
                required=True,
            )
            | {"example": "user_123"},
            option("slug", "Only these; may be repeated.", {"type": "array", "items": text}),
            option("category", "Only this category.", {"type": "string", "enum": list(CATEGORIES)}),
            option("search", "Only what matches every word; ordered by rank.", text),
            option("status", "Only these.", {"type": "string", "enum": ["connected", "not_connected"]}),
            option("logo", "How logos come.", {"type": "string", "enum": ["inline", "url", "none"]}),
            option("expand", "Add each integration's connections.", {"type": "string", "enum": ["connections"]}),
            {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {
                "description": "The list.",
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/IntegrationListAnswer"},
                        "example": _EXAMPLE,
                    }
                },
            },
            "304": {"description": "Nothing has changed since the answer with that ETag."},
        },
    }


def _proxy_operation(method: str) -> dict[str, Any]:
    def header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}

    def seconds(most: int) -> dict[str, Any]:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": most}

    def part(name: str, description: str) -> dict[str, Any]:
        return {"name": name, "in": "path", "required": True, "description": description, "schema": _TEXT}

    operation: dict[str, Any] = {
        "tags": ["Proxy"],
        "summary": f"Call the provider ({method})",
        "description": "Calls the provider's API with the end user's credential in the request. Method, path (as it is "
        "encoded), query, headers and body pass through both ways, streamed. What the provider answers comes back as "
        "it is; our own failures are problems with the header `One-Runtime-Error`.",
        "operationId": f"proxy_{method.lower()}",
        "parameters": [
            part("integration_slug", "Whose API."),
            part("path", "The rest of the address, behind the integration's base address."),
            header("One-Runtime-End-User", "Whose connection: your own identifier of the user.", _IDENTIFIER),
            header(
                "One-Runtime-Connection",
                "Which connection, where a user has several, or in place of the user.",
                {"type": "string", "pattern": ID_PATTERN},
            ),
            header("One-Runtime-Base-Url", "Another of the integration's addresses.", {**_TEXT, "format": "uri"}),
            header(
                "One-Runtime-Retry",
                "Try again on 429, 502, 503, 504 and without a connection.",
                {"type": "string", "enum": ["idempotent"]},
            ),
            header("One-Runtime-Timeout", "Seconds between two pieces of the answer; 60 unless told.", seconds(600)),
            header("One-Runtime-Connect-Timeout", "Seconds until there is a connection; 10 unless told.", seconds(60)),
            header(
                "One-Runtime-Trace",
                "The caller's trace headers go on to the provider.",
                {"type": "string", "enum": ["pass"]},
            ),
        ],
        "responses": {
            "200": {"description": "What the provider answers."},
            "default": {
                "description": "What the provider answers, or a problem of ours, with the header `One-Runtime-Error`.",
                "content": {"*/*": {}},
            },
        },
    }
    if method in {"POST", "PUT", "PATCH"}:
        operation["requestBody"] = {"required": False, "content": {"*/*": {"schema": {}}}}
    return operation


_EXAMPLE: Final = {
    "end_user_id": "user_123",
    "integrations": [
        {
            "id": "4989eaeb-5947-5065-81c6-de3b60c10b7d",
            "slug": "hubspot",
            "name": "HubSpot",
            "description": "CRM and marketing automation.",
            "logo_url": "data:image/svg+xml;base64,…",
            "category": "CRM",
            "status": "connected",
            "supported_auth_types": ["api_key"],
        }
    ],
}
