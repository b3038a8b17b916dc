"""Serve `/v1/custom-integrations`: the integrations that an organization defines itself."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

import yaml
from fastapi import Request, Response

from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.fields import Answer, Time
from one_runtime.api.idempotency import Repeatable
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.api.services import services_of
from one_runtime.catalog.auth_types import AUTH_TYPES, AuthType
from one_runtime.catalog.custom import FORMATS, CustomEntry, written
from one_runtime.catalog.custom_example import EXAMPLE
from one_runtime.catalog.model import Category, is_custom
from one_runtime.catalog.source import CUSTOM_SLUG_FORM, SourceError, UnreadableSource
from one_runtime.catalog.targets import refused_targets
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.egress.target import AllowList
from one_runtime.errors import Conflict, FieldError, InvalidInput, MalformedRequest, NotFound
from one_runtime.integrations import custom
from one_runtime.integrations.custom import (
    CustomIntegrationResult,
    IntegrationExists,
    IntegrationInUse,
)
from one_runtime.integrations.entry_process import EntryDocument
from one_runtime.lifecycle import disconnect
from one_runtime.tokens.revocation import RevocationOutcome
from one_runtime.validation.descriptions import dotted

router = Routes("Custom integrations")

_LINE_BREAKS: Final = "With curl, send a file with --data-binary, because -d removes the line breaks of the file."
_SYNTAXES: Final[dict[str, Literal["yaml", "json"]]] = {
    "application/json": "json",
    "application/openapi+json": "json",
    "application/vnd.oai.openapi+json": "json",
    "application/yaml": "yaml",
    "application/openapi+yaml": "yaml",
    "application/vnd.oai.openapi": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "text/x-yaml": "yaml",
}
_TEXTS: Final = ("slug", "name", "description", "category", "website", "docs")
_PROPERTIES: Final = {
    **{name: {"type": "string", "examples": [EXAMPLE[name]]} for name in _TEXTS},
    "aliases": {"type": "array", "items": {"type": "string"}},
    "get_can_write": {"type": "object", "additionalProperties": True},
    "auth": {
        "type": "array",
        "items": {"type": "object", "additionalProperties": True},
        "examples": [EXAMPLE["auth"]],
    },
    "logo": {"type": "string"},
}


_FORMATS: Final = f"""
A definition of the integration, or an OpenAPI 3 document. Both can be YAML or JSON. A definition has these keys:

- `slug`: the slug, which begins with `x-`.
- `name`: the name of the product.
- `description`: the purpose of the product, in one sentence.
- `category`: one of the categories of `GET /v1/catalog/categories`.
- `website`, `docs`: https URLs of the product's website and of its API documentation.
- `auth`: a list with one item for each auth type.
- `logo`: an SVG image, or the data URI of an SVG image. This key is optional.
- `get_can_write`: set if a GET can change something at the provider. This key is optional.

An item of `auth` has these keys, and others for OAuth:

- `type`: one of {", ".join(f"`{name}`" for name in AUTH_TYPES)}.
- `fields`: the values that the end user enters, such as an API key. `where` says where the end user finds the value.
- `base_url`: the base URL of the provider's API.
- `send`: the headers and query parameters that contain the values. `{{api_key}}` stands for the value of this field.
- `check`: a request that verifies the values. `expect` describes the response to valid values.
- `identity`: the JSON paths of the account's id and name in this response.
- `verified`: `how: unverified` for a definition that you have not verified with the provider.

