"""Serve the routes for the OAuth clients that an organization has registered with providers."""

from typing import Annotated

from pydantic import Field

from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.fields import Answer, Body, FieldName, Link, LongText, ScopeName, Text, Time, example
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound
from one_runtime.integrations import client_registration
from one_runtime.integrations.client_hosts import MAX_HOSTS
from one_runtime.integrations.client_registration import RegisteredClient
from one_runtime.integrations.oauth_clients import MAX_CLIENT_SECRET, MAX_SCOPES, HostNotRegistered, NewOAuthClient

router = Routes("OAuth clients")


class PutOAuthClient(Body, title="NewOAuthClient"):
    """An OAuth client from the provider's console.

    - `client_secret`: the client's secret. You can omit the secret if the registered client has this `client_id`.
    - `scopes`: the scopes to request. If you omit this field, One Runtime requests the integration's default scopes.
    - `hosts`: the hosts that can receive the secret. Some integrations have variable hosts, such as a self-hosted
      GitLab. Only these integrations use this field.
    - `fields`: more values that the integration requires for an OAuth client, such as a developer token.
    """

    model_config = example(
        client_id="12345678-1234-1234-1234-123456789012",
        client_secret="the-secret-that-the-provider-shows",
        scopes=["oauth", "crm.objects.contacts.read"],
    )

    client_id: Text
    client_secret: Annotated[
        LongText | None,
        Described(
            "The secret of the OAuth client. You can omit the secret to keep the stored secret.",
            "the-secret-that-the-provider-shows",
        ),
    ] = Field(None, min_length=1, max_length=MAX_CLIENT_SECRET, repr=False)
    scopes: Annotated[
        list[ScopeName] | None, Described("The scopes to request. Default: the integration's scopes.", ["oauth"])
    ] = Field(None, max_length=MAX_SCOPES)
    hosts: list[Link] = Field([], max_length=MAX_HOSTS)
    fields: Annotated[
        dict[FieldName, LongText],
        Described("More values that the integration needs for an OAuth client, such as a developer token.", {}),
    ] = Field(default={}, max_length=20, repr=False)


class OAuthClientAnswer(Answer, title="OAuthClient"):
    """An OAuth client, with the last four characters of its secret.

    `fields`: the names of the additional registered values. `redirect_url`: the URL to register with the provider.
    """

    integration_slug: str
    client_id: str
    client_secret_last_four: Annotated[
        str | None, Described("The last four characters of the secret. Null for a short secret.", "c3d9")
    ]
    scopes: Annotated[
        tuple[str, ...] | None, Described("The scopes to request. Null means the integration's scopes.", None)
    ]
    hosts: tuple[str, ...]
    fields: Annotated[
        tuple[str, ...], Described("The names of the additional registered values, without the values.", [])
    ]
    redirect_url: Annotated[
        str,
        Described(
            "The redirect URL to register with the provider.", "https://connect.example.com/connect/callback/hubspot"
        ),
    ]
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, registered: RegisteredClient) -> "OAuthClientAnswer":
        """Return the response body for a client. The body contains the names of `fields`, but not the values."""
        client = registered.client
        return cls(
            integration_slug=client.integration_slug,
            client_id=client.client.client_id,
            client_secret_last_four=client.secret_last_four,
            scopes=client.scopes,
            hosts=client.hosts,
            fields=tuple(sorted(client.fields)),
            redirect_url=registered.redirect_url,
            created_at=client.created_at,
            updated_at=client.updated_at,
        )


class OAuthClientList(Answer):
    """The OAuth clients of your organization, ordered by integration."""

    oauth_clients: Annotated[list[OAuthClientAnswer], Described("The OAuth clients, ordered by integration.")]


@router.route("GET /v1/oauth-clients", scope="admin", errors=UNREADABLE_CREDENTIALS, summary="List OAuth clients")
async def list_oauth_clients(caller: Authenticated, installation: Installed) -> OAuthClientList:
    """List the OAuth clients that your organization has registered. The list omits clients of the operator."""
    vault, public_url = installation.vault, installation.settings.public_url
    async with installation.database.read() as tx:
        clients = await client_registration.list_registered(tx, vault, public_url, caller.organization_id)
    return OAuthClientList(oauth_clients=[OAuthClientAnswer.of(client) for client in clients])


@router.route(
    "GET /v1/integrations/{integration_slug}/oauth-client",
    scope="admin",
    errors=(NotFound, *UNREADABLE_CREDENTIALS),
    conditional=True,
    summary="Read an OAuth client",
)
async def get_oauth_client(
    integration_slug: str, caller: Authenticated, installation: Installed, conditions: Conditional
) -> OAuthClientAnswer:
    """Return your organization's OAuth client for an integration. If there is no client, the response is 404."""
    client = await client_registration.get_registered(installation, caller.organization_id, integration_slug)
    return conditions.tag(OAuthClientAnswer.of(client))


@router.route(
    "PUT /v1/integrations/{integration_slug}/oauth-client",
    scope="admin",
    errors=(NotFound, HostNotRegistered, *UNREADABLE_CREDENTIALS),
    conditional=True,
    summary="Register an OAuth client",
)
async def replace_oauth_client(
    integration_slug: str,
    body: PutOAuthClient,
    caller: Authenticated,
    installation: Installed,
    conditions: Conditional,
) -> OAuthClientAnswer:
    """Register your own OAuth client for new connections to an integration.

    If the `client_id` stays the same, existing connections use the new secret. If the `client_id` changes, existing
    connections keep the old client until the end user connects again.
    """
    new = NewOAuthClient(
        client_id=body.client_id,
        client_secret=body.client_secret,
        scopes=tuple(dict.fromkeys(body.scopes)) if body.scopes is not None else None,
        hosts=tuple(body.hosts),
        fields=body.fields,
    )
    registered = await client_registration.register(
        installation, caller.actor, integration_slug, new, conditions.on(_read)
    )
    return conditions.tag(OAuthClientAnswer.of(registered))


async def _read(_: Transaction, client: RegisteredClient) -> OAuthClientAnswer:
    return OAuthClientAnswer.of(client)


@router.route(
    "DELETE /v1/integrations/{integration_slug}/oauth-client",
    scope="admin",
    errors=(NotFound,),
    conditional=True,
    summary="Delete an OAuth client",
)
async def delete_oauth_client(
    integration_slug: str, caller: Authenticated, installation: Installed, conditions: Conditional
) -> OAuthClientAnswer:
    """Delete your OAuth client for an integration, and return it. New connections cannot use a deleted client.

    Existing connections continue to refresh their tokens with the client.
    """
    deleted = await client_registration.unregister(installation, caller.actor, integration_slug, conditions.on(_read))
    return OAuthClientAnswer.of(deleted)
