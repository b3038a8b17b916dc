"""`one-runtime catalog`: the commands list, show, check, test, new, probe and export. No command needs a database.

The commands read two settings of the server. `ONE_RUNTIME_EGRESS_ALLOW` lists the private hosts to which
requests may go. If `ONE_RUNTIME_PUBLIC_URL` is an http URL, custom integrations can use http on loopback.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from one_runtime.auth_types import auth_method
from one_runtime.catalog.custom import load_file
from one_runtime.catalog.lint import complaints, placed_complaints
from one_runtime.catalog.loader import Catalog, CatalogError, load_catalog, located, read_file
from one_runtime.catalog.model import CATEGORIES, Auth, CustomIntegration, Integration, dump
from one_runtime.catalog.request import clean_values
from one_runtime.catalog.search import search
from one_runtime.catalog.source import Complaint
from one_runtime.catalog.targets import refused_targets
from one_runtime.catalog.tools.sheet import counts, sheet
from one_runtime.cli.catalog_new import new_entry
from one_runtime.cli.running import allows_http, load_egress_allow
from one_runtime.cli.terminal import AsJson, named_values, print_json, print_rows, printable
from one_runtime.clock import rfc3339, system_clock
from one_runtime.connecting.verification import check_credentials
from one_runtime.connections.credentials import CheckFailed, PermissionMissing, ProviderAccount, ProviderUnavailable
from one_runtime.doctor import catalog_probe
from one_runtime.doctor.catalog_probe import Probed
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, TargetRefused
from one_runtime.errors import InvalidInput, NotFound

app = typer.Typer()

Slugs = Annotated[list[str] | None, typer.Argument(help="Slugs or YAML files; default: the whole catalog.")]
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
def show_integration(
    slug: Annotated[str, typer.Argument(help="Slug or YAML file.")], *, as_json: AsJson = False
) -> None:
    """Show an integration: its fields, the place where end users find each value, and its requests."""
    integration = _read(load_catalog(), slug)
    if as_json:
        print_json(dump(integration))
    else:
        typer.echo(sheet(integration), nl=False)


@app.command("check")
def check_entries(slugs: Slugs = None) -> None:
    """Report errors in entries of the catalog. The command sends no request."""
    catalog = load_catalog()
    wrong, names = 0, slugs or [entry.slug for entry in catalog.integrations]
    allow = load_egress_allow()
    entries: list[Integration] = []
    for name in names:
        try:
            entries.append(_read(catalog, name))
            lines = list(_lint(name, entries[-1]))
            for message in refused_targets(entries[-1], allow):
                typer.echo(f"{name}: warning: {message}")
        except CatalogError as error:
            lines = error.detail.splitlines()
        wrong += bool(lines)
        for line in lines:
            typer.echo(line)
    types = Counter(auth.type for entry in entries for auth in entry.auth)
    typer.echo(f"{len(names)} integration{'s' if len(names) != 1 else ''}, {wrong} with errors.")
    typer.echo(f"Ways to connect: {_join_counts(types)}. Verified: {_join_counts(counts(entries))}.")
    raise typer.Exit(int(wrong > 0))


@app.command("test")
def try_credential(
    slug: Annotated[str, typer.Argument(help="Slug or YAML file.")],
    *,
    auth_type: Annotated[str | None, typer.Option(help="Auth type, if the integration has more than one.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The API key. Without this option, the command asks for the key and hides it.")
    ] = None,
    credential: Annotated[list[str] | None, typer.Option(help="Credential field, as name=value; repeatable.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="Parameter, as name=value; repeatable.")] = None,
) -> None:
    """Verify a credential with the provider, and print the account. The command stores nothing."""
    integration = _read(load_catalog(), slug)
    auth = _typed_auth(integration, auth_type)
    if auth.check is None:
        raise InvalidInput(f"{integration.name} has no check request: {auth.check_missing}")
    credentials = _named("--credential", credential, [part.name for part in auth.fields])
    if key is not None:
        credentials[_key_field(integration, auth)] = key
    params = _named("--param", param, [part.name for part in auth.params])
    typer.echo(f"Sending {auth.check.method} {auth.check.url or auth.base_url + str(auth.check.path)}", err=True)
    _prompt_for_missing(auth, params, credentials)
    try:
        values = clean_values(auth, params, {name: value for name, value in credentials.items() if value})
    except InvalidInput as error:
        raise InvalidInput("; ".join(f"{invalid.field}: {invalid.message}" for invalid in error.errors)) from error

    async def check() -> ProviderAccount:
        async with Egress(allow=load_egress_allow()) as egress:
            return await check_credentials(egress, integration, auth, values)

    try:
        account = asyncio.run(check())
    except CheckFailed as error:
        verdict = "Permission missing" if isinstance(error, PermissionMissing) else "Refused"
        name = f" ({error.permission})" if isinstance(error, PermissionMissing) and error.permission else ""
        typer.echo(printable(f"{verdict}{name}. Reason from {integration.name}: {error.provider_reason or 'none'}"))
        raise typer.Exit(1) from None
    except TargetRefused as error:
        typer.echo(f"Not sent. {error.cause}")
        raise typer.Exit(2) from None
    except ProviderUnavailable as error:
        cause = error.__cause__
        typer.echo(f"Unknown. {cause.cause if isinstance(cause, EgressError) else error.detail}")
        raise typer.Exit(2) from None
    typer.echo(printable(f"Works. Account: {account.label or 'unknown'} (id {account.id or 'unknown'})"))


app.command("new")(new_entry)


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
    integrations = [_read(catalog, slug) for slug in slugs] if slugs else list(catalog.integrations)
    if output is not None:
        output.touch()

    def report(row: Probed) -> None:
        if sys.stderr.isatty():
            typer.echo(f"{row.verdict:12} {row.slug} {row.auth_type} {row.what}: {row.got}", err=True)

    async def probe() -> list[Probed]:
        async with Egress(allow=load_egress_allow()) as egress:
            return await catalog_probe.probe(integrations, egress, system_clock, report)

    rows = asyncio.run(probe())
    if as_json:
        data = [{**asdict(row), "at": rfc3339(row.at)} for row in rows]
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    else:
        text = catalog_probe.table(rows)
    _write(text, output)
    verdicts = Counter(row.verdict for row in rows)
    typer.echo(_join_counts(verdicts), err=True)
    raise typer.Exit(1 if verdicts["wrong"] else 2 if verdicts["unreachable"] and not verdicts["alive"] else 0)


@app.command("export")
def export_catalog(
    *, output: Annotated[Path | None, typer.Option(help="Output file; default: standard output.")] = None
) -> None:
    """Print the catalog as one JSON document under CC0. The document omits the logos, which are trademarks."""
    catalog = load_catalog()
    document: dict[str, Any] = {
        "license": _LICENSE,
        "revision": catalog.revision,
        "integrations": [{"id": entry.id, **dump(entry)} for entry in catalog.integrations],
    }
    _write(json.dumps(document, indent=1, ensure_ascii=False) + "\n", output)
    if output is not None:
        typer.echo(f"{len(catalog.integrations)} integrations in {output}.")


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _read(catalog: Catalog, name: str) -> Integration:
    """Return the integration with the slug `name`. If `name` is the path of a file, read the integration from the file.

    Raises: NotFound, CatalogError.
    """
    if _is_file(name):
        return load_file(Path(name), allow_http=allows_http())
    integration = catalog.get(name)
    if integration is None:
        near = get_close_matches(name.lower(), [entry.slug for entry in catalog.integrations], cutoff=0.7)
        raise NotFound(f"There is no integration {name!r}." + (f" Did you mean {' or '.join(near)}?" if near else ""))
    return integration


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml", ".json"))


def _lint(name: str, integration: Integration) -> Iterator[str]:
    """Yield one line of output for each error of an entry.

    The format of the entry (keys and types) is already validated.
    For an entry from a file, the line of output names the file and the line number.
    """
    if not _is_file(name):
        yield from (f"{name}: {complaint}" for complaint in complaints(integration))
        return
    path = Path(name)
    if isinstance(integration, CustomIntegration):  # `load_file` has already linted a custom integration
        return
    source = read_file(path)
    for place, message in placed_complaints(integration):
        yield located(path, Complaint(source.line(place), place, message))
    if path.stem != integration.slug:
        yield f"{path}: the slug must be the file's name"


def _typed_auth(integration: Integration, auth_type: str | None) -> Auth:
    """Return the definition of an auth type. With None, return the first definition that the command can test.

    Raises: InvalidInput.
    """
    typed = [auth for auth in integration.auth if auth_method(auth).tokens is None]
    for auth in typed:
        if auth_type in (None, auth.type):
            return auth
    if not typed:
        raise InvalidInput(
            f"{integration.name} supports only {' and '.join(integration.auth_types)}, which this command cannot test. "
            "Connect an account in the popup instead."
        )
    names = ", ".join(auth.type for auth in typed)
    raise InvalidInput(
        f"{integration.name} has no auth type {auth_type} that this command can test. Use one of: {names}."
    )


def _named(option: str, texts: list[str] | None, names: list[str]) -> dict[str, str]:
    """Parse a name=value option into names and values. Only the given names are allowed. Raises: InvalidInput."""
    values = named_values(option, texts or ())
    if any(name not in names for name in values):
        raise InvalidInput(f"{option} must be name=value, with one of these names: {', '.join(names) or 'none'}.")
    return values


def _key_field(integration: Integration, auth: Auth) -> str:
    names = [part.name for part in auth.fields]
    if len(names) == 1 or "api_key" in names:
        return "api_key" if "api_key" in names else names[0]
    raise InvalidInput(
        f"{integration.name} does not use a single key. Use --credential for each field: {', '.join(names) or 'none'}."
    )


def _prompt_for_missing(auth: Auth, params: dict[str, str], credentials: dict[str, str]) -> None:
    for part in auth.params:
        if part.name not in params:
            params[part.name] = typer.prompt(f"{part.label} ({part.name})", default=part.default)
    for field in auth.fields:
        if field.name not in credentials:
            question, default = f"{field.label} ({field.name}). {field.where}", "" if field.optional else None
            credentials[field.name] = typer.prompt(question, hide_input=field.secret, default=default)


def _join_counts(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