One Runtime converts an OpenAPI document to a definition. The property `definition` of the response contains the result.
The pages `docs/custom-integrations.md` and `docs/adding-an-integration.md` of One Runtime's documentation describe all
keys, also for OAuth and OpenAPI. `one-runtime catalog new` asks questions and writes a definition.
""".strip()


def _body(*required: str) -> dict[str, Any]:
    """Return the OpenAPI description of the request body. `required`: the names of the required properties.

    FastAPI cannot describe the body, because `_entry` parses the body without FastAPI.
    """
    schema = {"type": "object", "required": list(required), "properties": _PROPERTIES, "examples": [EXAMPLE]}
    as_yaml = yaml.safe_dump(EXAMPLE, sort_keys=False, allow_unicode=True)
    return {
        "requestBody": {
            "required": True,
            "description": _FORMATS,
            "content": {
                "application/yaml": {"schema": {"type": "string"}, "example": as_yaml},
                "application/json": {"schema": schema},
            },
        }
    }


Warnings: TypeAlias = tuple[str, ...]


class CustomIntegrationAnswer(Answer, title="CustomIntegration"):
    """A custom integration.

    - `enabled`: true if your organization has enabled the integration. `PATCH /v1/organization` changes this value.
    - `definition`: the definition in the catalog's format. One Runtime converts an OpenAPI document to this format.
    - `warnings`: the parts of your document that One Runtime ignored or guessed, the addresses to which One Runtime
      sends no requests, and the steps that you have to take.
    - `invalidated_connections`: the number of connections that became `needs_reauth` after your request. Connections
      become `needs_reauth` if the integration sends credentials to a new host or in a new way.
    """

    id: str
    slug: str
    name: str
    description: str
    logo_url: str | None
    category: Category
    supported_auth_types: tuple[AuthType, ...]
    enabled: bool
    definition: dict[str, Any]
    warnings: Warnings
    invalidated_connections: int
    created_at: Time
    updated_at: Time


class RevocationCounts(Answer):
    """The number of tokens with each result of the revocation, of all deleted connections.

    - `revoked`: the provider revoked the token.
    - `failed`: the revocation failed. One Runtime retries a temporary failure for 24 hours.
    - `not_supported`: One Runtime cannot revoke the credential, such as an API key.
    """

    revoked: Annotated[int, Described("Tokens that the provider revoked.", 1)]
    failed: Annotated[int, Described("Tokens that could not be revoked. One Runtime retries for 24 hours.", 0)]
    not_supported: Annotated[int, Described("Credentials that cannot be revoked, such as an API key.", 0)]


class DeletedCustomIntegrationAnswer(CustomIntegrationAnswer, title="DeletedCustomIntegration"):
    """The deleted custom integration as it last was, and the number of the deleted connections."""

    deleted_connections: int
    revocation_counts: Annotated[
        RevocationCounts, Described("The number of tokens with each result of the revocation, of all connections.")
    ]


class CustomIntegrationList(Answer):
    """The custom integrations of your organization, ordered by slug."""

    custom_integrations: Annotated[
        list[CustomIntegrationAnswer], Described("The custom integrations, ordered by slug.")
    ]


@router.route("GET /v1/custom-integrations", scope="read", summary="List custom integrations")
async def list_custom_integrations(
    request: Request, caller: Authenticated, installation: Installed
) -> CustomIntegrationList:
    """List the custom integrations of your organization."""
    async with installation.database.read() as tx:
        integrations = await custom.list_all(tx, caller.organization_id)
    return CustomIntegrationList(custom_integrations=[_answer(request, integration) for integration in integrations])


@router.route(
    "POST /v1/custom-integrations",
    scope="admin",
    errors=(Conflict, IntegrationExists),
    idempotent=True,
    location="/v1/custom-integrations/{slug}",
    summary="Create a custom integration",
    status_code=201,
    openapi_extra=_body(*_TEXTS, "auth"),
)
async def create_custom_integration(
    request: Request, caller: Authenticated, installation: Installed, repeatable: Repeatable
) -> CustomIntegrationAnswer:
    """Create an integration that only your organization can see. The slug must begin with `x-`.

    If the slug already exists, the response is 409. Most validation errors name a line of the request body.
    """
    entry = await _entry(request, installation, caller.organization_id)
    async with installation.database.write() as tx:
        created = await custom.create(tx, installation, caller.actor, entry)
        return await repeatable.store(tx, _answer(request, created, entry.warnings), _answer(request, created))


@router.route(
    "GET /v1/custom-integrations/{slug}",
    scope="read",
    errors=(NotFound,),
    conditional=True,
    summary="Read a custom integration",
)
async def get_custom_integration(
    slug: str, request: Request, caller: Authenticated, installation: Installed, conditions: Conditional
) -> CustomIntegrationAnswer:
    """Return a custom integration with its definition."""
    async with installation.database.read() as tx:
        present = await custom.get(tx, caller.organization_id, slug.lower())
    return conditions.tag(_answer(request, present))


@router.route(
    "PUT /v1/custom-integrations/{slug}",
    scope="admin",
    errors=(NotFound, Conflict),
    conditional=True,
    location="/v1/custom-integrations/{slug}",
    summary="Create or replace a custom integration",
    responses={201: {"description": "The integration is new.", "model": CustomIntegrationAnswer}},
    openapi_extra=_body(*_TEXTS[1:], "auth"),
)
async def replace_custom_integration(
    slug: str,
    request: Request,
    caller: Authenticated,
    installation: Installed,
    response: Response,
    conditions: Conditional,
) -> CustomIntegrationAnswer:
    """Create (201) or replace (200) the integration with this slug.

    If the integration now sends credentials to another host or in another way, its connections become `needs_reauth`.

    One Runtime deletes your OAuth client for the integration in three cases:

    - The client is not registered for a new host of the integration.
    - The new definition makes a secret field of the client public.
    - The integration no longer has the auth type `oauth2`.
    """
    entry = await _entry(request, installation, caller.organization_id, slug.lower())
    if not is_custom(slug.lower()):
        raise NotFound(
            f"{slug[:64]!r} is not the slug of a custom integration. The slug {CUSTOM_SLUG_FORM}, as in x-acme-crm."
        )
    condition = conditions.on(partial(_read, request))
    put = await custom.put(installation, caller.actor, entry, condition)
    response.status_code = 201 if put.created else 200
    conditions.tag(_answer(request, CustomIntegrationResult(put.registered, put.enabled)))
    return _answer(request, put, entry.warnings)


@router.route(
    "DELETE /v1/custom-integrations/{slug}",
    scope="admin",
    errors=(NotFound, IntegrationInUse, *UNREADABLE_CREDENTIALS),
    conditional=True,
    summary="Delete a custom integration",
)
async def delete_custom_integration(
    slug: str,
    request: Request,
    caller: Authenticated,
    installation: Installed,
    conditions: Conditional,
    *,
    delete_connections: bool = False,
) -> DeletedCustomIntegrationAnswer:
    """Delete the integration and its OAuth client. The response has the integration as it last was.

    If the integration has connections, the response is 409 by default. With the parameter `delete_connections`, One
    Runtime deletes the connections, and revokes their tokens if the integration defines a revocation request.
    """
    condition = conditions.on(partial(_read, request))
    if delete_connections:
        deleted = await disconnect.delete_integration(installation, caller.actor, slug.lower(), condition)
    else:
        integration = await custom.delete(installation, caller.actor, slug.lower(), condition)
        deleted = disconnect.DeletedCustomIntegration(integration, 0, {})
    return DeletedCustomIntegrationAnswer(
        **dict(_answer(request, deleted.integration)),
        deleted_connections=deleted.deleted_connections,
        revocation_counts=RevocationCounts.model_validate(
            {name: deleted.outcomes.get(name, 0) for name in get_args(RevocationOutcome)}
        ),
    )


async def _entry(
    request: Request, installation: Installation, organization_id: str, slug: str | None = None
) -> CustomEntry:
    """Read the definition of an integration (entry) from the request body.

    Raises: MalformedRequest; InvalidInput; RateLimited.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    syntax = _SYNTAXES.get(kind)
    if syntax is None:
        raise InvalidInput.of(
            "Content-Type",
            "must be application/yaml or application/json",
        )
    body = await request.body()
    if not body:
        raise InvalidInput.of("body", f"is required. {FORMATS}")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedRequest("The body is not UTF-8.") from error
    try:
        document = EntryDocument(text, syntax, slug, allow_http=not installation.settings.secure)
        return await services_of(request.scope).entry_parser.parse(organization_id, document)
    except UnreadableSource as error:
        one_line = "" if "\n" in text.strip() else f" {_LINE_BREAKS}"
        raise MalformedRequest(error.complaints[0].sentence + one_line) from error
    except SourceError as error:
        raise _refusal(error) from error


