"""Check that this installation answers at the public URL. Also check the certificate, the proxy and the popup."""

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from one_runtime.clock import Clock
from one_runtime.db.ids import new_id
from one_runtime.doctor.agents import examine_agents
from one_runtime.doctor.clock import ahead, ahead_by_date, header
from one_runtime.doctor.finding import Finding, Report, ok, problem, warning
from one_runtime.doctor.proxy_calls import ProxyCallCheck
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError
from one_runtime.egress.limits import Limits
from one_runtime.egress.network import Network
from one_runtime.egress.response import Response
from one_runtime.encryption import self_check
from one_runtime.encryption.vault import Vault
from one_runtime.settings import Settings

FORGED: Final = "192.0.2.1"
"""An IP address that no caller has (RFC 5737).

The doctor's request claims this address in `X-Forwarded-For`. The server must not trust the claim.
"""

_FRAMES: Final = "frame-ancestors *"
"""Part of the header Content-Security-Policy that the server sends if the popup's session is unknown.

This part allows every website to show the page in a frame.
"""
_LIMITS: Final = Limits(connect=4, idle=4, total=5, body=256 * 1024)
_PORTS: Final = {"http": 80, "https": 443}
_RENEWAL_FRACTION: Final = 5
"""The doctor warns in the last fifth (1/5) of a certificate's lifetime."""
_GATEWAY: Final = frozenset({502, 503, 504})
_LONGEST_DETAIL: Final = 200
_UNREACHED: Final = "Is the server running? If so, check DNS, the firewall, the proxy and ONE_RUNTIME_PUBLIC_URL."


async def examine_public_url(
    settings: Settings, vault: Vault | None, clock: Clock, network: Network | None, delay: float
) -> Report:
    """Check the certificate and the server at the public URL.

    The host of the public URL can have a private address. The doctor sends no request to other private addresses.

    `delay`: seconds for which the server waits in a test of the proxy's timeout.
    """
    report, url = Report(), urlsplit(settings.public_url)
    target = (url.hostname or "", url.port or _PORTS[url.scheme])
    async with Egress(allow=frozenset({target}), network=network, limits=_LIMITS) as egress:
        if settings.secure:
            finding = await _examine_certificate(egress, settings.public_url, clock)
            report.findings.append(finding)
            if finding.verdict == "problem":
                return report  # without a valid certificate, no request can succeed
        try:
            await _examine_server(report, egress, settings, vault, clock)
            if settings.secure and vault is not None and report.echo is not None:  # One Runtime itself serves no https
                report.findings += await ProxyCallCheck(egress, settings.public_url, vault, clock, delay).examine()
        except EgressError as error:
            report.findings.append(problem("public URL", error.cause, _UNREACHED))
    return report


async def _examine_certificate(egress: Egress, public_url: str, clock: Clock) -> Finding:
    try:
        certificate = await egress.certificate(public_url)
    except EgressError as error:
        if "certificate" not in error.cause:
            return problem("public URL", error.cause, _UNREACHED)
        advice = "Browsers also refuse this certificate. Check the certificate's host name, its chain, and DNS."
        return problem("certificate", error.cause, advice)
    remaining = certificate.not_after - clock()
    days = f"{remaining.days} days" if remaining.days != 1 else "1 day"
    saw = f"valid until {certificate.not_after:%Y-%m-%d} ({days} left)"
    if remaining < (certificate.not_after - certificate.not_before) / _RENEWAL_FRACTION:
        return warning(
            "certificate", saw, "Check the automatic renewal, which should already have replaced this certificate."
        )
    return ok("certificate", saw)


