"""OAuth clients of agents for tests: a publisher of their documents, and the steps of an authorization.

The browser, the organization's page and the client are functions of the test. One Runtime is the application in this
process.
"""

import asyncio
import base64
import hashlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
from starlette.types import Receive, Scope, Send

from one_runtime.egress.network import Network
from tests.application import PUBLIC_URL, Application, Client, running
from tests.egress.certificates import tls_contexts
from tests.egress.network import PUBLIC, RoutedSocket
from tests.ports import free_port

SIGN_IN_PAGE: Final = "https://app.example.com/agents?from=mcp"
HOST: Final = "agent.example"
CLIENT_ID: Final = f"https://{HOST}/client.json"
REDIRECT_URI: Final = f"https://{HOST}/callback"
VERIFIER: Final = "a-code-verifier-of-the-tests-with-43-characters"
CHALLENGE: Final = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


class PublisherNetwork(Network):
    """The machine's network, with a public address for `agent.example`, behind which a loopback port serves https."""

    def __init__(self, port: int, certificate: Path) -> None:
        super().__init__(tls=ssl.create_default_context(cafile=certificate))
        self._port = port

    async def resolve(self, host: str, port: int) -> list[str]:
        return [PUBLIC] if host == HOST else await super().resolve(host, port)

    def open_socket(self, family: int, address: str, port: int) -> socket.socket:
        return RoutedSocket(self._port, family) if address == PUBLIC else super().open_socket(family, address, port)


@dataclass
class Publisher:
    """A web server with the document of an OAuth client at `/client.json`. Tests change the response."""

    port: int
    certificate: Path
    network: PublisherNetwork
    document: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    body: bytes | None = None
    requests: int = 0
    pause: asyncio.Event | None = None

    @property
    def client_id(self) -> str:
        return CLIENT_ID

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.requests += 1
        if self.pause is not None:
            await self.pause.wait()
        body = json.dumps(self.document).encode() if self.body is None else self.body
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def publishing() -> AsyncIterator[Publisher]:
    """Run a publisher, whose document describes a client with `REDIRECT_URI`."""
    with TemporaryDirectory() as folder:
        tls_contexts(Path(folder), HOST)
        certificate = Path(folder) / "certificate.pem"
        port = free_port()
        publisher = Publisher(port, certificate, PublisherNetwork(port, certificate))
        async with running(publisher, port, certificate=certificate):
            publisher.document = {
                "client_id": publisher.client_id,
                "client_name": "Agent of Tests",
                "redirect_uris": [REDIRECT_URI, "http://127.0.0.1/callback"],
                "token_endpoint_auth_method": "none",
            }
            yield publisher
        publisher.network.close()


@dataclass(frozen=True)
class OAuthAgent:
    """An OAuth client at the address of an organization's MCP server. `owner`: the organization's backend."""

    application: Application
    owner: Client
    organization_id: str
    publisher: Publisher

    @property
    def resource(self) -> str:
        return f"{PUBLIC_URL}/v1/mcp/{self.organization_id}"

    async def authorize(self, **changes: Any) -> httpx2.Response:
        """Open the authorization endpoint in a browser. A parameter with None is omitted."""
        return await self.application.client().http.get("/oauth/authorize", params=self._parameters(changes))

    async def authorize_from(self, address: str, **changes: Any) -> httpx2.Response:
        """Open the authorization endpoint in a browser with this IP address."""
        transport = httpx2.ASGITransport(self.application.app, client=(address, 1))
        async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
            return await http.get("/oauth/authorize", params=self._parameters(changes))

    def _parameters(self, changes: dict[str, Any]) -> dict[str, Any]:
        parameters = {
            "response_type": "code",
            "client_id": self.publisher.client_id,
            "redirect_uri": REDIRECT_URI,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "resource": self.resource,
            "scope": "agent:read agent:write",
            "state": "state of the client",
        }
        return {name: value for name, value in {**parameters, **changes}.items() if value is not None}

    async def request(self, **changes: Any) -> str:
        """Open the authorization endpoint, and return the id that the organization's page receives."""
        answer = await self.authorize(**changes)
        assert answer.status_code == 303, answer.text
        location = answer.headers["location"]
        assert location.startswith(f"{SIGN_IN_PAGE}&agent_authorization_id="), location
        return parse_qs(urlsplit(location).query)["agent_authorization_id"][0]

    async def approve(self, authorization_id: str, end_user_id: str = "user_123", **body: Any) -> httpx2.Response:
        """Approve a request, as the organization's backend does."""
        return await self.owner.post(
            f"/v1/agent-authorizations/{authorization_id}", {"end_user_id": end_user_id, **body}
        )

    async def code(self, end_user_id: str = "user_123", **body: Any) -> str:
        """Return the code of a new authorization that the end user has approved."""
        answer = await self.approve(await self.request(), end_user_id, **body)
        assert answer.status_code == 200, answer.text
        return query_of(answer.json()["continue_url"])["code"]

    async def exchange(self, code: str | None, **changes: Any) -> httpx2.Response:
        """Exchange a code at the token endpoint. A field with None is omitted."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "client_id": self.publisher.client_id,
            "code_verifier": VERIFIER,
            "resource": self.resource,
        }
        return await self.send("/oauth/token", {**fields, **changes})

    async def refresh(self, refresh_token: str, **changes: Any) -> httpx2.Response:
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": self.publisher.client_id}
        return await self.send("/oauth/token", {**fields, "resource": self.resource, **changes})

    async def revoke(self, token: str, **changes: Any) -> httpx2.Response:
        return await self.send("/oauth/revoke", {"token": token, "client_id": self.publisher.client_id, **changes})

    async def send(self, path: str, fields: dict[str, Any]) -> httpx2.Response:
        present = {name: value for name, value in fields.items() if value is not None}
        return await self.application.client().http.post(path, data=present)

    async def tokens(self, end_user_id: str = "user_123", **body: Any) -> dict[str, Any]:
        """Return the tokens of a new authorization."""
        answer = await self.exchange(await self.code(end_user_id, **body))
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


async def oauth_agent(application: Application, publisher: Publisher, name: str = "Northwind") -> OAuthAgent:
    """Create an organization with a sign-in page, and return an OAuth client for its MCP server."""
    organization_id = await application.organization(name)
    owner = application.client(await application.key(organization_id))
    answer = await owner.send("PATCH", "/v1/organization", {"agents": {"sign_in_url": SIGN_IN_PAGE}})
    assert answer.status_code == 200, answer.text
    return OAuthAgent(application, owner, organization_id, publisher)


def query_of(url: str) -> dict[str, str]:
    """Return the query parameters of a URL, each of which occurs once."""
    pairs = parse_qsl(urlsplit(url).query, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), url
    return dict(pairs)
