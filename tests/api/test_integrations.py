"""`GET /v1/integrations`: the compatible core, and the options on top of it."""

import base64
from typing import Any, Final

import httpx2

from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, PUBLIC_URL, Application, Client

PATH = "/v1/integrations"
KEYS = ["id", "slug", "name", "description", "logo_url", "category", "status", "supported_auth_types"]


async def slugs(client: Client, **options: Any) -> list[str]:
    answer = await client.get(PATH, **{"end_user_id": "user_123", "logo": "none"} | options)
    assert answer.status_code == 200, answer.text
    return [integration["slug"] for integration in answer.json()["integrations"]]


async def conditional(client: Client, tags: str, end_user_id: str = "user_123", **options: str) -> httpx2.Response:
    params = {"end_user_id": end_user_id, **options}
    return await client.http.get(PATH, params=params, headers={"if-none-match": tags})


async def offer(client: Client, *listed: str) -> None:
    """Set which integrations the organization offers."""
    body = {"display_name": "Northwind", "integrations": {"mode": "listed", "slugs": list(listed)}}
    assert (await client.send("PUT", "/v1/organization", body)).status_code == 200


async def break_connection(application: Application, client: Client, connection_id: str, key: str) -> None:
    """Revoke the key at the provider and check the connection."""
    application.acme.acme.revoke(key)
    answer = await client.http.post(f"/v1/connections/{connection_id}/check")
    assert answer.json()["connection"]["status"] == "needs_reauth"


async def test_list_has_every_integration_with_eight_keys_ordered_by_name(client: Client) -> None:
    answer = await client.get(PATH, end_user_id="user_123")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["end_user_id", "integrations"]
    assert answer.json()["end_user_id"] == "user_123"
    listed = answer.json()["integrations"]
    assert [list(integration) for integration in listed] == [KEYS] * len(listed)
    names = [integration["name"].casefold() for integration in listed]
    assert names == sorted(names)
    assert len(listed) >= 13
    hubspot = next(integration for integration in listed if integration["slug"] == "hubspot")
    assert hubspot["id"] == "4989eaeb-5947-5065-81c6-de3b60c10b7d"
    assert hubspot["logo_url"].startswith("data:image/svg+xml;base64,")
    assert hubspot["status"] == "not_connected"
    assert hubspot["supported_auth_types"] == ["api_key"]


async def test_status_reflects_only_connections_of_the_end_user(client: Client) -> None:
    await client.connect("user_123")
    assert (await client.integrations("user_123"))["acme"]["status"] == "connected"
    assert (await client.integrations("user_12"))["acme"]["status"] == "not_connected"
    assert (await client.integrations("USER_123"))["acme"]["status"] == "not_connected"
    await client.post("/v1/disconnect", {"integration_slug": "acme", "end_user_id": "user_123"})
    assert (await client.integrations("user_123"))["acme"]["status"] == "not_connected"


async def test_connection_that_needs_reauth_is_listed_as_not_connected(
    application: Application, client: Client
) -> None:
    broken = await client.connect()
    await break_connection(application, client, broken["id"], ACME_KEYS[GLOBEX])
    assert (await client.integrations())["acme"]["status"] == "not_connected"
    assert await slugs(client, status="connected") == []
    await client.connect(key=ACME_KEYS[INITECH], multiple=True)
    assert (await client.integrations())["acme"]["status"] == "connected", "one active connection is enough"


async def test_repeated_slugs_ignore_case_and_unknown_slugs_are_skipped(client: Client) -> None:
    assert await slugs(client, slug="hubspot") == ["hubspot"]
    assert await slugs(client, slug=["Slack", " HUBSPOT ", "hubspot"]) == ["hubspot", "slack"]
    assert await slugs(client, slug=["nothing", "slack"]) == ["slack"]
    assert await slugs(client, slug="nothing") == []


