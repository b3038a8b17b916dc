"""Serve `/v1/connections`: the connected accounts of end users (connections), and their credentials."""

from collections.abc import Callable, Collection
from dataclasses import asdict
from functools import partial
from inspect import cleandoc
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from fastapi import Query, Response
from pydantic import BaseModel, Field

from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.disconnect import RevocationAnswer
from one_runtime.api.fields import (
    Answer,
    Body,
    DisplayName,
    FieldName,
    IdCursor,
    Limit,
    Metadata,
    Moment,
    Note,
    OptionalId,
    PathId,
    Several,
    Slug,
    Text,
    Time,
    Typed,
    example,
    next_cursor,
    note_of,
    refuse_blank,
    require_metadata,
)
from one_runtime.api.idempotency import Repeatable
from one_runtime.api.merge_patch import merge_patch
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.auth_types import AUTH_TYPES, AuthType
from one_runtime.catalog.disabled_integrations import IntegrationDisabled
from one_runtime.catalog.model import Integration
from one_runtime.catalog.public_values import public_values
from one_runtime.connecting.token_import import CredentialImport, store_import, verify_import
from one_runtime.connections import connections, search
from one_runtime.connections.connections import AccountMismatch, Connection, ConnectionFilter, SeveralConnections
from one_runtime.connections.credentials import CredentialsRefused, PermissionMissing, ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.egress.errors import TargetRefused
from one_runtime.errors import InvalidInput, NotFound
from one_runtime.explanations.stored_errors import explain_connection_error
from one_runtime.integrations.oauth_clients import HostNotRegistered, OAuthClientMissing
from one_runtime.jobs.liveness import UnconfirmedCopy
from one_runtime.lifecycle import disconnect
from one_runtime.lifecycle.recheck import RecheckOutcome, recheck
from one_runtime.tokens.refresh import ClientRefused, ReauthRequired, read_credentials, refresh

router = Routes("Connections")
_Model = TypeVar("_Model", bound=BaseModel)


def _lists_by_auth_type(describe: Callable[[type[AuthBase]], str]) -> Callable[[type[_Model]], type[_Model]]:
    """Return a decorator that replaces `{by_auth_type}` in a docstring with a list of all auth types."""
    items = "\n".join(f"- `{name}`: {describe(auth_class)}." for name, auth_class in AUTH_TYPES.items())

    def fill(model: type[_Model]) -> type[_Model]:
        model.__doc__ = cleandoc(model.__doc__ or "").replace("{by_auth_type}", items)
        return model

    return fill


async def connection_documents(
    installation: Installation, tx: Transaction, keys: Collection[tuple[str, str]]
) -> dict[str, dict[str, Any]]:
    """Return connections as `GET /v1/connections/{id}` returns them, by id. `keys`: organization and connection."""
    documents = {}
    for connection in await search.list_by_key(tx, keys):
        integration = await installation.catalogs.get(tx, connection.organization_id, connection.integration_slug)
        documents[connection.id] = ConnectionAnswer.of(connection, integration).model_dump(mode="json")
    return documents


_IS_DEFAULT: Final = Described(
    "True for the end user's [default connection](api.md#default-connections) to the integration.", example=False
)
_CREDENTIAL_ERRORS: Final = (
    ProviderUnavailable,
    TargetRefused,
    ClientRefused,
    OAuthClientMissing,
    HostNotRegistered,
    UnconfirmedCopy,
    IntegrationDisabled,
)
"""Errors of the routes that use a credential."""


class AccountAnswer(Answer, title="Account"):
    """The account at the provider. A field is null if the provider does not report the value."""

    id: Annotated[str | None, Described("The provider's id of the account, or null if it is unknown.", "4711")]
    label: Annotated[str | None, Described("The name of the account, or null if it is unknown.", "Globex Corporation")]


