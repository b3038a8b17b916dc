"""`one-runtime catalog probe`: compare entries with their providers over the network."""

import asyncio
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from one_runtime.catalog.loader import load_catalog
from one_runtime.cli.entries import read_entry
from one_runtime.cli.options import AsJson, Slugs
from one_runtime.cli.partial_settings import load_egress_allow
from one_runtime.cli.terminal import join_counts, write_text
from one_runtime.clock import rfc3339, system_clock
from one_runtime.doctor import catalog_probe
from one_runtime.doctor.catalog_probe import Probed
from one_runtime.egress.client import Egress

app = typer.Typer()


@app.command("probe")
def probe_catalog(
    slugs: Slugs = None,
    *,
    output: Annotated[Path | None, typer.Option(help="File for the table; default: standard output.")] = None,
    as_json: AsJson = False,
) -> None:
    """Test whether entries match their providers, without an account.

    The command sends at most one request for each auth type, with a made-up credential.

    Exit code 1: an entry does not match its provider. Exit code 2: all requests failed to reach their providers.
    """
    catalog = load_catalog()
    integrations = [read_entry(catalog, name) for name in slugs or ()] or list(catalog.integrations)
    if output is not None:
        output.touch()

    async def probe() -> list[Probed]:
        async with Egress(allow=load_egress_allow()) as egress:
            return await catalog_probe.probe(integrations, egress, system_clock, _report)

    rows = asyncio.run(probe())
    if as_json:
        data = [{**asdict(row), "at": rfc3339(row.at)} for row in rows]
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    else:
        text = catalog_probe.table(rows)
    write_text(text, output)
    verdicts = Counter(row.verdict for row in rows)
    typer.echo(join_counts(verdicts), err=True)
    raise typer.Exit(1 if verdicts["wrong"] else 2 if verdicts["unreachable"] and not verdicts["alive"] else 0)


def _report(row: Probed) -> None:
    """Show the progress on a terminal."""
    if sys.stderr.isatty():
        typer.echo(f"{row.verdict:12} {row.slug} {row.auth_type} {row.what}: {row.got}", err=True)
