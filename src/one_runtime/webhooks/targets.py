"""Check the URL of a webhook endpoint. Each attempt checks the address again (promise P7 of docs/security.md)."""

from one_runtime.egress.client import Egress
from one_runtime.egress.errors import TargetRefused
from one_runtime.errors import InvalidInput

_EXAMPLE = "https://app.example.com/hooks/one-runtime"


async def clean_url(egress: Egress, url: str) -> str:
    """Return the URL if One Runtime can send messages to it. Raises: InvalidInput; TargetRefused.

    Only hosts and ports that the operator allows (ONE_RUNTIME_EGRESS_ALLOW) can use http. A URL must not contain a
    fragment.
    """
    if "#" in url:
        raise InvalidInput.of("url", "must not contain a fragment (#…)")
    try:
        target = await egress.require_allowed(url)
    except TargetRefused as refused:
        if refused.cause == refused.detail:  # the URL is malformed
            raise InvalidInput.of("url", f"must be a URL such as {_EXAMPLE}. {refused.detail}") from refused
        raise InvalidInput.of(
            "url",
            "must be on the public internet. To receive events on your own machine, run `one-runtime webhooks listen`. "
            "The operator of One Runtime can allow other hosts and ports in ONE_RUNTIME_EGRESS_ALLOW",
        ) from refused
    if target.scheme != "https" and not egress.allows(target):
        raise InvalidInput.of("url", f"must be an https URL, such as {_EXAMPLE}")
    return url
