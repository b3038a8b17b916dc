"""Finding of a check: verdict, observation and advice."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Verdict: TypeAlias = Literal["ok", "warning", "problem"]

CHECKS: Final = (
    "version",
    "settings",
    "database",
    "connections",
    "file",
    "disk",
    "servers",
    "key ring",
    "organizations",
    "certificate",
    "public URL",
    "proxy",
    "popup",
    "clock",
    "egress",
)
"""All checks, in the order of the output."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the output. `problem`: does not work or will stop working; `warning`: works, but needs attention."""

    check: str
    verdict: Verdict
    saw: str
    advice: str | None = None


def ok(check: str, saw: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check, "ok", saw)


def warning(check: str, saw: str, advice: str) -> Finding:
    """Return a finding that needs attention."""
    return Finding(check, "warning", saw, advice)


def problem(check: str, saw: str, advice: str) -> Finding:
    """Return a finding that does not work or will stop working."""
    return Finding(check, "problem", saw, advice)


def in_order(findings: list[Finding]) -> list[Finding]:
    """Sort findings in the order of `CHECKS`."""
    return sorted(findings, key=lambda finding: CHECKS.index(finding.check))
