"""`one-runtime organizations delete`: delete an organization with all its data."""

from typing import Annotated

import typer

from one_runtime.cli.installed import run_installed
from one_runtime.cli.operators import operator_name
from one_runtime.cli.options import AsJson
from one_runtime.cli.running import read
from one_runtime.cli.terminal import print_json, printable
from one_runtime.db.engine import Transaction
from one_runtime.errors import InvalidInput
from one_runtime.lifecycle import organization_deletion
from one_runtime.lifecycle.organization_deletion import DeletedOrganization
from one_runtime.tenancy import organizations

app = typer.Typer()


@app.command("delete")
def delete_organization(
    organization_id: str,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the organization's name.")] = False,
    batch: Annotated[int | None, typer.Option(min=1, max=1000, help="Rows per transaction. Default: 100.")] = None,
    as_json: AsJson = False,
) -> None:
    """Delete an organization with all its data, and revoke the tokens of its end users. Servers can run."""

    async def find_name(tx: Transaction) -> str | None:
        if await organizations.is_being_deleted(tx, organization_id):
            return None
        return (await organizations.get(tx, organization_id)).display_name

    name = read(find_name)
    if name is not None and not yes:
        question = f"This command deletes all data of {printable(name)}. Type the organization's name to continue"
        if typer.prompt(question, err=True).strip() != name:
            raise InvalidInput("This is not the organization's name. Nothing was deleted.")
    rows = batch or organization_deletion.BATCH
    result = run_installed(
        lambda installation: organization_deletion.delete(installation, organization_id, operator_name(), batch=rows)
    )
    if as_json:
        ids = {"organization_id": result.organization_id, "display_name": result.display_name}
        pending = {"pending_revocations": result.pending_revocations, "complete": result.complete}
        print_json(ids | {"rows": dict(result.rows)} | pending)
    else:
        _print_deletion(result)


def _print_deletion(result: DeletedOrganization) -> None:
    for table, count in sorted(result.rows.items()):
        typer.echo(f"{table:<27} {count:>10,}")
    name = printable(result.display_name or "")
    named = f"{result.organization_id} ({name})" if name else result.organization_id
    if result.complete:
        typer.echo(f"The organization {named} is deleted.")
        return
    typer.echo(
        f"The data of the organization {named} is deleted. {result.pending_revocations:,} pending revocations remain. "
        "A server sends the revocations, and then deletes the rest."
    )
