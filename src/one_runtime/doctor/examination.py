"""Run the checks of `one-runtime doctor`. Groups of checks run concurrently, each group with a time limit."""

import asyncio
import os
from collections.abc import Awaitable, Mapping
from typing import Final

from one_runtime.catalog.loader import load_catalog
from one_runtime.clock import Clock, system_clock
from one_runtime.doctor.clock import examine_clock
from one_runtime.doctor.configuration import examine_configuration
from one_runtime.doctor.database import examine_database
from one_runtime.doctor.egress import examine_egress
from one_runtime.doctor.finding import CHECKS, Finding, Report, problem
from one_runtime.doctor.proxy_calls import DELAY
from one_runtime.doctor.public_url import compare_server, examine_public_url
from one_runtime.egress.network import Network
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import ConfigurationError
from one_runtime.settings import load_settings

TIME_LIMIT: Final = 20.0
"""Time limit for a group of checks, in seconds. Each request has a shorter limit."""


async def examine(
    environ: Mapping[str, str] = os.environ,
    *,
    clock: Clock = system_clock,
    network: Network | None = None,
    time_limit: float = TIME_LIMIT,
    delay: float = DELAY,
) -> list[Finding]:
    """Return all findings in the order of `CHECKS`. Tests replace `clock`, `network`, `time_limit` and `delay`."""
    try:
        settings = load_settings(environ)
    except ConfigurationError as error:
        return [problem("settings", error.detail, "Correct the settings first: the other checks need valid settings.")]
    findings = examine_configuration(settings, environ)
    try:
        vault = Vault(parse_keys(settings.encryption_keys.get_secret_value()))
    except ConfigurationError as error:
        vault = None
        findings.append(problem("key ring", "no usable key ring", error.detail))
    catalog = load_catalog()  # before the checks, because slow loading would distort the comparison of clocks

    async def run(check: str, examination: Awaitable[Report]) -> Report:
        try:
            async with asyncio.timeout(time_limit):
                return await examination
        except TimeoutError:
            reason = f"no answer within {time_limit:g} seconds"
        except Exception as error:  # a failing check must not hide other findings
            # Omit the error's message, because it can contain a secret.
            reason = f"the check itself failed ({type(error).__name__})"
        return Report([problem(check, reason, "Check this service and the network.")])

    database, public_url, providers = await asyncio.gather(
        run("database", examine_database(settings, vault, clock)),
        run("public URL", examine_public_url(settings, vault, clock, network, delay)),
        run("egress", examine_egress(catalog, clock, network, environ)),
    )
    findings += [*database.findings, *public_url.findings, *providers.findings]
    if public_url.echo is not None:
        findings.append(compare_server(public_url.echo, database.database_fingerprint, settings))
    clocks = {"the database": database, "the public URL": public_url, "the providers": providers}
    findings.append(examine_clock({owner: report.ahead for owner, report in clocks.items()}))
    return sorted(findings, key=lambda finding: CHECKS.index(finding.check))