async def test_category_search_and_status_are_combined(client: Client) -> None:
    await client.connect()
    listed = await client.integrations(category="CRM")
    assert {integration["category"] for integration in listed.values()} == {"CRM"}
    assert {"acme", "hubspot", "pipedrive"} <= listed.keys()
    assert await slugs(client, status="connected") == ["acme"]
    assert "acme" not in await slugs(client, status="not_connected")
    assert await slugs(client, status="connected", category="Support") == []
    assert await slugs(client, status="not_connected", category="CRM", search="pipedrive") == ["pipedrive"]


async def test_search_requires_every_word_and_orders_by_rank(client: Client) -> None:
    matches = await slugs(client, search="crm")
    assert matches[0] == "acme", "a word of the name comes before the category"
    assert {"hubspot", "pipedrive"} <= set(matches)
    assert (await slugs(client, search="HubSpot"))[0] == "hubspot"
    assert await slugs(client, search="acme crm") == ["acme"]
    assert await slugs(client, search="acme nothing") == []
    assert await slugs(client, search="  ") == await slugs(client)


async def test_logos_are_inline_addresses_or_omitted(application: Application, client: Client) -> None:
    async def logo(**options: str) -> Any:
        answer = await client.get(PATH, end_user_id="u", slug="slack", **options)
        return answer.json()["integrations"][0]["logo_url"]

    inline = await logo()
    assert await logo(logo="inline") == inline
    assert await logo(logo="none") is None
    address = await logo(logo="url")
    assert address.startswith(f"{PUBLIC_URL}/logos/")
    svg = await application.client().get(address)
    assert base64.b64decode(inline.partition(",")[2]) == svg.content


async def test_expand_adds_connections_without_secrets(application: Application, client: Client) -> None:
    first = await client.connect(name="Sales")
    await break_connection(application, client, first["id"], ACME_KEYS[GLOBEX])
    second = await client.connect(key=ACME_KEYS[INITECH], multiple=True, name="Support")
    await client.connect("another user", key=ACME_KEYS[INITECH])
    answer = await client.get(PATH, end_user_id="user_123", expand="connections")
    listed = {integration["slug"]: integration["connections"] for integration in answer.json()["integrations"]}
    assert listed["slack"] == []
    newest, oldest = listed["acme"]
    assert (newest["id"], newest["name"], newest["status"], newest["error"]) == (
        second["id"],
        "Support",
        "active",
        None,
    )
    assert (oldest["id"], oldest["status"]) == (first["id"], "needs_reauth")
    assert oldest["error"]["code"] == "credentials_refused"
    assert newest["account"] == {"id": INITECH, "label": "Initech"}
    fields = (
        "params",
        "base_url",
        "scopes",
        "missing_scopes",
        "created_at",
        "updated_at",
        "last_used_at",
        "token_expires_at",
    )
    assert set(newest) == {"id", "name", "is_default", "status", "error", "account", *fields}
    assert not any(key in answer.text for key in ACME_KEYS.values())
    assert "etag" not in answer.headers


async def test_only_listed_integrations_are_available(client: Client) -> None:
    await offer(client, "slack", "hubspot")
    assert await slugs(client) == ["hubspot", "slack"]
    await offer(client)
    assert await slugs(client) == []


async def test_connected_integration_stays_listed_when_disabled(client: Client) -> None:
    await client.connect()
    await offer(client, "slack")
    listed = await client.integrations()
    assert list(listed) == ["acme", "slack"], "absence would mean not connected"
    assert (listed["acme"]["status"], listed["acme"]["supported_auth_types"]) == ("connected", [])
    assert await slugs(client, slug="acme") == ["acme"]
    assert "acme" not in await client.integrations("somebody else")


async def test_entity_tag_changes_only_with_the_response(client: Client) -> None:
    async def tag(end_user_id: str = "user_123") -> str:
        return str((await client.get(PATH, end_user_id=end_user_id)).headers["etag"])

    first = await tag()
    assert await tag() == first
    await client.connect("somebody else")
    assert await tag() == first
    await client.connect()
    connected = await tag()
    assert connected != first
    await offer(client, "acme", "slack")
    offered = await tag()
    assert offered not in {first, connected}
    await client.post("/v1/disconnect", {"integration_slug": "acme", "end_user_id": "user_123"})
    assert await tag() not in {first, connected, offered}


