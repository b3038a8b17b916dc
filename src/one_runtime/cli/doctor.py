"""`one-runtime doctor`: check this installation and print one line per finding."""

import asyncio
from dataclasses import asdict
from typing import Final

import typer

from one_runtime import doctor
from one_runtime.cli.terminal import print_json

_COLORS: Final = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "problem": typer.colors.RED}


def examine(*, as_json: bool) -> None:
    """Check the installation, and end the command with exit code 1 if there is a problem."""
    findings = asyncio.run(doctor.examine())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            verdict = typer.style(f"{finding.verdict:8}", fg=_COLORS[finding.verdict])
            advice = f" → {finding.advice}" if finding.advice else ""
            typer.echo(f"{verdict} {finding.check}: {finding.saw}{advice}")
    raise typer.Exit(int(any(finding.verdict == "problem" for finding in findings)))