class ConnectionSummary(Answer):
    """A connection in the list of integrations.

    - `params`: values that are not secret, such as a subdomain: the values that the end user entered, and the values
      of the provider that `base_url` contains.
    - `base_url`: the base URL of the provider's API for this account. The value is null if the URL contains a part of
      the credential.
    """

    id: str
    name: Annotated[str, Described("The name of the connection.", "Globex Corporation")]
    is_default: Annotated[bool, _IS_DEFAULT]
    status: Annotated[
        Literal["active", "needs_reauth"],
        Described("`active`, or `needs_reauth` if the end user has to connect again.", "active"),
    ]
    error: Note | None
    account: AccountAnswer
    params: dict[str, str]
    base_url: str | None
    scopes: Annotated[tuple[str, ...], Described("The granted scopes.", ["crm.objects.contacts.read"])]
    missing_scopes: tuple[str, ...]
    created_at: Time
    updated_at: Time
    last_used_at: Time | None
    token_expires_at: Time | None

    @classmethod
    def of(cls, connection: Connection, integration: Integration | None) -> Self:
        """Return the response body for a connection. `integration`: None if the integration no longer exists."""
        shown = public_values(integration, connection.auth_type, connection.params)
        return cls.model_validate(
            {
                **asdict(connection),
                "account": {"id": connection.account_id, "label": connection.account_label},
                "error": note_of(connection.error, partial(explain_connection_error, connection.status)),
                "params": shown.params,
                "base_url": shown.base_url,
                "token_expires_at": connection.expires_at,
            }
        )


class ConnectionAnswer(ConnectionSummary, title="Connection"):
    """A connected account of an end user, without the credentials."""

    integration_slug: str
    end_user_id: str
    auth_type: AuthType
    metadata: Metadata


class ConnectionPage(Answer):
    """A page of connections. `next_cursor` is null on the last page."""

    connections: list[ConnectionAnswer]
    next_cursor: str | None


class CheckAnswer(Answer, title="ConnectionCheck"):
    """The result of checking a credential. `working` is null if no check is possible."""

    outcome: Annotated[RecheckOutcome, Described("The result.", "accepted")]
    working: Annotated[bool | None, Described("True if the credential works. Null if no check is possible.", True)]
    reason: str | None
    missing_permission: Annotated[
        str | None, Described("The provider's name of the missing permission, or null.", None)
    ]
    connection: Annotated[ConnectionAnswer, Described("The connection after the check.")]


@_lists_by_auth_type(lambda auth_class: auth_class.imported_keys)
class CreateConnection(Body, title="NewConnection"):
    """A credential to import. The fields of `credentials` depend on the auth type.

    {by_auth_type}

    If `check` is true, the provider must accept the credential before One Runtime stores the credential. One Runtime
    always checks a credential that it exchanges for tokens, such as `client_credentials`.
    """

    model_config = example(
        integration_slug="hubspot",
        end_user_id="user_123",
        auth_type="api_key",
        credentials={"api_key": "pat-na1-00000000-0000-0000-0000-000000000000"},
    )

    usual_fields = frozenset({"credentials"})

    integration_slug: Slug
    end_user_id: Text
    auth_type: Annotated[
        AuthType,
        Described(
            "The auth type: the way to authenticate with the provider.",
            "api_key",
            "an auth type of the integration ({values})",
        ),
    ]
    name: Annotated[
        DisplayName | None, Described("A name for the connection. Default: the account's name.", "Marketing portal")
    ] = None
    params: dict[FieldName, Typed] = Field(default={})
    credentials: dict[FieldName, Typed] = Field(default={}, repr=False)
    metadata: Metadata = Field(default={})
    check: Annotated[
        bool, Described("True verifies the credential with the provider, and stores only an accepted credential.", True)
    ] = True
    connection_id: Annotated[OptionalId, Described("The id of the connection whose credential to replace.", None)] = (
        None
    )
    multiple: bool = False


class PatchConnection(Body, title="ConnectionUpdate"):
    """The fields to change, as a JSON Merge Patch (RFC 7396). An omitted field keeps its value.

    - `name`: with null, the connection gets its automatic name: the name of the account at the provider, or the
      integration's name if the account has none.
    - `is_default`: true makes the connection the end user's default connection to the integration, instead of the
      present one. Null is false.
    - `metadata`: each key changes only this key. A key with null removes the key. With null instead of an object, all
      keys are removed.
    """

    model_config = example(name="Marketing portal", metadata={"team": "growth"})

    name: Annotated[
        DisplayName | None,
        refuse_blank("Send null to use the account's name"),
        Described("The new name of the connection.", "Marketing portal"),
    ] = None
    is_default: Annotated[
        bool | None, Described("True makes this the end user's default connection to the integration.", example=True)
    ] = None
    metadata: Metadata | None = None


class ListQuery(Body):
    """Filters, and the page to return. `since` and `until` select by the time of creation."""

    end_user_id: Several[Text] = []
    integration_slug: Several[Slug] = []
    status: Several[Literal["active", "needs_reauth"]] = []
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 100
    cursor: IdCursor = None


class DeletedConnection(ConnectionAnswer, title="DeletedConnection"):
    """The deleted connection as it last was, and the result of revoking each of its tokens."""

    revocations: list[RevocationAnswer]


