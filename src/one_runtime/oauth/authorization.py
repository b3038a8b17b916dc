"""Build the authorization request: the URL of the provider's authorization page (RFC 6749, 4.1.1)."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.request import fill_path, fill_templates, resolve_url, with_query
from one_runtime.oauth.pkce import METHOD
from one_runtime.oauth.scopes import scope_lists, scope_param


def new_nonce() -> str:
    """Return a random value of 256 bits, for a provider that requires a new value in each authorization request."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """The parameters of one authorization request.

    `challenge`: the result of `pkce.code_challenge`, or None without PKCE. `scopes`: the scopes to request, or None for
    the integration's default scopes. `nonce`: a random value. The request contains the nonce only if the catalog entry
    has `nonce_param`.
    """

    redirect_uri: str
    state: str = field(repr=False)
    challenge: str | None = None
    scopes: tuple[str, ...] | None = None
    nonce: str = field(default_factory=new_nonce, repr=False)


def authorization_url(auth: OAuth2Auth, client_id: str, request: AuthorizationRequest, known: Mapping[str, str]) -> str:
    """Return the URL of the authorization page (RFC 6749, 4.1.1; RFC 7636, 4.3).

    `known`: values for the templates of the catalog entry, such as a subdomain.

    Raises:
        InvalidInput: a value is missing, a value would change the provider's host, or a scope is not valid.
        ValueError: One Runtime uses PKCE with this provider, but the request has no challenge (RFC 9700, 2.1.1).
    """
    authorization = auth.authorization
    known = {**known, "client_id": client_id}
    own = {
        "response_type": "code",
        authorization.client_id_param: client_id,
        "redirect_uri": request.redirect_uri,
        "state": request.state,
        **({authorization.nonce_param: request.nonce} if authorization.nonce_param is not None else {}),
    }
    for scopes, names in scope_lists(auth, request.scopes):
        own |= scope_param(scopes, names, known)
    if auth.uses_pkce:
        if request.challenge is None:
            raise ValueError("One Runtime uses PKCE with this provider: pass a challenge")
        own |= {"code_challenge": request.challenge, "code_challenge_method": METHOD}
    url = resolve_url(authorization.url, known)
    if authorization.fragment is not None:  # the provider's page reads the parameters after `#`
        url += f"#{fill_path(authorization.fragment, known)}"
    extra = {name: value for name, value in fill_templates(authorization.params, known).items() if name not in own}
    return with_query(url, {**own, **extra})


def expected_issuer(auth: OAuth2Auth, known: Mapping[str, str]) -> str | None:
    """Return the issuer that the callback must name (RFC 9207, 2.4). Return None if the catalog defines no issuer.

    The caller stores the issuer until the callback.

    Raises:
        InvalidInput: a value is missing, or a value would change the provider's host.
    """
    issuer = auth.authorization.issuer
    return resolve_url(issuer, known) if issuer is not None else None
