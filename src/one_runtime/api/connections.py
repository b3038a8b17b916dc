"""`/v1/connections`: list, read, import, rename, check and delete connections."""

from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import Field

from one_runtime.api.disconnect import RevocationAnswer
from one_runtime.api.fields import (
    Answer,
    Body,
    FieldName,
    IdCursor,
    Limit,
    Metadata,
    Note,
    Slug,
    Text,
    Time,
    Typed,
    example,
    next_cursor,
    note_of,
)
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.catalog.model import AuthType
from one_runtime.connecting import disconnect
from one_runtime.connecting.recheck import recheck
from one_runtime.connecting.token_import import CredentialImport, import_connection
from one_runtime.connecting.verification import ConnectionTarget
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection, ConnectionFilter, ConnectionUpdate
from one_runtime.connections.credentials import CredentialsRefused, ProviderUnavailable
from one_runtime.errors import NotFound
from one_runtime.integrations.oauth_clients import HostNotRegistered, OAuthClientMissing

router = Routes("Connections")


class AccountAnswer(Answer, title="Account"):
    """The account at the provider, as far as it tells: values are null where it does not."""

    id: str | None
    label: str | None


class ConnectionSummary(Answer):
    """A connection inside the list of integrations."""

    id: str
    name: str
    status: Literal["active", "needs_reauth"]
    error: Note | None
    account: AccountAnswer
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    created_at: Time
    updated_at: Time
    last_used_at: Time | None
    token_expires_at: Time | None

    @classmethod
    def of(cls, one: Connection) -> "ConnectionSummary":
        """From the noun."""
        return cls.model_validate(_fields(one))


class ConnectionAnswer(ConnectionSummary, title="Connection"):
    """A connected account of an end user. Credentials are never part of it."""

    integration_slug: str
    end_user_id: str
    auth_type: str
    metadata: Metadata

    @classmethod
    def of(cls, one: Connection) -> "ConnectionAnswer":
        """From the noun."""
        return cls.model_validate(_fields(one))


def _fields(one: Connection) -> dict[str, object]:
    names = ("id", "name", "status", "scopes", "missing_scopes", "created_at", "updated_at", "last_used_at")
    more = ("integration_slug", "end_user_id", "auth_type", "metadata")
    account = AccountAnswer(id=one.account_id, label=one.account_label)
    values = {name: getattr(one, name) for name in names + more}
    return values | {"account": account, "error": note_of(one.error), "token_expires_at": one.expires_at}


class ConnectionPage(Answer):
    """One page; `next_cursor` is null on the last one."""

    connections: list[ConnectionAnswer]
    next_cursor: str | None


class CheckAnswer(Answer, title="ConnectionCheck"):
    """What the provider said: `working` is null where the entry has no check."""

    working: bool | None
    reason: str | None
    connection: ConnectionAnswer


class CreateConnection(Body, title="NewConnection"):
    """A credential that you hold already, to be kept by us. `credentials` by auth type: the entry's field names for
    `api_key`; `username` and `password` for `basic`; `client_id` and `client_secret` for `client_credentials`;
    `access_token` and, as far as you have them, `refresh_token`, `expires_at` (RFC 3339) and `scope` for `oauth2`,
    given to the OAuth client that is configured here; nothing for `none`. `check`: ask the provider first."""

    model_config = example(
        integration_slug="hubspot",
        end_user_id="user_123",
        auth_type="api_key",
        credentials={"api_key": "pat-na1-00000000-0000-0000-0000-000000000000"},
    )

    integration_slug: Slug
    end_user_id: Text
    auth_type: AuthType
    name: Text | None = None
    params: dict[FieldName, Typed] = Field(default={})
    credentials: dict[FieldName, Typed] = Field(default={}, repr=False)
    metadata: Metadata = Field(default={})
    check: bool = True
    multiple: bool = False


class PatchConnection(Body, title="ConnectionUpdate"):
    """What to change; what is left out stays. `metadata` is replaced as a whole."""

    model_config = example(name="Marketing portal", metadata={"team": "growth"})

    name: Text | None = None
    metadata: Metadata | None = None


class ListQuery(Body):
    """What to list."""

    end_user_id: Text | None = None
    integration_slug: Slug | None = None
    status: Literal["active", "needs_reauth"] | None = None
    limit: Limit = 100
    cursor: IdCursor = None


