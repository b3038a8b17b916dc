"""`/v1/organization`: appearance of hosted pages, allowed origins, available integrations."""

import asyncio
import base64
from typing import Any, Final

import pytest

from one_runtime.tenancy.branding import MAX_LOGO_BYTES
from tests.application import ORIGIN, Client

PATH: Final = "/v1/organization"
PNG: Final = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
LARGE: Final = "data:image/png;base64," + base64.b64encode(b"x" * (MAX_LOGO_BYTES + 1)).decode()


async def put(client: Client, **fields: Any) -> Any:
    answer = await client.send("PUT", PATH, {"display_name": "Northwind", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_all_integrations_are_available_to_a_new_organization(client: Client) -> None:
    organization = (await client.get(PATH)).json()
    assert organization["display_name"] == "Northwind"
    assert organization["allowed_origins"] == [ORIGIN]
    assert organization["integrations"] == {"mode": "all", "slugs": []}
    assert (organization["logo_url"], organization["privacy_url"], organization["return_urls"]) == (None, None, [])


async def test_put_stores_canonical_values_and_resets_omitted_fields(client: Client) -> None:
    saved = await put(
        client,
        display_name="  Northwind Traders ",
        logo_url=PNG,
        privacy_url=" https://example.com/privacy ",
        allowed_origins=["HTTPS://App.Example.com:443/", "https://app.example.com", "http://localhost:3000"],
        return_urls=["https://example.com/back?x=1"],
        integrations={"mode": "listed", "slugs": ["Slack", "slack", "acme"]},
    )
    assert saved["display_name"] == "Northwind Traders"
    assert saved["logo_url"] == PNG
    assert saved["privacy_url"] == "https://example.com/privacy"
    assert saved["allowed_origins"] == ["https://app.example.com", "http://localhost:3000"]
    assert saved["return_urls"] == ["https://example.com/back?x=1"]
    assert saved["integrations"] == {"mode": "listed", "slugs": ["slack", "acme"]}
    assert (await client.get(PATH)).json() == saved
    bare = await put(client)
    assert (bare["logo_url"], bare["privacy_url"], bare["allowed_origins"]) == (None, None, [])
    assert bare["integrations"] == {"mode": "all", "slugs": []}


async def test_all_but_mode_hides_the_listed_integrations_everywhere(client: Client) -> None:
    hidden = {"mode": "all_but", "slugs": ["HubSpot", "acme"]}
    everything = set(await client.integrations())
    saved = await put(client, integrations=hidden, allowed_origins=[ORIGIN])
    assert saved["integrations"] == {"mode": "all_but", "slugs": ["hubspot", "acme"]}
    assert set(await client.integrations()) == everything - {"hubspot", "acme"}
    session = {"integration_slug": "acme", "end_user_id": "user_123"}
    assert (await client.post("/v1/hosted-connection-sessions", session)).status_code == 422
    token = (await client.post("/v1/hosted-connection-sessions", {"end_user_id": "user_123"})).json()["session_token"]
    shown = {integration["slug"] for integration in (await client.popup("", token)).json()["integrations"]}
    assert shown == everything - {"hubspot", "acme"}
    await put(client, integrations={"mode": "all_but", "slugs": []})
    assert set(await client.integrations()) == everything


async def events(client: Client) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await client.get("/v1/events", type="organization.updated")).json()["events"]
    return listed


async def test_patch_changes_only_the_settings_it_contains(client: Client) -> None:
    before = await put(
        client,
        logo_url=PNG,
        privacy_url="https://example.com/privacy",
        allowed_origins=[ORIGIN],
        return_urls=["https://example.com/back"],
        integrations={"mode": "all_but", "slugs": ["slack"]},
    )
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"display_name": " Southwind "}, {"display_name": "Southwind"}),
        ({"logo_url": None, "return_urls": None}, {"logo_url": None, "return_urls": []}),
        ({"privacy_url": ""}, {"privacy_url": None}),
        ({"allowed_origins": ["http://localhost:3000"]}, {"allowed_origins": ["http://localhost:3000"]}),
        ({"integrations": {"mode": "listed"}}, {"integrations": {"mode": "listed", "slugs": ["slack"]}}),
        (
            {"integrations": {"slugs": ["HubSpot", "acme"]}},
            {"integrations": {"mode": "listed", "slugs": ["hubspot", "acme"]}},
        ),
        ({"integrations": {"slugs": None}}, {"integrations": {"mode": "listed", "slugs": []}}),
        ({"integrations": None}, {"integrations": {"mode": "all", "slugs": []}}),
    ]
    for body, changes in cases:
        answer = await client.send("PATCH", PATH, body)
        assert answer.status_code == 200, answer.text
        before |= changes
        assert {**answer.json(), "updated_at": ""} == {**before, "updated_at": ""}, body
        assert (await client.get(PATH)).json() == answer.json()
    assert (await events(client))[0]["data"] == {"changed": ["integrations_mode"]}


