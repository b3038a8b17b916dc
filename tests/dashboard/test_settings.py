"""The settings page: names and URLs, branding, and the preview of the popup."""

import base64
import re
from typing import Any, Final

import httpx2
import pytest

from one_runtime.tenancy.branding import DEFAULT_BRANDING
from tests.dashboard.team import Team, TeamBrowser, text_of

SVG: Final = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8H0z"/></svg>'
GENERAL: Final = {
    "display_name": "Northwind Traders",
    "privacy_url": "https://northwind.example/privacy",
    "allowed_origins": "https://app.northwind.example\nhttps://admin.northwind.example",
    "return_urls": "https://app.northwind.example/back",
    "agents.connect_url": "https://app.northwind.example/connect",
    "agents.sign_in_url": "",
    "several_connections": "use_default",
}
BRANDING: Final = {
    "branding.accent_color": "#8B0000",
    "branding.accent_color_dark": "",
    "branding.radius": "none",
    "branding.scheme": "light",
    "hide_powered_by": "yes",
}


async def settings_of(team: Team) -> dict[str, Any]:
    settings: dict[str, Any] = (await team.api.get("/v1/organization")).json()
    return settings


async def upload(browser: TeamBrowser, path: str, fields: dict[str, str], **files: bytes) -> httpx2.Response:
    named = {name.replace("__", "."): (f"{name}.svg", content, "image/svg+xml") for name, content in files.items()}
    headers = {"sec-fetch-site": "same-origin"}
    return await browser.http.post(browser.address(path), data=fields, files=named, headers=headers)


async def test_administrator_changes_names_origins_and_urls(team: Team) -> None:
    browser = await team.browser("admin")
    page = await browser.submit("settings", GENERAL)
    assert "The settings are saved." in text_of(page)
    settings = await settings_of(team)
    assert settings["display_name"] == "Northwind Traders"
    assert settings["allowed_origins"] == GENERAL["allowed_origins"].split()
    assert settings["return_urls"] == [GENERAL["return_urls"]]
    assert settings["agents"]["connect_url"] == GENERAL["agents.connect_url"]
    assert settings["agents"]["sign_in_url"] is None
    assert settings["several_connections"] == "use_default"
    assert all(value in page.text for value in GENERAL.values())
    newest = (await team.api.get("/v1/events")).json()["events"][0]
    assert newest["actor"] == {"type": "member", "id": browser.member_id}
    changed = ["agents", "allowed_origins", "display_name", "privacy_url", "return_urls", "several_connections"]
    assert newest["data"]["changed"] == changed


async def test_invalid_settings_change_nothing_and_stay_in_the_form(team: Team) -> None:
    browser, before = await team.browser("admin"), await settings_of(team)
    for field, value, reason in (
        ("display_name", " ", "must have 1 to 255 characters"),
        ("allowed_origins", "https://app.example.com/path", "must be an origin"),
        ("return_urls", "http://app.example.com", "must be an https URL"),
        ("privacy_url", "javascript:alert(1)", "must be an https URL"),
        ("agents.connect_url", "ftp://app.example.com", "must be an https URL"),
    ):
        page = await browser.post("settings", {**GENERAL, field: value})
        assert page.status_code == 422
        assert reason in text_of(page)
        assert f'aria-describedby="h-{field} e-{field}"' in page.text
        assert GENERAL["return_urls" if field != "return_urls" else "privacy_url"] in page.text
    assert await settings_of(team) == before


async def test_branding_is_saved_with_uploaded_logos_and_removed_again(team: Team) -> None:
    browser = await team.browser("admin")
    logo = f"data:image/svg+xml;base64,{base64.b64encode(SVG).decode()}"
    answer = await upload(browser, "settings/branding", BRANDING, logo_url=SVG, branding__logo_dark_url=SVG)
    assert answer.headers["location"].endswith("/settings?done=branding#branding")
    expected = {
        "accent_color": "#8b0000",
        "accent_color_dark": None,
        "radius": "none",
        "scheme": "light",
        "logo_dark_url": logo,
        "hide_powered_by": True,
    }
    settings = await settings_of(team)
    assert (settings["logo_url"], settings["branding"]) == (logo, expected)
    await browser.submit("settings/branding", {**BRANDING, "branding.scheme": "auto"})
    settings = await settings_of(team)
    assert (settings["logo_url"], settings["branding"]) == (logo, {**expected, "scheme": "auto"}), "keeps the logos"
    await browser.submit("settings/branding", {"remove.logo_url": "yes", "remove.branding.logo_dark_url": "yes"})
    settings = await settings_of(team)
    assert settings["logo_url"] is None
    assert settings["branding"] == DEFAULT_BRANDING.fields


