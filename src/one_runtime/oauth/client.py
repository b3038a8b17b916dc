"""The OAuth client: what the organization, the instance or the customer registered, and how it proves itself."""

import base64
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from one_runtime.catalog.oauth2 import ClientAuth, Token


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A client id and its secret; a public client has none. The repr hides the secret."""

    client_id: str
    client_secret: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated."""
        if self.client_secret is None:
            return ()
        return (self.client_secret, _basic(self.client_id, self.client_secret))


@dataclass(frozen=True, slots=True)
class ClientAuthentication:
    """What a request gets so that the provider knows the client."""

    headers: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)


def authenticate_client(method: ClientAuth, client: ClientIdentity, token: Token) -> ClientAuthentication:
    """The client's authentication (RFC 6749, 2.3.1), under the entry's names.

    `either` is `basic`: the one that 2.3.1 has every server take, and it keeps the secret out of the body. A client
    without a secret says its id alone, whatever the entry prefers (3.2.1).
    """
    identity = {token.client_id_param: client.client_id}
    if client.client_secret is None or method == "none":
        return ClientAuthentication({}, identity)
    if method == "post":
        return ClientAuthentication({}, {**identity, token.client_secret_param: client.client_secret})
    return ClientAuthentication({"Authorization": f"Basic {_basic(client.client_id, client.client_secret)}"}, {})


def _basic(client_id: str, client_secret: str) -> str:
    """Both are form-encoded first (RFC 6749, appendix B), so that a colon or a letter beyond ASCII survives."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return base64.b64encode(pair.encode("ascii")).decode("ascii")