async def test_branding_is_merged_replaced_and_reset(client: Client) -> None:
    default = {
        "accent_color": None,
        "accent_color_dark": None,
        "radius": "medium",
        "scheme": "auto",
        "logo_dark_url": None,
        "hide_powered_by": False,
    }
    assert (await client.get(PATH)).json()["branding"] == default
    colors = {"accent_color": "#2450C4", "accent_color_dark": "#9db8ff", "radius": "large"}
    assert (await put(client, branding=colors))["branding"] == {**default, **colors, "accent_color": "#2450c4"}
    assert (await events(client))[0]["data"]["changed"] == ["allowed_origins", "branding"]
    cases: list[tuple[dict[str, Any] | None, dict[str, Any]]] = [
        (
            {"scheme": "dark", "radius": None},
            {"accent_color": "#2450c4", "accent_color_dark": "#9db8ff", "scheme": "dark"},
        ),
        ({"accent_color": None}, {"accent_color_dark": "#9db8ff", "scheme": "dark"}),
        (None, {}),
    ]
    for patch, changes in cases:
        answer = await client.send("PATCH", PATH, {"branding": patch})
        assert answer.status_code == 200, answer.text
        assert answer.json()["branding"] == {**default, **changes}
        assert (await client.get(PATH)).json() == answer.json()
    logos: dict[str, Any] = {"logo_url": PNG, "branding": {"logo_dark_url": PNG, "hide_powered_by": True}}
    assert (await put(client, **logos))["branding"] == {**default, **logos["branding"]}
    answer = await client.send("PATCH", PATH, {"logo_url": None})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "branding.logo_dark_url")
    assert (await put(client))["branding"] == default


async def test_color_with_too_little_contrast_is_refused_with_the_nearest_color(client: Client) -> None:
    answer = await client.send("PATCH", PATH, {"branding": {"accent_color": "#ffd400"}})
    assert answer.status_code == 422
    assert "contrast of 1.33" in answer.json()["detail"]
    assert answer.json()["detail"].endswith("The nearest color with enough contrast is #aa8d00.")
    assert (await client.send("PATCH", PATH, {"branding": {"accent_color": "#aa8d00"}})).status_code == 200


async def test_setting_without_a_default_cannot_be_cleared(client: Client) -> None:
    answer = await client.send("PATCH", PATH, {"display_name": None})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "display_name"
    assert "cannot be cleared" in error["message"]


async def test_invalid_patches_change_nothing(client: Client) -> None:
    before = (await client.get(PATH)).json()
    for body, field in (
        ({"integrations": {"slugs": ["nothing"]}}, "integrations.slugs"),
        ({"allowed_origins": ["https://app.example.com/path"]}, "allowed_origins"),
        ({"id": before["id"]}, "id"),
        ({"display_name": "New", "typo": 1}, "typo"),
    ):
        answer = await client.send("PATCH", PATH, body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert (await client.get(PATH)).json() == before


async def test_put_accepts_what_get_returns_and_refuses_another_id(client: Client) -> None:
    read = (await client.get(PATH)).json()
    changed = await put(client, **{**read, "privacy_url": "https://example.com/privacy"})
    assert {**changed, "privacy_url": None, "updated_at": read["updated_at"]} == read
    # A client that repeats the request, because the response was lost, still has the old `updated_at`.
    assert await put(client, **{**read, "privacy_url": "https://example.com/privacy"}) == changed
    for name, value in (("id", "01a22be6-2b7d-77b9-96e1-33ec611f40b8"), ("created_at", "2026-11-25T01:02:03Z")):
        answer = await client.send("PUT", PATH, {**read, name: value})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name)
        assert "cannot be changed" in answer.json()["detail"]
    assert (await client.send("PUT", PATH, {**read, "updated_at": 5})).status_code == 422


