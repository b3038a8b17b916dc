"""Define the errors of outbound requests.

No error text contains a path, a query or the value of a header (promise P11 of docs/security.md).
"""

from typing import Final

from one_runtime.errors import OneRuntimeError

ALLOW_SETTING: Final = "ONE_RUNTIME_EGRESS_ALLOW"


class EgressError(OneRuntimeError):
    """Base class of all errors of outbound requests.

    `cause`: the message for the operator, such as a log line. `detail`: the message for callers, which names no address
    that One Runtime refuses.
    """

    code, status, title = "egress_error", 502, "The request to the other service failed"
    documentation = (
        "The request to the provider failed.",
        "Try again later.",
    )

    def __init__(self, detail: str, cause: str | None = None) -> None:
        super().__init__(detail)
        self.cause = cause or detail


class TargetRefused(EgressError):
    """One Runtime must not send requests to this URL, or the URL is invalid."""

    code, status, title = "target_refused", 422, "One Runtime sends no requests to this address"
    documentation = (
        "The provider's address is not on the public internet. So One Runtime sent no request and stored nothing.",
        "Only the operator can [allow the address](connections.md#a-refused-address).",
    )

    @classmethod
    def malformed(cls, why: str) -> "TargetRefused":
        """Return the error for an invalid or ambiguous URL. The text omits the URL, which can contain a secret."""
        return cls(f"One Runtime cannot use this URL: {why}.")

    @classmethod
    def not_allowed(cls, what: str, authority: str) -> "TargetRefused":
        """Return the error for a target that One Runtime refuses, but that the operator can allow.

        `authority`: host and port of the target. Only `cause` names the target. If callers could read the reason, they
        could explore the operator's network with requests to many names.
        """
        return cls(
            "One Runtime sends no requests to the address of this integration. The address must be on the public "
            "internet, or the operator of One Runtime must allow the address. One Runtime's log names the address.",
            f"{what}, and One Runtime sends requests only to the public internet. If this is your own service, the "
            f'operator can allow exactly this host and port: add "{authority}" to {ALLOW_SETTING}.',
        )


class RequestRefused(EgressError):
    """One Runtime cannot send the method or a header unchanged."""

    code, status, title = "request_refused", 422, "The request cannot be sent as it is"
    documentation = (
        "One Runtime cannot send the method or a header of your request to the provider. `detail` says why.",
        "Change the method or the header.",
    )


class UpstreamUnreachable(EgressError):
    """One Runtime could not connect to the other service, or the connection broke before a response arrived."""

    code, status, title = "upstream_unreachable", 502, "The other service cannot be reached"
    documentation = (
        "The provider cannot be reached.",
        "Try again later.",
    )


class UpstreamTimeout(EgressError):
    """The other service exceeded a time limit."""

    code, status, title = "upstream_timeout", 504, "The other service took too long"
    documentation = (
        "The provider took too long.",
        "Try again later.",
    )


class UpstreamTooLarge(EgressError):
    """The response exceeds the size limit."""

    code, status, title = "upstream_too_large", 502, "The other service's answer is too large"
    documentation = (
        "The provider's response is too large.",
        "Request less data, for example a smaller page.",
    )


class UpstreamProtocolError(EgressError):
    """The response is not valid HTTP, or the other service redirects too often."""

    code, status, title = "upstream_protocol_error", 502, "The other service's answer cannot be understood"
    documentation = (
        "The provider's response is malformed.",
        "Try again later. If the error stays, ask the provider.",
    )
