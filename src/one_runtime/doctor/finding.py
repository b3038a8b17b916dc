"""Define the finding (the result of a check), which has a verdict, an observation and often advice."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from one_runtime.encryption.self_check import RequestEcho

Verdict: TypeAlias = Literal["ok", "warning", "problem"]

CHECKS: Final = (
    "version",
    "settings",
    "database",
    "installation",
    "connections",
    "pooler",
    "file",
    "disk",
    "servers",
    "key ring",
    "organizations",
    "integrations",
    "webhooks",
    "certificate",
    "public URL",
    "readiness",
    "proxy",
    "proxy calls",
    "popup",
    "agents",
    "clock",
    "egress",
)
"""All checks, in the order of the output."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the output. `saw` is the observation.

    The verdict `problem` means that a part of the installation does not work or will soon stop working. The verdict
    `warning` means that a part needs attention.
    """

    check: str
    verdict: Verdict
    saw: str
    advice: str | None = None


@dataclass(slots=True)
class Report:
    """Findings of a group of checks, and observations that other checks use."""

    findings: list[Finding] = field(default_factory=list)
    ahead: float | None = None
    """Seconds by which the clock of the checked service is ahead of this machine's clock. None if unknown."""
    database_fingerprint: str | None = None
    echo: RequestEcho | None = None
    """The server's response to the self-check. None if no server with this key ring answered."""


def ok(check: str, saw: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check, "ok", saw)


def warning(check: str, saw: str, advice: str) -> Finding:
    """Return a finding that needs attention."""
    return Finding(check, "warning", saw, advice)


def problem(check: str, saw: str, advice: str) -> Finding:
    """Return a finding about a part that does not work or will stop working."""
    return Finding(check, "problem", saw, advice)