@pytest.mark.parametrize("path", ["settings/branding", "settings/branding/preview"])
async def test_color_with_too_little_contrast_shows_the_nearest_color(team: Team, path: str) -> None:
    browser, before = await team.browser("admin"), await settings_of(team)
    page = await browser.post(path, {**BRANDING, "branding.accent_color": "#ffd400"})
    assert page.status_code == 422
    assert "The nearest color with enough contrast is #aa8d00" in text_of(page)
    for field, value in (("branding.radius", "10px"), ("branding.scheme", "sepia")):
        assert (await browser.post(path, {**BRANDING, field: value})).status_code == 422
    assert (await upload(browser, path, BRANDING, logo_url=b"<svg onload='x'/>")).status_code == 422
    assert await settings_of(team) == before


async def test_preview_shows_unsaved_branding_without_storing_it(team: Team) -> None:
    browser, before = await team.browser("admin"), await settings_of(team)
    saved = await browser.get("settings/branding/preview")
    assert "Powered by One Runtime" in text_of(saved)
    assert "theme-" not in saved.text
    page = await upload(browser, "settings/branding/preview", BRANDING, logo_url=SVG)
    public_url = team.application.installation.settings.public_url
    theme = r"theme-8b0000-[0-9a-f]{6}-none-light-unnamed\.css"
    assert re.search(rf'href="{public_url}/connect/assets/en-\w+/{theme}"', page.text)
    assert base64.b64encode(SVG).decode() in page.text
    assert "Powered by One Runtime" not in text_of(page)
    assert "<script" not in page.text
    assert "<body inert" in page.text
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy
    assert "script-src" not in policy
    assert "form-action 'none'" in policy
    assert page.headers["x-frame-options"] == "SAMEORIGIN"
    assert (await browser.get("settings")).headers["x-frame-options"] == "DENY"
    assert await settings_of(team) == before


async def test_members_without_the_permission_only_read(team: Team) -> None:
    await (await team.browser("admin")).submit("settings", GENERAL)
    for role in ("support", "developer"):
        browser = await team.browser(role)
        page = await browser.get("settings")
        assert GENERAL["privacy_url"] in text_of(page)
        assert 'action="/o' not in page.text.partition("<main")[2]
        assert (await browser.get("settings/branding/preview")).status_code == 200
        for path in ("settings", "settings/branding", "settings/branding/preview"):
            assert (await browser.post(path, {**GENERAL, **BRANDING})).status_code == 403


async def test_page_shows_the_present_logos_and_returns_to_the_branding(team: Team) -> None:
    browser = await team.browser("admin")
    assert 'class="present-logo' not in (await browser.get("settings")).text
    answer = await upload(browser, "settings/branding", BRANDING, logo_url=SVG, branding__logo_dark_url=SVG)
    path = f"/o/{team.organization_id}/settings?done=branding#branding"
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    page = (await browser.http.get(path)).text
    source = "data:image/svg+xml;base64," + base64.b64encode(SVG).decode()
    assert re.findall(r'<img class="(present-logo[^"]*)" src="([^"]*)" alt="([^"]*)"', page) == [
        ("present-logo", source, "Present logo"),
        ("present-logo on-dark", source, "Present logo for the dark scheme"),
    ]
    _, _, branding = page.partition('id="branding"')
    assert page.count("The branding is saved.") == branding.count("The branding is saved.") == 1
    general = (await browser.get("settings", done="saved")).text
    assert "The settings are saved." in general.partition('id="general"')[0]
