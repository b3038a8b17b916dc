"""Check the reverse proxy: the caller's address that it forwards, and the headers of the popup."""

import ipaddress
from collections.abc import Sequence
from typing import Final

from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.encryption import self_check
from one_runtime.settings import Settings

FORGED: Final = "192.0.2.1"
"""An address that no caller has (RFC 5737). Our request claims it, and the server must not trust the claim."""

_FRAMES: Final = "frame-ancestors *"
"""Policy of the popup's page for an unknown session, which any page may frame."""


def examine_proxy(echo: self_check.RequestEcho, settings: Settings) -> Finding:
    """Check the caller's address that the server saw in a request through the public URL."""
    passed_on = [part.strip() for part in (echo.forwarded_for or "").split(",") if part.strip()]
    trusting = bool(settings.trusted_proxies)
    if echo.client == FORGED and not _through_trusted(passed_on, settings):
        saw = "a caller can claim any address in X-Forwarded-For, and is believed"
        advice = "Configure the proxy to append the caller's address to this header, or to replace the header. "
        return problem("proxy", saw, advice + "Allow connections to the server from the proxy only.")
    if not settings.secure and not trusting:
        return ok("proxy", f"none is trusted; requests come from {echo.client}")
    if passed_on in ([], [FORGED]):
        saw = f"the proxy does not pass the caller's address on: events have {echo.client}"
        return warning("proxy", saw, "Have it send X-Forwarded-For (deploy/nginx.conf shows how).")
    if echo.client in passed_on:
        return ok("proxy", f"it is trusted; this request came from {echo.client}")
    saw = f"the proxy at {echo.client} is not trusted: events have its address and not the caller's"
    return warning("proxy", saw, f"Add {echo.client} to ONE_RUNTIME_TRUSTED_PROXIES.")


def _through_trusted(passed_on: Sequence[str], settings: Settings) -> bool:
    """Return True if this machine is in a trusted network: then the server rightly trusts our claim."""
    after = passed_on[passed_on.index(FORGED) + 1 :] if FORGED in passed_on else []
    return bool(after) and all(_is_trusted(address, settings) for address in after)


def _is_trusted(text: str, settings: Settings) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in settings.trusted_proxies)


def examine_popup(page: Sequence[tuple[str, str]], script: Sequence[tuple[str, str]]) -> Finding:
    """Check that the popup's page and `connect.js` arrive with our headers, and none that change their meaning."""
    policies = _values(page, "content-security-policy")
    frame_options = _values(page, "x-frame-options")
    origins = _values(script, "access-control-allow-origin")
    if frame_options:
        saw = f"the proxy adds X-Frame-Options ({frame_options[0][:40]}): no page can show the popup"
        return problem("popup", saw, "Remove that header, at least for /connect.")
    if len(policies) > 1:
        saw = "the proxy adds a Content-Security-Policy of its own: browsers keep to both, and the popup may stay empty"
        return problem("popup", saw, "Remove that header, at least for /connect.")
    if not policies or _FRAMES not in policies[0]:
        saw = "the proxy takes the Content-Security-Policy away, replaces it, or answers /connect itself"
        return problem("popup", saw, "Pass pages and headers through as they are, error pages too.")
    if origins != ["*"]:
        saw = f"connect.js arrives with {len(origins)} Access-Control-Allow-Origin headers that are not ours alone"
        return problem("popup", saw, "Remove that header from the proxy: the server sends it.")
    return ok("popup", "its page and connect.js arrive with our headers alone")


def _values(headers: Sequence[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]