async def _examine_server(
    report: Report, egress: Egress, settings: Settings, vault: Vault | None, clock: Clock
) -> None:
    """Request the self-check, which identifies the server. Without a key ring, request `/readyz` instead.

    If this installation answers the self-check, also request `/readyz`, the popup's page and script, and `/v1/mcp`.

    Raises: EgressError.
    """
    address = settings.public_url + (self_check.PATH if vault is not None else "/readyz")
    headers = [("X-Forwarded-For", FORGED), *self_check.AGENT_HEADERS.items()]
    if vault is not None:
        headers.append((self_check.HEADER, self_check.authorization(vault, clock())))
    before = clock()
    answer = await egress.request("GET", address, headers=headers)
    after = clock()
    if vault is not None and answer.status == 200:
        report.echo = self_check.read_echo(self_check.RequestEcho, answer.body)
    if report.echo is None:
        report.ahead = ahead_by_date(answer, before, after)
        report.findings.append(_foreign_answer(answer, settings, report.ahead, ring=vault is not None))
        return
    report.ahead = ahead(report.echo.now, before, after)
    report.findings.append(examine_readiness(await egress.request("GET", f"{settings.public_url}/readyz")))
    report.findings.append(examine_proxy(report.echo, settings))
    page = await egress.request("GET", f"{settings.public_url}/connect?session={new_id()}")
    script = await egress.request("GET", f"{settings.public_url}/connect.js")
    report.findings.append(examine_popup(page.headers, script.headers))
    report.findings.append(await examine_agents(egress, settings.public_url, report.echo))


def _foreign_answer(answer: Response, settings: Settings, ahead: float | None, *, ring: bool) -> Finding:
    """Return the finding for a response that does not identify the server as this installation.

    `ahead`: seconds by which the server's clock is ahead of this machine's clock.
    """
    where, location = settings.public_url, header(answer, "Location")
    if 300 <= answer.status < 400 and location:
        to = urlsplit(location)
        saw = f"{where} redirects" + (f" to {to.scheme}://{to.netloc.rpartition('@')[2]}" if to.netloc else "")
        return problem("public URL", saw, "Set ONE_RUNTIME_PUBLIC_URL to the final address, or change the proxy.")
    from_one_runtime = header(answer, "Request-Id") is not None
    if answer.status in _GATEWAY and not from_one_runtime:
        saw = f"the proxy at {where} answers {answer.status}: it cannot reach the server"
        advice = f"Is the server running? If so, point the proxy to {settings.listen}."
        return problem("public URL", saw, advice)
    if not ring:
        return warning(
            "public URL",
            f"{where} answers, but the doctor needs a key ring to identify the server",
            "See the finding `key ring`.",
        )
    if from_one_runtime and ahead is not None and abs(ahead) >= self_check.LIFETIME.total_seconds():
        saw = f"a One Runtime server answers at {where}, but the two clocks differ too much to identify the server"
        return problem("public URL", saw, "Synchronize all clocks with NTP. Then run the doctor again.")
    if from_one_runtime:
        if settings.secure:
            advice = "Point the reverse proxy to this installation, and give every server the same key ring."
        else:
            advice = f"Set ONE_RUNTIME_PUBLIC_URL to the address of this server, such as http://{settings.listen}."
        saw = f"another One Runtime answers at {where}, or a server with other keys than this command"
        return problem("public URL", saw, advice)
    saw = f"another program answers at {where}, with status {answer.status}"
    return problem("public URL", saw, f"The proxy must forward every path to the server, including {self_check.PATH}.")


def compare_server(echo: self_check.RequestEcho, fingerprint: str | None, settings: Settings) -> Finding:
    """Check that the server at the public URL uses the same database and the same public URL as this command."""
    if fingerprint is not None and echo.database_fingerprint != fingerprint:
        saw = f"a server with this key ring and another database answers at {settings.public_url}"
        return problem("public URL", saw, "Point the proxy to the server of this database.")
    if echo.public_url != settings.public_url:
        saw = f"the server at {settings.public_url} has {echo.public_url} as its public URL"
        return problem("public URL", saw, "Give every process the same ONE_RUNTIME_PUBLIC_URL.")
    return ok("public URL", f"this installation answers at {settings.public_url}")


class _Detail(BaseModel):
    """The part of an error response that explains the error."""

    detail: str


