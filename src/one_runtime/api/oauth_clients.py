"""`/v1/integrations/{integration_slug}/oauth-client`: what an organization has registered with a provider."""

from fastapi import Response
from pydantic import Field

from one_runtime.api.fields import Answer, Body, FieldName, Link, LongText, ScopeName, Text, Time, example
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.errors import NotFound
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import HostNotRegistered, NewOAuthClient, RegisteredClient

router = Routes("OAuth clients")


class PutOAuthClient(Body, title="NewOAuthClient"):
    """A client as the provider shows it. `client_secret`: left out, the present one stays, where the `client_id` does.
    `scopes`: what to ask for; left out, the integration's own. `hosts`: only for integrations whose host is a parameter
    (a GitLab of one's own): those that the client was registered at, since its secret goes nowhere else. `fields`: what
    the integration wants of a client beside id and secret."""

    model_config = example(
        client_id="12345678-1234-1234-1234-123456789012",
        client_secret="the-secret-that-the-provider-shows",
        scopes=["oauth", "crm.objects.contacts.read"],
    )

    client_id: Text
    client_secret: LongText | None = Field(None, min_length=1, max_length=10_000, repr=False)
    scopes: list[ScopeName] | None = Field(None, max_length=200)
    hosts: list[Link] = Field([], max_length=100)
    fields: dict[FieldName, LongText] = Field(default={}, max_length=20, repr=False)


class OAuthClientAnswer(Answer, title="OAuthClient"):
    """A client. The secret is never told, but for its last four characters. `redirect_url` is what to register with the
    provider as the redirect address."""

    integration_slug: str
    client_id: str
    client_secret_last_four: str | None
    scopes: tuple[str, ...] | None
    hosts: tuple[str, ...]
    fields: tuple[str, ...]
    redirect_url: str
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, one: RegisteredClient) -> "OAuthClientAnswer":
        """From the registry. Of `fields`, the names."""
        client = one.client
        return cls(
            integration_slug=client.integration_slug,
            client_id=client.client.client_id,
            client_secret_last_four=client.secret_last_four,
            scopes=client.scopes,
            hosts=client.hosts,
            fields=tuple(sorted(client.fields)),
            redirect_url=one.redirect_url,
            created_at=client.created_at,
            updated_at=client.updated_at,
        )


class OAuthClientList(Answer):
    """Your organization's clients, by integration."""

    oauth_clients: list[OAuthClientAnswer]


@router.get("/v1/oauth-clients", scope="admin", summary="List OAuth clients")
async def list_oauth_clients(caller: Authenticated, installation: Installed) -> OAuthClientList:
    """The clients that your organization has registered. Those of the instance are its operator's, and not told."""
    found = await oauth_clients.list_registered(installation, caller.organization_id)
    return OAuthClientList(oauth_clients=[OAuthClientAnswer.of(one) for one in found])


@router.get(
    "/v1/integrations/{integration_slug}/oauth-client",
    scope="admin",
    errors=(NotFound,),
    summary="Read an OAuth client",
)
async def get_oauth_client(integration_slug: str, caller: Authenticated, installation: Installed) -> OAuthClientAnswer:
    """Your organization's client for an integration; 404 where it has none of its own."""
    return OAuthClientAnswer.of(
        await oauth_clients.get_registered(installation, caller.organization_id, integration_slug)
    )


@router.put(
    "/v1/integrations/{integration_slug}/oauth-client",
    scope="admin",
    errors=(NotFound, HostNotRegistered),
    summary="Register an OAuth client",
)
async def replace_oauth_client(
    integration_slug: str, body: PutOAuthClient, caller: Authenticated, installation: Installed
) -> OAuthClientAnswer:
    """Connect with your own client from now on. Connections that were made with another one keep it until they are
    connected again."""
    new = NewOAuthClient(
        client_id=body.client_id,
        client_secret=body.client_secret,
        scopes=tuple(dict.fromkeys(body.scopes)) if body.scopes is not None else None,
        hosts=tuple(body.hosts),
        fields=body.fields,
    )
    return OAuthClientAnswer.of(await oauth_clients.register(installation, caller.actor, integration_slug, new))


@router.delete(
    "/v1/integrations/{integration_slug}/oauth-client",
    scope="admin",
    errors=(NotFound,),
    summary="Delete an OAuth client",
    status_code=204,
)
async def delete_oauth_client(integration_slug: str, caller: Authenticated, installation: Installed) -> Response:
    """Use it for no new connection. Those that were made with it are renewed with it until they are gone."""
    await oauth_clients.unregister(installation, caller.actor, integration_slug)
    return Response(status_code=204)
