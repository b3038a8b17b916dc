"""Send requests to the OpenID provider, and cache its configuration and its public keys in this process."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from one_runtime.catalog.grants import AuthorizationCode
from one_runtime.catalog.request import OutboundRequest
from one_runtime.context import Installation
from one_runtime.egress.errors import EgressError
from one_runtime.egress.limits import Limits
from one_runtime.egress.response import Response
from one_runtime.errors import InvalidInput, OneRuntimeError
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import OAuthError
from one_runtime.oauth.id_token import ExpectedIdToken, UnknownSigningKey, read_keys, verify_id_token
from one_runtime.oauth.openid import (
    OpenIDAccount,
    OpenIDProvider,
    configuration_url,
    has_same_subject,
    read_account,
    read_document,
    read_provider,
)
from one_runtime.oauth.token_request import token_request
from one_runtime.oauth.token_response import TokenSet, read_token_response
from one_runtime.telemetry.logger import Logger

LIFETIME: Final = timedelta(hours=1)
"""Time for which a process uses the provider's configuration and keys without a new request."""

RELOAD_PAUSE: Final = timedelta(seconds=60)
"""Minimum time between two requests for the keys. Otherwise, tokens with unknown keys could cause many requests."""

_LIMITS: Final = Limits(connect=5, idle=10, total=15, body=1024 * 1024)
_JSON: Final = (("Accept", "application/json"),)

log = Logger()


class OpenIDUnavailable(OneRuntimeError):
    """The OpenID provider does not answer, or its answer is not usable. The log has the cause."""

    code, status, title = "openid_provider_unavailable", 502, "The OpenID provider does not answer as expected"
    documentation = (
        "In the dashboard: the [OpenID provider](openid.md) does not answer as expected.",
        "Try again, or sign in with another method. The API never returns this error.",
    )


class OpenIDClient:
    """The client of the OpenID provider of this installation."""

    def __init__(self, installation: Installation) -> None:
        settings = installation.settings
        self._egress, self._clock = installation.egress, installation.clock
        self._issuer, self._groups_claim = settings.oidc_issuer, settings.oidc_groups_claim
        self._needs_groups = bool(settings.oidc_roles)
        self._client = ClientIdentity(settings.oidc_client_id, settings.oidc_client_secret.get_secret_value())
        self._provider: tuple[OpenIDProvider, datetime] | None = None
        self._keys: tuple[Sequence[Mapping[str, object]], datetime] | None = None

    @property
    def identity(self) -> ClientIdentity:
        """Return the dashboard's client id and secret at the provider."""
        return self._client

    @property
    def host(self) -> str:
        """Return the provider's host, which the sign-in page names."""
        return urlsplit(self._issuer).netloc

    @property
    def groups_claim(self) -> str:
        """Return the name of the claim with the groups of a person."""
        return self._groups_claim

    async def provider(self) -> OpenIDProvider:
        """Return the provider's configuration. Raises: OpenIDUnavailable."""
        if self._provider is None or self._clock() >= self._provider[1] + LIFETIME:
            try:
                provider = read_provider(self._issuer, await self._get(configuration_url(self._issuer)))
            except OAuthError as error:
                raise _unavailable(str(error)) from error
            self._provider, self._keys = (provider, self._clock()), None
        return self._provider[0]

    async def account(self, provider: OpenIDProvider, grant: AuthorizationCode, nonce: str) -> OpenIDAccount:
        """Exchange an authorization code for tokens, verify the ID token, and return the person's account.

        Raises:
            OAuthError: the provider refuses the code or the client, or the ID token is not valid.
            OpenIDUnavailable: the provider does not answer as expected.
        """
        request = token_request(provider.auth, self._client, grant, {})
        response = await self._send(request)
        tokens = read_token_response(provider.auth, self._client, grant, response, self._clock())
        id_token = tokens.document.get("id_token")
        if not isinstance(id_token, str):
            raise _unavailable("The token response has no id_token.")
        expected = ExpectedIdToken(provider.issuer, self._client.client_id, nonce, tokens.access_token)
        claims = await self._verify(provider, id_token, expected)
        return read_account(claims, await self._userinfo(provider, tokens, claims), self._groups_claim)

    async def _verify(self, provider: OpenIDProvider, id_token: str, expected: ExpectedIdToken) -> dict[str, object]:
        """Verify an ID token. If its key is unknown, the provider has possibly changed its keys: read them again."""
        keys, read_at = await self._read_keys(provider, LIFETIME)
        try:
            return verify_id_token(id_token, keys, expected, self._clock())
        except UnknownSigningKey:
            keys, read_again_at = await self._read_keys(provider, RELOAD_PAUSE)
            if read_again_at == read_at:
                raise
        return verify_id_token(id_token, keys, expected, self._clock())

    async def _read_keys(
        self, provider: OpenIDProvider, max_age: timedelta
    ) -> tuple[Sequence[Mapping[str, object]], datetime]:
        """Return the provider's keys, and the time of their request. Raises: OpenIDUnavailable."""
        if self._keys is None or self._clock() >= self._keys[1] + max_age:
            try:
                self._keys = read_keys(await self._get(provider.jwks_uri)), self._clock()
            except OAuthError as error:
                raise _unavailable(str(error)) from error
        return self._keys

    async def _userinfo(
        self, provider: OpenIDProvider, tokens: TokenSet, claims: dict[str, object]
    ) -> Mapping[str, object]:
        """Return the claims of the UserInfo endpoint, or none if the ID token has an e-mail address and groups.

        Providers can omit these claims from the ID token (OpenID Connect Core 1.0, section 5.4).
        """
        complete = "email" in claims and (not self._needs_groups or self._groups_claim in claims)
        if complete or provider.userinfo_endpoint is None:
            return {}
        response = await self._get(provider.userinfo_endpoint, ("Authorization", f"Bearer {tokens.access_token}"))
        try:
            userinfo = read_document(response, "The UserInfo response")
        except OAuthError as error:
            raise _unavailable(str(error)) from error
        if not has_same_subject(claims, userinfo):
            raise _unavailable("The UserInfo response describes another account than the ID token.")
        return userinfo

    async def _get(self, url: str, *headers: tuple[str, str]) -> Response:
        return await self._send(OutboundRequest("GET", url, (*_JSON, *headers), None))

    async def _send(self, request: OutboundRequest) -> Response:
        """Send a request. Follow no redirects, because requests contain secrets. Raises: OpenIDUnavailable."""
        try:
            return await self._egress.request(
                request.method, request.url, headers=request.headers, body=request.body, limits=_LIMITS
            )
        except EgressError as error:
            raise _unavailable(error.cause) from error
        except InvalidInput as error:
            raise _unavailable(error.detail) from error


def _unavailable(cause: str) -> OpenIDUnavailable:
    log.warning("openid_provider_unavailable", cause=cause)
    return OpenIDUnavailable(
        "The OpenID provider does not answer as expected. Try again, or sign in with another method. The log of One "
        "Runtime names the cause."
    )