class _EntryError(FieldError):
    """An error in an entry. The message is a whole sentence with the line and the name."""

    @property
    def sentence(self) -> str:
        return self.message


def _refusal(error: SourceError) -> InvalidInput:
    return InvalidInput.of_all(
        _EntryError(dotted(complaint.place) or "body", complaint.sentence) for complaint in error.complaints
    )


def _notes(put: CustomIntegrationResult, allow: AllowList) -> Iterator[str]:
    """Yield warnings for the author of the integration. `allow`: the operator's list of allowed targets."""
    slug = put.registered.integration.slug
    yield from refused_targets(put.registered.integration, allow)
    if not put.enabled:
        yield f"Your organization has not enabled {slug}. Enable it with PATCH /v1/organization."
    if put.client_retired:
        yield (
            f"One Runtime deleted the OAuth client of {slug}. There are three possible reasons. (1) The definition has "
            "no auth type oauth2. (2) The definition sends the client's secret or fields to a host for which the "
            "client was not registered. (3) The definition makes a secret field of the client public. "
            f"If the definition has oauth2, register the client again: PUT /v1/integrations/{slug}/oauth-client."
        )


async def _read(request: Request, _: Transaction, integration: CustomIntegrationResult) -> CustomIntegrationAnswer:
    return _answer(request, integration)


def _answer(request: Request, put: CustomIntegrationResult, warnings: Warnings = ()) -> CustomIntegrationAnswer:
    services, registered = services_of(request.scope), put.registered
    lists, allow = services.integration_list, services.installation.settings.egress_allow
    integration = registered.integration
    return CustomIntegrationAnswer.model_validate(
        {
            **lists.renderer.describe(integration, "url"),
            "supported_auth_types": integration.auth_types,
            "enabled": put.enabled,
            "definition": written(integration, integration.logo),
            "warnings": (*warnings, *_notes(put, allow)),
            "invalidated_connections": put.invalidated,
            "created_at": registered.created_at,
            "updated_at": registered.updated_at,
        }
    )
