"""Acme CRM as a whole: its application, and the methods by which tests turn its switches."""

from collections.abc import Iterable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from one_runtime.clock import Clock, system_clock
from one_runtime.demo.acme import authorization, switches
from one_runtime.demo.acme.accounts import Account, Accounts
from one_runtime.demo.acme.api import Api
from one_runtime.demo.acme.authorization import AcmeAuthorization, AcmeRefusal, go_back, issuer_of
from one_runtime.demo.acme.clients import Clients
from one_runtime.demo.acme.errors import AcmeError, refuse
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.form import Malformed
from one_runtime.demo.acme.grants import Grants
from one_runtime.demo.acme.page import Stopped, show, stop
from one_runtime.demo.acme.switches import Switches
from one_runtime.demo.acme.token_endpoint import AcmeTokenEndpoint, AcmeTokenRequest, metadata


class Acme:
    """The provider: `app` is its ASGI application; the methods, and those of `faults`, are its switches.

    `keys` gives each of the two accounts its key, by account id (`GLOBEX`, `INITECH`).
    """

    def __init__(self, keys: Mapping[str, str], *, access_token_seconds: int = 60, clock: Clock = system_clock) -> None:
        self._accounts, self._clients = Accounts(keys), Clients()
        self._grants = Grants(clock, access_token_seconds)
        self.faults = Faults(self._grants)
        self._api = Api(self._accounts, self._grants)
        self._tokens = AcmeTokenEndpoint(self._clients, self._grants, self.faults, clock)
        handlers = {AcmeError: refuse, Stopped: stop, Malformed: stop, AcmeRefusal: go_back}
        self.app = Starlette(routes=self._routes(), exception_handlers=handlers)

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts, each with its key."""
        return tuple(self._accounts)

    @property
    def log(self) -> list[AcmeTokenRequest]:
        """Every request to the token endpoint, oldest first."""
        return self._tokens.log

    def revoke(self, key: str) -> None:
        """Refuse this key from now on."""
        self._api.with_key(key).revoked = True

    def restore(self, key: str) -> None:
        """Take a revoked key again."""
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
        """The id and the secret of an app that may ask for access: made, unless they are given. For an id that is
        known it adds another redirect address.

        Raises: ValueError for an address that is none.
        """
        client = self._clients.register(redirect_uri, name, client_id, client_secret)
        return client.id, client.secret

    def grant(self, account_id: str, client_id: str, scopes: Iterable[str]) -> tuple[str, str]:
        """An access token and a refresh token, as if somebody had said yes on the consent page."""
        issued = self._grants.start(account_id, client_id, tuple(scopes))
        return issued.access_token, issued.refresh_token

    def _routes(self) -> list[Route]:
        asking = AcmeAuthorization(self._accounts, self._clients, self._grants, self.faults)
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
        """The page with the API keys; at a real provider it requires a login."""
        return show("keys.html", accounts=self.accounts, switches=switches.PATH)


async def _metadata(request: Request) -> Response:
    return JSONResponse(metadata(issuer_of(request)))