def examine_readiness(answer: Response) -> Finding:
    """Check that the server answers `/readyz` with 200. Otherwise, the finding contains the server's explanation."""
    if answer.status == 200:
        return ok("readiness", "the server answers /readyz with status 200")
    saw = f"the server answers /readyz with status {answer.status}"
    with suppress(ValidationError):
        saw += f": {_Detail.model_validate_json(answer.body).detail[:_LONGEST_DETAIL]}"
    return problem("readiness", saw, "Check the database and its disk. The log of the server has the reason.")


def examine_proxy(echo: self_check.RequestEcho, settings: Settings) -> Finding:
    """Check that the server recognizes the caller's IP address in a request through the public URL."""
    passed_on = [part.strip() for part in (echo.forwarded_for or "").split(",") if part.strip()]
    trusting = bool(settings.trusted_proxies)
    if echo.client == FORGED and not _through_trusted(passed_on, settings):
        saw = "a caller can claim any address in X-Forwarded-For, and the server trusts the claim"
        advice = "Configure the proxy to append the caller's address to this header, or to replace the header. "
        return problem("proxy", saw, advice + "Allow connections to the server from the proxy only.")
    if not settings.secure and not trusting:
        return ok("proxy", f"no proxy is trusted; requests come from {echo.client}")
    if passed_on in ([], [FORGED]):
        saw = f"the proxy does not forward the caller's address: events contain {echo.client} instead"
        return warning("proxy", saw, "Configure the proxy to send X-Forwarded-For (example: deploy/nginx.conf).")
    if echo.client in passed_on:
        return ok("proxy", f"the proxy is trusted; this request came from {echo.client}")
    saw = f"the proxy at {echo.client} is not trusted: events contain the proxy's address instead of the caller's"
    return warning("proxy", saw, f"Add {echo.client} to ONE_RUNTIME_TRUSTED_PROXIES.")


def _through_trusted(passed_on: Sequence[str], settings: Settings) -> bool:
    """Return True if X-Forwarded-For has addresses after the forged address, and all these addresses are trusted.

    The first proxy appends this machine's address to the forged address. If this machine is in a trusted network, the
    server has to trust the forged address. So the result True means that the proxy works.
    """
    after = passed_on[passed_on.index(FORGED) + 1 :] if FORGED in passed_on else []
    return bool(after) and all(_is_trusted(address, settings) for address in after)


def _is_trusted(text: str, settings: Settings) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in settings.trusted_proxies)


def examine_popup(page: Sequence[tuple[str, str]], script: Sequence[tuple[str, str]]) -> Finding:
    """Check three headers that a proxy can break: two headers of the popup's page, and one header of `connect.js`.

    `page` and `script` are the headers that the doctor received through the public URL.
    """
    policies = _values(page, "content-security-policy")
    frame_options = _values(page, "x-frame-options")
    origins = _values(script, "access-control-allow-origin")
    if frame_options:
        saw = f"the proxy adds X-Frame-Options ({frame_options[0][:40]}): no page can show the popup"
        return problem("popup", saw, "Remove this header in the proxy, at least for /connect.")
    if len(policies) > 1:
        saw = (
            "the proxy adds its own Content-Security-Policy: browsers apply both policies, and the popup can stay empty"
        )
        return problem("popup", saw, "Remove this header in the proxy, at least for /connect.")
    if not policies or _FRAMES not in policies[0]:
        saw = "the proxy removes or replaces the Content-Security-Policy, or answers /connect itself"
        return problem("popup", saw, "Configure the proxy to forward pages, error pages and headers unchanged.")
    if not origins:
        saw = "the proxy removes the Access-Control-Allow-Origin header of connect.js, or answers /connect.js itself"
        return problem("popup", saw, "Configure the proxy to forward /connect.js and its headers unchanged.")
    if origins != ["*"]:
        received = ", ".join(origins)[:40]
        saw = f"connect.js arrives with Access-Control-Allow-Origin: {received}, but the server sends only *"
        return problem("popup", saw, "Remove this header from the proxy's configuration: the server already sends it.")
    return ok("popup", "the popup's page and connect.js arrive with the headers that the popup needs")


def _values(headers: Sequence[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]
