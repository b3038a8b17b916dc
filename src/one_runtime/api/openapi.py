"""Build the OpenAPI document: add more routes, scopes and errors to the document that FastAPI generates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from one_runtime import RELEASE
from one_runtime.api import conditions, idempotency, response_headers
from one_runtime.api.catalog import CatalogList
from one_runtime.api.integrations import IntegrationListAnswer
from one_runtime.api.openapi_examples import describe, error_components, error_references
from one_runtime.api.problems import MEDIA_TYPE, Problem
from one_runtime.api.routing import ANY, RouteSpec
from one_runtime.errors import OneRuntimeError

_DESCRIPTION: Final = (
    "Your users connect their third-party accounts, and your product uses these accounts on the users' behalf. "
    "Send the header `Authorization: Bearer oru_…` with an API key of your organization.\n\n"
    "Responses are JSON, even if the header `Accept` asks for another format. Every path with GET also accepts HEAD, "
    "except {}."
)

_TAGS: Final = {
    "Integrations": "The integrations that an end user can connect.",
    "Hosted connection sessions": "Permissions to make one connection in the hosted popup.",
    "Disconnect": "Deleting all connections of an end user to one integration.",
    "Connections": "Connected accounts of end users, and their credentials.",
    "Proxy": "Calls to a provider with the credential of an end user, and the log of these calls.",
    "OAuth clients": "The OAuth clients that your organization has registered with providers.",
    "Custom integrations": "Integrations that your organization defines itself.",
    "End users": "The users of your product.",
    "End user tokens": "Tokens with which an agent acts for one end user.",
    "Connect requests": "Requests of agents that an end user connects an account.",
    "Agent authorizations": "Requests of agents to act for an end user, which your sign-in page answers.",
    "Approval requests": "Calls of agents that an end user has to approve.",
    "Organization": "The settings of your organization.",
    "API keys": "The API keys of your organization, and the key of the request.",
    "Events": "The audit log of your organization.",
    "Webhook endpoints": "The endpoints that receive events.",
    "Webhook deliveries": "The deliveries of events to webhook endpoints.",
    "Catalog": "The public list of the built-in integrations. These requests need no API key.",
    "System": "The state of the server.",
}


def document(routes: Sequence[BaseRoute], specs: Iterable[RouteSpec], public_url: str) -> dict[str, Any]:
    """Return the OpenAPI document of an installation.

    HEAD stands only in its description. As operations, it would double the GET methods of each generated client.
    """
    specs = tuple(specs)
    without_head = sorted(f"`{spec.path}`" for spec in specs if spec.method == "GET" and not spec.head)
    built = get_openapi(
        title="One Runtime API",
        version=RELEASE,
        description=_DESCRIPTION.format(" and ".join(without_head)),
        routes=routes,
        servers=[{"url": public_url}],
        tags=[{"name": name, "description": description} for name, description in _TAGS.items()],
        contact={"name": "One Runtime", "url": f"{public_url}/docs"},
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
        separate_input_output_schemas=False,
    )
    schemas, paths = built["components"]["schemas"], built["paths"]
    for model in (Problem, IntegrationListAnswer, CatalogList):
        schema = model.model_json_schema(ref_template=_SCHEMAS + "{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError", "EventType"):  # filters list the event types themselves
        schemas.pop(unused, None)
    built["components"]["headers"] = dict(response_headers.COMPONENTS)
    errors = [error for spec in specs for error in spec.all_errors]
    built["components"]["examples"] = error_components(errors, public_url)
    built["components"]["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "An organization's API key, `oru_…`."}
    }
    for spec in specs:
        if spec.operation is not None:
            paths.setdefault(spec.path, {})[spec.method.lower()] = {"tags": [spec.tag], **spec.operation}
        _complete(paths[spec.path][spec.method.lower()], spec)
    for source, targets in _LINKS.items():
        _link(paths, source, targets)
    built["paths"] = dict(sorted(paths.items()))
    public = _with_public_names(built)
    describe(public)
    return public


def _complete(operation: dict[str, Any], spec: RouteSpec) -> None:
    """Add the route's scope, errors and headers to the operation. The errors replace the 422 response of FastAPI."""
    responses = {status: response for status, response in operation["responses"].items() if status != "422"}
    by_status: dict[str, list[type[OneRuntimeError]]] = {}
    for error in spec.all_errors:
        # Only a proxy route has the response `4XX`, because a provider's response can have any status.
        status = f"{error.status // 100}XX" if "4XX" in responses else str(error.status)
        by_status.setdefault(status, []).append(error)
    for status, errors in sorted(by_status.items()):
        codes = " ".join(f"`{error.code}`: {error.title}." for error in errors)
        response = responses.get(status, {"description": "", "content": {}})
        responses[status] = {
            "description": f"{response['description']} {codes}".strip(),
            "content": {
                **response["content"],
                MEDIA_TYPE: {"schema": _schema_of(errors), "examples": error_references(errors)},
            },
        }
    operation["responses"] = responses
    if spec.conditional:
        parameter = conditions.IF_NONE_MATCH if spec.method == "GET" else conditions.IF_MATCH
        operation["parameters"] = [*operation.get("parameters", ()), parameter]
        if spec.method == "GET":
            responses["304"] = {"description": "The resource has not changed since the response with this `ETag`."}
    if spec.idempotent:
        operation["parameters"] = [*operation.get("parameters", ()), idempotency.PARAMETER]
    for status, response in responses.items():
        response["headers"] = response_headers.references(spec, status)
    if operation["operationId"] not in _NOT_IN_CLIENTS:
        operation["x-sdk-name"] = sdk_name(spec.tag, operation["operationId"])
    operation["security"] = [] if spec.scope is None else [{"apiKey": []}]
    if spec.scope == ANY:
        operation["description"] += "\n\nThe API key can have any scope."
    elif spec.scope is not None:
        operation["x-required-scope"] = spec.scope
        operation["description"] += f"\n\nThe API key needs the scope `{spec.scope}`."


def _schema_of(errors: Iterable[type[OneRuntimeError]]) -> Mapping[str, Any]:
    codes = sorted({error.code for error in errors})
    return {"allOf": [{"$ref": f"{_SCHEMAS}{Problem.__name__}"}, {"properties": {"code": {"enum": codes}}}]}


_NOT_IN_CLIENTS: Final = frozenset({"healthz", "readyz", "get_logo", "proxy_options"})
_NOUNS: Final = {"Hosted connection sessions": "sessions"}
_SDK_NAMES: Final = {
    "disconnect": "disconnect",
    "get_credentials": "connections.credentials",
    "get_catalog_integration": "catalog.get",
    "get_me": "api_keys.me",
    "list_catalog": "catalog.list",
    "list_categories": "catalog.categories",
    "list_proxy_requests": "proxy_requests.list",
}


def sdk_name(tag: str, operation_id: str) -> str:
    """Return the name of an operation in the Python client, such as `connections.update`."""
    noun = _NOUNS.get(tag, tag.lower().replace(" ", "_"))
    verb = operation_id.removeprefix("proxy_").partition("_")[0]
    return _SDK_NAMES.get(operation_id, f"{noun}.{verb}")


_SCHEMAS: Final = "#/components/schemas/"


def _with_public_names(built: dict[str, Any]) -> dict[str, Any]:
    """Rename each schema from the name of its class to its title. Only the title is a public name."""
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
"""Operations that create a resource. The value lists the operations that need the `id` of the new resource.

The OpenAPI document links each key to the operations in its value (OpenAPI 3.1 section 4.8.20).
"""


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
