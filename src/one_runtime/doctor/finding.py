"""What a check found: a verdict, what it saw, and what to do."""

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
"""Every check, in the order in which its findings are told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination. `problem`: it does not work, or will not; `warning`: it works, but look at it."""

    check: str
    verdict: Verdict
    saw: str
    advice: str | None = None


def ok(check: str, saw: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", saw)


def warning(check: str, saw: str, advice: str) -> Finding:
    """It works, but somebody should look at it."""
    return Finding(check, "warning", saw, advice)


def problem(check: str, saw: str, advice: str) -> Finding:
    """It does not work, or will not."""
    return Finding(check, "problem", saw, advice)


def in_order(findings: list[Finding]) -> list[Finding]:
    """By check, as `CHECKS` has them."""
    return sorted(findings, key=lambda one: CHECKS.index(one.check))
