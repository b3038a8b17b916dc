"""Serve `/v1/organization`: read and replace the settings of an organization."""

from dataclasses import asdict, replace
from typing import Literal

from pydantic import Field

from one_runtime.api.fields import Answer, Body, Link, LongText, Slug, Text, Time, example
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.errors import InvalidInput
from one_runtime.tenancy import organizations
from one_runtime.tenancy.organizations import Organization

router = Routes("Organization")


class Integrations(Body, title="Availability"):
    """The integrations that your end users can connect.

    `mode`: `all` enables every integration. `listed` enables only the integrations in `slugs`. `all_but` disables the
    integrations in `slugs`, and enables every other integration.
    """

    mode: Literal["all", "listed", "all_but"] = "all"
    slugs: list[Slug] = Field([], max_length=2000)


class PutOrganization(Body, title="NewOrganization"):
    """All settings of your organization. One Runtime resets an omitted setting to its default."""

    model_config = example(
        display_name="Northwind",
        privacy_url="https://northwind.example/privacy",
        allowed_origins=["https://app.northwind.example"],
        return_urls=["https://app.northwind.example/integrations"],
        integrations={"mode": "listed", "slugs": ["hubspot", "slack"]},
    )

    display_name: Text
    logo_url: LongText | None = None
    privacy_url: Link | None = None
    allowed_origins: list[Link] = Field([], max_length=50)
    return_urls: list[Link] = Field([], max_length=50)
    integrations: Integrations = Integrations()


class OrganizationAnswer(Answer, title="Organization"):
    """Your organization, with all its settings."""

    id: str
    display_name: str
    logo_url: str | None
    privacy_url: str | None
    allowed_origins: tuple[str, ...]
    return_urls: tuple[str, ...]
    integrations: Integrations
    created_at: Time
    updated_at: Time


@router.route("GET /v1/organization", scope="read", summary="Read your organization")
async def get_organization(caller: Authenticated, installation: Installed) -> OrganizationAnswer:
    """Return the settings of your organization."""
    async with installation.database.read() as tx:
        return _answer(await organizations.get(tx, caller.organization_id))


@router.route("PUT /v1/organization", scope="admin", summary="Replace your organization's settings")
async def replace_organization(
    body: PutOrganization, caller: Authenticated, installation: Installed
) -> OrganizationAnswer:
    """Replace the settings of your organization."""
    async with installation.database.write() as tx:
        catalog = await installation.catalogs.of(tx, caller.organization_id)
        unknown = [slug for slug in body.integrations.slugs if catalog.get(slug) is None]
        if unknown:
            raise InvalidInput.of("integrations.slugs", f"there is no integration {unknown[0]!r}")
        organization = await organizations.get(tx, caller.organization_id)
        changed = replace(
            organization,
            display_name=body.display_name,
            logo_url=body.logo_url,
            privacy_url=body.privacy_url,
            allowed_origins=tuple(body.allowed_origins),
            return_urls=tuple(body.return_urls),
            integrations_mode=body.integrations.mode,
            integrations_slugs=tuple(dict.fromkeys(body.integrations.slugs)),
        )
        return _answer(await organizations.save(tx, caller.actor, changed, installation.clock()))


def _answer(organization: Organization) -> OrganizationAnswer:
    integrations = {"mode": organization.integrations_mode, "slugs": organization.integrations_slugs}
    return OrganizationAnswer.model_validate({**asdict(organization), "integrations": integrations})