@_lists_by_auth_type(lambda auth_class: auth_class.exposed_keys())
class CredentialsAnswer(Answer, title="Credentials"):
    """Valid credentials for requests to the provider. The fields of `credentials` depend on the auth type.

    {by_auth_type}

    One Runtime never returns a refresh token or the secret of an OAuth client.
    """

    connection_id: str
    integration_slug: str
    auth_type: AuthType
    params: dict[str, str]
    credentials: dict[str, str] = Field(repr=False)
    token_expires_at: Time | None


@router.route("GET /v1/connections", scope="read", summary="List connections, newest first")
async def list_connections(
    caller: Authenticated,
    installation: Installed,
    query: Annotated[ListQuery, Query()],
) -> ConnectionPage:
    """List the connections of your organization in pages, newest first."""
    matching = ConnectionFilter(**query.model_dump(exclude={"limit", "cursor"}))
    async with installation.database.read() as tx:
        rows = await connections.list_page(
            tx, caller.organization_id, matching, limit=query.limit + 1, before=query.cursor
        )
        catalog = await installation.catalogs.of(tx, caller.organization_id)
    return ConnectionPage(
        connections=[ConnectionAnswer.of(row, catalog.get(row.integration_slug)) for row in rows[: query.limit]],
        next_cursor=next_cursor([row.id for row in rows], query.limit),
    )


@router.route(
    "POST /v1/connections",
    scope="connect",
    errors=(
        NotFound,
        AccountMismatch,
        SeveralConnections,
        CredentialsRefused,
        PermissionMissing,
        *_CREDENTIAL_ERRORS,
        *UNREADABLE_CREDENTIALS,
    ),
    idempotent=True,
    location="/v1/connections/{id}",
    summary="Import a connection",
    responses={
        200: {
            "description": "The new credential replaced the old credential of a connection.",
            "model": ConnectionAnswer,
        }
    },
    status_code=201,
)
async def create_connection(
    body: CreateConnection,
    caller: Authenticated,
    installation: Installed,
    response: Response,
    repeatable: Repeatable,
) -> ConnectionAnswer:
    """Store a credential for an end user.

    One Runtime applies the first rule that fits:

    1. `connection_id` names a connection: the new credential replaces the credential of this connection (200).
    2. The end user has a connection to the credential's account: the new credential replaces the credential of this
       connection (200).
    3. `multiple` is true: One Runtime creates a connection (201).
    4. The end user has no connection to the integration: One Runtime creates a connection (201).
    5. The end user has one connection to the integration: the new credential replaces its credential (200). But if the
       provider reports that the new account is a different one, the answer is 409 `account_mismatch`.
    6. The end user has several connections to the integration: the answer is 409 `several_connections`, and
       `connections` lists them.

    After an error 409, send `connection_id` to replace the credential of this connection, or `multiple` to add one.
    """
    if body.connection_id is not None and body.multiple:
        raise InvalidInput.of("multiple", "must be false with connection_id: a connection is replaced or added")
    request = CredentialImport(
        integration_slug=body.integration_slug,
        auth_type=body.auth_type,
        params=body.params,
        credentials=body.credentials,
        end_user_id=body.end_user_id,
        name=body.name,
        metadata=body.metadata,
        connection_id=body.connection_id,
        multiple=body.multiple,
        check=body.check,
    )
    verified = await verify_import(installation, caller.actor, request)
    async with installation.database.write() as tx:
        imported = await store_import(tx, installation, caller.actor, verified)
        response.status_code = 201 if imported.created else 200
        return await repeatable.store(tx, ConnectionAnswer.of(imported.connection, imported.integration))


