"""`one-runtime doctor`: check this installation, one line per finding."""

import asyncio
import json
from dataclasses import asdict
from typing import Final

import typer

from one_runtime import doctor
from one_runtime.cli.running import AsJson
from one_runtime.telemetry import logs

_COLORS: Final = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "problem": typer.colors.RED}


def examine(*, as_json: AsJson = False) -> None:
    """Check this installation: database, key ring, public URL, proxy, clock, egress. Exit code 1 for a problem."""
    logs.configure("error", "console")
    findings = asyncio.run(doctor.examine())
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in findings], indent=2, ensure_ascii=False))
    for one in [] if as_json else findings:
        advice = f" → {one.advice}" if one.advice else ""
        typer.echo(f"{typer.style(f'{one.verdict:8}', fg=_COLORS[one.verdict])} {one.check}: {one.saw}{advice}")
    raise typer.Exit(int(any(one.verdict == "problem" for one in findings)))
