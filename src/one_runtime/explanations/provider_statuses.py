"""Explain the HTTP statuses of providers in the request log."""

from typing import Final

from one_runtime.errors import Explanation

_STATUSES: Final = {
    400: Explanation("The provider refused the request as invalid.", "Compare the request with the provider's API."),
    401: Explanation(
        "The provider refused the credential.",
        "Check the connection. If the check fails too, the end user has to connect again.",
    ),
    403: Explanation(
        "The provider did not allow the request. In most cases, the credential lacks a permission.",
        "Let the end user connect again with all permissions, or ask an administrator of the provider's account.",
    ),
    404: Explanation("The provider found nothing at this path.", "Check the path, and the ids in the path."),
    429: Explanation(
        "The provider received too many requests.",
        "Send fewer requests. The header `Retry-After` of the response says how long to wait.",
    ),
}
_REFUSED: Final = Explanation("The provider refused the request.", "Compare the request with the provider's API.")
_FAULT: Final = Explanation("The provider had a fault.", "Try again later.")


def explain_provider_status(status: int) -> Explanation | None:
    """Return the explanation of a provider's status, or None for the status of a successful request."""
    if status < 400:
        return None
    return _STATUSES.get(status, _FAULT if status >= 500 else _REFUSED)
