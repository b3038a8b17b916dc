"""P1: organizations share no connection to a provider, in proxy calls, checks and token requests."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from tests.database import ANY_DATABASE
from tests.proxy.relay import OK, Arrived, Relay, json_response, read_body, read_head

pytestmark = pytest.mark.promise("P1")

SMUGGLED = b"POST /api/inbox HTTP/1.1\r\nHost: provider.example\r\nContent-Length: 80\r\n\r\n"
"""The head of a request. The next 80 bytes on the connection become the body of the request."""


@dataclass
class Provider:
    """Answers every request, and records the requests of each connection.

    `ignores_length`: a path whose request bodies the provider reads as further requests (a "CL.0" server).
    """

    ignores_length: bytes = b" /never "
    connections: list[list[Arrived]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        requests: list[Arrived] = []
        self.connections.append(requests)
        while True:
            if self.ignores_length not in arrived.line:
                arrived.body = await read_body(reader, arrived)
            requests.append(arrived)
            writer.write(self._response(arrived))
            await writer.drain()
            arrived = await read_head(reader)

    def _response(self, arrived: Arrived) -> bytes:
        if b" /api/me " in arrived.line:
            return json_response(200, id="1")
        if b" /token " in arrived.line:
            return json_response(200, access_token="at-1", token_type="Bearer", expires_in=3600, refresh_token="rt-1")
        return OK

    @property
    def lines(self) -> list[bytes]:
        return [arrived.line for requests in self.connections for arrived in requests]

    def organizations(self) -> list[set[str]]:
        """Return the organizations of each connection. The credentials contain the names of the organizations."""
        return [
            {name for name in ("northwind", "southwind") if any(name in repr(arrived) for arrived in requests)}
            for requests in self.connections
        ]


@pytest.fixture
def provider(relay: Relay) -> Provider:
    served = Provider()
    relay.upstream.handler = served.serve
    return served


async def southwind(relay: Relay) -> Relay:
    """Return a second organization of the installation."""
    organization = await relay.application.organization("Southwind")
    return replace(relay, key=await relay.application.key(organization), organization=organization)


async def connect(
    relay: Relay, slug: str, user: str, secrets: dict[str, str], auth_type: str = "api_key", check: bool = False
) -> str:
    """Import credentials. Return the connection's id."""
    body = {"integration_slug": slug, "end_user_id": user, "auth_type": auth_type, "check": check}
    response = await relay.client.post("/v1/connections", {**body, "credentials": secrets})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


@ANY_DATABASE
async def test_p1_smuggled_request_receives_no_call_of_another_organization(relay: Relay, provider: Provider) -> None:
    provider.ignores_length = b" /api/ignored "
    other = await southwind(relay)
    await connect(other, "raw", "user_123", {"api_key": "southwind-key"})
    assert (await relay.call("POST", "/ignored", body=SMUGGLED)).status == 200
    answer = await other.call("GET", "/contacts")
    assert (answer.status, answer.body) == (200, b"ok")
    assert b"GET /api/contacts HTTP/1.1" in provider.lines
    assert not any(b"contacts" in arrived.body for requests in provider.connections for arrived in requests)


@ANY_DATABASE
async def test_p1_organizations_share_no_connection_for_checks(relay: Relay, provider: Provider) -> None:
    other = await southwind(relay)
    for number in range(2):
        await connect(relay, "raw", f"user_{number}", {"api_key": "northwind-key"}, check=True)
        await connect(other, "raw", f"user_{number}", {"api_key": "southwind-key"}, check=True)
    assert provider.lines == [b"GET /api/me HTTP/1.1"] * 4
    assert provider.organizations() == [{"northwind"}, {"southwind"}]


@ANY_DATABASE
async def test_p1_organizations_share_no_connection_for_token_requests(relay: Relay, provider: Provider) -> None:
    other = await southwind(relay)
    connections = []
    for tenant, name in ((relay, "northwind"), (other, "southwind")):
        client = {"client_id": name, "client_secret": f"{name}-secret"}
        assert (await tenant.client.send("PUT", "/v1/integrations/granted/oauth-client", client)).status_code == 200
        tokens = {"access_token": "at-0", "refresh_token": f"{name}-rt", "expires_at": "2040-01-01T00:00:00Z"}
        connections.append((tenant, await connect(tenant, "granted", "user_123", tokens, "oauth2")))
    for tenant, connection in connections * 2:
        response = await tenant.client.post(f"/v1/connections/{connection}/refresh")
        assert response.status_code == 200, response.text
    assert provider.lines == [b"POST /token HTTP/1.1"] * 4
    assert provider.organizations() == [{"northwind"}, {"southwind"}]
