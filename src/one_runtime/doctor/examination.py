"""Runs all checks concurrently, each with its own time limit."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from one_runtime.catalog.loader import load_catalog
from one_runtime.clock import Clock, system_clock
from one_runtime.doctor.clock import examine_clock
from one_runtime.doctor.configuration import examine_configuration
from one_runtime.doctor.finding import Finding, in_order, problem
from one_runtime.doctor.outside import Outside, examine_outside
from one_runtime.doctor.public_url import PublicSide, compared, examine_public_url
from one_runtime.doctor.storage import Storage, examine_storage
from one_runtime.egress import Network
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import ConfigurationError
from one_runtime.settings import Settings, load_settings

T = TypeVar("T")

PATIENCE: Final = 15.0
"""Seconds for a group of checks. Requests have shorter limits."""


async def examine(
    environ: Mapping[str, str] = os.environ, *, clock: Clock = system_clock, network: Network | None = None
) -> list[Finding]:
    """Return all findings in the order of `CHECKS`. `clock` and `network` are seams for tests."""
    try:
        settings = load_settings(environ)
    except ConfigurationError as error:
        return [problem("settings", error.detail, "Fix this first; the other checks need valid settings.")]
    findings = examine_configuration(settings, environ)
    vault, catalog = (
        _open_vault(settings, findings),
        load_catalog(),
    )  # slow, so it precedes the comparison of the clocks
    storage, side, outside = await asyncio.gather(
        _run_check(examine_storage(settings, vault, clock), lambda why: Storage([_failure("database", why)])),
        _run_check(
            examine_public_url(settings, vault, clock, network), lambda why: PublicSide([_failure("public URL", why)])
        ),
        _run_check(examine_outside(catalog, clock, network, environ), lambda why: Outside(_failure("egress", why))),
    )
    findings += [*storage.findings, *side.findings, outside.finding]
    if side.echo is not None:
        findings.append(compared(side.echo, storage.database_fingerprint, settings))
    clocks = [("the database's", storage.ahead), ("the public URL's", side.ahead), ("the providers'", outside.ahead)]
    findings.append(examine_clock(clocks))
    return in_order(findings)


def _open_vault(settings: Settings, findings: list[Finding]) -> Vault | None:
    try:
        return Vault(parse_keys(settings.encryption_keys.get_secret_value()))
    except ConfigurationError as error:
        findings.append(problem("key ring", "no usable key ring", error.detail))
        return None


async def _run_check(check: Awaitable[T], otherwise: Callable[[str], T]) -> T:
    try:
        async with asyncio.timeout(PATIENCE):
            return await check
    except TimeoutError:
        return otherwise(f"no answer within {PATIENCE:g} seconds")
    except Exception as error:  # the last handler: one failing check hides no other; its message may hold a secret
        return otherwise(f"the check itself failed ({type(error).__name__})")


def _failure(check: str, why: str) -> Finding:
    return problem(check, why, "Check that service and the network.")
