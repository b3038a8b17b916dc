"""Authenticate an OAuth client to a provider (RFC 6749, section 2)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote_plus

from one_runtime.catalog.oauth2 import ClientAuth, TokenEndpointSpec
from one_runtime.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A client id and its secret. A public client has no secret. The repr hides the secret."""

    client_id: str
    client_secret: str | None = field(default=None, repr=False)

    @classmethod
    def entered(cls, credentials: Mapping[str, str]) -> Self:
        """Return the OAuth client that the end user entered."""
        return cls(credentials.get("client_id", ""), credentials.get("client_secret"))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""
        if self.client_secret is None:
            return ()
        pair = (self.client_id, self.client_secret)
        return (self.client_secret, _basic(*pair), _raw_basic(*pair))


@dataclass(frozen=True, slots=True)
class ClientAuthentication:
    """Headers and parameters that authenticate the client in a request."""

    headers: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)


def authenticate_client(method: ClientAuth, client: ClientIdentity, token: TokenEndpointSpec) -> ClientAuthentication:
    """Return the client's authentication (RFC 6749, 2.3.1). The catalog defines the names of the parameters.

    For the method `either`, use HTTP Basic authentication, which every server must support. For the method `none`, send
    only the client id (RFC 6749, 3.2.1). For a client without a secret, also send only the client id.

    Raises:
        InvalidInput: the method is `basic_raw`, and the client id contains a colon.
    """
    identity = {token.client_id_param: client.client_id}
    if client.client_secret is None or method == "none":
        return ClientAuthentication({}, identity)
    if method == "post":
        return ClientAuthentication({}, {**identity, token.client_secret_param: client.client_secret})
    if method != "basic_raw":
        return ClientAuthentication({"Authorization": f"Basic {_basic(client.client_id, client.client_secret)}"}, {})
    if ":" in client.client_id:  # RFC 7617, 2: the first colon ends the user name
        raise InvalidInput(
            "The id of the OAuth client must not contain a colon, because this provider does not decode the id. "
            "Register another OAuth client."
        )
    return ClientAuthentication({"Authorization": f"Basic {_raw_basic(client.client_id, client.client_secret)}"}, {})


def _basic(client_id: str, client_secret: str) -> str:
    """Form-encode the client id and the secret (RFC 6749, appendix B), and return the pair in base64.

    The id and the secret can contain colons or non-ASCII characters, so the form encoding is necessary.
    """
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return base64.b64encode(pair.encode("ascii")).decode("ascii")


def _raw_basic(client_id: str, client_secret: str) -> str:
    """Return the id and the secret unchanged in base64 (RFC 7617, 2). Some providers decode no forms."""
    return base64.b64encode(f"{client_id}:{client_secret}".encode()).decode("ascii")
