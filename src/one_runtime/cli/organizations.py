"""`one-runtime organizations`: create, list, change, export and delete organizations."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from one_runtime.cli.operators import operator_actor, record_command
from one_runtime.cli.options import AsJson
from one_runtime.cli.running import read, write
from one_runtime.cli.terminal import print_json, print_rows, printable
from one_runtime.clock import rfc3339, system_clock
from one_runtime.db.engine import Transaction
from one_runtime.errors import InvalidInput
from one_runtime.tenancy import organizations
from one_runtime.tenancy.branding import Radius, Scheme, image_data_uri
from one_runtime.tenancy.installation_events import InstallationEventType

app = typer.Typer()

_ORIGIN = "Origin that may open the popup; repeatable."
_RETURN_URL = "Return URL for the mode redirect; repeatable."
_SeveralConnections: TypeAlias = Annotated[
    organizations.SeveralConnectionsRule | None,
    typer.Option(help="What happens to a call that names none of several active connections."),
]
_HidePoweredBy: TypeAlias = Annotated[
    bool | None,
    typer.Option("--hide-powered-by/--show-powered-by", help="Hide or show “Powered by One Runtime”. Default: shown."),
]


@app.command("create")
def create_organization(
    display_name: Annotated[str, typer.Argument(help="Name that end users see.")],
    allowed_origin: Annotated[list[str] | None, typer.Option(help=_ORIGIN)] = None,
    return_url: Annotated[list[str] | None, typer.Option(help=_RETURN_URL)] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Create an organization and print its id."""

    async def create(tx: Transaction) -> organizations.Organization:
        created = await organizations.create(
            tx, display_name, system_clock(), allowed_origins=allowed_origin or (), return_urls=return_url or ()
        )
        await record_command(
            tx,
            InstallationEventType.ORGANIZATION_CREATED,
            organization_id=created.id,
            display_name=created.display_name,
        )
        return created

    created = write(create)
    if as_json:
        print_json(describe(created))
    else:
        typer.echo(created.id)


@app.command("list")
def list_organizations(*, as_json: AsJson = False) -> None:
    """List organizations."""
    listed = read(organizations.list_all)
    if as_json:
        print_json([describe(organization) for organization in listed])
    else:
        _print_settings(listed)


def describe(organization: organizations.Organization) -> dict[str, object]:
    """Return an organization in the form that commands and the API print."""
    return {
        "id": organization.id,
        "display_name": organization.display_name,
        "logo_url": organization.logo_url,
        "privacy_url": organization.privacy_url,
        "allowed_origins": organization.allowed_origins,
        "return_urls": organization.return_urls,
        "integrations": {"mode": organization.integrations_mode, "slugs": organization.integrations_slugs},
        "branding": organization.branding.fields,
        "several_connections": organization.several_connections,
        "created_at": rfc3339(organization.created_at),
        "updated_at": rfc3339(organization.updated_at),
    }


@app.command("set")
def set_organization(  # noqa: PLR0913 - one argument for each option
    organization_id: str,
    display_name: Annotated[str | None, typer.Option(help="Name that end users see.")] = None,
    allowed_origin: Annotated[list[str] | None, typer.Option(help=f"{_ORIGIN} Replaces all origins.")] = None,
    return_url: Annotated[list[str] | None, typer.Option(help=f"{_RETURN_URL} Replaces all return URLs.")] = None,
    privacy_url: Annotated[str | None, typer.Option(help="URL of the privacy policy; empty for none.")] = None,
    *,
    several_connections: _SeveralConnections = None,
    accent_color: Annotated[str | None, typer.Option(help="Color of the popup's buttons; empty for black.")] = None,
    accent_color_dark: Annotated[
        str | None, typer.Option(help="Color in the dark scheme; empty to derive it from --accent-color.")
    ] = None,
    radius: Annotated[Radius | None, typer.Option(help="Radius of the popup's corners.")] = None,
    scheme: Annotated[Scheme | None, typer.Option(help="Scheme of the popup. auto: as the end user's browser.")] = None,
    logo: Annotated[
        str | None, typer.Option(metavar="FILE", help="The logo: a PNG, JPEG, WebP or SVG file; empty for none.")
    ] = None,
    logo_dark: Annotated[
        str | None, typer.Option(metavar="FILE", help="The logo for the dark scheme; empty to use --logo.")
    ] = None,
    hide_powered_by: _HidePoweredBy = None,
    as_json: AsJson = False,
) -> None:
    """Change an organization. Omitted options leave their values unchanged. Given origins replace all origins."""

    look = {
        "accent_color": accent_color,
        "accent_color_dark": accent_color_dark,
        "radius": radius,
        "scheme": scheme,
        "logo_dark_url": _image(logo_dark),
        "hide_powered_by": hide_powered_by,
    }
    new_logo = _image(logo)

    async def change(tx: Transaction) -> tuple[organizations.Organization, organizations.Organization]:
        organization = await organizations.get(tx, organization_id)
        branding = replace(organization.branding, **_given(look))
        changed = replace(
            organization,
            display_name=display_name or organization.display_name,
            allowed_origins=tuple(allowed_origin) if allowed_origin else organization.allowed_origins,
            return_urls=tuple(return_url) if return_url else organization.return_urls,
            privacy_url=organization.privacy_url if privacy_url is None else privacy_url,
            logo_url=organization.logo_url if new_logo is None else new_logo,
            branding=branding,
            several_connections=several_connections or organization.several_connections,
        )
        return organization, await organizations.save(tx, operator_actor(organization.id), changed, system_clock())

    before, saved = write(change)
    _report_removed(before, saved)
    if as_json:
        print_json(describe(saved))
    else:
        _print_settings([saved])


def _report_removed(before: organizations.Organization, saved: organizations.Organization) -> None:
    """Name the values that a list has lost, because a reader can expect that an option adds to its list."""
    lists = {
        "--allowed-origin": (before.allowed_origins, saved.allowed_origins),
        "--return-url": (before.return_urls, saved.return_urls),
    }
    for option, (old, new) in lists.items():
        removed = ", ".join(printable(value) for value in old if value not in new)
        if removed:
            typer.echo(f"Removed: {removed}. To keep a value, repeat {option} with it.", err=True)


def _image(path: str | None) -> str | None:
    """Return the image in a file as a data URI. Return an empty path unchanged. Raises: InvalidInput."""
    if not path:
        return path
    try:
        return image_data_uri(Path(path).read_bytes())
    except OSError as error:
        raise InvalidInput(f"The file {path} cannot be read: {error.strerror}.") from error


def _given(options: Mapping[str, object]) -> dict[str, Any]:
    """Return the options that the operator gave. An empty value resets a setting."""
    return {name: None if value == "" else value for name, value in options.items() if value is not None}


def _print_settings(listed: Sequence[organizations.Organization]) -> None:
    shown = ("id", "display_name", "allowed_origins", "return_urls")
    rows = map(describe, listed)
    print_rows([{name: row[name] for name in shown} for row in rows], as_json=False)
