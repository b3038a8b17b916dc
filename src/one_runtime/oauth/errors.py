"""Errors of OAuth requests in one tree, so that a flow can catch `OAuthError`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from one_runtime.egress.provider_text import redact


@dataclass(frozen=True, slots=True)
class OAuthErrorResponse:
    """A provider's own words: `error`, `error_description` and `error_uri` (RFC 6749, 5.2).

    A provider may use other fields instead. Each value is plain text of at most 300 characters, without the secrets
    that One Runtime sent.
    """

    error: str | None = None
    description: str | None = None
    uri: str | None = None

    @property
    def reason(self) -> str | None:
        """Return the text to show to a person."""
        return self.description or self.error

    @classmethod
    def redacted(cls, error: str | None, description: str | None, uri: str | None, secrets: Iterable[str]) -> Self:
        """Return the three texts of a response without the secrets that One Runtime sent."""
        sent = tuple(secrets)
        return cls(*(redact(text, sent) or None if text else None for text in (error, description, uri)))


NO_ERROR_RESPONSE = OAuthErrorResponse()


class OAuthError(Exception):
    """Base class of the errors. No error contains a secret.

    `code`: a stable identifier. The message is One Runtime's own; `response` has the provider's words.
    """

    code: ClassVar[str] = "oauth_error"
    may_pass: ClassVar[bool] = False
    """True if the same request may succeed later."""

    def __init__(self, message: str, response: OAuthErrorResponse = NO_ERROR_RESPONSE) -> None:
        super().__init__(message)
        self.response = response

    @property
    def reason(self) -> str | None:
        """Return the provider's error text, to show to a person."""
        return self.response.reason


class CallbackRefused(OAuthError):
    """The callback violates the protocol: it is forged, truncated or from another provider."""

    code = "callback_refused"


class IssuerMismatch(CallbackRefused):
    """The callback does not come from the authorization server of the attempt (RFC 9207, 2.4)."""

    code = "issuer_mismatch"


class AccessDenied(OAuthError):
    """The end user or an administrator at the provider denied the consent (RFC 6749, 4.1.2.1)."""

    code = "consent_denied"


class AuthorizationRefused(OAuthError):
    """The provider ended the authorization request with any other error (RFC 6749, 4.1.2.1)."""

    code = "authorization_refused"


class InvalidGrant(OAuthError):
    """`invalid_grant`: the code or the refresh token is no longer valid. Only this error is a definite refusal."""

    code = "invalid_grant"


class InvalidClient(OAuthError):
    """The OAuth client is unknown, has a wrong secret or lacks a permission. The end user cannot correct the client."""

    code = "client_refused"


class TokenRequestRefused(OAuthError):
    """Any other error of the protocol or the provider. The grant may still be valid."""

    code = "request_refused"


class TemporaryFailure(OAuthError):
    """The provider is down, busy, or sent an unreadable response. `retry_after` is in seconds."""

    code = "provider_trouble"
    may_pass = True

    def __init__(
        self, message: str, response: OAuthErrorResponse = NO_ERROR_RESPONSE, retry_after: int | None = None
    ) -> None:
        super().__init__(message, response)
        self.retry_after = retry_after


class MalformedTokenResponse(OAuthError):
    """The provider reports success, but the response has no usable token. The provider may have issued a token."""

    code = "malformed_answer"
    may_pass = True
