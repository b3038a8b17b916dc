"""Read the requests of OAuth clients to the authorization endpoint (RFC 6749 section 4.1.1, RFC 7636, RFC 8707)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from one_runtime.agents.authorization import redirect_uris
from one_runtime.agents.authorization.client_documents import ClientDocument
from one_runtime.agents.authorization.errors import AgentClientRefused, ProtocolError
from one_runtime.agents.authorization.resources import READ_SCOPE, SCOPES
from one_runtime.oauth import pkce
from one_runtime.tenancy.agent_policy import Access

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_STATE: Final = 2000
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")  # RFC 6749 appendix A.5
_IGNORED_SCOPES: Final = frozenset({"offline_access"})
"""Scopes without effect. Some clients request this scope to get a refresh token, which every client gets."""


@dataclass(frozen=True, slots=True)
class AgentAuthorizationRequest:
    """A checked request. `organization_id`: the organization of the resource. `state`: the client's value, or None."""

    client: ClientDocument
    redirect_uri: str
    organization_id: str
    code_challenge: str
    access: Access
    state: str | None = field(repr=False)


def single_values(parameters: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return parameters as a dictionary. Omit empty values (RFC 6749 section 3.1).

    Raises: ProtocolError if a parameter occurs twice, because two programs could read two different values.
    """
    values: dict[str, str] = {}
    for name, value in parameters:
        if name in values:
            raise ProtocolError("invalid_request", f"The parameter {name[:50]!a} must occur only once.")
        values[name] = value
    return {name: value for name, value in values.items() if value}


def require_acceptable_redirect_uri(values: Mapping[str, str]) -> None:
    """Check the form of the redirect URI, before the client's document is known. Raises: AgentClientRefused."""
    if not redirect_uris.is_acceptable(values.get("redirect_uri", "")):
        raise AgentClientRefused(
            "redirect_uri is required: an https URL, an http URL on loopback, or a URL with the scheme of a native "
            "app, such as com.example.app:/callback. It has no fragment."
        )


def redirect_uri_of(values: Mapping[str, str], client: ClientDocument) -> str:
    """Return the redirect URI of a request. Raises: AgentClientRefused if the client's document does not list it."""
    uri = values.get("redirect_uri", "")
    if not redirect_uris.is_registered(uri, client.redirect_uris):
        raise AgentClientRefused("The redirect_uri of the request is not in the app's document.")
    return uri


def code_challenge_of(values: Mapping[str, str]) -> str:
    """Return the code challenge of a request. Raises: ProtocolError for every method but S256 (RFC 9700, 2.1.1)."""
    if values.get("response_type") != "code":
        raise ProtocolError("unsupported_response_type", "response_type must be code.")
    challenge = values.get("code_challenge", "")
    if values.get("code_challenge_method") != pkce.METHOD or _CHALLENGE.fullmatch(challenge) is None:
        raise ProtocolError(
            "invalid_request", "code_challenge is required, with the code_challenge_method S256 (RFC 7636)."
        )
    return challenge


def access_of(values: Mapping[str, str]) -> Access:
    """Return the requested access. A request without scopes requests all of them. Raises: ProtocolError."""
    scopes = set(values.get("scope", "").split()) - _IGNORED_SCOPES
    if not scopes <= set(SCOPES):
        raise ProtocolError("invalid_scope", f"scope must be one or more of: {' '.join(SCOPES)}.")
    return "read" if scopes == {READ_SCOPE} else "write"


def state_of(values: Mapping[str, str]) -> str | None:
    """Return the client's state, or None. Raises: ProtocolError."""
    state = values.get("state")
    if state is not None and (len(state) > _MAX_STATE or _PRINTABLE.fullmatch(state) is None):
        raise ProtocolError("invalid_request", f"state must have at most {_MAX_STATE} printable ASCII characters.")
    return state
