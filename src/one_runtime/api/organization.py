"""Serve `/v1/organization`: read, change and replace the settings of an organization."""

from dataclasses import asdict, replace
from typing import Annotated, Final, Literal

from pydantic import Field

from one_runtime.api.agent_policy import Calls, PolicyFields, policy_of
from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.fields import (
    NOT_NULL,
    READ_ONLY,
    Answer,
    Body,
    Color,
    DisplayName,
    Link,
    LongText,
    Moment,
    Slug,
    Text,
    Time,
    example,
)
from one_runtime.api.merge_patch import merge_patch
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import FieldError, InvalidInput
from one_runtime.integrations.enabling import MAX_SLUGS, require_known
from one_runtime.tenancy import organizations
from one_runtime.tenancy.agent_policy import Access
from one_runtime.tenancy.branding import Branding, Radius, Scheme
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.organizations import AgentSettings, Organization, SeveralConnectionsRule

router = Routes("Organization")

_SEVERAL: Final = Described(
    "What happens to a call that names none of an end user's several active connections: `refuse` answers with 409 "
    "`several_connections`, and `use_default` uses the end user's [default connection](api.md#default-connections), if "
    "there is one.",
    "use_default",
)


class Integrations(Body, title="Availability"):
    """The integrations that your end users can connect.

    `mode`: `all` enables every integration. `listed` enables only the integrations in `slugs`. `all_but` disables the
    integrations in `slugs`, and enables every other integration.
    """

    model_config = example(mode="listed", slugs=["hubspot", "slack"])

    mode: Literal["all", "listed", "all_but"] = "all"
    slugs: list[Slug] = Field([], max_length=MAX_SLUGS)


class Agents(PolicyFields, title="AgentSettings"):
    """The limits of all agents of your organization. The limits of an end-user token apply too.

    `connect_url`: a page of your product, on which an end user connects an account for an agent, or approves a call.
    One Runtime adds the query parameter `connect_request_id` or `approval_request_id`. Null: accounts are connected on
    One Runtime's own page, in the mode `link`, and approvals are not possible.

    `sign_in_url`: a page of your product, on which an end user signs in and approves an agent. One Runtime adds the
    query parameter `agent_authorization_id`. Null: end users cannot add your MCP address to an agent.
    """

    connect_url: Annotated[
        Link | None,
        Described(
            "The page of your product on which an end user connects an account for an agent, or null.",
            "https://app.example.com/connect",
        ),
    ] = None
    sign_in_url: Annotated[
        Link | None,
        Described(
            "The page of your product on which an end user signs in and approves an agent, or null.",
            "https://app.example.com/agents",
        ),
    ] = None
    access: Access = "write"


class BrandingFields(Body, title="Branding"):
    """The appearance of the popup and of its pages.

    `accent_color`: the color of buttons, links and focus rings in the light scheme, such as `#2450c4`. Null: black.
    `accent_color_dark`: the color in the dark scheme. Null: One Runtime derives the color from `accent_color`. A color
    needs a contrast of at least 3 to the popup's background. One Runtime chooses black or white text for buttons.

    `radius`: the radius of corners. `scheme`: `auto` follows the end user's browser. `logo_dark_url`: your logo in the
    dark scheme, as a data URI. Null: the logo in `logo_url`. `hide_powered_by`: hide the line “Powered by One Runtime”.
    """

    model_config = example(accent_color="#2450c4", radius="large", hide_powered_by=True)

    accent_color: Color | None = None
    accent_color_dark: Color | None = None
    radius: Radius = "medium"
    scheme: Scheme = "auto"
    logo_dark_url: LongText | None = None
    hide_powered_by: bool = False