async def test_request_that_changes_nothing_keeps_updated_at_and_writes_no_event(client: Client) -> None:
    read = (await client.get(PATH)).json()
    for method, body in (
        ("PATCH", {}),
        ("PATCH", {"display_name": "Northwind", "logo_url": None, "integrations": {}}),
        ("PUT", read),
        ("PUT", {"display_name": " Northwind ", "allowed_origins": [ORIGIN, ORIGIN]}),
    ):
        assert (await client.send(method, PATH, body)).json() == read, body
    assert await events(client) == []


async def test_concurrent_patches_of_different_settings_both_take_effect(client: Client) -> None:
    bodies = [{"privacy_url": "https://example.com/privacy"}, {"logo_url": PNG}, {"display_name": "Southwind"}]
    await asyncio.gather(*(client.send("PATCH", PATH, body) for body in bodies))
    saved = (await client.get(PATH)).json()
    assert [{name: saved[name] for name in body} for body in bodies] == bodies


async def test_update_logs_an_event_with_the_changed_fields(client: Client) -> None:
    await put(client, allowed_origins=[ORIGIN], privacy_url="https://example.com/privacy")
    newest = (await client.get("/v1/events")).json()["events"][0]
    assert (newest["type"], newest["data"]) == ("organization.updated", {"changed": ["privacy_url"]})
    assert newest["actor"]["type"] == "api_key"


REFUSED: Final[list[tuple[str, object]]] = [
        *(
            ("allowed_origins", [origin])
            for origin in (
                "", "null", "*", "https://*", "https://*.example.com", "app.example.com", "http://app.example.com",
                "https://app.example.com/path", "https://app.example.com?x", "https://app.example.com#x",
                "https://user@app.example.com", "https://app.example.com:99999", "https://", "javascript:alert(1)",
                "data:text/html,x", "file:///etc", "https://a.example https://b.example", "https://a;b", "https://a'b",
                "ftp://example.com",
            )
        ),
        ("allowed_origins", [f"https://{number}.example.com" for number in range(51)]),
        *(
            ("logo_url", logo)
            for logo in (
                "https://example.com/logo.png", "data:image/gif;base64,R0lGOD", "data:text/html;base64,PGI+", LARGE,
                "data:image/png;base64,@@@@", "data:image/png;base64,AAA", "data:image/svg+xml,<svg/>", "javascript:x",
            )
        ),
        *(
            ("privacy_url", link)
            for link in (
                "http://example.com", "javascript:alert(1)", "example.com", "https://", "https://u:p@example.com",
                "https://example.com/a b", "https://example.com/#x", 'https://example.com/"', "https://[::1",
                f"https://example.com/{'x' * 2000}",
            )
        ),
        ("return_urls", ["http://example.com/back"]),
        ("return_urls", [""]),
        ("return_urls", ["https://example.com/back#"]),  # the code would be in the fragment
        ("return_urls", ["https://example.com/\x01back"]),
        ("integrations.slugs", {"mode": "listed", "slugs": ["nothing"]}),
        ("integrations.mode", {"mode": "some"}),
        ("integrations.typo", {"typo": 1}),
        *(("branding.accent_color", {"accent_color": color}) for color in ("", "blue", "#fff", "#2450c4;", "#ffffff")),
        *(("branding.accent_color_dark", {"accent_color_dark": color}) for color in ("#000000", "#20212", "x" * 300)),
        ("branding.logo_dark_url", {"logo_dark_url": "https://example.com/logo.png"}),
        ("branding.logo_dark_url", {"logo_dark_url": PNG}),
        ("branding.radius", {"radius": "10px"}),
        ("branding.scheme", {"scheme": "sepia"}),
        ("branding.css", {"css": "*{display:none}"}),
        ("display_name", " "),
        ("display_name", "x" * 256),
    ]  # fmt: skip


@pytest.mark.only_database("sqlite")
async def test_values_unusable_in_hosted_pages_are_refused(client: Client) -> None:
    before = (await client.get(PATH)).json()
    for field, value in REFUSED:
        answer = await client.send("PUT", PATH, {"display_name": "N", field.partition(".")[0]: value})
        assert answer.status_code == 422, f"{field} {str(value)[:100]}: {answer.text}"
        assert [error["field"].removesuffix("[0]") for error in answer.json()["errors"]] == [field], value
    assert (await client.get(PATH)).json() == before
