"""`ETag`, `If-None-Match` and `If-Match` on single resources (RFC 9110 section 13)."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx2
import pytest

from one_runtime.api.application import SPECS
from tests.application import Application, Client
from tests.billing import ENTRY, SLUG

ORGANIZATION: Final = "/v1/organization"
OAUTH_CLIENT: Final = "/v1/integrations/dropbox/oauth-client"
CUSTOM: Final = f"/v1/custom-integrations/{SLUG}"
NEW_CLIENT: Final = {"client_id": "our-id", "client_secret": "a-secret-of-the-client"}
UNKNOWN: Final = '"0123456789abcdef"'


async def send(client: Client, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, str):
        named["content-type"], content = "application/yaml", body
        return await client.http.request(method, path, content=content, headers=named)
    return await client.http.request(method, path, json=body, headers=named)


async def etag_of(client: Client, path: str) -> str:
    answer = await client.http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "private, no-cache"
    return answer.headers["etag"]


async def resources(client: Client) -> Mapping[str, tuple[tuple[str, Any], ...]]:
    """Create a resource of each kind. Return the changes of each resource by its path. The last change deletes it."""
    connection, session = await client.connect("connected"), await client.session()
    key = (await client.post("/v1/api-keys", {"name": "unused"})).json()
    await send(client, "PUT", OAUTH_CLIENT, NEW_CLIENT)
    await send(client, "PUT", CUSTOM, ENTRY)
    return {
        ORGANIZATION: (
            ("PATCH", {"privacy_url": "https://example.com/privacy"}),
            ("PUT", {"display_name": "Southwind"}),
        ),
        f"/v1/connections/{connection['id']}": (("PATCH", {"name": "New"}), ("DELETE", None)),
        f"/v1/hosted-connection-sessions/{session['id']}": (("DELETE", None),),
        f"/v1/api-keys/{key['id']}": (("DELETE", None),),
        "/v1/end-users/user_123": (("PATCH", {"name": "Ada"}), ("DELETE", None)),
        OAUTH_CLIENT: (("PUT", {**NEW_CLIENT, "scopes": ["files.metadata.read"]}), ("DELETE", None)),
        CUSTOM: (("PUT", ENTRY.replace("Invoices", "Bills")), ("DELETE", None)),
    }


async def test_read_of_an_unchanged_resource_answers_304(client: Client) -> None:
    for path, changes in (await resources(client)).items():
        etag = await etag_of(client, path)
        assert etag.startswith('"'), "a strong tag"
        for tags in (etag, f"W/{etag}", f"{UNKNOWN}, {etag}", "*"):
            unchanged = await send(client, "GET", path, if_none_match=tags)
            assert (unchanged.status_code, unchanged.content) == (304, b""), path
            assert (unchanged.headers["etag"], unchanged.headers["vary"]) == (etag, "authorization")
        assert (await send(client, "GET", path, if_none_match=UNKNOWN)).status_code == 200
        changed = await send(client, changes[0][0], path, changes[0][1])
        assert changed.status_code < 300, changed.text
        if changes[0][0] != "DELETE":
            assert changed.headers["etag"] == await etag_of(client, path) != etag
            assert (await send(client, "GET", path, if_none_match=etag)).status_code == 200


async def test_change_with_an_old_tag_is_refused_and_with_the_present_tag_accepted(client: Client) -> None:
    for path, changes in (await resources(client)).items():
        for method, body in changes:
            before = await client.get(path)
            etag = before.headers["etag"]
            for tags in (UNKNOWN, f"W/{etag}", "etag", f"{UNKNOWN}, W/{etag}"):
                refused = await send(client, method, path, body, if_match=tags)
                assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed"), (path, tags)
                assert "Read the resource again" in refused.json()["detail"]
            assert (await client.get(path)).text == before.text
            accepted = await send(client, method, path, body, if_match=f"{UNKNOWN}, {etag}")
            assert accepted.status_code == 200, accepted.text
    assert (await send(client, "PATCH", ORGANIZATION, {"display_name": "X"}, if_match="*")).status_code == 200


async def test_conditions_of_a_put_can_require_that_the_resource_is_new(client: Client) -> None:
    for path, body in ((OAUTH_CLIENT, NEW_CLIENT), (CUSTOM, ENTRY)):
        for tags in ("*", UNKNOWN):
            assert (await send(client, "PUT", path, body, if_match=tags)).status_code == 412, "there is no resource"
        assert (await send(client, "PUT", path, body, if_none_match="*")).status_code in {200, 201}
        assert (await send(client, "PUT", path, body, if_none_match="*")).status_code == 412


async def test_one_of_many_concurrent_changes_with_the_same_tag_succeeds(client: Client) -> None:
    for path, changes in (await resources(client)).items():
        etag = await etag_of(client, path)
        method, body = changes[0]
        answers = await asyncio.gather(*(send(client, method, path, body, if_match=etag) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412], path


async def test_concurrent_deletion_and_change_with_the_same_tag_do_not_both_succeed(client: Client) -> None:
    connection = await client.connect()
    path = f"/v1/connections/{connection['id']}"
    etag = await etag_of(client, path)
    changed, deleted = await asyncio.gather(
        send(client, "PATCH", path, {"name": "New"}, if_match=etag), send(client, "DELETE", path, if_match=etag)
    )
    assert (changed.status_code, deleted.status_code) in {(200, 412), (404, 200)}


async def test_single_resources_without_changes_of_their_own_answer_304(
    application: Application, client: Client
) -> None:
    await client.get("/v1/me")
    await application.app.services.request_log.flush()  # the first use of the key changes `last_used_at`
    event = (await client.get("/v1/events")).json()["events"][0]
    one = "/v1/integrations/acme?end_user_id=user_123"
    for path in ("/v1/me", f"/v1/events/{event['id']}", one, f"{one}&expand=connections&logo=url"):
        etag = await etag_of(client, path)
        assert (await send(client, "GET", path, if_none_match=etag)).status_code == 304, path
        assert (await send(client, "GET", path, if_none_match=UNKNOWN)).status_code == 200, path
    before = [await etag_of(client, path) for path in (one, f"{one}&expand=connections")]
    await client.connect()
    after = [await etag_of(client, path) for path in (one, f"{one}&expand=connections")]
    assert not set(before) & set(after)
    assert len(set(before)) == 2


def test_every_read_of_a_single_resource_has_an_etag() -> None:
    """Single resources end with a parameter, or are unique in an organization. The two exceptions are streamed."""
    single = {spec.name for spec in SPECS if spec.method == "GET" and spec.path.endswith("}")}
    single |= {"GET /v1/organization", "GET /v1/me", "GET /v1/integrations/{integration_slug}/oauth-client"}
    without = {spec.name for spec in SPECS if spec.name in single and not spec.conditional}
    assert without == {"GET /v1/proxy/{integration_slug}/{path}", "GET /v1/end-user-exports/{end_user_id}"}


def test_every_route_of_a_conditional_resource_is_conditional() -> None:
    readable = {spec.path for spec in SPECS if spec.conditional and spec.method == "GET"}
    changing = {"PUT", "PATCH", "DELETE"}
    conditional = {spec.name for spec in SPECS if spec.conditional and spec.method in changing}
    assert conditional == {spec.name for spec in SPECS if spec.path in readable and spec.method in changing}
    assert len(readable) >= 5


@pytest.mark.parametrize("header", ["if-match", "if-none-match"])
async def test_conditions_of_other_routes_are_ignored(client: Client, header: str) -> None:
    answer = await client.http.get("/v1/connections", headers={header: UNKNOWN})
    assert answer.status_code == 200