class PutOrganization(Body, title="NewOrganization"):
    """All settings of your organization. One Runtime resets an omitted setting to its default.

    The body can also contain the other fields of the organization, as you have read them. `id` and `created_at` must
    have the present values. One Runtime ignores `updated_at`.
    """

    model_config = example(
        display_name="Northwind",
        privacy_url="https://northwind.example/privacy",
        allowed_origins=["https://app.northwind.example"],
        return_urls=["https://app.northwind.example/integrations"],
        integrations={"mode": "listed", "slugs": ["hubspot", "slack"]},
    )

    display_name: DisplayName
    logo_url: Annotated[
        LongText | None,
        Described("A data URI of a PNG, JPEG, WebP or SVG in base64. The decoded image can have at most 64 kB.", None),
    ] = None
    privacy_url: Link | None = None
    allowed_origins: list[Link] = Field([], max_length=50)
    return_urls: list[Link] = Field([], max_length=50)
    integrations: Annotated[
        Integrations, Described("The integrations that your end users can connect. Default: all.")
    ] = Integrations()
    agents: Agents = Agents()
    branding: BrandingFields = BrandingFields()
    several_connections: Annotated[SeveralConnectionsRule, _SEVERAL] = "refuse"
    id: Text | None = Field(None, json_schema_extra=READ_ONLY)
    created_at: Moment | None = Field(None, json_schema_extra=READ_ONLY)
    updated_at: Moment | None = Field(None, json_schema_extra=READ_ONLY)


class PatchIntegrations(Body, title="AvailabilityUpdate"):
    """The part of the availability to change. A new list of `slugs` replaces the old list."""

    model_config = example(mode="listed", slugs=["hubspot", "slack"])

    mode: Literal["all", "listed", "all_but"] | None = None
    slugs: list[Slug] | None = Field(None, max_length=MAX_SLUGS)


class PatchAgents(PolicyFields, title="AgentSettingsUpdate"):
    """The limits to change. A new list replaces the old list."""

    connect_url: Annotated[Link | None, Described("The new page, or null.", "https://app.example.com/connect")] = None
    sign_in_url: Annotated[Link | None, Described("The new page, or null.", "https://app.example.com/agents")] = None
    access: Access | None = None  # type: ignore[assignment] # null resets the access
    calls_per_run: Calls | None = None  # type: ignore[assignment] # null resets the number


class PatchBranding(Body, title="BrandingUpdate"):
    """The part of the branding to change. Null resets a setting to its default."""

    model_config = example(accent_color="#2450c4", accent_color_dark=None)

    accent_color: Color | None = None
    accent_color_dark: Color | None = None
    radius: Radius | None = None
    scheme: Scheme | None = None
    logo_dark_url: LongText | None = None
    hide_powered_by: bool | None = None


class PatchOrganization(Body, title="OrganizationUpdate"):
    """The settings to change (RFC 7396). An omitted setting keeps its value, and null resets a setting to its default.

    A new list replaces the old list. `display_name` cannot be null.
    """

    model_config = example(privacy_url="https://northwind.example/privacy", logo_url=None)

    display_name: Annotated[DisplayName, NOT_NULL] = Field(default_factory=str)
    logo_url: LongText | None = None
    privacy_url: Link | None = None
    allowed_origins: list[Link] | None = Field(None, max_length=50)
    return_urls: list[Link] | None = Field(None, max_length=50)
    integrations: Annotated[
        PatchIntegrations | None, Described("The integrations that your end users can connect.")
    ] = None
    agents: PatchAgents | None = None
    branding: PatchBranding | None = None
    several_connections: Annotated[SeveralConnectionsRule | None, _SEVERAL] = None


class OrganizationAnswer(Answer, title="Organization"):
    """Your organization, with all its settings."""

    id: str
    display_name: str
    logo_url: Annotated[str | None, Described("The data URI of your logo, or null.", None)]
    privacy_url: str | None
    allowed_origins: tuple[str, ...]
    return_urls: tuple[str, ...]
    integrations: Annotated[Integrations, Described("The integrations that your end users can connect.")]
    agents: Agents
    branding: BrandingFields
    several_connections: Annotated[SeveralConnectionsRule, _SEVERAL]
    created_at: Time
    updated_at: Time


