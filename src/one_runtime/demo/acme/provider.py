"""Acme CRM as a whole: its application, and the methods that tests use as switches."""

from collections.abc import Iterable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from one_runtime.clock import Clock, system_clock
from one_runtime.demo.acme import authorization, switches
from one_runtime.demo.acme.accounts import Account, Accounts
from one_runtime.demo.acme.api import Api
from one_runtime.demo.acme.authorization import ConsentPage, ConsentRefused, go_back, issuer_of
from one_runtime.demo.acme.clients import Clients
from one_runtime.demo.acme.errors import AcmeError, refuse
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.form import MalformedForm
from one_runtime.demo.acme.grants import Grants
from one_runtime.demo.acme.page import PageError, show, stop
from one_runtime.demo.acme.switches import Switches
from one_runtime.demo.acme.token_endpoint import AcmeTokenEndpoint, LoggedTokenRequest, metadata


class Acme:
    """The provider. `app` is its ASGI application; its methods and those of `faults` are the switches.

    `keys` maps the two account ids (`GLOBEX`, `INITECH`) to API keys.
    """

    def __init__(self, keys: Mapping[str, str], *, access_token_seconds: int = 60, clock: Clock = system_clock) -> None:
        self._accounts, self._clients = Accounts(keys), Clients()
        self._grants = Grants(clock, access_token_seconds)
        self.faults = Faults(self._grants)
        self._api = Api(self._accounts, self._grants)
        self._tokens = AcmeTokenEndpoint(self._clients, self._grants, self.faults, clock)
        handlers = {AcmeError: refuse, PageError: stop, MalformedForm: stop, ConsentRefused: go_back}
        self.app = Starlette(routes=self._routes(), exception_handlers=handlers)

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts, each with its key."""
        return tuple(self._accounts)

    @property
    def log(self) -> list[LoggedTokenRequest]:
        """All requests to the token endpoint, oldest first."""
        return self._tokens.log

    def revoke(self, key: str) -> None:
        """Revoke this key."""
        self._api.with_key(key).revoked = True

    def restore(self, key: str) -> None:
        """Restore a revoked key."""
        self._api.with_key(key).revoked = False

    def fail_with(self, status: int | None) -> None:
        """Answer every API request with this status (an outage), until called with None."""
        self._api.outage = status

    def register_client(
        self,
        redirect_uri: str,
        *,
        name: str = "One Runtime",
        client_id: str | None = None,
        client_secret: str | None = None,
    ) -> tuple[str, str]:
        """Register an app and return its id and secret. For a known id, add a redirect address.

        Raises: ValueError for an invalid address.
        """
        client = self._clients.register(redirect_uri, name, client_id, client_secret)
        return client.id, client.secret

    def grant(self, account_id: str, client_id: str, scopes: Iterable[str]) -> tuple[str, str]:
        """Return an access token and a refresh token, as after a consent."""
        issued = self._grants.start(account_id, client_id, tuple(scopes))
        return issued.access_token, issued.refresh_token

    def _routes(self) -> list[Route]:
        asking = ConsentPage(self._accounts, self._clients, self._grants, self.faults)
        switching = Switches(self._accounts, self._grants, self.faults)
        return [
            Route("/", self._keys),
            Route("/settings/api-keys", self._keys),
            Route(switches.PATH, switching.page, methods=["GET"]),
            Route(switches.PATH, switching.turn, methods=["POST"]),
            Route(authorization.PATH, asking.ask, methods=["GET"]),
            Route(authorization.PATH, asking.answer, methods=["POST"]),
            Route("/oauth/token", self._tokens.token, methods=["POST"]),
            Route("/oauth/revoke", self._tokens.revoke, methods=["POST"]),
            Route("/.well-known/oauth-authorization-server", _metadata),
            *self._api.routes(),
        ]

    async def _keys(self, _request: Request) -> Response:
        """Show the API keys. A real provider shows them behind a login."""
        return show("keys.html", accounts=self.accounts, switches=switches.PATH)


async def _metadata(request: Request) -> Response:
    return JSONResponse(metadata(issuer_of(request)))