class DeletedConnection(Answer):
    """What was deleted, and what became of its tokens at the provider."""

    id: str
    revocations: list[RevocationAnswer]


@router.get("/v1/connections", scope="read", summary="List connections, newest first")
async def list_connections(
    caller: Authenticated,
    installation: Installed,
    wanted: Annotated[ListQuery, Query()],
) -> ConnectionPage:
    """Connections of your organization, newest first, in pages."""
    chosen = ConnectionFilter(wanted.end_user_id, wanted.integration_slug, wanted.status)
    async with installation.database.read() as tx:
        found = await connections.list_page(
            tx, caller.organization_id, chosen, limit=wanted.limit + 1, before=wanted.cursor
        )
    return ConnectionPage(
        connections=[ConnectionAnswer.of(one) for one in found[: wanted.limit]],
        next_cursor=next_cursor([one.id for one in found], wanted.limit),
    )


@router.post(
    "/v1/connections",
    scope="connect",
    errors=(
        NotFound,
        CredentialsRefused,
        ProviderUnavailable,
        OAuthClientMissing,
        HostNotRegistered,
        *UNREADABLE_CREDENTIALS,
    ),
    summary="Import a credential",
    responses={200: {"description": "It took the place of the present connection."}},
    status_code=201,
)
async def create_connection(
    body: CreateConnection, caller: Authenticated, installation: Installed, response: Response
) -> ConnectionAnswer:
    """Store a credential for an end user, after the provider accepted it. The same account, or one whose identity is
    not known, is renewed in place (200); `multiple` puts another account beside it."""
    target = ConnectionTarget(body.end_user_id, body.name, body.metadata, multiple=body.multiple, replace_account=True)
    request = CredentialImport(
        body.integration_slug, body.auth_type, body.params, body.credentials, target, check=body.check
    )
    connection, created = await import_connection(installation, caller.actor, request)
    response.status_code = 201 if created else 200
    return ConnectionAnswer.of(connection)


@router.get("/v1/connections/{connection_id}", scope="read", errors=(NotFound,), summary="Read one connection")
async def get_connection(connection_id: str, caller: Authenticated, installation: Installed) -> ConnectionAnswer:
    """One connection of your organization."""
    async with installation.database.read() as tx:
        return ConnectionAnswer.of(await connections.get(tx, caller.organization_id, connection_id))


@router.patch(
    "/v1/connections/{connection_id}",
    scope="connect",
    errors=(NotFound,),
    summary="Rename a connection, or set its metadata",
)
async def update_connection(
    connection_id: str, body: PatchConnection, caller: Authenticated, installation: Installed
) -> ConnectionAnswer:
    """Change the name or the metadata; what is left out stays."""
    async with installation.database.write() as tx:
        found = await connections.get(tx, caller.organization_id, connection_id)
        wanted = ConnectionUpdate(body.name, body.metadata)
        changed = await connections.update_connection(tx, caller.actor, found, wanted, installation.clock())
    return ConnectionAnswer.of(changed)


@router.delete(
    "/v1/connections/{connection_id}",
    scope="connect",
    errors=(NotFound, *UNREADABLE_CREDENTIALS),
    summary="Delete a connection",
)
async def delete_connection(connection_id: str, caller: Authenticated, installation: Installed) -> DeletedConnection:
    """Delete the connection and its credentials at once; `revocations` says what became of its tokens at the
    provider."""
    let_go = await disconnect.delete_connection(installation, caller.actor, connection_id)
    return DeletedConnection(id=connection_id, revocations=RevocationAnswer.of_all([let_go]))


@router.post(
    "/v1/connections/{connection_id}/check",
    scope="connect",
    errors=(NotFound, ProviderUnavailable, OAuthClientMissing, *UNREADABLE_CREDENTIALS),
    summary="Ask the provider whether it still works",
)
async def check_connection(connection_id: str, caller: Authenticated, installation: Installed) -> CheckAnswer:
    """Run the entry's check. A definite refusal makes the connection `needs_reauth`; an outage nothing (502)."""
    checked = await recheck(installation, caller.actor, connection_id)
    return CheckAnswer(
        working=checked.working, reason=checked.reason, connection=ConnectionAnswer.of(checked.connection)
    )