@router.route("GET /v1/organization", scope="read", conditional=True, summary="Read your organization")
async def get_organization(
    caller: Authenticated, installation: Installed, conditions: Conditional
) -> OrganizationAnswer:
    """Return the settings of your organization."""
    async with installation.database.read() as tx:
        return conditions.tag(_answer(await organizations.get(tx, caller.organization_id)))


@router.route("PATCH /v1/organization", scope="admin", conditional=True, summary="Change your organization's settings")
async def update_organization(
    body: PatchOrganization, caller: Authenticated, installation: Installed, conditions: Conditional
) -> OrganizationAnswer:
    """Change some settings of your organization. The body is a JSON Merge Patch (RFC 7396).

    A request that changes nothing writes no event, and `updated_at` stays the same.
    """
    async with installation.database.write() as tx:
        organization = await organizations.get(tx, caller.organization_id, lock=True)
        conditions.require(lambda: _answer(organization))
        settings = merge_patch(_settings(organization), body.model_dump(exclude_unset=True))
        saved = await _save(tx, installation, caller.actor, organization, PutOrganization.model_validate(settings))
    return conditions.tag(saved)


@router.route("PUT /v1/organization", scope="admin", conditional=True, summary="Replace your organization's settings")
async def replace_organization(
    body: PutOrganization, caller: Authenticated, installation: Installed, conditions: Conditional
) -> OrganizationAnswer:
    """Replace all settings of your organization. `PATCH /v1/organization` changes only the settings that you send.

    A request that changes nothing writes no event, and `updated_at` stays the same.
    """
    async with installation.database.write() as tx:
        organization = await organizations.get(tx, caller.organization_id, lock=True)
        conditions.require(lambda: _answer(organization))
        _require_same(organization, body)
        saved = await _save(tx, installation, caller.actor, organization, body)
    return conditions.tag(saved)


def _require_same(organization: Organization, body: PutOrganization) -> None:
    """Raises: InvalidInput if the body has another value of a field that cannot be changed."""
    present: dict[str, object] = {"id": organization.id, "created_at": organization.created_at}
    message = "cannot be changed. Send the value that GET /v1/organization returns, or omit the field"
    errors = [FieldError(name, message) for name, value in present.items() if getattr(body, name) not in {None, value}]
    if errors:
        raise InvalidInput.of_all(errors)


async def _save(
    tx: Transaction, installation: Installation, actor: Actor, organization: Organization, settings: PutOrganization
) -> OrganizationAnswer:
    """Raises: InvalidInput for an unknown slug. The organization can keep slugs that have become unknown."""
    slugs = tuple(dict.fromkeys(settings.integrations.slugs))
    catalog = await installation.catalogs.of(tx, organization.id)
    require_known(catalog, organization, slugs, "integrations.slugs")
    changed = replace(
        organization,
        display_name=settings.display_name,
        logo_url=settings.logo_url,
        privacy_url=settings.privacy_url,
        allowed_origins=tuple(settings.allowed_origins),
        return_urls=tuple(settings.return_urls),
        integrations_mode=settings.integrations.mode,
        integrations_slugs=slugs,
        agents=AgentSettings(
            settings.agents.connect_url,
            policy_of(settings.agents, catalog, "agents.", organization.agents.policy),
            settings.agents.sign_in_url,
        ),
        branding=Branding(**dict(settings.branding)),
        several_connections=settings.several_connections,
    )
    return _answer(await organizations.save(tx, actor, changed, installation.clock()))


def _answer(organization: Organization) -> OrganizationAnswer:
    return OrganizationAnswer.model_validate({**asdict(organization), **_settings(organization)})


def _settings(organization: Organization) -> dict[str, object]:
    """Return the settings with the names and the form of the API."""
    names = ("display_name", "logo_url", "privacy_url", "allowed_origins", "return_urls", "several_connections")
    integrations = {"mode": organization.integrations_mode, "slugs": organization.integrations_slugs}
    return {
        **{name: getattr(organization, name) for name in names},
        "integrations": integrations,
        "agents": organization.agents.fields,
        "branding": organization.branding.fields,
    }
