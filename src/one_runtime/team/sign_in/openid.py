"""Sign in a member at the organization's OpenID provider (OpenID Connect Core 1.0, section 3.1).

A cookie of the browser has a random token. The state, the nonce and the PKCE verifier are derived from this token. So
the database stores none of them, and only the browser that began a sign-in can end it.
"""

import base64
import hmac
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from one_runtime.catalog.grants import AuthorizationCode
from one_runtime.catalog.request import with_query
from one_runtime.context import Installation
from one_runtime.errors import OneRuntimeError
from one_runtime.oauth.authorization import AuthorizationRequest, authorization_url
from one_runtime.oauth.callback import CallbackQuery, parse_callback, read_callback
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import AccessDenied, OAuthError, TemporaryFailure
from one_runtime.oauth.openid import OpenIDAccount, OpenIDProvider
from one_runtime.oauth.pkce import code_challenge
from one_runtime.team.dashboard_sessions import RECENT
from one_runtime.team.sign_in import attempts, steps
from one_runtime.team.sign_in.openid_provider import OpenIDClient, OpenIDUnavailable
from one_runtime.team.sign_in.steps import SignInStep
from one_runtime.telemetry.logger import Logger

CALLBACK_PATH: Final = "/sign-in/oidc/callback"
LIFETIME: Final = timedelta(minutes=10)
"""Time that a person has on the provider's pages."""

# OpenID Connect Core 1.0, section 3.1.2.1: the provider must authenticate the person, and return `auth_time`.
_AGAIN: Final = {"prompt": "login", "max_age": "0"}

log = Logger()


class SignInFailed(OneRuntimeError):
    """The sign-in at the OpenID provider failed. The detail says what the person can do."""

    code, status, title = "sign_in_failed", 403, "The sign-in failed"
    documentation = (
        "In the dashboard: the sign-in at the [OpenID provider](openid.md) failed.",
        "Start the sign-in again. The API never returns this error.",
    )


@dataclass(frozen=True, slots=True)
class BegunSignIn:
    """A sign-in that has begun. `url`: the provider's page. `cookie`: the value of the browser's cookie."""

    url: str = field(repr=False)
    cookie: str = field(repr=False)


async def begin(
    installation: Installation, client: OpenIDClient, address: str | None, *, again: bool = False
) -> BegunSignIn:
    """Begin a sign-in. `address`: of the browser, for limits.

    `again`: True if the provider has to authenticate the person now.

    Raises: OpenIDUnavailable; RateLimited.
    """
    await attempts.begin(installation, attempts.of_challenges(address))  # before a request to a provider that is down
    provider = await client.provider()
    async with installation.database.write() as tx:
        step = SignInStep(None, {"again": again})
        token = await steps.begin(tx, "oidc", step, installation.clock(), LIFETIME)
    request = AuthorizationRequest(
        redirect_uri=_redirect_uri(installation),
        state=_derive(token.secret, "state"),
        challenge=code_challenge(_derive(token.secret, "verifier")),
        scopes=provider.requested_scopes(client.groups_claim),
        nonce=_derive(token.secret, "nonce"),
    )
    url = authorization_url(provider.auth, client.identity.client_id, request, {})
    return BegunSignIn(with_query(url, _AGAIN if again else {}), token.secret)


async def finish(installation: Installation, client: OpenIDClient, query: bytes, cookie: str) -> OpenIDAccount:
    """End a sign-in with the query of the callback. Return the verified account, which `admit` needs.

    `cookie`: the value of the browser's cookie, or an empty text.

    Raises:
        SignInFailed: the callback is not valid, or the provider or the person refused.
        OpenIDUnavailable: the provider does not answer as expected.
    """
    try:
        callback = parse_callback(query)
    except OAuthError as error:
        raise SignInFailed("The answer of the OpenID provider cannot be read. Start the sign-in again.") from error
    step = await _consume(installation, cookie, callback)
    account = await _account(installation, client, cookie, callback)
    now, again = installation.clock(), bool(step.data["again"])
    # Without `again`, the provider can answer from an old session at the provider, and need not send `auth_time`.
    authenticated_at = account.authenticated_at or (now if again else now - RECENT)
    if again and now - authenticated_at >= RECENT:
        raise SignInFailed(
            "The OpenID provider did not ask you to sign in again. Sign out at the provider, and start again."
        )
    return replace(account, authenticated_at=authenticated_at)


async def _consume(installation: Installation, cookie: str, callback: CallbackQuery) -> SignInStep:
    """Return the step that the browser began, and delete it. The callback of another browser deletes no step.

    Raises: SignInFailed.
    """
    state = (callback.state or "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(state, _derive(cookie, "state").encode()):
        raise SignInFailed("This sign-in began in another browser, or in another window. Start the sign-in again.")
    async with installation.database.write() as tx:
        step = await steps.consume(tx, "oidc", cookie, installation.clock())
    if step is None:
        raise SignInFailed("This sign-in was used before or has expired. Start the sign-in again.")
    return step


async def _account(
    installation: Installation, client: OpenIDClient, cookie: str, callback: CallbackQuery
) -> OpenIDAccount:
    """Return the verified account of the person. Raises: SignInFailed; OpenIDUnavailable."""
    provider = await client.provider()
    try:
        code = _read_code(provider, client.identity, callback)
        grant = AuthorizationCode(code, _redirect_uri(installation), _derive(cookie, "verifier"))
        return await client.account(provider, grant, _derive(cookie, "nonce"))
    except AccessDenied as error:
        raise SignInFailed("The OpenID provider did not let you in, or you cancelled the sign-in.") from error
    except TemporaryFailure as error:
        log.warning("openid_sign_in_failed", reason=error.code, cause=str(error))
        raise OpenIDUnavailable("The OpenID provider is temporarily unavailable. Try again.") from error
    except OAuthError as error:
        log.warning("openid_sign_in_failed", reason=error.code, cause=str(error), provider_reason=error.reason)
        raise SignInFailed(
            "The answer of the OpenID provider was refused. Start the sign-in again. If this happens again, ask the "
            "operator: the log of One Runtime names the cause."
        ) from error


def _read_code(provider: OpenIDProvider, client: ClientIdentity, callback: CallbackQuery) -> str:
    """Return the authorization code. Raises: OAuthError."""
    # An `iss` must be correct even if the provider does not announce it (RFC 9207, section 2.4).
    issuer = provider.issuer if provider.names_issuer or callback.get("iss") is not None else None
    return read_callback(provider.auth, callback, client, issuer).code


def _redirect_uri(installation: Installation) -> str:
    return installation.settings.dashboard_url + CALLBACK_PATH


def _derive(cookie: str, purpose: str) -> str:
    """Derive a value of 256 bits, in 43 characters, from the cookie's random token."""
    derived = hmac.digest(cookie.encode("utf-8", "surrogatepass"), f"one-runtime/oidc/{purpose}".encode(), "sha256")
    return base64.urlsafe_b64encode(derived).rstrip(b"=").decode()
