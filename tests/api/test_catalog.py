"""`/v1/catalog`: the public list, entity tags, CORS; and the logos at immutable addresses."""

import re

import pytest
from starlette.types import Message

from one_runtime.catalog.model import CATEGORIES
from tests.application import Application, Client

pytestmark = pytest.mark.only_database("sqlite")  # nothing here asks the database anything

LIST = "/v1/catalog/integrations"


@pytest.fixture
def public_client(application: Application) -> Client:
    return application.client()


async def test_public_list_has_every_integration_and_no_status(public_client: Client, client: Client) -> None:
    listed = (await public_client.get(LIST)).json()["integrations"]
    mine = (await client.get("/v1/integrations", end_user_id="u")).json()["integrations"]
    auth_types = {integration["slug"]: integration.pop("supported_auth_types") for integration in listed}
    working = {integration["slug"]: integration.pop("supported_auth_types") for integration in mine}
    offered = [{**integration, "status": "not_connected"} for integration in listed if integration["slug"] in working]
    assert offered == mine
    assert set(auth_types["salesforce"]) == {"client_credentials", "oauth2"}
    assert working["salesforce"] == ["client_credentials"], "it brings its own client"
    assert auth_types["dropbox"] == ["oauth2"]
    assert "dropbox" not in working, "nothing that it has works without an OAuth client"
    assert all("status" not in integration for integration in listed)
    assert auth_types["hubspot"] == ["api_key", "oauth2"]
    assert working["hubspot"] == ["api_key"], "oauth2 works where there is an OAuth client"


async def test_integration_is_listed_with_all_its_auth_types(public_client: Client) -> None:
    listed = (await public_client.get(LIST, slug=["twilio", "Customer-IO"], logo="none")).json()["integrations"]
    assert {integration["slug"]: integration["supported_auth_types"] for integration in listed} == {
        "customer-io": ["api_key", "basic"],
        "twilio": ["basic"],
    }
    assert [integration["logo_url"] for integration in listed] == [None, None]


async def test_options_filter_the_list(public_client: Client) -> None:
    support = (await public_client.get(LIST, category="Support")).json()["integrations"]
    assert {"freshdesk", "zendesk"} <= {integration["slug"] for integration in support}
    assert {integration["category"] for integration in support} == {"Support"}
    matches = (await public_client.get(LIST, search="slack")).json()["integrations"]
    assert matches[0]["slug"] == "slack"
    assert (await public_client.get(LIST, slug="nothing")).json() == {"integrations": []}
    for wrong in ({"category": "Nothing"}, {"logo": "png"}, {"search": ""}, {"slug": ""}, {"status": "connected"}):
        assert (await public_client.get(LIST, **wrong)).status_code == 422, wrong


