"""`/v1/catalog`: the public list, entity tags, CORS; and the logos at immutable addresses."""

import re

import pytest

from one_runtime.integrations.listing import CATEGORIES
from tests.application import Application, Client

pytestmark = pytest.mark.only_database("sqlite")  # nothing here asks the database anything

LIST = "/v1/catalog/integrations"


@pytest.fixture
def anybody(application: Application) -> Client:
    return application.client()


async def test_anybody_reads_the_whole_list_without_a_state(anybody: Client, client: Client) -> None:
    listed = (await anybody.get(LIST)).json()["integrations"]
    mine = (await client.get("/v1/integrations", end_user_id="u")).json()["integrations"]
    auth_types = {one["slug"]: one.pop("supported_auth_types") for one in listed}
    working = {one["slug"]: one.pop("supported_auth_types") for one in mine}
    offered = [{**one, "status": "not_connected"} for one in listed if one["slug"] in working]
    assert offered == mine
    assert set(auth_types["salesforce"]) == {"client_credentials", "oauth2"}
    assert working["salesforce"] == ["client_credentials"], "it brings its own client"
    assert auth_types["dropbox"] == ["oauth2"]
    assert "dropbox" not in working, "nothing that it has works without an OAuth client"
    assert all("status" not in one for one in listed)
    assert auth_types["hubspot"] == ["api_key", "oauth2"]
    assert working["hubspot"] == ["api_key"], "oauth2 works where there is an OAuth client"


async def test_an_integration_is_shown_with_every_auth_type_it_has(anybody: Client) -> None:
    listed = (await anybody.get(LIST, slug=["twilio", "Customer-IO"], logo="none")).json()["integrations"]
    assert {one["slug"]: one["supported_auth_types"] for one in listed} == {
        "customer-io": ["api_key", "basic"],
        "twilio": ["basic"],
    }
    assert [one["logo_url"] for one in listed] == [None, None]


async def test_the_options_narrow_the_list(anybody: Client) -> None:
    support = (await anybody.get(LIST, category="Support")).json()["integrations"]
    assert {"freshdesk", "zendesk"} <= {one["slug"] for one in support}
    assert {one["category"] for one in support} == {"Support"}
    found = (await anybody.get(LIST, search="slack")).json()["integrations"]
    assert found[0]["slug"] == "slack"
    assert (await anybody.get(LIST, slug="nothing")).json() == {"integrations": []}
    for wrong in ({"category": "Nothing"}, {"logo": "png"}, {"search": ""}, {"slug": ""}, {"status": "connected"}):
        assert (await anybody.get(LIST, **wrong)).status_code == 422, wrong


async def test_one_integration_tells_what_it_asks_end_users_for(anybody: Client) -> None:
    detail = (await anybody.get(f"{LIST}/ZenDesk")).json()
    summary = (await anybody.get(LIST, slug="zendesk")).json()["integrations"][0]
    assert {name: detail[name] for name in summary} == summary
    assert detail["website"].startswith("https://")
    auth, oauth2 = detail["auth"]
    assert (auth["auth_type"], auth["oauth2"], oauth2["auth_type"]) == ("api_key", None, "oauth2")
    assert auth["verified"]["how"] in {"documentation", "fixture", "live", "unverified"}
    assert [part["secret"] for part in auth["params"]] == [False] * len(auth["params"])
    assert "subdomain" in {part["name"] for part in auth["params"]}
    assert any(part["secret"] for part in auth["fields"])
    for part in auth["params"] + auth["fields"]:
        assert set(part) == {"name", "label", "help", "placeholder", "pattern", "secret", "optional", "options"}
    answer = await anybody.get(f"{LIST}/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_oauth2_tells_what_a_client_asks_for_and_holds_no_secret(anybody: Client) -> None:
    detail = (await anybody.get(f"{LIST}/jira")).json()
    told = next(auth for auth in detail["auth"] if auth["auth_type"] == "oauth2")
    assert told["oauth2"]["scopes"][0] == "offline_access", "what is always asked for stands first"
    assert (told["oauth2"]["refresh"], told["oauth2"]["client"]) == ("rotates", "organization")
    assert told["oauth2"]["client_url"].startswith("https://")
    assert told["fields"] == []
    assert "client_secret" not in str(detail)


async def test_categories_are_the_known_ones_that_have_integrations(anybody: Client) -> None:
    categories = (await anybody.get("/v1/catalog/categories")).json()["categories"]
    names = [one["name"] for one in categories]
    assert names == [name for name in CATEGORIES if name in names]
    assert sum(one["count"] for one in categories) == len((await anybody.get(LIST)).json()["integrations"])
    assert all(one["count"] > 0 for one in categories)


async def test_public_answers_may_be_cached_and_read_by_any_page(anybody: Client) -> None:
    for path in (LIST, f"{LIST}/slack", "/v1/catalog/categories"):
        answer = await anybody.get(path)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"].startswith("public")
        tag = answer.headers["etag"]
        for tags in (tag, "*", f'"other", {tag}', tag.removeprefix("W/")):
            again = await anybody.http.get(path, headers={"if-none-match": tags})
            assert (again.status_code, again.content) == (304, b""), f"{path} {tags}"
            assert again.headers["etag"] == tag
            assert again.headers["access-control-allow-origin"] == "*"
        assert (await anybody.http.get(path, headers={"if-none-match": '"other"'})).status_code == 200
    distinct = {
        (await anybody.get(LIST, **options)).headers["etag"] for options in ({}, {"logo": "url"}, {"slug": "slack"})
    }
    assert len(distinct) == 3


@pytest.mark.promise("P11")
async def test_logos_are_sandboxed_and_cached_for_good(anybody: Client) -> None:
    listed = (await anybody.get(LIST, logo="url")).json()["integrations"]
    for one in listed:
        answer = await anybody.get(one["logo_url"])
        assert answer.status_code == 200, one["slug"]
        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert "sandbox" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.content.lstrip().startswith(b"<svg")
        assert not re.search(rb"(?i)<script|javascript:|\son\w+=|<foreignObject", answer.content), one["slug"]


async def test_a_logo_has_one_address_only(anybody: Client) -> None:
    listed = {one["slug"]: one["logo_url"] for one in (await anybody.get(LIST, logo="url")).json()["integrations"]}
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
        assert (await anybody.get(address)).status_code == 404, address
