"""Define the errors of the authorization server. The wire format is the one of RFC 6749, not the one of the API.

No text contains a value of the request, because a text can be part of a page or a URL.
"""

from typing import Literal, TypeAlias

ErrorCode: TypeAlias = Literal[
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
]
"""Codes of RFC 6749 sections 4.1.2.1 and 5.2, and of RFC 8707 section 2."""


class AgentClientRefused(Exception):
    """The client or its redirect URI is unknown or invalid. The browser must not go to the redirect URI."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ProtocolError(Exception):
    """A request of a known client is invalid. `error`: the code. `description`: a text for the client's developer."""

    def __init__(self, error: ErrorCode, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