@router.route(
    "GET /v1/connections/{connection_id}",
    scope="read",
    errors=(NotFound,),
    conditional=True,
    summary="Read one connection",
)
async def get_connection(
    connection_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> ConnectionAnswer:
    """Return a connection of your organization."""
    async with installation.database.read() as tx:
        connection = await connections.get(tx, caller.organization_id, connection_id)
        integration = await installation.catalogs.get(tx, caller.organization_id, connection.integration_slug)
    return conditions.tag(ConnectionAnswer.of(connection, integration))


@router.route(
    "PATCH /v1/connections/{connection_id}",
    scope="connect",
    errors=(NotFound,),
    conditional=True,
    summary="Change a connection",
)
async def update_connection(
    connection_id: PathId,
    body: PatchConnection,
    caller: Authenticated,
    installation: Installed,
    conditions: Conditional,
) -> ConnectionAnswer:
    """Change the name or the metadata of a connection, or make it the default connection.

    The body is a JSON Merge Patch (RFC 7396). A request that changes nothing writes no event, and `updated_at` stays
    the same.
    """
    async with installation.database.write() as tx:
        connection = await connections.get_to_change(tx, caller.organization_id, connection_id)
        integration = await installation.catalogs.get(tx, caller.organization_id, connection.integration_slug)
        conditions.require(lambda: ConnectionAnswer.of(connection, integration))
        present = {"name": connection.name, "metadata": connection.metadata, "is_default": connection.is_default}
        merged = merge_patch(present, body.model_dump(exclude_unset=True))
        name, metadata = merged.get("name"), require_metadata(merged.get("metadata", {}))
        changed = await connections.update_connection(
            tx,
            installation.catalogs,
            caller.actor,
            connection,
            installation.clock(),
            name=name,
            metadata=metadata,
            is_default=bool(merged.get("is_default")),
        )
    return conditions.tag(ConnectionAnswer.of(changed, integration))


@router.route(
    "DELETE /v1/connections/{connection_id}",
    scope="connect",
    errors=(NotFound, *UNREADABLE_CREDENTIALS),
    conditional=True,
    summary="Delete a connection",
)
async def delete_connection(
    connection_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> DeletedConnection:
    """Delete a connection and its credentials immediately. The response has the connection as it last was.

    `revocations` has the result of revoking each token.
    """

    async def read(tx: Transaction, connection: Connection) -> ConnectionAnswer:
        integration = await installation.catalogs.get(tx, connection.organization_id, connection.integration_slug)
        return ConnectionAnswer.of(connection, integration)

    condition = conditions.on(read)
    disconnected = await disconnect.delete_connection(installation, caller.actor, connection_id, condition)
    async with installation.database.read() as tx:
        shown = await read(tx, disconnected.connection)
    return DeletedConnection(**dict(shown), revocations=RevocationAnswer.of_all([disconnected]))


@router.route(
    "POST /v1/connections/{connection_id}/check",
    scope="connect",
    errors=(NotFound, *_CREDENTIAL_ERRORS, *UNREADABLE_CREDENTIALS),
    summary="Check a connection",
)
async def check_connection(connection_id: PathId, caller: Authenticated, installation: Installed) -> CheckAnswer:
    """Check the credential of a connection at the provider.

    - If the provider refuses an access token, One Runtime refreshes the tokens and repeats the check once.
    - If the provider refuses the credential in the last check, the connection becomes `needs_reauth`.
    - If the credential is valid but lacks a permission, the connection stays active. Its `error` names the permission.
    - If the provider gives no usable response, One Runtime answers with 502. The connection stays unchanged.
    """
    checked = await recheck(installation, caller.actor, connection_id)
    return CheckAnswer(
        outcome=checked.outcome,
        working=checked.working,
        reason=checked.reason,
        missing_permission=checked.missing_permission,
        connection=ConnectionAnswer.of(checked.connection, checked.integration),
    )


@router.route(
    "POST /v1/connections/{connection_id}/refresh",
    scope="connect",
    errors=(NotFound, ReauthRequired, *_CREDENTIAL_ERRORS, *UNREADABLE_CREDENTIALS),
    summary="Refresh the tokens of a connection",
)
async def refresh_connection(connection_id: PathId, caller: Authenticated, installation: Installed) -> ConnectionAnswer:
    """Refresh the tokens at the provider, even if the tokens are still valid. API keys and passwords stay unchanged."""
    async with installation.database.read() as tx:
        connection = await connections.get(tx, caller.organization_id, connection_id)
    refreshed = await refresh(installation, connection.key)
    return ConnectionAnswer.of(refreshed.connection, refreshed.integration)


@router.route(
    "GET /v1/connections/{connection_id}/credentials",
    scope="credentials:read",
    errors=(NotFound, ReauthRequired, *_CREDENTIAL_ERRORS, *UNREADABLE_CREDENTIALS),
    head=False,
    summary="Read the credentials of a connection",
)
async def get_credentials(connection_id: PathId, caller: Authenticated, installation: Installed) -> CredentialsAnswer:
    """Return the credentials of a connection. If a refresh is due, One Runtime first refreshes the tokens.

    Each read adds the event `connection.credentials_read` to the audit log.
    """
    usable = await read_credentials(installation, caller.actor, connection_id)
    connection = usable.connection
    return CredentialsAnswer(
        connection_id=connection.id,
        integration_slug=connection.integration_slug,
        auth_type=connection.auth_type,
        params=usable.values.params,
        credentials=usable.values.credentials,
        token_expires_at=connection.expires_at,
    )
