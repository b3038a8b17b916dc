"""`/v1/organization`: how your organization looks in hosted pages, where they may be opened, what it offers."""

from dataclasses import replace
from typing import Literal

from pydantic import Field

from one_runtime.api.fields import Answer, Body, Link, LongText, Slug, Text, Time, example
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.errors import InvalidInput
from one_runtime.tenancy import organizations
from one_runtime.tenancy.organizations import Organization

router = Routes("Organization")


class Integrations(Body, title="Availability"):
    """Which integrations are offered: all, the listed ones, or all but the listed ones."""

    mode: Literal["all", "listed", "all_but"] = "all"
    slugs: list[Slug] = Field([], max_length=2000)


class PutOrganization(Body, title="NewOrganization"):
    """The whole of it: what is left out goes back to its default."""

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
    """Your organization."""

    id: str
    display_name: str
    logo_url: str | None
    privacy_url: str | None
    allowed_origins: tuple[str, ...]
    return_urls: tuple[str, ...]
    integrations: Integrations
    created_at: Time
    updated_at: Time


@router.get("/v1/organization", scope="read", summary="Read your organization")
async def get_organization(caller: Authenticated, installation: Installed) -> OrganizationAnswer:
    """Your organization's settings."""
    async with installation.database.read() as tx:
        return _answer(await organizations.get(tx, caller.organization_id))


@router.put("/v1/organization", scope="admin", summary="Set up your organization")
async def replace_organization(
    body: PutOrganization, caller: Authenticated, installation: Installed
) -> OrganizationAnswer:
    """Replace your organization's settings."""
    async with installation.database.write() as tx:
        catalog = await installation.catalogs.of(tx, caller.organization_id)
        unknown = [slug for slug in body.integrations.slugs if catalog.get(slug) is None]
        if unknown:
            raise InvalidInput.of("integrations.slugs", f"there is no integration {unknown[0]!r}")
        found = await organizations.get(tx, caller.organization_id)
        wanted = replace(
            found,
            display_name=body.display_name,
            logo_url=body.logo_url,
            privacy_url=body.privacy_url,
            allowed_origins=tuple(body.allowed_origins),
            return_urls=tuple(body.return_urls),
            integrations_mode=body.integrations.mode,
            integrations_slugs=tuple(dict.fromkeys(body.integrations.slugs)),
        )
        return _answer(await organizations.save(tx, caller.actor, wanted, installation.clock()))


def _answer(one: Organization) -> OrganizationAnswer:
    integrations = Integrations(mode=one.integrations_mode, slugs=list(one.integrations_slugs))
    names = ("id", "display_name", "logo_url", "privacy_url", "allowed_origins", "return_urls")
    more = ("created_at", "updated_at")
    values = {name: getattr(one, name) for name in names + more}
    return OrganizationAnswer.model_validate({**values, "integrations": integrations})
