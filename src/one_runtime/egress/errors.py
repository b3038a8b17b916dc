"""What can go wrong on the way out. Details name the host and port at most: never a path, a query or a header (P11)."""

from typing import Final

from one_runtime.errors import OneRuntimeError

ALLOW_SETTING: Final = "ONE_RUNTIME_EGRESS_ALLOW"


class EgressError(OneRuntimeError):
    """Base of everything that can go wrong with an outbound request."""

    code, status, title = "egress_error", 502, "The request to the other service failed"


class TargetRefused(EgressError):
    """The address may not be reached from here, or is not an address that can be used at all."""

    code, status, title = "target_refused", 422, "This address may not be reached"

    @classmethod
    def malformed(cls, why: str) -> "TargetRefused":
        """The address was not understood in exactly one way. It is not repeated: it may hold a secret."""
        return cls(f"The address cannot be used: {why}.")

    @classmethod
    def not_allowed(cls, what: str, authority: str) -> "TargetRefused":
        """The target is refused unless the operator allows `authority` (host and port)."""
        return cls(
            f"{what}, and One Runtime only calls the public internet. If this is a service of your own, the operator"
            f' can allow exactly this host and port by adding "{authority}" to {ALLOW_SETTING}.'
        )


class RequestRefused(EgressError):
    """The method or a header cannot be sent as it is."""

    code, status, title = "request_refused", 422, "The request cannot be sent as it is"


class UpstreamUnreachable(EgressError):
    """No connection could be made, or it broke before there was an answer."""

    code, status, title = "upstream_unreachable", 502, "The other service cannot be reached"


class UpstreamTimeout(EgressError):
    """The upstream took longer than we wait."""

    code, status, title = "upstream_timeout", 504, "The other service took too long"


class UpstreamTooLarge(EgressError):
    """The answer is larger than we read."""

    code, status, title = "upstream_too_large", 502, "The other service's answer is too large"


class UpstreamProtocolError(EgressError):
    """The answer is not what HTTP says it should be, or redirects without end."""

    code, status, title = "upstream_protocol_error", 502, "The other service's answer cannot be understood"
