"""Assemble the application of the sample provider Acme CRM from its pages and endpoints."""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.clock import Clock, system_clock
from one_runtime.demo.acme import authorization, switches
from one_runtime.demo.acme.accounts import create_accounts
from one_runtime.demo.acme.api import Api
from one_runtime.demo.acme.authorization import ConsentPage, ConsentRefused, redirect_error
from one_runtime.demo.acme.clients import Clients
from one_runtime.demo.acme.errors import AcmeError, OAuthRefused, refuse, refuse_app
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.form import MalformedForm
from one_runtime.demo.acme.grants import Grants
from one_runtime.demo.acme.page import PageError, show, stop
from one_runtime.demo.acme.switches import SwitchesPage
from one_runtime.demo.acme.token_endpoint import AcmeTokenEndpoint, metadata


class Acme:
    """The sample provider. `app` is the ASGI application. Tests cause faults with the methods and with `faults`.

    `keys` maps the two account ids (`GLOBEX`, `INITECH`) to API keys. `log` lists all requests to the token endpoint,
    oldest first.
    """

    def __init__(self, keys: Mapping[str, str], *, access_token_seconds: int = 60, clock: Clock = system_clock) -> None:
        self.accounts = create_accounts(keys)
        self.grants = Grants(clock, access_token_seconds)
        self.faults = Faults()
        self._clients = Clients()
        self._api = Api(self.accounts, self.grants, self.faults)
        tokens = AcmeTokenEndpoint(self._clients, self.grants, self.faults, clock)
        self.log = tokens.log
        handlers = {
            AcmeError: refuse,
            OAuthRefused: refuse_app,
            PageError: stop,
            MalformedForm: stop,
            ConsentRefused: redirect_error,
        }
        self.app = Starlette(routes=self._routes(tokens), exception_handlers=handlers)

    def revoke(self, key: str) -> None:
        """Revoke an API key."""
        self._api.with_key(key).revoked = True

    def restrict(self, key: str) -> None:
        """Take the permission `account:read` from an API key. The key still works for contacts."""
        self._api.with_key(key).restricted = True

    def restore(self, key: str) -> None:
        """Restore a revoked or restricted API key."""
        account = self._api.with_key(key)
        account.revoked = account.restricted = False

    def fail_with(self, status: int | None) -> None:
        """Answer every API request with this status, to simulate an outage. With None, end the outage."""
        self.faults.api_status = status

    def register_client(
        self,
        redirect_uri: str,
        *,
        name: str = "One Runtime",
        client_id: str | None = None,
        client_secret: str | None = None,
    ) -> tuple[str, str]:
        """Register an app, and return the client id and secret.

        For a known client id, replace the name and the secret, and add the redirect URL.

        Raises: ValueError for an invalid URL.
        """
        client = self._clients.register(redirect_uri, name, client_id, client_secret)
        return client.id, client.secret

    def _routes(self, tokens: AcmeTokenEndpoint) -> list[Route]:
        consent_page = ConsentPage(self.accounts, self._clients, self.grants, self.faults)
        switches_page = SwitchesPage(self.accounts, self.grants, self.faults)
        return [
            Route("/", self._keys),
            Route("/settings/api-keys", self._keys),
            Route(switches.PATH, switches_page.show, methods=["GET"]),
            Route(switches.PATH, switches_page.turn, methods=["POST"]),
            Route(authorization.PATH, consent_page.ask, methods=["GET"]),
            Route(authorization.PATH, consent_page.answer, methods=["POST"]),
            Route("/oauth/token", tokens.token, methods=["POST"]),
            Route("/oauth/revoke", tokens.revoke, methods=["POST"]),
            Route("/.well-known/oauth-authorization-server", metadata),
            *self._api.routes(),
        ]

    async def _keys(self, _request: Request) -> Response:
        """Show the API keys. A real provider shows API keys only after a login."""
        return show("keys.html", accounts=self.accounts.values(), switches=switches.PATH)