async def test_detail_of_an_integration_describes_its_fields(public_client: Client) -> None:
    detail = (await public_client.get(f"{LIST}/ZenDesk")).json()
    summary = (await public_client.get(LIST, slug="zendesk")).json()["integrations"][0]
    assert {name: detail[name] for name in summary} == summary
    assert detail["website"].startswith("https://")
    client, auth, oauth2 = detail["auth"]
    assert (client["auth_type"], client["oauth2"]) == ("client_credentials", None)
    assert (auth["auth_type"], auth["oauth2"], oauth2["auth_type"]) == ("api_key", None, "oauth2")
    assert auth["verified"]["how"] in {"documentation", "fixture", "live", "unverified"}
    assert [part["secret"] for part in auth["params"]] == [False] * len(auth["params"])
    assert "subdomain" in {part["name"] for part in auth["params"]}
    assert any(part["secret"] for part in auth["fields"])
    for part in auth["params"] + auth["fields"]:
        assert set(part) == {"name", "label", "help", "placeholder", "pattern", "secret", "optional", "options"}
    answer = await public_client.get(f"{LIST}/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_oauth2_detail_has_the_scopes_and_no_secret(public_client: Client) -> None:
    detail = (await public_client.get(f"{LIST}/jira")).json()
    oauth2_detail = next(auth for auth in detail["auth"] if auth["auth_type"] == "oauth2")
    assert oauth2_detail["oauth2"]["scopes"][0] == "offline_access", "required scopes are first"
    assert (oauth2_detail["oauth2"]["refresh"], oauth2_detail["oauth2"]["client"]) == ("rotates", "organization")
    assert oauth2_detail["oauth2"]["client_url"].startswith("https://")
    assert oauth2_detail["oauth2"]["pkce"] == "tolerated"
    assert oauth2_detail["fields"] == []
    assert "client_secret" not in str(detail)


async def test_only_categories_with_integrations_are_listed(public_client: Client) -> None:
    categories = (await public_client.get("/v1/catalog/categories")).json()["categories"]
    names = [category["name"] for category in categories]
    assert names == [name for name in CATEGORIES if name in names]
    assert sum(category["count"] for category in categories) == len(
        (await public_client.get(LIST)).json()["integrations"]
    )
    assert all(category["count"] > 0 for category in categories)


async def test_public_responses_are_cacheable_and_allow_every_origin(public_client: Client) -> None:
    for path in (LIST, f"{LIST}/slack", "/v1/catalog/categories"):
        answer = await public_client.get(path)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"].startswith("public")
        tag = answer.headers["etag"]
        for tags in (tag, "*", f'"other", {tag}', tag.removeprefix("W/")):
            again = await public_client.http.get(path, headers={"if-none-match": tags})
            assert (again.status_code, again.content) == (304, b""), f"{path} {tags}"
            assert again.headers["etag"] == tag
            assert again.headers["access-control-allow-origin"] == "*"
        assert (await public_client.http.get(path, headers={"if-none-match": '"other"'})).status_code == 200
    distinct = {
        (await public_client.get(LIST, **options)).headers["etag"]
        for options in ({}, {"logo": "url"}, {"slug": "slack"})
    }
    assert len(distinct) == 3


@pytest.mark.promise("P11")
async def test_logos_are_sandboxed_and_immutable(public_client: Client) -> None:
    listed = (await public_client.get(LIST, logo="url")).json()["integrations"]
    for integration in listed:
        answer = await public_client.get(integration["logo_url"])
        assert answer.status_code == 200, integration["slug"]
        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert "sandbox" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.content.lstrip().startswith(b"<svg")
        assert not re.search(rb"(?i)<script|javascript:|\son\w+=|<foreignObject", answer.content), integration["slug"]


async def test_logo_has_exactly_one_address(public_client: Client) -> None:
    listed = {
        integration["slug"]: integration["logo_url"]
        for integration in (await public_client.get(LIST, logo="url")).json()["integrations"]
    }
    digest = listed["slack"].split("/")[-2]
    wrong = (
        f"/logos/{digest}/hubspot.svg",
        f"/logos/{'0' * len(digest)}/slack.svg",
        f"/logos/{digest.upper()}x/slack.svg",
        f"/logos/{digest}/slack.png",
        f"/logos/{digest}/nothing.svg",
        f"/logos/{digest}/..%2Fslack.svg",
    )
    for address in wrong:
        assert (await public_client.get(address)).status_code == 404, address


async def test_head_has_the_headers_of_get(public_client: Client) -> None:
    whole = await public_client.get(LIST, logo="none")
    head = await public_client.http.head(LIST, params={"logo": "none"})
    assert head.status_code == 200
    for name in ("content-length", "content-type", "etag", "vary", "cache-control", "access-control-allow-origin"):
        assert head.headers[name] == whole.headers[name]


async def test_malformed_queries_name_the_field(public_client: Client) -> None:
    for query, field in (
        ("slug=%20", "slug"),
        ("slug=a&slug=" + "x" * 101, "slug"),
        ("search=%20%09", "search"),
        ("search=" + "x" * 256, "search"),
        ("search=a&search=b", "search"),
        ("logo=url&logo=url", "logo"),
        ("category=crm", "category"),
        ("category=", "category"),
        ("expand=connections", "expand"),
        ("end_user_id=u", "end_user_id"),
        ("search=a%00b", "search"),
    ):
        answer = await public_client.http.get(f"{LIST}?{query}")
        assert answer.status_code == 422, query[:100]
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    for query in ("search=%ff", "search=%ED%A0%80", "&".join(["slug=a"] * 2000)):
        assert (await public_client.http.get(f"{LIST}?{query}")).status_code == 422, query[:100]


async def test_long_selections_are_not_compressed(public_client: Client, client: Client) -> None:
    """One Runtime does not cache these selections, so anybody could make a server compress all day."""
    listed = (await public_client.get(LIST, logo="none")).json()["integrations"]
    slugs = [integration["slug"] for integration in listed]
    headers = {"accept-encoding": "gzip"}
    for count, coding in ((2, "gzip"), (len(slugs), None)):
        params = {"slug": slugs[:count]}
        answer = await public_client.http.get(LIST, params=params, headers=headers)
        assert answer.headers.get("content-encoding") == coding, count
        assert answer.headers["vary"] == "accept-encoding"
        assert [integration["slug"] for integration in answer.json()["integrations"]] == slugs[:count]


async def test_repeated_public_lists_reuse_the_rendered_and_compressed_bytes(application: Application) -> None:
    for query in ("", "logo=url", "logo=none", "category=CRM"):
        for coding in ("identity", "gzip", "zstd"):
            first, second = [await response_body(application, query, coding) for _ in range(2)]
            assert first is second, (query, coding)


async def response_body(application: Application, query: str, coding: str) -> bytes:
    """Return the response body of the public list, as the same object that the application sends."""
    bodies: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])

    headers = [(b"accept-encoding", coding.encode())]
    scope = {"type": "http", "method": "GET", "path": LIST, "query_string": query.encode(), "headers": headers}
    await application.app(scope, receive, send)
    (body,) = bodies
    return body
