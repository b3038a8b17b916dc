"""The public URL as browsers reach it: this very installation answers there, with a valid certificate."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from one_runtime.clock import Clock
from one_runtime.db.ids import new_id
from one_runtime.doctor.clock import ahead, ahead_by_date
from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.doctor.proxy import FORGED, examine_popup, examine_proxy
from one_runtime.egress import Egress, EgressError, Limits, Network, Response
from one_runtime.encryption import self_check
from one_runtime.encryption.vault import Vault
from one_runtime.settings import Settings

_LIMITS: Final = Limits(connect=4, idle=4, total=5, body=256 * 1024)
_PORTS: Final = {"http": 80, "https": 443}
_LAST_PART: Final = 5
"""A certificate is old in the last fifth of its life: by then whatever renews it should have."""
_GATEWAY: Final = frozenset({502, 503, 504})


@dataclass(slots=True)
class PublicSide:
    """What was found; what the server saw of us, if it is one with our key ring; how far its clock is ahead of ours."""

    findings: list[Finding] = field(default_factory=list)
    reflection: self_check.RequestEcho | None = None
    ahead: float | None = None


async def examine_public_url(
    settings: Settings, vault: Vault | None, clock: Clock, network: Network | None
) -> PublicSide:
    """Ask the public URL, which may well be on a private network: exactly its host and port may be reached for this."""
    side, url = PublicSide(), urlsplit(settings.public_url)
    target = (url.hostname or "", url.port or _PORTS[url.scheme])
    async with Egress(allow=frozenset({target}), network=network, limits=_LIMITS) as egress:
        if settings.secure:
            side.findings.append(await _certificate(egress, settings.public_url, clock))
        if side.findings and side.findings[0].verdict == "problem":
            return side  # nothing more can be asked
        try:
            await _reflect(side, egress, settings, vault, clock)
            if side.reflection is not None:
                side.findings.append(examine_proxy(side.reflection, settings))
                side.findings.append(await _popup(egress, settings))
        except EgressError as error:
            side.findings.append(problem("public URL", error.detail, _UNREACHED))
    return side


_UNREACHED: Final = (
    "Is the server running? If it is: look at DNS, the firewall and the proxy, and at ONE_RUNTIME_PUBLIC_URL."
)


async def _certificate(egress: Egress, public_url: str, clock: Clock) -> Finding:
    try:
        found = await egress.certificate(public_url)
    except EgressError as error:
        if "certificate" not in error.detail:
            return problem("public URL", error.detail, _UNREACHED)
        advice = "Browsers refuse it too. Look at the proxy's certificate, its name and its chain, and at DNS."
        return problem("certificate", error.detail, advice)
    left = found.not_after - clock()
    saw = f"it is valid until {found.not_after:%Y-%m-%d}, for {_days(left)}"
    if left < (found.not_after - found.not_before) / _LAST_PART:
        return warning("certificate", saw, "Look at what renews it: by now it should have.")
    return ok("certificate", saw)


def _days(left: timedelta) -> str:
    return f"{left.days} days" if left.days != 1 else "1 day"


async def _reflect(side: PublicSide, egress: Egress, settings: Settings, vault: Vault | None, clock: Clock) -> None:
    """Ask for the reflection of our own request. Raises: EgressError."""
    address = settings.public_url + (self_check.PATH if vault is not None else "/readyz")
    nonce, challenge = self_check.challenge(vault, clock()) if vault is not None else ("", "")
    headers = [("X-Forwarded-For", FORGED), *([(self_check.CHALLENGE, challenge)] if challenge else [])]
    before = clock()
    answer = await egress.request("GET", address, headers=headers)
    after = clock()
    if vault is not None and answer.status == 200:
        side.reflection = self_check.read_answer(vault, nonce, answer.body, header(answer, self_check.PROOF) or "")
    if side.reflection is not None:
        side.ahead = ahead(side.reflection.now, before, after)
        return
    side.ahead = ahead_by_date(answer, before, after)
    side.findings.append(_stranger(answer, settings, ring=vault is not None))


def _stranger(answer: Response, settings: Settings, *, ring: bool) -> Finding:
    """What answered, if not this installation."""
    where, location = settings.public_url, header(answer, "Location")
    if 300 <= answer.status < 400 and location:
        to = urlsplit(location)
        saw = f"{where} redirects" + (f" to {to.scheme}://{to.netloc.rpartition('@')[2]}" if to.netloc else "")
        return problem("public URL", saw, "Set ONE_RUNTIME_PUBLIC_URL to where it ends, or change the proxy.")
    ours = header(answer, "Request-Id") is not None
    if answer.status in _GATEWAY and not ours:
        saw = f"the proxy at {where} answers {answer.status}: it does not reach the server"
        advice = f"Is the server running? If it is, the proxy has to lead to it ({settings.listen})."
        return problem("public URL", saw, advice)
    if not ring:
        return warning("public URL", f"{where} answers, and without a key ring nobody can tell who", "See key ring.")
    if ours:
        saw = f"another One Runtime answers at {where}, or one with another key ring"
        return problem("public URL", saw, "Lead the proxy to this one, and give every server the same key ring.")
    saw = f"something else answers at {where}, with status {answer.status}"
    return problem("public URL", saw, f"The proxy has to pass every path on to the server, {self_check.PATH} too.")


async def _popup(egress: Egress, settings: Settings) -> Finding:
    """Raises: EgressError."""
    page = await egress.request("GET", f"{settings.public_url}/connect?session={new_id()}")
    script = await egress.request("GET", f"{settings.public_url}/connect.js")
    return examine_popup(_headers(page), _headers(script))


def compared(reflection: self_check.RequestEcho, mark: str | None, settings: Settings) -> Finding:
    """Whether who answered serves our database, under our public URL."""
    if mark is not None and reflection.database_fingerprint != mark:
        saw = f"a server with this key ring and another database answers at {settings.public_url}"
        return problem("public URL", saw, "Lead the proxy to the server of this database.")
    if reflection.public_url != settings.public_url:
        saw = f"the server at {settings.public_url} itself has {reflection.public_url} as its public URL"
        return problem("public URL", saw, "Give every process the same ONE_RUNTIME_PUBLIC_URL.")
    return ok("public URL", f"this installation answers at {settings.public_url}")


def header(answer: Response, name: str) -> str | None:
    """The first header of that name."""
    return next((value for key, value in answer.headers if key.lower() == name.lower()), None)


def _headers(answer: Response) -> Sequence[tuple[str, str]]:
    return [(name.lower(), value) for name, value in answer.headers]
