"""Check outbound requests: host names resolve, and two hosts of the catalog answer."""

import asyncio
from collections.abc import Mapping
from typing import Final

from one_runtime.catalog.loader import Catalog
from one_runtime.clock import Clock
from one_runtime.doctor.clock import ahead_by_date
from one_runtime.doctor.finding import Report, ok, warning
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError
from one_runtime.egress.limits import Limits
from one_runtime.egress.network import Network

HOSTS: Final = 2

_LIMITS: Final = Limits(connect=4, idle=4, total=5, body=64 * 1024)
_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


async def examine_egress(catalog: Catalog, clock: Clock, network: Network | None, environ: Mapping[str, str]) -> Report:
    """Send a request to the first hosts of the catalog. Any response is a success."""
    hosts = hosts_of(catalog)[:HOSTS]
    async with Egress(network=network, limits=_LIMITS) as egress:
        answers = await asyncio.gather(*(_request(egress, host, clock) for host in hosts))
    clocks = [ahead for _, ahead in answers if ahead is not None]
    # Take the smallest clock difference, because a larger difference can be false. A cached response has an old date,
    # and a provider's clock can be wrong. Both hosts rarely have such an error at the same time.
    ahead = min(clocks, key=abs, default=None)
    errors = [error for error, _ in answers if error is not None]
    if not errors:
        return Report([ok("egress", f"{' and '.join(hosts)} answer")], ahead)
    lost = "none of the tested providers" if len(errors) == len(hosts) else "not every tested provider"
    advice = (
        "No end user can connect an account at a provider that One Runtime cannot reach. Check DNS and the firewall."
    )
    variable = next((name for name in _PROXY_VARIABLES if environ.get(name)), None)
    if variable is not None:
        advice += f" {variable} is set, but One Runtime does not use the proxy in this variable."
    return Report([warning("egress", f"{lost} can be reached. {' '.join(errors)}", advice)], ahead)


def hosts_of(catalog: Catalog) -> list[str]:
    """Return the first https host of each catalog entry. Omit hosts with a parameter, such as `{subdomain}`."""
    hosts: dict[str, None] = {}
    for entry in catalog.integrations:
        urls = [url for auth in entry.auth for url in auth.urls()]
        fixed = [url.authority for url in urls if url.scheme == "https" and "{" not in url.authority]
        hosts.update(dict.fromkeys(fixed[:1]))
    return list(hosts)


async def _request(egress: Egress, host: str, clock: Clock) -> tuple[str | None, float | None]:
    """Request a host. Return an error, and the seconds by which the host's clock is ahead of this machine's clock.

    The error is None if the host answers. The seconds are None if they are unknown.
    """
    before = clock()
    try:
        answer = await egress.request("HEAD", f"https://{host}/")
    except EgressError as error:
        return error.cause, None
    return None, ahead_by_date(answer, before, clock())