async def test_unchanged_list_answers_304_without_a_body(client: Client) -> None:
    whole = await client.get(PATH, end_user_id="user_123")
    tag = whole.headers["etag"]
    for tags in (tag, "*", f'"other", {tag}', f'{tag},"other"', tag.removeprefix("W/"), f'  {tag}  , W/"x"'):
        answer = await conditional(client, tags)
        assert (answer.status_code, answer.content) == (304, b""), tags
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == "private, no-cache"
        assert {"authorization", "accept-encoding"} <= set(answer.headers["vary"].replace(" ", "").lower().split(","))
    for tags in ('"other"', "", tag[:-2] + '"', 'W/"x", W/"y"'):
        assert (await conditional(client, tags)).status_code == 200, tags
    await client.connect()
    assert (await conditional(client, tag)).status_code == 200


async def test_entity_tag_does_not_replace_authentication(application: Application, client: Client) -> None:
    answer = await conditional(application.client("oru_junk"), "*")
    assert answer.status_code == 401
    narrow = application.client(await application.key(await application.organization(), "connect"))
    assert (await conditional(narrow, "*")).status_code == 403
    assert (await conditional(client, "*", end_user_id="")).status_code == 422


async def test_head_answers_like_get(client: Client) -> None:
    answer = await client.http.head(PATH, params={"end_user_id": "user_123"})
    whole = await client.get(PATH, end_user_id="user_123")
    assert answer.status_code == 200
    assert answer.headers["etag"] == whole.headers["etag"]


REFUSED: Final = [
    "",
    "end_user_id=",
    "end_user_id=%20%09",
    "end_user_id=a&end_user_id=b",
    "end_user_id=u&category=Nothing",
    "end_user_id=u&category=",
    "end_user_id=u&category=crm",
    "end_user_id=u&status=active",
    "end_user_id=u&logo=png",
    "end_user_id=u&expand=credentials",
    "end_user_id=u&status=connected&status=connected",
    "end_user_id=u&end_user=u",
    "end_user_id=%00",
    "end_user_id=%ff",
    "end_user_id=%ED%A0%80",
    "end_user_id=u&search=a%00b",
    "end_user_id=u&" + "&".join(["slug=a"] * 2000),
]


async def test_malformed_queries_answer_422(client: Client) -> None:
    for query in REFUSED:
        answer = await client.http.get(f"{PATH}?{query}")
        assert answer.status_code == 422, query[:100]
        assert answer.headers["content-type"] == "application/problem+json"


async def test_identifiers_have_at_most_255_unicode_characters(client: Client) -> None:
    for end_user_id in (
        "x" * 255,
        "用户" * 127,
        "😀" * 255,
        "user@example.com",
        "a/b?c&d=e#f%20+",
        'q"uo\\te',
        "é e\u0301",
    ):
        await client.connect(end_user_id)
        answer = await client.get(PATH, end_user_id=end_user_id, slug="acme", logo="none")
        assert answer.json()["end_user_id"] == end_user_id
        assert answer.json()["integrations"][0]["status"] == "connected", end_user_id
    for option in ("end_user_id", "slug", "search"):
        answer = await client.get(PATH, **{"end_user_id": "u", option: "x" * 256})
        assert answer.status_code == 422, option
        assert [error["field"] for error in answer.json()["errors"]] == [option]
    assert (await client.get(PATH, end_user_id="  user_123  ")).json()["end_user_id"] == "user_123"


async def test_reading_stores_nothing(application: Application, client: Client) -> None:
    before = (await client.get("/v1/events")).json()
    for options in ({}, {"expand": "connections"}, {"slug": "acme"}):
        assert (await client.get(PATH, end_user_id="never seen", **options)).status_code == 200
    for path in ("/v1/connections", "/v1/events"):
        assert (await client.get(path, end_user_id="never seen")).status_code == 200
    assert (await client.get("/v1/end-users")).json()["end_users"] == []
    assert (await client.get("/v1/events")).json() == before
