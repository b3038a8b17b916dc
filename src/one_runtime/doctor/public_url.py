"""Check the public URL: this installation answers there, with a valid certificate."""

from typing import Final
from urllib.parse import urlsplit

from one_runtime.clock import Clock
from one_runtime.db.ids import new_id
from one_runtime.doctor.clock import ahead, ahead_by_date, header
from one_runtime.doctor.finding import Finding, Report, ok, problem, warning
from one_runtime.doctor.proxy import FORGED, examine_popup, examine_proxy
from one_runtime.egress import Egress, EgressError, Limits, Network, Response
from one_runtime.encryption import self_check
from one_runtime.encryption.vault import Vault
from one_runtime.settings import Settings

_LIMITS: Final = Limits(connect=4, idle=4, total=5, body=256 * 1024)
_PORTS: Final = {"http": 80, "https": 443}
_RENEWAL_FRACTION: Final = 5
"""A certificate should have been renewed before the last fifth of its life."""
_GATEWAY: Final = frozenset({502, 503, 504})


_UNREACHED: Final = "Is the server running? If so, check DNS, the firewall, the proxy and ONE_RUNTIME_PUBLIC_URL."


async def examine_public_url(settings: Settings, vault: Vault | None, clock: Clock, network: Network | None) -> Report:
    """Request the public URL. Exactly its host and port are allowed, since it may be on a private network."""
    report, url = Report(), urlsplit(settings.public_url)
    target = (url.hostname or "", url.port or _PORTS[url.scheme])
    async with Egress(allow=frozenset({target}), network=network, limits=_LIMITS) as egress:
        if settings.secure:
            finding = await _examine_certificate(egress, settings.public_url, clock)
            report.findings.append(finding)
            if finding.verdict == "problem":
                return report  # no request can succeed
        try:
            await _examine_server(report, egress, settings, vault, clock)
        except EgressError as error:
            report.findings.append(problem("public URL", error.detail, _UNREACHED))
    return report


async def _examine_certificate(egress: Egress, public_url: str, clock: Clock) -> Finding:
    try:
        certificate = await egress.certificate(public_url)
    except EgressError as error:
        if "certificate" not in error.detail:
            return problem("public URL", error.detail, _UNREACHED)
        advice = "Browsers refuse it too. Check the name and the chain of the proxy's certificate, and DNS."
        return problem("certificate", error.detail, advice)
    remaining = certificate.not_after - clock()
    days = f"{remaining.days} days" if remaining.days != 1 else "1 day"
    saw = f"valid until {certificate.not_after:%Y-%m-%d}, for {days}"
    if remaining < (certificate.not_after - certificate.not_before) / _RENEWAL_FRACTION:
        return warning("certificate", saw, "Check its renewal, which should have happened by now.")
    return ok("certificate", saw)


async def _examine_server(
    report: Report, egress: Egress, settings: Settings, vault: Vault | None, clock: Clock
) -> None:
    """Request the self-check, then the popup's page and script. Raises: EgressError."""
    address = settings.public_url + (self_check.PATH if vault is not None else "/readyz")
    headers = [("X-Forwarded-For", FORGED)]
    if vault is not None:
        headers.append((self_check.HEADER, self_check.authorization(vault, clock())))
    before = clock()
    answer = await egress.request("GET", address, headers=headers)
    after = clock()
    if vault is not None and answer.status == 200:
        report.echo = self_check.read_echo(answer.body)
    if report.echo is None:
        report.ahead = ahead_by_date(answer, before, after)
        report.findings.append(_foreign_answer(answer, settings, ring=vault is not None))
        return
    report.ahead = ahead(report.echo.now, before, after)
    report.findings.append(examine_proxy(report.echo, settings))
    page = await egress.request("GET", f"{settings.public_url}/connect?session={new_id()}")
    script = await egress.request("GET", f"{settings.public_url}/connect.js")
    report.findings.append(examine_popup(page.headers, script.headers))


def _foreign_answer(answer: Response, settings: Settings, *, ring: bool) -> Finding:
    """Return the finding for an answer that is not from this installation."""
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
            "public URL", f"{where} answers, but without a key ring the server cannot be identified", "See key ring."
        )
    if from_one_runtime:
        saw = f"another One Runtime answers at {where}, or one with another key ring"
        return problem(
            "public URL", saw, "Point the proxy to this installation, and give every server the same key ring."
        )
    saw = f"another program answers at {where}, with status {answer.status}"
    return problem("public URL", saw, f"The proxy must forward every path to the server, including {self_check.PATH}.")


def compare_server(echo: self_check.RequestEcho, fingerprint: str | None, settings: Settings) -> Finding:
    """Check that the server that answered has our database and our public URL."""
    if fingerprint is not None and echo.database_fingerprint != fingerprint:
        saw = f"a server with this key ring and another database answers at {settings.public_url}"
        return problem("public URL", saw, "Point the proxy to the server of this database.")
    if echo.public_url != settings.public_url:
        saw = f"the server at {settings.public_url} has {echo.public_url} as its public URL"
        return problem("public URL", saw, "Give every process the same ONE_RUNTIME_PUBLIC_URL.")
    return ok("public URL", f"this installation answers at {settings.public_url}")
