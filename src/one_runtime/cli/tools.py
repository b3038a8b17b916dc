"""`one-runtime tools`: the functions that agents can call, and OpenAPI documents that the operator brings."""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from one_runtime.agents.operations import documents
from one_runtime.agents.operations.data import read_folder
from one_runtime.agents.operations.documents import MAX_BYTES
from one_runtime.agents.operations.file import read_file, remove, store
from one_runtime.agents.operations.index import IndexedIntegration
from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.operation import Operation
from one_runtime.cli.entries import find_entry
from one_runtime.cli.options import AsJson
from one_runtime.cli.partial_settings import load_egress_allow, load_tools_file
from one_runtime.cli.terminal import print_json, print_rows, printable
from one_runtime.clock import rfc3339
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError
from one_runtime.egress.limits import Limits
from one_runtime.errors import InvalidInput, NotFound

app = typer.Typer()

_SECONDS: Final = 120.0

Slug = Annotated[str, typer.Argument(help="Slug of an integration of the catalog.")]
AnySlug = Annotated[str | None, typer.Argument(help="Slug of an integration. Default: all integrations.")]


@app.command("fetch")
def fetch_tools(
    slug: Slug,
    *,
    url: Annotated[str | None, typer.Option(help="URL of an OpenAPI document.")] = None,
    file: Annotated[Path | None, typer.Option(help="File with an OpenAPI document, instead of --url.")] = None,
    server_url: Annotated[
        str | None, typer.Option(help="URL to which the paths of the document belong, if the document names another.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add the functions of an OpenAPI document to an integration. A document replaces an earlier document."""
    integration = _find(slug)
    if (url is None) == (file is None):
        raise InvalidInput("Give either --url or --file.")
    content = asyncio.run(_download(url)) if url is not None else _read(file or Path())
    origin = {
        "source": url or str(file),
        "sha256": hashlib.sha256(content).hexdigest(),
        "base_url": integration.auth[0].base_url,
    }
    path = load_tools_file()
    present: dict[str, str] = next(
        (json.loads(indexed.details) for indexed in read_file(path) if indexed.slug == slug), {}
    )
    compiled = documents.compile_document(content, integration, url, server_url)
    details = {**origin, "fetched_at": rfc3339(datetime.now(UTC))}
    store(path, IndexedIntegration.of(integration, compiled.operations, json.dumps(details)))
    is_new = present.get("sha256") != origin["sha256"]
    if as_json:
        counts = {"functions": len(compiled.operations), "left_out": dict(compiled.skipped)}
        print_json({"integration_slug": slug, **counts, **details, "changed": is_new})
        return
    same = "" if is_new else " The document has not changed."
    typer.echo(f"{slug}: {len(compiled.operations):,} functions in {path}.{same}")
    for reason, count in compiled.skipped.items():
        typer.echo(f"Left out {count:,}: {reason}.", err=True)


@app.command("list")
def list_tools(slug: AnySlug = None, *, as_json: AsJson = False) -> None:
    """List the integrations with functions, or the functions of one integration."""
    if slug is None:
        rows = [_describe(indexed) for indexed in _all_indexed()]
        print_rows(rows, as_json=as_json)
        return
    _find(slug)
    operations = [each for indexed in _all_indexed() if indexed.slug == slug for each in indexed.operations]
    if not operations:
        raise NotFound(f"{slug} has no functions. Agents can call its API with call_read and call_write.")
    print_rows([_describe_operation(operation) for operation in operations], as_json=as_json)


@app.command("check")
def check_tools(slug: AnySlug = None, *, as_json: AsJson = False) -> None:
    """Check the functions that you added. Exit code 1 means a problem."""
    catalog = load_catalog()
    indexed = [each for each in read_file(load_tools_file()) if slug in {None, each.slug}]
    if slug is not None and not indexed:
        raise NotFound(f"{load_tools_file()} has no functions of {slug[:64]!r}. `one-runtime tools list` lists them.")
    problems = [
        {"integration_slug": each.slug, "problem": problem}
        for each in indexed
        for problem in _problems(each, catalog.get(each.slug))
    ]
    own = read_folder()
    replaced = {each.slug: count for each in indexed if (count := _count_replaced(each, own.get(each.slug, ())))}
    if as_json:
        print_json({"integrations": len(indexed), "problems": problems, "replaced": replaced})
    else:
        for replaced_slug, count in replaced.items():
            typer.echo(f"{replaced_slug}: functions that One Runtime's own data replaces: {count:,}.", err=True)
        for problem in problems:
            typer.echo(printable(f"{problem['integration_slug']}: {problem['problem']}"))
        typer.echo(f"Checked {len(indexed)} of the integrations in {load_tools_file()}. Problems: {len(problems)}.")
    raise typer.Exit(1 if problems else 0)


@app.command("remove")
def remove_tools(slug: Slug, *, as_json: AsJson = False) -> None:
    """Remove the functions that you added to an integration."""
    if not remove(load_tools_file(), slug):
        raise NotFound(f"{load_tools_file()} has no functions of {slug[:64]!r}. `one-runtime tools list` lists them.")
    if as_json:
        print_json({"integration_slug": slug})
        return
    typer.echo(f"Removed the functions of {slug}.")


def _find(slug: str) -> Integration:
    return find_entry(load_catalog(), slug)


async def _download(url: str) -> bytes:
    """Raises: InvalidInput."""
    limits = Limits(total=_SECONDS, body=MAX_BYTES)
    try:
        async with Egress(allow=load_egress_allow(), limits=limits) as egress:
            response = await egress.request("GET", url, follow_redirects=True)
    except EgressError as error:
        raise InvalidInput(f"The document cannot be downloaded: {error.cause}") from error
    if response.status != 200:
        raise InvalidInput(f"The document cannot be downloaded: the server answered with the status {response.status}.")
    return response.body


def _read(file: Path) -> bytes:
    """Raises: InvalidInput; OSError."""
    if file.stat().st_size > MAX_BYTES:
        raise InvalidInput(f"{file} must be at most {MAX_BYTES // 1024 // 1024} MB.")
    return file.read_bytes()


def _all_indexed() -> Iterator[IndexedIntegration]:
    """Yield One Runtime's own functions, and then the functions in the operator's file."""
    for slug, operations in read_folder().items():
        yield IndexedIntegration(slug, slug, operations)
    yield from read_file(load_tools_file())


def _describe(indexed: IndexedIntegration) -> dict[str, object]:
    details = json.loads(indexed.details)
    return {
        "integration_slug": indexed.slug,
        "functions": len(indexed.operations),
        "source": details.get("source", "built in"),
        "fetched_at": details.get("fetched_at"),
    }


def _describe_operation(operation: Operation) -> dict[str, object]:
    return {
        "name": operation.name,
        "access": operation.access,
        "method": operation.method,
        "path": operation.path,
        "description": operation.summary,
    }


def _count_replaced(indexed: IndexedIntegration, own: Sequence[Operation]) -> int:
    """Return the number of functions with the name or the path of one of One Runtime's own functions."""
    names, paths = {each.name for each in own}, {(each.method, each.path) for each in own}
    return sum(each.name in names or (each.method, each.path) in paths for each in indexed.operations)


def _problems(indexed: IndexedIntegration, integration: Integration | None) -> Iterator[str]:
    if integration is None:
        yield "The catalog has no integration with this slug. Remove the functions."
        return
    fetched_for, present = json.loads(indexed.details).get("base_url"), integration.auth[0].base_url
    if fetched_for != present:
        yield f"The base URL was {fetched_for}, and is now {present}. Fetch the document again."
