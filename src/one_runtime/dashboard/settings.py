"""The settings of an organization: names and URLs, and the branding of the popup with a preview."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast, get_args

from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.errors import InvalidInput
from one_runtime.tenancy import organizations
from one_runtime.tenancy.branding import Branding, Radius, Scheme, clean_branding, clean_logo, image_data_uri
from one_runtime.tenancy.organizations import Organization, SeveralConnectionsRule

_PATH: Final = f"{ORGANIZATION}/settings"
_PREVIEW: Final = f"{_PATH}/branding/preview"
_GENERAL: Final = (
    "display_name",
    "privacy_url",
    "allowed_origins",
    "return_urls",
    "agents.connect_url",
    "agents.sign_in_url",
    "several_connections",
)
_RULES: Final[Mapping[SeveralConnectionsRule, str]] = {
    "refuse": "Refuse the call, so that it names an account",
    "use_default": "Use the default account of the end user",
}
_BRANDING: Final = (
    "branding.accent_color",
    "branding.accent_color_dark",
    "branding.radius",
    "branding.scheme",
    "logo_url",
    "branding.logo_dark_url",
)


@dataclass(frozen=True, slots=True)
class FilledForm:
    """A form as the page shows it: the saved values, or the posted values with their errors."""

    values: Mapping[str, str]
    errors: FormErrors | None = None


pages = Pages({"saved": "The settings are saved.", "branding": "The branding is saved."})


@pages.get(_PATH, access="read")
async def show_settings(visit: Visit) -> Response:
    """Show the settings."""
    return _settings_page(visit, await _organization(visit))


@pages.post(_PATH, access="admin")
async def save_settings(visit: Visit) -> Response:
    """Change names, origins and URLs."""
    form = await visit.form()
    values = {name: str(form.get(name, "")) for name in _GENERAL}
    try:
        async with visit.installation.database.write() as tx:
            organization = await organizations.get(tx, visit.organization_id, lock=True)
            agents = replace(
                organization.agents,
                connect_url=values["agents.connect_url"],
                sign_in_url=values["agents.sign_in_url"],
            )
            changed = replace(
                organization,
                display_name=values["display_name"],
                privacy_url=values["privacy_url"],
                allowed_origins=tuple(values["allowed_origins"].split()),
                return_urls=tuple(values["return_urls"].split()),
                agents=agents,
                several_connections=_rule(values["several_connections"]),
            )
            await organizations.save(tx, visit.actor, changed, visit.now)
    except InvalidInput as error:
        general = FilledForm(values, FormErrors.of(error, _GENERAL))
        return _settings_page(visit, await _organization(visit), general=general)
    return visit.redirect("settings", done="saved")


@pages.post(f"{_PATH}/branding", access="admin", recent=False)  # only looks, and a browser would lose the logos
async def save_branding(visit: Visit) -> Response:
    """Change the colors, the corners, the scheme and the logos of the popup."""
    form = await visit.form()
    try:
        async with visit.installation.database.write() as tx:
            organization = await organizations.get(tx, visit.organization_id, lock=True)
            changed = await _with_branding(form, organization)
            await organizations.save(tx, visit.actor, changed, visit.now)
    except InvalidInput as error:
        posted = {name: str(form.get(name, "")) for name in (*_BRANDING, "hide_powered_by")}
        branding = FilledForm(posted, FormErrors.of(error, _BRANDING))
        return _settings_page(visit, await _organization(visit), branding=branding)
    return visit.redirect("settings", fragment="branding", done="branding")


@pages.get(_PREVIEW, access="read")
async def show_preview(visit: Visit) -> Response:
    """Show the popup with the saved branding. The settings page shows this page in a frame."""
    return _preview(visit, await _organization(visit))


@pages.post(_PREVIEW, access="admin", recent=False)
async def show_unsaved_preview(visit: Visit) -> Response:
    """Show the popup with the branding of the form. Store nothing."""
    form, organization = await visit.form(), await _organization(visit)
    try:
        changed = await _with_branding(form, organization)
        logo_url = clean_logo("logo_url", changed.logo_url)
        branding = clean_branding(changed.branding, logo_url)
    except InvalidInput as error:
        body = visit.renderer.render("preview_problem.html", error=error)
        return Response(body, error.status, visit.renderer.frame_headers)
    return _preview(visit, replace(changed, logo_url=logo_url, branding=branding))


def _preview(visit: Visit, organization: Organization) -> Response:
    return Response(visit.services.render_preview(organization), headers=visit.renderer.frame_headers)


async def _organization(visit: Visit) -> Organization:
    async with visit.installation.database.read() as tx:
        return await organizations.get(tx, visit.organization_id)


async def _with_branding(form: FormData, organization: Organization) -> Organization:
    """Return the organization with the logos and the branding of a form. Keep a logo that the form does not replace."""
    branding = Branding(
        accent_color=_text(form, "branding.accent_color"),
        accent_color_dark=_text(form, "branding.accent_color_dark"),
        radius=cast("Radius", _text(form, "branding.radius") or "medium"),
        scheme=cast("Scheme", _text(form, "branding.scheme") or "auto"),
        logo_dark_url=await _logo(form, "branding.logo_dark_url", organization.branding.logo_dark_url),
        hide_powered_by=form.get("hide_powered_by") is not None,
    )
    return replace(organization, logo_url=await _logo(form, "logo_url", organization.logo_url), branding=branding)


def _rule(value: str) -> SeveralConnectionsRule:
    """Raises: InvalidInput."""
    for rule in _RULES:
        if rule == value:
            return rule
    raise InvalidInput.of("several_connections", f"must be {' or '.join(_RULES)}")


def _text(form: FormData, name: str) -> str | None:
    return str(form.get(name, "")).strip() or None


async def _logo(form: FormData, name: str, present: str | None) -> str | None:
    """Return the uploaded logo, the present logo, or None if the member removes the logo."""
    uploaded = form.get(name)
    if isinstance(uploaded, UploadFile) and uploaded.size:
        return image_data_uri(await uploaded.read())
    return None if form.get(f"remove.{name}") is not None else present


def _settings_page(
    visit: Visit, organization: Organization, *, general: FilledForm | None = None, branding: FilledForm | None = None
) -> Response:
    """Render the page. `general`, `branding`: a form with errors, or None for the saved settings."""
    return visit.render(
        "settings.html",
        status=422 if general or branding else 200,
        title="Settings",
        organization=organization,
        editable=visit.may("admin"),
        general=general or FilledForm(_general_values(organization)),
        branding=branding or FilledForm(_branding_values(organization.branding)),
        rules=[*_RULES.items()],
        radii=[(radius, radius.capitalize()) for radius in get_args(Radius)],
        schemes=(("auto", "As the end user's browser"), ("light", "Light"), ("dark", "Dark")),
    )


def _general_values(organization: Organization) -> dict[str, str]:
    return {
        "display_name": organization.display_name,
        "privacy_url": organization.privacy_url or "",
        "allowed_origins": "\n".join(organization.allowed_origins),
        "return_urls": "\n".join(organization.return_urls),
        "agents.connect_url": organization.agents.connect_url or "",
        "agents.sign_in_url": organization.agents.sign_in_url or "",
        "several_connections": organization.several_connections,
    }


def _branding_values(branding: Branding) -> dict[str, str]:
    return {
        "branding.accent_color": branding.accent_color or "",
        "branding.accent_color_dark": branding.accent_color_dark or "",
        "branding.radius": branding.radius,
        "branding.scheme": branding.scheme,
        "hide_powered_by": "yes" if branding.hide_powered_by else "",
    }
