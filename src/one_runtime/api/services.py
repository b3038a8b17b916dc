"""Build the objects that all API routes share, such as the object that checks API keys.

The middleware adds these objects to each request.
"""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from one_runtime.context import Installation
from one_runtime.db.schema import end_user_tokens
from one_runtime.integrations.entry_parser import EntryParser
from one_runtime.integrations.listing import IntegrationList
from one_runtime.proxy.concurrency import ProxyCalls
from one_runtime.proxy.request_log import RequestLog
from one_runtime.tenancy.authentication import Authenticator
from one_runtime.tenancy.key_uses import KeyUses

_KEY: Final = "one_runtime.services"


@dataclass(frozen=True, slots=True)
class Services:
    """The installation, and the objects that hold the API's state in this process."""

    installation: Installation
    authenticator: Authenticator
    integration_list: IntegrationList
    request_log: RequestLog
    proxy_calls: ProxyCalls
    entry_parser: EntryParser

    @classmethod
    def of(cls, installation: Installation) -> "Services":
        """Build the services of an installation from its settings."""
        settings = installation.settings
        key_uses = KeyUses(installation.database, installation.clock)
        token_uses = KeyUses(installation.database, installation.clock, end_user_tokens)
        request_log = RequestLog(installation.database, key_uses, token_uses, kept=settings.request_retention_days > 0)
        return cls(
            installation=installation,
            authenticator=Authenticator(settings.rate_limit, key_uses, token_uses),
            integration_list=IntegrationList(installation.catalog, settings.public_url),
            request_log=request_log,
            proxy_calls=ProxyCalls(settings.proxy_calls, request_log, installation.clock),
            entry_parser=EntryParser(),
        )

    def attach(self, request: Scope) -> None:
        """Add the services to a request. `services_of` returns the added services."""
        request[_KEY] = self


def services_of(request: Scope) -> Services:
    """Return the services of a request. `request` is the ASGI scope of the request."""
    services: Services = request[_KEY]
    return services
