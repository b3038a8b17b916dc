"""`one-runtime catalog`: the commands list, search, show, check and export. No command of the group needs a database.

The commands read two settings of the server. `ONE_RUNTIME_EGRESS_ALLOW` lists the private hosts to which
requests may go. If `ONE_RUNTIME_PUBLIC_URL` is an http URL, custom integrations can use http on loopback.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.model import CATEGORIES, dump
from one_runtime.catalog.search import search
from one_runtime.catalog.tools.sheet import counts, sheet
from one_runtime.cli.entries import check_entries, read_entry
from one_runtime.cli.options import AsJson, SlugOrFile, Slugs
from one_runtime.cli.terminal import join_counts, print_json, print_rows, write_text
from one_runtime.errors import InvalidInput

app = typer.Typer()

_LICENSE = "CC0-1.0"


@app.command("list")
def list_catalog(
    *,
    find: Annotated[str | None, typer.Option("--search", help="Search text. The best match comes first.")] = None,
    category: Annotated[str | None, typer.Option(help="List only this category.")] = None,
    as_json: AsJson = False,
) -> None:
    """List integrations, one per line."""
    if category is not None and category not in CATEGORIES:
        raise InvalidInput(f"There is no category {category!r}. Use one of: {', '.join(CATEGORIES)}.")
    integrations = [entry for entry in load_catalog().integrations if category is None or entry.category == category]
    rows = [
        {
            "slug": entry.slug,
            "name": entry.name,
            "category": entry.category,
            "auth_types": entry.auth_types,
            "verified": [auth.verified.how for auth in entry.auth],
        }
        for entry in (search(integrations, find) if find is not None else integrations)
    ]
    print_rows(rows, as_json=as_json)


@app.command("search")
def search_catalog(
    text: Annotated[str, typer.Argument(help="Search text. The best match comes first.")], *, as_json: AsJson = False
) -> None:
    """List the integrations that match a text, as `catalog list --search` does."""
    list_catalog(find=text, as_json=as_json)


@app.command("show")
def show_integration(slug: SlugOrFile, *, as_json: AsJson = False) -> None:
    """Show an integration: its fields, the place where end users find each value, and its requests."""
    integration = read_entry(load_catalog(), slug)
    if as_json:
        print_json(dump(integration))
    else:
        typer.echo(sheet(integration), nl=False)


@app.command("check")
def check_catalog(slugs: Slugs = None, *, as_json: AsJson = False) -> None:
    """Report errors in entries of the catalog. The command sends no request."""
    checked = check_entries(slugs or ())
    auth_types, verified = (
        Counter(auth.type for entry in checked.entries for auth in entry.auth),
        counts(checked.entries),
    )
    wrong = len({error.integration for error in checked.errors})
    if as_json:
        print_json(
            {
                "integrations": checked.count,
                "integrations_with_errors": wrong,
                "errors": [error._asdict() for error in checked.errors],
                "warnings": [warning._asdict() for warning in checked.warnings],
                "auth_types": dict(auth_types),
                "verified": dict(verified),
            }
        )
    else:
        for warning in checked.warnings:
            typer.echo(f"{warning.integration}: warning: {warning.message}")
        for error in checked.errors:
            typer.echo(error.message)
        typer.echo(f"{checked.count} integration{'s' if checked.count != 1 else ''}, {wrong} with errors.")
        typer.echo(f"Ways to connect: {join_counts(auth_types)}. Verified: {join_counts(verified)}.")
    raise typer.Exit(int(wrong > 0))


@app.command("export")
def export_catalog(
    *,
    output: Annotated[Path | None, typer.Option(help="Output file; default: standard output.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --output, print the number of integrations as JSON.")
    ] = False,
) -> None:
    """Print the catalog as one JSON document under CC0. The document omits the logos, which are trademarks."""
    catalog = load_catalog()
    document: dict[str, Any] = {
        "license": _LICENSE,
        "revision": catalog.revision,
        "integrations": [{"id": entry.id, **dump(entry)} for entry in catalog.integrations],
    }
    write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", output)
    count = len(catalog.integrations)
    if output is not None and as_json:
        print_json({"output": str(output), "integrations": count})
    elif output is not None:
        typer.echo(f"{count} integrations in {output}.")
