"""Check that names resolve and that hosts of the catalog answer, through One Runtime's outbound network."""

import asyncio
from collections.abc import Mapping
from typing import Final

from one_runtime.catalog.loader import Catalog
from one_runtime.clock import Clock
from one_runtime.doctor.clock import ahead_by_date
from one_runtime.doctor.finding import Report, ok, warning
from one_runtime.egress import Egress, EgressError, Limits, Network

HOSTS: Final = 2
"""Number of hosts of the catalog to request."""

_LIMITS: Final = Limits(connect=4, idle=4, total=5, body=64 * 1024)
_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


async def examine_egress(catalog: Catalog, clock: Clock, network: Network | None, environ: Mapping[str, str]) -> Report:
    """Request a few hosts. Any response is a success."""
    hosts = hosts_of(catalog)[:HOSTS]
    async with Egress(network=network, limits=_LIMITS) as egress:
        answers = await asyncio.gather(*(_request(egress, host, clock) for host in hosts))
    clocks = [ahead for _, ahead in answers if ahead is not None]
    # Take the smallest difference: a cached response has an old date, so a large difference may not be real. Two
    # providers rarely have equally wrong clocks.
    ahead = min(clocks, key=abs, default=None)
    errors = [error for error, _ in answers if error is not None]
    if not errors:
        return Report([ok("egress", f"{' and '.join(hosts)} answer")], ahead)
    lost = "no provider" if len(errors) == len(hosts) else "not every provider"
    advice = (
        "One Runtime cannot check credentials, so no end user can connect an account there. Check DNS and the firewall."
    )
    variable = next((name for name in _PROXY_VARIABLES if environ.get(name)), None)
    if variable is not None:
        advice += f" {variable} is set, but One Runtime does not use such a proxy."
    return Report([warning("egress", f"{lost} can be reached. {' '.join(errors)}", advice)], ahead)


def hosts_of(catalog: Catalog) -> list[str]:
    """Return the first fixed host of each entry, in the order of the catalog."""
    hosts: dict[str, None] = {}
    for entry in catalog.integrations:
        urls = [url for auth in entry.auth for url in auth.urls()]
        fixed = [url.authority for url in urls if url.scheme == "https" and "{" not in url.authority]
        hosts.update(dict.fromkeys(fixed[:1]))
    return list(hosts)


async def _request(egress: Egress, host: str, clock: Clock) -> tuple[str | None, float | None]:
    """Return the error of a host that does not answer, and the seconds by which the host's clock is ahead of ours."""
    before = clock()
    try:
        answer = await egress.request("HEAD", f"https://{host}/")
    except EgressError as error:
        return error.detail, None
    return None, ahead_by_date(answer, before, clock())
