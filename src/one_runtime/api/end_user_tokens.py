"""Serve `/v1/end-user-tokens`: tokens with which an agent acts for one end user."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Query
from pydantic import Field

from one_runtime.api.agent_policy import PolicyFields, policy_of
from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.fields import (
    Answer,
    Body,
    IdCursor,
    Limit,
    OptionalText,
    PathId,
    Text,
    Time,
    example,
    next_cursor,
    whole_number,
)
from one_runtime.api.idempotency import Repeatable
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound
from one_runtime.tenancy import end_user_tokens
from one_runtime.tenancy.agent_policy import Access
from one_runtime.tenancy.end_user_tokens import (
    DEFAULT_EXPIRES_IN,
    MAX_EXPIRES_IN,
    MIN_EXPIRES_IN,
    Audience,
    EndUserToken,
    NewToken,
)

router = Routes("End user tokens")


class CreateEndUserToken(PolicyFields, title="NewEndUserToken"):
    """The end user, and the limits of the agent. The limits of your organization apply too.

    - `audience`: `agent` for `/v1/mcp`.
    - `access`: `read` allows only calls that change nothing. `ask` also allows calls that the end user has approved.
      `write` allows all calls.
    - `integrations`: the slugs of the integrations that the agent can use. Null: all integrations.
    - `hosts`: the host names of providers that the agent can call. Null: all hosts of the integrations.
    - `methods`: the HTTP methods that the agent can use. Null: all methods.
    - `calls_per_run`: the number of calls that one program of the agent can make.
    - `expires_in`: the lifetime of the token in seconds, at most 365 days.
    """

    model_config = example(
        end_user_id="user_123", access="read", integrations=["hubspot", "slack"], name="support agent"
    )

    audience: Audience = "agent"
    end_user_id: Text
    name: Annotated[OptionalText, Described("Your name for the agent, or null.", "support agent")] = None
    expires_in: Annotated[
        int,
        Field(ge=MIN_EXPIRES_IN, le=MAX_EXPIRES_IN),
        whole_number(MIN_EXPIRES_IN, MAX_EXPIRES_IN, "seconds"),
        Described("The lifetime of the token in seconds.", 3600),
    ] = DEFAULT_EXPIRES_IN


class EndUserTokenAnswer(Answer, title="EndUserToken"):
    """An end-user token, without its secret. `prefix`: the beginning of the token.

    `last_used_at`: the time of the last request with the token. One Runtime updates the time at most every 10 minutes.

    `client_id`: the address that identifies the agent to which the end user gave the token, or null for a token that
    your backend created. `refresh_expires_at`: the time until which the agent can renew the token. A renewal changes
    `prefix` and `expires_at`. A revocation also ends the renewal.
    """

    id: str
    audience: Audience
    end_user_id: str
    name: str | None
    prefix: str
    access: Access
    integrations: tuple[str, ...] | None
    hosts: tuple[str, ...] | None
    methods: tuple[str, ...] | None
    calls_per_run: int
    created_at: Time
    expires_at: Time
    last_used_at: Time | None
    revoked_at: Time | None
    client_id: str | None
    refresh_expires_at: Time | None


class CreatedEndUserToken(EndUserTokenAnswer, title="CreatedEndUserToken"):
    """A new token. Only this response contains `end_user_token`, the token itself. Do not log this value.

    `mcp_url`: the address to which the agent sends the token.
    """

    end_user_token: Annotated[
        str, Described("The token itself. No other response contains the token. Do not log it.", "orut_…")
    ] = Field(repr=False)
    mcp_url: Annotated[
        str, Described("The address to which the agent sends the token.", "https://connect.example.com/v1/mcp")
    ]


class EndUserTokenPage(Answer):
    """A page of tokens, with revoked and expired tokens. `next_cursor` is null on the last page."""

    end_user_tokens: list[EndUserTokenAnswer]
    next_cursor: str | None


class EndUserTokenQuery(Body):
    """A filter, and the page to return."""

    end_user_id: Text | None = None
    limit: Limit = 100
    cursor: IdCursor = None


@router.route(
    "POST /v1/end-user-tokens",
    scope="use",
    idempotent=True,
    location="/v1/end-user-tokens/{id}",
    summary="Create an end-user token",
    status_code=201,
)
async def create_end_user_token(
    body: CreateEndUserToken, caller: Authenticated, installation: Installed, repeatable: Repeatable
) -> CreatedEndUserToken:
    """Create a token with which an agent acts for one end user at `/v1/mcp`. Only this response contains the token.

    The token can use the end user's connections. It cannot read credentials, create tokens or act for another end user.
    """
    async with installation.database.write() as tx:
        policy = policy_of(body, await installation.catalogs.of(tx, caller.organization_id))
        new = NewToken(body.end_user_id, policy, body.name, body.audience, body.expires_in)
        token, secret = await end_user_tokens.create(tx, caller.actor, new, installation.clock())
        mcp_url = f"{installation.settings.public_url}/v1/mcp"
        created = CreatedEndUserToken.model_validate(
            {**_fields(token), "end_user_token": secret.secret, "mcp_url": mcp_url}
        )
        return await repeatable.store(tx, created, end_user_token_answer(token))


@router.route("GET /v1/end-user-tokens", scope="read", summary="List end-user tokens, newest first")
async def list_end_user_tokens(
    caller: Authenticated, installation: Installed, query: Annotated[EndUserTokenQuery, Query()]
) -> EndUserTokenPage:
    """List the end-user tokens of your organization, newest first. The response contains no secret.

    One Runtime deletes a token 30 days after its expiry.
    """
    async with installation.database.read() as tx:
        rows = await end_user_tokens.list_page(
            tx, caller.organization_id, query.end_user_id, limit=query.limit + 1, before=query.cursor
        )
    return EndUserTokenPage(
        end_user_tokens=[end_user_token_answer(row) for row in rows[: query.limit]],
        next_cursor=next_cursor([row.id for row in rows], query.limit),
    )


@router.route(
    "GET /v1/end-user-tokens/{end_user_token_id}",
    scope="read",
    errors=(NotFound,),
    conditional=True,
    summary="Read one end-user token",
)
async def get_end_user_token(
    end_user_token_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> EndUserTokenAnswer:
    """Return an end-user token of your organization, without its secret. The token can be revoked or expired."""
    async with installation.database.read() as tx:
        return conditions.tag(
            end_user_token_answer(await end_user_tokens.get(tx, caller.organization_id, end_user_token_id))
        )


@router.route(
    "DELETE /v1/end-user-tokens/{end_user_token_id}",
    scope="use",
    errors=(NotFound,),
    conditional=True,
    summary="Revoke an end-user token",
)
async def revoke_end_user_token(
    end_user_token_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> EndUserTokenAnswer:
    """Revoke an end-user token. One Runtime refuses every later request with the token.

    A second revocation changes nothing.
    """

    async def read(_: Transaction, token: EndUserToken) -> EndUserTokenAnswer:
        return end_user_token_answer(token)

    now = installation.clock()
    async with installation.database.write() as tx:
        revoked = await end_user_tokens.revoke(tx, caller.actor, end_user_token_id, now, conditions.on(read))
    return end_user_token_answer(revoked)


def end_user_token_answer(token: EndUserToken) -> EndUserTokenAnswer:
    """Return the form of the API."""
    return EndUserTokenAnswer.model_validate(_fields(token))


def _fields(token: EndUserToken) -> dict[str, object]:
    return asdict(token) | token.policy.document
