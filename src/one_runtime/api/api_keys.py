"""Serve `/v1/api-keys` and `/v1/me`: the API keys of an organization, and the key of the request."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Query
from pydantic import Field

from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.fields import Answer, Body, IdCursor, Limit, PathId, Text, Time, example, next_cursor
from one_runtime.api.idempotency import Repeatable
from one_runtime.api.routing import ANY, Authenticated, Installed, Routes
from one_runtime.db.engine import Transaction
from one_runtime.errors import Conflict, InvalidInput, NotFound
from one_runtime.tenancy import api_keys, organizations
from one_runtime.tenancy.api_keys import DEFAULT_SCOPES, ApiKey, KeyScope

router = Routes("API keys")


class ApiKeyAnswer(Answer, title="ApiKey"):
    """An API key, without its secret. `prefix`: the beginning of the key.

    `last_used_at`: the time of the last request with the key. One Runtime updates the time at most every 10 minutes.
    """

    id: str
    prefix: str
    name: str
    scopes: Annotated[
        tuple[str, ...], Described("The scopes of the key: the operations that the key permits.", ["read", "use"])
    ]
    created_at: Time
    last_used_at: Time | None
    revoked_at: Time | None


class CreatedApiKey(ApiKeyAnswer, title="CreatedApiKey"):
    """A new API key. Only this response contains `api_key`, the key itself. Do not log this value."""

    api_key: Annotated[
        str, Described("The key itself. No other response contains the key. Do not log this value.", "oru_…")
    ] = Field(repr=False)


class ApiKeyPage(Answer):
    """A page of API keys, with the revoked keys. `next_cursor` is null on the last page."""

    api_keys: Annotated[list[ApiKeyAnswer], Described("The API keys, newest first, with the revoked keys.")]
    next_cursor: str | None


class OrganizationOfKey(Answer, title="OrganizationName"):
    """The organization of an API key."""

    id: str
    display_name: str


class MeAnswer(ApiKeyAnswer, title="Me"):
    """The API key of the request, and its organization."""

    organization: Annotated[OrganizationOfKey, Described("The organization of the key.")]


class CreateApiKey(Body, title="NewApiKey"):
    """The name and the scopes of the key. The key of the request must have every scope that it grants."""

    model_config = example(name="billing service", scopes=["read", "use"])

    name: Annotated[Text, Described("Your name for the key, such as the program that uses it.", "billing")]
    scopes: Annotated[
        list[KeyScope], Described("The scopes of the new key. The key of the request must have all of them.", ["read"])
    ] = Field(list(DEFAULT_SCOPES), min_length=1, max_length=50)


class ApiKeyQuery(Body):
    """The page to return."""

    limit: Limit = 100
    cursor: IdCursor = None


@router.route("GET /v1/me", scope=ANY, conditional=True, summary="Read the API key of the request")
async def get_me(caller: Authenticated, installation: Installed, conditions: Conditional) -> MeAnswer:
    """Return the API key that you sent, without its secret, and the organization of the key."""
    async with installation.database.read() as tx:
        key = await api_keys.get(tx, caller.organization_id, caller.api_key_id)
        organization = await organizations.get(tx, caller.organization_id)
    return conditions.tag(MeAnswer.model_validate({**asdict(key), "organization": organization}))


@router.route("GET /v1/api-keys", scope="admin", summary="List API keys, newest first")
async def list_api_keys(
    caller: Authenticated, installation: Installed, query: Annotated[ApiKeyQuery, Query()]
) -> ApiKeyPage:
    """List the API keys of your organization, newest first. The response contains no secret."""
    async with installation.database.read() as tx:
        rows = await api_keys.list_page(tx, caller.organization_id, limit=query.limit + 1, before=query.cursor)
    return ApiKeyPage(
        api_keys=[ApiKeyAnswer.model_validate(row) for row in rows[: query.limit]],
        next_cursor=next_cursor([row.id for row in rows], query.limit),
    )


@router.route(
    "POST /v1/api-keys",
    scope="admin",
    idempotent=True,
    location="/v1/api-keys/{id}",
    summary="Create an API key",
    status_code=201,
)
async def create_api_key(
    body: CreateApiKey, caller: Authenticated, installation: Installed, repeatable: Repeatable
) -> CreatedApiKey:
    """Create an API key of your organization. Only this response contains the key.

    A key grants only scopes that it has itself. Otherwise, the response is 422.
    """
    if not set(body.scopes) <= set(caller.scopes):
        own = ", ".join(caller.scopes)
        raise InvalidInput.of("scopes", f"must contain only scopes that the API key of this request has: {own}")
    async with installation.database.write() as tx:
        key, token = await api_keys.create(tx, caller.actor, body.name, body.scopes, installation.clock())
        created = CreatedApiKey.model_validate({**asdict(key), "api_key": token.secret})
        return await repeatable.store(tx, created, ApiKeyAnswer.model_validate(key))


@router.route(
    "GET /v1/api-keys/{api_key_id}", scope="admin", errors=(NotFound,), conditional=True, summary="Read one API key"
)
async def get_api_key(
    api_key_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> ApiKeyAnswer:
    """Return an API key of your organization, without its secret. The key can be revoked."""
    async with installation.database.read() as tx:
        return conditions.tag(ApiKeyAnswer.model_validate(await api_keys.get(tx, caller.organization_id, api_key_id)))


@router.route(
    "DELETE /v1/api-keys/{api_key_id}",
    scope="admin",
    errors=(NotFound, Conflict),
    conditional=True,
    summary="Revoke an API key",
)
async def revoke_api_key(
    api_key_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> ApiKeyAnswer:
    """Revoke an API key of your organization. One Runtime refuses every later request with the key.

    A second revocation changes nothing. You can also revoke the key of the request. If no other active key has the
    scope `admin`, the response is 409, because your organization could not create further keys over the API.
    """

    async def read(_: Transaction, key: ApiKey) -> ApiKeyAnswer:
        return ApiKeyAnswer.model_validate(key)

    async with installation.database.write() as tx:
        revoked = await api_keys.revoke_own(tx, caller.actor, api_key_id, installation.clock(), conditions.on(read))
    return ApiKeyAnswer.model_validate(revoked)
