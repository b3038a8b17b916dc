"""Organizations: stored settings, enabled integrations, return URLs, and what a setting may be."""

from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import pytest

from one_runtime.errors import InvalidInput, NotFound
from one_runtime.tenancy import events, organizations
from one_runtime.tenancy.events import Actor, EventFilter
from one_runtime.tenancy.organizations import MAX_NAME, MAX_ORIGINS, IntegrationsMode, Organization
from tests.application import Application


async def created(application: Application, name: str = "Northwind") -> Organization:
    async with application.installation.database.write() as tx:
        return await organizations.create(tx, name, application.clock(), allowed_origins=["https://App.example.com/"])


async def test_new_organization_offers_every_integration_and_is_stored_as_returned(application: Application) -> None:
    organization = await created(application, " Northwind ")
    assert organization.display_name == "Northwind"
    assert organization.allowed_origins == ("https://app.example.com",)
    assert organization.offers("hubspot")
    async with application.installation.database.read() as tx:
        assert await organizations.get(tx, organization.id) == organization


async def test_organizations_are_listed_with_the_oldest_first(application: Application) -> None:
    first, second = await created(application), await created(application, "Southwind")
    async with application.installation.database.read() as tx:
        assert await organizations.list_all(tx) == [first, second]


@pytest.mark.parametrize("name", ["northwind", "018f0000-0000-7000-8000-000000000000"])
async def test_organization_that_does_not_exist_is_not_found(application: Application, name: str) -> None:
    async with application.installation.database.read() as tx:
        with pytest.raises(NotFound):
            await organizations.get(tx, name)


async def test_saved_settings_are_canonical_and_the_event_names_the_changed_ones(application: Application) -> None:
    organization = await created(application)
    actor, now = Actor(organization.id, "system"), application.clock() + timedelta(hours=1)
    changed = replace(organization, display_name=" Southwind ", return_urls=("https://a.example/x",) * 2, logo_url=" ")
    async with application.installation.database.write() as tx:
        saved = await organizations.save(tx, actor, changed, now)
        (event,), _ = await events.list_newest(tx, organization.id, EventFilter(), limit=9, before=None)
        assert await organizations.get(tx, organization.id) == saved
    assert (saved.display_name, saved.return_urls, saved.logo_url) == ("Southwind", ("https://a.example/x",), None)
    assert (saved.created_at, saved.updated_at) == (organization.created_at, now)
    assert (event.type, event.data) == ("organization.updated", {"changed": ["display_name", "return_urls"]})


async def test_saving_one_organization_changes_no_other(application: Application) -> None:
    first, second = await created(application), await created(application, "Southwind")
    async with application.installation.database.write() as tx:
        renamed = replace(first, display_name="Eastwind")
        await organizations.save(tx, Actor(first.id, "system"), renamed, application.clock())
        assert await organizations.get(tx, second.id) == second


# Ten groups, each of which draws the previous group ten times: ten billion elements in 1 kB.
_GROUPS = "".join(f'<g id="g{level}">' + f'<use href="#g{level - 1}"/>' * 10 + "</g>" for level in range(1, 11))
_NESTED = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path id="g0" d="M0 0h9"/>{_GROUPS}</svg>'


def svg_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()


async def test_refused_setting_is_not_stored(application: Application) -> None:
    organization = await created(application)
    actor = Actor(organization.id, "system")
    async with application.installation.database.write() as tx:
        for wrong in (
            {"display_name": " "},
            {"display_name": "North\u202ewind"},
            {"display_name": "\u200b\u3164"},
            {"return_urls": ("http://a.example",)},
            {"logo_url": "https://a.example"},
            {"logo_url": svg_uri(_NESTED)},
        ):
            with pytest.raises(InvalidInput):
                await organizations.save(tx, actor, replace(organization, **wrong), application.clock())
        assert await organizations.get(tx, organization.id) == organization


@pytest.mark.parametrize(
    "mode, offered", [("all", {"hubspot", "slack"}), ("listed", {"hubspot"}), ("all_but", {"slack"})]
)
async def test_mode_decides_whether_listed_slugs_are_enabled_or_disabled(
    application: Application, mode: IntegrationsMode, offered: set[str]
) -> None:
    organization = replace(await created(application), integrations_mode=mode, integrations_slugs=("hubspot",))
    assert {slug for slug in ("hubspot", "slack") if organization.offers(slug)} == offered


async def test_browser_returns_to_a_registered_url_with_any_query_only(application: Application) -> None:
    organization = replace(await created(application), return_urls=("https://app.example.com/back?from=1",))
    for allowed in ("https://app.example.com/back", "https://app.example.com/back?state=2"):
        assert organization.returns_to(allowed)
    for refused in ("https://app.example.com/back/", "https://app.example.com/back2", "https://app.example.com", ""):
        assert not organization.returns_to(refused)


@pytest.mark.parametrize(
    "origin, canonical",
    [
        ("HTTPS://App.Example.com:443/", "https://app.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
    ],
)
def test_origin_is_stored_in_canonical_form(origin: str, canonical: str) -> None:
    assert organizations.clean_origins([origin, canonical]) == (canonical,)


@pytest.mark.parametrize(
    "origin",
    [
        "*", "https://*.example.com", "app.example.com", "https://app.example.com/path", "https://app.example.com?x",
        "https://user@app.example.com", "http://app.example.com", "ftp://app.example.com", "https://[::1", "https://a:x",
    ],
)  # fmt: skip
def test_origin_with_more_than_scheme_host_and_port_is_refused(origin: str) -> None:
    with pytest.raises(InvalidInput, match="allowed_origins"):
        organizations.clean_origins([origin])


def test_number_of_origins_and_return_urls_is_limited() -> None:
    urls = [f"https://app{number}.example.com" for number in range(MAX_ORIGINS + 1)]
    assert len(organizations.clean_origins(urls[1:])) == len(organizations.clean_return_urls(urls[1:])) == MAX_ORIGINS
    for clean in (organizations.clean_origins, organizations.clean_return_urls):
        with pytest.raises(InvalidInput, match=str(MAX_ORIGINS)):
            clean(urls)


def test_blank_return_url_is_refused_and_a_blank_link_is_none() -> None:
    assert organizations.clean_link("privacy_url", "  ") is None
    with pytest.raises(InvalidInput, match="return_urls"):
        organizations.clean_return_urls(["https://app.example.com", " "])


def test_name_has_1_to_255_characters() -> None:
    assert organizations.clean_name(f" {'x' * MAX_NAME} ") == "x" * MAX_NAME
    for wrong in ("", " ", "x" * (MAX_NAME + 1)):
        with pytest.raises(InvalidInput):
            organizations.clean_name(wrong)
