"""Define the errors of OAuth requests and callbacks. All errors are subclasses of `OAuthError`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from one_runtime.egress.provider_text import redact


@dataclass(frozen=True, slots=True)
class OAuthErrorResponse:
    """The texts of a provider's error response: `error`, `error_description` and `error_uri` (RFC 6749, 5.2).

    Some providers use other fields. Each text is plain text of at most 300 characters. No text contains a secret that
    One Runtime sent. `status`: the HTTP status; None for a callback, or if there is no response. `firewall_page`: True
    if a firewall possibly sent the response (`is_firewall_page`). `possible_refusal`: True for a 4xx response that has
    no known error code, does not mean a busy provider, and has no `Retry-After`. Such a response can mean a refused
    grant, but does not prove the refusal. `request_refused`: True if the error code says that One Runtime's request is
    wrong.
    """

    error: str | None = None
    description: str | None = None
    uri: str | None = None
    status: int | None = None
    firewall_page: bool = False
    possible_refusal: bool = False
    request_refused: bool = False

    @property
    def has_other_cause(self) -> bool:
        """Return True if a possible refusal has a likely cause other than a refused grant."""
        return self.firewall_page or self.request_refused

    @property
    def reason(self) -> str | None:
        """Return the text to show to a person, or None."""
        return self.description or self.error

    @classmethod
    def redacted(cls, error: str | None, description: str | None, uri: str | None, secrets: Iterable[str]) -> Self:
        """Return the three texts, without the secrets that One Runtime sent."""
        sent = tuple(secrets)
        texts = [redact(text, sent) or None if text else None for text in (error, description, uri)]
        return cls(texts[0], texts[1], texts[2])


NO_ERROR_RESPONSE = OAuthErrorResponse()


class OAuthError(Exception):
    """Base class of the errors. No error contains a secret.

    `code`: a stable identifier. `response`: the provider's texts. The message contains no text of the provider.
    """

    code: ClassVar[str] = "oauth_error"
    may_pass: ClassVar[bool] = False
    """True if the same request can succeed later."""

    def __init__(self, message: str, response: OAuthErrorResponse = NO_ERROR_RESPONSE) -> None:
        super().__init__(message)
        self.response = response

    @property
    def reason(self) -> str | None:
        """Return the provider's text to show to a person, or None."""
        return self.response.reason


class CallbackRefused(OAuthError):
    """The callback violates the protocol. For example, the callback is forged or truncated."""

    code = "callback_refused"


class IssuerMismatch(CallbackRefused):
    """The callback comes from an authorization server other than the expected server (RFC 9207, 2.4)."""

    code = "issuer_mismatch"


class AccessDenied(OAuthError):
    """The end user or an administrator at the provider denied the consent (RFC 6749, 4.1.2.1)."""

    code = "consent_denied"


class AuthorizationRefused(OAuthError):
    """The provider returned an error other than a denied consent (RFC 6749, 4.1.2.1)."""

    code = "authorization_refused"


class InvalidGrant(OAuthError):
    """The authorization code or the refresh token is no longer valid.

    Only this error shows that the provider refused the grant (the code or the token).
    """

    code = "invalid_grant"


class InvalidClient(OAuthError):
    """The provider refuses the OAuth client.

    The client is unknown, the client's secret is wrong, or the client is not allowed to use this grant type.
    """

    code = "client_refused"


class TokenRequestRefused(OAuthError):
    """The provider refused the request with another error. The grant can still be valid."""

    code = "request_refused"


class TemporaryFailure(OAuthError):
    """The provider is unavailable or busy, or sent an unreadable response. `retry_after`: seconds to wait."""

    code = "provider_trouble"
    may_pass = True

    def __init__(
        self, message: str, response: OAuthErrorResponse = NO_ERROR_RESPONSE, retry_after: int | None = None
    ) -> None:
        super().__init__(message, response)
        self.retry_after = retry_after


class EndpointUnreachable(TemporaryFailure):
    """The endpoint sent no usable HTTP response. `cause`: the reason for the operator, with the host."""

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class EndpointTargetRefused(TemporaryFailure):
    """One Runtime sends no requests to the address of the endpoint, until the operator allows the address."""

    code = "target_refused"


class MalformedTokenResponse(OAuthError):
    """The response reports success, but has no usable token. The provider has possibly issued a token."""

    code = "malformed_answer"
    may_pass = True
