"""Custom integrations over the API: listed with the built-in ones, isolated by organization (P1, P7)."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pytest
import yaml
from sqlalchemy import select

from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.custom import read_custom
from one_runtime.db.schema import credentials
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from tests.application import PUBLIC_URL, Client, RunningAcme, catalog_with_acme, lifespan
from tests.billing import ENTRY, KEY, OAUTH, PATH, SLUG, SVG, Billing, connect, register, send


async def test_custom_integration_is_listed_with_the_built_in_ones(billing: Billing) -> None:
    client = await billing.organization()
    response = await send(client, "POST", PATH, ENTRY)
    assert response.status_code == 201, response.text
    integration = response.json()
    assert (integration["slug"], integration["supported_auth_types"], integration["enabled"]) == (
        SLUG,
        ["api_key"],
        True,
    )
    assert integration["id"][14] == "7"
    assert integration["definition"] == yaml.safe_load(ENTRY) | {"auth": integration["definition"]["auth"]}
    listed = (await client.integrations())[SLUG]
    assert listed == {
        **{
            name: integration[name]
            for name in ("id", "slug", "name", "description", "category", "supported_auth_types")
        },
        "logo_url": None,
        "status": "not_connected",
    }
    names = [summary["name"].lower() for summary in (await client.integrations()).values()]
    assert names == sorted(names)
    assert (await client.get(PATH)).json() == {"custom_integrations": [{**integration, "warnings": []}]}
    assert (await client.get(f"{PATH}/{SLUG}")).json() == integration
    for options in ({"search": "billing"}, {"slug": SLUG}, {"category": "Accounting"}):
        assert SLUG in await client.integrations(**options), options
    assert (await client.get("/v1/catalog/integrations", slug=SLUG)).json() == {"integrations": []}
    assert (await client.get(f"/v1/catalog/integrations/{SLUG}")).status_code == 404


async def test_put_that_changes_nothing_keeps_updated_at_and_writes_no_event(billing: Billing) -> None:
    client = await billing.organization()
    await register(client)
    created = (await client.get(f"{PATH}/{SLUG}")).json()
    for content in (ENTRY, json.dumps(created["definition"])):
        assert (await send(client, "PUT", f"{PATH}/{SLUG}", content)).json()["updated_at"] == created["updated_at"]
    newest = (await client.get("/v1/events")).json()["events"][0]
    assert newest["type"] == "custom_integration.created"
    changed = await send(client, "PUT", f"{PATH}/{SLUG}", ENTRY.replace("Invoices", "Bills"))
    assert changed.json()["updated_at"] > created["updated_at"]


async def test_custom_integration_is_connected_in_the_popup_and_used(billing: Billing) -> None:
    client = await billing.organization()
    await register(client)
    token = (await client.session(integration_slug=None))["session_token"]
    choices = {
        integration["slug"]: integration for integration in (await client.popup("", token)).json()["integrations"]
    }
    assert choices[SLUG]["logo_url"].startswith(f"{PUBLIC_URL}/logos/")
    view = (await client.popup("", token, {"integration_slug": SLUG})).json()
    assert view["auth_types"][0]["fields"][0]["pattern"] == "bk_[a-z0-9]{16}"
    refused = await client.type_key(token, "bk_aaaaaaaaaaaaaaaa", integration_slug=SLUG)
    assert refused.json()["code"] == "credentials_refused"
    connected = await client.type_key(token, KEY, integration_slug=SLUG)
    assert connected.status_code == 200, connected.text
    assert (await client.integrations())[SLUG]["status"] == "connected"
    (connection,) = (await client.get("/v1/connections", integration_slug=SLUG)).json()["connections"]
    assert connection["account"] == {"id": "acct-1", "label": "Acme Ltd"}
    assert (await client.post(f"/v1/connections/{connection['id']}/check")).json()["working"] is True
    held = await client.get(f"/v1/connections/{connection['id']}/credentials")
    assert held.json()["credentials"] == {"api_key": KEY}
    assert set(billing.credential_hosts) == {"billing.acme.com"}


async def test_automatic_name_is_the_same_after_the_popup_and_after_an_import(billing: Billing) -> None:
    client = await billing.organization()
    no_identity = ENTRY.replace("    identity:\n      id: id\n      label: name\n", "")
    for entry, name in ((no_identity, "Billing"), (ENTRY, "Acme Ltd")):
        await register(client, entry)
        imported = await connect(client, "imports")
        session = await client.session("connects", integration_slug=SLUG)
        assert (await client.type_key(session["session_token"], KEY)).json()["connection_name"] == name
        connected = (await client.get("/v1/connections", end_user_id="connects")).json()["connections"]
        assert [imported["name"], *(connection["name"] for connection in connected)] == [name, name]
    await register(client, no_identity)
    path = f"/v1/connections/{(await connect(client, 'renames', name='Chosen'))['id']}"
    assert (await client.send("PATCH", path, {"name": None})).json()["name"] == "Billing"


@pytest.mark.promise("P1")
async def test_custom_integration_is_invisible_to_other_organizations(billing: Billing) -> None:
    client, other = await billing.organization(), await billing.organization("Southwind")
    integration = await register(client)
    assert SLUG not in await other.integrations()
    assert (await other.get(PATH)).json() == {"custom_integrations": []}
    for method in ("GET", "DELETE"):
        assert (await other.send(method, f"{PATH}/{SLUG}")).status_code == 404
    session = {"integration_slug": SLUG, "end_user_id": "user_123"}
    assert (await other.post("/v1/hosted-connection-sessions", session)).status_code == 404
    typed = {**session, "auth_type": "api_key", "credentials": {"api_key": KEY}}
    assert (await other.post("/v1/connections", typed)).status_code == 404
    chosen = {"display_name": "Southwind", "integrations": {"mode": "listed", "slugs": [SLUG]}}
    assert (await other.send("PUT", "/v1/organization", chosen)).status_code == 422
    token = (await other.session(integration_slug=None))["session_token"]
    assert SLUG not in [integration["slug"] for integration in (await other.popup("", token)).json()["integrations"]]
    assert (await other.popup("", token, {"integration_slug": SLUG})).status_code == 404
    theirs = await register(other, ENTRY.replace("name: Billing", "name: Southwind's"))
    assert theirs["id"] != integration["id"]
    assert theirs["logo_url"] != integration["logo_url"]
    assert (await client.integrations())[SLUG]["name"] == "Billing"
    assert (await other.integrations())[SLUG]["name"] == "Southwind's"


@pytest.mark.promise("P7")
async def test_oauth_clients_of_the_instance_do_not_serve_custom_integrations(billing: Billing) -> None:
    client = await billing.organization()
    await register(client, ENTRY + OAUTH)
    installation = billing.application.installation
    async with installation.database.read() as tx:
        assert await installation.catalogs.get(tx, "00000000-0000-0000-0000-000000000000", SLUG) is None
    assert (await client.integrations())[SLUG]["supported_auth_types"] == ["api_key"]


async def test_custom_slug_begins_with_x_and_is_unique(billing: Billing) -> None:
    client = await billing.organization()
    for slug in ("billing", "hubspot", "x-", "x-Billing", "x_billing"):
        refused = await send(client, "POST", PATH, ENTRY.replace("slug: x-billing", f"slug: {slug}"))
        assert refused.status_code == 422, slug
        assert refused.json()["errors"] == [
            {
                "field": "slug",
                "message": 'line 1: slug must begin with "x-", followed by lower-case letters, digits and single '
                "hyphens between them.",
            }
        ]
    assert (await send(client, "PUT", f"{PATH}/hubspot", ENTRY)).status_code == 404
    other = await send(client, "PUT", f"{PATH}/x-other", ENTRY)
    assert other.json()["errors"][0] == {
        "field": "slug",
        "message": "line 1: slug must be x-other, as in the URL of the request.",
    }
    assert (await send(client, "POST", PATH, ENTRY)).status_code == 201
    twice = await send(client, "POST", PATH, ENTRY)
    assert (twice.status_code, twice.json()["code"]) == (409, "integration_exists")
    without = ENTRY.removeprefix("slug: x-billing\n")
    assert (await send(client, "PUT", f"{PATH}/x-more", without)).status_code == 201


@pytest.mark.parametrize(
    "change, field, message",
    [
        (
            lambda text: text.replace("https://billing", "http://billing"),
            "auth[0].base_url",
            "line 14: base_url must be https",
        ),
        (
            lambda text: text.replace("category: Accounting", "category: Money"),
            "category",
            "line 4: category must be one of: CRM, Support",
        ),
        (
            lambda text: text.replace("path: /me", "paths: /me"),
            "auth[0].check.paths",
            "line 19: check.paths is not a key",
        ),
        (
            lambda text: text.replace("{16}", "{16}(?=a)"),
            "auth[0].fields[0].pattern",
            "line 13: fields[0].pattern: (? must begin a non-capturing group",
        ),
        (
            lambda text: text.replace("API keys.", "API keys"),
            "auth[0]",
            "line 8: auth[0].api_key.where must be a sentence",
        ),
        (lambda text: text.replace("billing.acme.com", "10.0.0.1"), "auth[0]", "base_url must be an https URL"),
        (lambda text: text + "name: Twice\n", "body", "line 29: name must appear only once"),
        (lambda text: text + "logo: <svg/>\n", "logo", "line 29: logo is not valid: the root must be"),
        (lambda _: "- a list", "body", "line 1: the body must consist of keys and values"),
        (lambda text: text.replace("Billing\n", "&a Billing\nx: *a\n", 1), "body", "line 2: YAML aliases"),
        (lambda text: text.replace("com/v1", "com/v1/"), "auth[0]", "line 8: auth[0]: base_url must not end"),
        (lambda text: text.replace("Authorization", "Host"), "auth[0]", "the header host must be omitted"),
    ],
)
async def test_error_in_an_entry_names_its_line(
    client: Client, change: Callable[[str], str], field: str, message: str
) -> None:
    text = change(ENTRY)
    refused = await send(client, "POST", PATH, text)
    assert refused.status_code == 422, refused.text
    errors = refused.json()["errors"]
    assert any(error["field"] == field and message in error["message"] for error in errors), errors
    assert errors[0]["message"] in refused.json()["detail"]


MISTAKEN: Final = """
slug: x-other
name: Billing
description: Accounting for tests
category: Accounting
aliases: [billing]
website: https://www.example.com
docs: https://www.example.com
logo: <svg/>
auth:
  - type: api_key
    label: Key
    fields:
      - name: api_key
        label: API key
        where: In Billing, open Settings
    params:
      - name: region
        label: Region
        help: Your region
        pattern: "[a-z]{2}"
    base_url: https://api.example.com/
    send:
      basic: {username: "{api_key}", password: "{user}"}
      headers: {Authorization: "{token}"}
    check:
      method: GET
      form: {a: b}
    check_missing: There is no check.
    verified: {how: documentation}
  - type: api_key
    colour: red
    fields: []
    base_url: https://api.example.com
    verified: {how: unverified}
"""


async def test_all_errors_of_a_definition_are_reported_at_once(client: Client) -> None:
    refused = await send(client, "PUT", f"{PATH}/{SLUG}", MISTAKEN)
    assert refused.status_code == 422, refused.text
    messages = [error["message"] for error in refused.json()["errors"]]
    for part in (
        "slug must be x-billing",
        "list each alias once",
        "must contain each auth type only once",
        "logo is not valid",
        "description must be one sentence",
        "colour is not a key",
        "either basic or an Authorization header",
        "exactly one of url and path",
        "a GET request cannot have a body",
        "date with every other value of how",
        "{token} is used, so it must be declared",
        "{user} is used, so it must be declared",
        "region is declared but not used",
        "either check or check_missing",
        "api_key.where must be a sentence",
        "api_key: a pattern is required",
        "region.help must be a sentence",
        "base_url must not end in a slash",
        "expect.json requires a condition",
    ):
        assert len([message for message in messages if part in message]) == 1, (part, messages)
    assert len(messages) == 19


async def refusals(client: Client, changes: Mapping[str, str]) -> list[str]:
    """Change the valid definition, and return the messages of its refusal."""
    text = ENTRY
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    refused = await send(client, "POST", PATH, text)
    assert refused.status_code == 422, refused.text
    return [error["message"] for error in refused.json()["errors"]]


REGION: Final = """params:
      - name: region
        label: Region
        help: Your region.
        options: [{value: eu, label: EU}, {value: eu, label: Europe}]
        default: us
    colour: red
    base_url:"""


async def test_all_rules_of_a_part_are_reported_beside_an_invalid_field(client: Client) -> None:
    messages = await refusals(client, {"base_url:": REGION})
    for part in ("colour is not a key", "region: each option must be listed once", "region: the default must be one"):
        assert [message for message in messages if part in message], (part, messages)


async def test_all_errors_that_only_the_last_check_finds_are_reported(client: Client) -> None:
    messages = await refusals(client, {"API keys.": "API keys", "com/v1": "com/v1/"})
    assert len(messages) == 2, messages


UNKNOWN: Final = "".join(f"unknown_{number}: 1\n" for number in range(30))
SITES: Final = [f"site_{number}" for number in range(25)]
PARAMS: Final = "".join(
    f"      - {{name: {site}, label: Site, help: Your site, pattern: '[a-z]{{2}}'}}\n" for site in SITES
)
USES: Final = f"X-Sites: '{''.join(f'{{{site}}}' for site in SITES)}'"


@pytest.mark.parametrize(
    "changes",
    [
        {"category:": f"logo: <svg/>\n{UNKNOWN}category:"},
        {"base_url:": f"params:\n{PARAMS}    base_url:", "Authorization:": f"{USES}\n        Authorization:"},
    ],
    ids=["first check", "last check"],
)
async def test_at_most_20_errors_are_reported(client: Client, changes: Mapping[str, str]) -> None:
    assert len(await refusals(client, changes)) == 20


@pytest.mark.parametrize(
    "auth", ["api_key", "[api_key]", "[[]]", "[{}]", "{type: api_key}", "[{type: [a]}]", "null", "[]"]
)
async def test_definition_with_a_wrong_shape_is_refused_with_all_its_other_errors(client: Client, auth: str) -> None:
    text = f"{ENTRY.partition('auth:')[0].replace('Accounting', 'Money')}auth: {auth}\n"
    refused = await send(client, "PUT", f"{PATH}/{SLUG}", text)
    assert refused.status_code == 422, refused.text
    messages = [error["message"] for error in refused.json()["errors"]]
    assert [len([message for message in messages if part in message]) > 0 for part in ("category", "auth")] == [
        True
    ] * 2


async def test_detail_of_several_errors_consists_of_whole_sentences(client: Client) -> None:
    refused = (await send(client, "POST", PATH, ENTRY.replace("description:", "descriptions:"))).json()
    first, *others = refused["errors"]
    assert refused["detail"] == " ".join(["The request has 2 errors.", first["message"], others[0]["message"]])


async def test_error_in_a_json_entry_names_its_line(client: Client) -> None:
    entry = yaml.safe_load(ENTRY)
    text = json.dumps({**entry, "category": "Money"}, indent="\t")
    refused = await send(client, "POST", PATH, text, "application/json")
    line = text[: text.index("Money")].count("\n") + 1
    assert refused.json()["errors"][0]["message"].startswith(f"line {line}: ")
    assert (await send(client, "POST", PATH, json.dumps(entry), "application/json; charset=utf-8")).status_code == 201
    broken = await send(client, "POST", PATH, '{\n"slug": \n}', "application/json")
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed_request")
    assert "line 3" in broken.json()["detail"]
    colon = await send(client, "POST", PATH, ENTRY.replace("Billing\n", "Billing: it bills\n", 1))
    assert (colon.status_code, colon.json()["detail"][:33]) == (400, "line 2: the colon in column 14 fo")
    unclosed = await send(client, "POST", PATH, "a: [", "text/yaml")
    assert unclosed.status_code == 400
    assert (await send(client, "POST", PATH, ENTRY, "text/csv")).status_code == 422
    raw = await client.http.post(PATH, content=b"\xff\xfe", headers={"content-type": "application/yaml"})
    assert raw.status_code == 400


@pytest.mark.slow
@pytest.mark.parametrize("text", ["[" * 500_000, "{a: " * 100_000, "- " * 900 + "a", "a: &a [" + "*a, " * 9 + "]"])
async def test_deeply_nested_or_expanding_entry_is_refused(client: Client, text: str) -> None:
    assert (await send(client, "POST", PATH, text)).status_code in {400, 422}
    assert (await send(client, "POST", PATH, text, "application/json")).status_code in {400, 422}


async def test_ambiguous_pattern_does_not_delay_a_request(billing: Billing) -> None:
    client = await billing.organization()
    await register(client, ENTRY.replace("bk_[a-z0-9]{16}", "(?:[a-z0-9_]+)+[a-z0-9]{8,64}"))
    body = {"integration_slug": SLUG, "end_user_id": "u", "auth_type": "api_key"}
    refused = await client.post("/v1/connections", {**body, "credentials": {"api_key": "a" * 10_000 + "!"}})
    assert refused.status_code == 422
    assert (await connect(client))["status"] == "active"


async def test_custom_integration_has_its_own_logo_or_initials(billing: Billing) -> None:
    client = await billing.organization()
    letters = await client.http.get((await register(client))["logo_url"])
    assert letters.headers["content-type"] == "image/svg+xml"
    assert ">BI</text>" in letters.text
    uri = "data:image/svg+xml;base64," + b64encode(SVG.encode()).decode()
    for logo in (SVG, uri):
        integration = await register(client, f"{ENTRY}logo: '{logo}'\n")
        drawn = await client.http.get(integration["logo_url"])
        assert "M0 0h8v8H0z" in drawn.text
        assert "sandbox" in drawn.headers["content-security-policy"]
    inline = (await client.get("/v1/integrations", end_user_id="u", slug=SLUG)).json()["integrations"][0]
    assert inline["logo_url"].startswith("data:image/svg+xml;base64,")
    assert (await client.http.get(f"/logos/000000000000/{SLUG}.svg")).status_code == 404
    unsafe = await send(client, "PUT", f"{PATH}/{SLUG}", f"{ENTRY}logo: '{SVG.replace('<path', '<script/><path')}'\n")
    assert unsafe.json()["errors"][0]["field"] == "logo"


async def test_list_and_entity_tag_change_with_a_custom_integration(billing: Billing) -> None:
    client = await billing.organization()
    tags: list[str] = []
    for text in (None, ENTRY, ENTRY.replace("name: Billing", "name: Bills"), None):
        if text is not None:
            await register(client, text)
        elif tags:
            assert (await client.send("DELETE", f"{PATH}/{SLUG}")).status_code == 200
        tags.append((await client.get("/v1/integrations", end_user_id="u")).headers["etag"])
    assert len(set(tags)) == 4
    assert SLUG not in await client.integrations()


async def test_change_is_visible_to_another_process_at_once(
    billing: Billing, settings: Settings, acme: RunningAcme
) -> None:
    key = await billing.application.key(await billing.application.organization())
    client = billing.application.client(key)
    beside = create_app(settings, catalog_with_acme(acme.url))
    async with lifespan(beside):
        other = Client(beside, key)
        assert SLUG not in await other.integrations()
        for name in ("Billing", "Bills"):
            await register(client, ENTRY.replace("name: Billing", f"name: {name}"))
            assert (await other.integrations())[SLUG]["name"] == name
            view = await other.popup("", (await other.session(integration_slug=SLUG))["session_token"])
            assert view.json()["integration"]["name"] == name


async def test_availability_of_the_organization_covers_custom_integrations(billing: Billing) -> None:
    client = await billing.organization()
    settings = {"display_name": "Northwind", "integrations": {"mode": "listed", "slugs": ["hubspot"]}}
    assert (await client.send("PUT", "/v1/organization", settings)).status_code == 200
    assert (await register(client))["enabled"] is False
    assert SLUG not in await client.integrations()
    listed = {**settings, "integrations": {"mode": "listed", "slugs": ["hubspot", SLUG]}}
    assert (await client.send("PUT", "/v1/organization", listed)).status_code == 200
    assert SLUG in await client.integrations()
    assert (await client.send("DELETE", f"{PATH}/{SLUG}")).status_code == 200
    offered = (await client.get("/v1/organization")).json()
    assert offered["integrations"] == {"mode": "listed", "slugs": ["hubspot"]}


MOVES: Final[dict[str, Callable[[str], str]]] = {
    "another host": lambda text: text.replace("https://billing.acme.com/v1", "https://elsewhere.acme.com/v1"),
    "another header": lambda text: text.replace("Authorization: Bearer {api_key}", "X-Key: '{api_key}'"),
    "the check at another host": lambda text: text.replace("path: /me", "url: https://elsewhere.acme.com/v1/me"),
}
STAYS: Final[dict[str, Callable[[str], str]]] = {
    "nothing": lambda text: text,
    "words": lambda text: text.replace("Invoices of", "Bills of"),
    "another path": lambda text: text.replace("billing.acme.com/v1", "billing.acme.com/v2"),
    "one more way": lambda text: text + OAUTH,
}


@pytest.mark.promise("P7")
@pytest.mark.parametrize("change", MOVES.values(), ids=MOVES)
async def test_credentials_are_invalidated_when_their_destination_changes(
    billing: Billing, change: Callable[[str], str]
) -> None:
    client = await billing.organization()
    await register(client)
    connections = [await connect(client, user) for user in ("anna", "bert")]
    request_count = len(billing.credential_hosts)
    integration = await register(client, change(ENTRY))
    assert integration["invalidated_connections"] == 2
    assert (await register(client, change(ENTRY)))["invalidated_connections"] == 0
    assert (await client.integrations("anna"))[SLUG]["status"] == "not_connected"
    for existing in connections:
        now = (await client.get(f"/v1/connections/{existing['id']}")).json()
        assert (now["status"], now["error"]["code"]) == ("needs_reauth", "integration_changed")
        assert ", or how requests to " in now["error"]["message"]
        checked = await client.post(f"/v1/connections/{existing['id']}/check")
        assert checked.json()["working"] is False, checked.text
        for path in ("refresh", "credentials"):
            method = "POST" if path == "refresh" else "GET"
            refused = await client.send(method, f"/v1/connections/{existing['id']}/{path}")
            assert (refused.status_code, refused.json()["code"]) == (409, "needs_reauth"), path
    assert len(billing.credential_hosts) == request_count
    events = (await client.get("/v1/events", type="connection.needs_reauth")).json()["events"]
    assert [event["data"]["reason"] for event in events] == ["integration_changed"] * 2
    again = await connect(client, "anna", check=False)
    assert (again["id"], again["status"]) == (connections[0]["id"], "active")


@pytest.mark.parametrize("change", STAYS.values(), ids=STAYS)
async def test_change_that_keeps_the_destination_keeps_connections_active(
    billing: Billing, change: Callable[[str], str]
) -> None:
    client = await billing.organization()
    await register(client)
    await connect(client)
    assert (await register(client, change(ENTRY)))["invalidated_connections"] == 0
    assert (await client.integrations())[SLUG]["status"] == "connected"


@pytest.mark.promise("P7")
async def test_credential_stored_after_the_destination_changed_is_refused_at_its_use(billing: Billing) -> None:
    """A credential for the old destination may be stored after the change invalidated the existing connections."""
    client = await billing.organization()
    await register(client)
    connection = await connect(client)
    database = billing.application.installation.database
    async with database.write() as tx:
        was = await tx.one(select(credentials.c.audience))
        assert was is not None
        await tx.execute(credentials.update().values(audience="of an entry that was changed"))
    request_count = len(billing.credential_hosts)
    assert (await client.get(f"/v1/connections/{connection['id']}")).json()["status"] == "active"
    used = await client.get(f"/v1/connections/{connection['id']}/credentials")
    assert (used.status_code, used.json()["code"]) == (409, "needs_reauth")
    assert (await client.get(f"/v1/connections/{connection['id']}")).json()["status"] == "needs_reauth"
    assert len(billing.credential_hosts) == request_count


@pytest.mark.promise("P7")
async def test_oauth_client_is_deleted_when_the_token_host_changes(billing: Billing) -> None:
    client = await billing.organization()
    await register(client, ENTRY + OAUTH)
    path = f"/v1/integrations/{SLUG}/oauth-client"
    response = await client.send("PUT", path, {"client_id": "ours", "client_secret": "s3cret-s3cret"})
    assert response.json()["hosts"] == ["id.acme.com"]
    assert response.json()["redirect_url"] == f"{PUBLIC_URL}/connect/callback/{SLUG}"
    assert (await client.integrations())[SLUG]["supported_auth_types"] == ["api_key", "oauth2"]
    await register(client, ENTRY + OAUTH.replace("pkce: supported", "pkce: required"))
    assert (await client.get(path)).status_code == 200
    await register(client, ENTRY + OAUTH.replace("id.acme.com/token", "id2.acme.com/token"))
    assert (await client.get(path)).status_code == 404
    assert (await client.integrations())[SLUG]["supported_auth_types"] == ["api_key"]
    kinds = [event["type"] for event in (await client.get("/v1/events")).json()["events"]]
    assert kinds[:2] == ["custom_integration.updated", "oauth_client.deleted"]


async def test_mistyped_slug_names_a_custom_integration_only_to_its_organization(billing: Billing) -> None:
    client, other = await billing.organization(), await billing.organization()
    await register(client)
    mistyped = {"integration_slug": f"{SLUG}s", "end_user_id": "user_123"}
    answers = [await caller.post("/v1/hosted-connection-sessions", mistyped) for caller in (client, other)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert [f"Did you mean {SLUG}?" in answer.json()["detail"] for answer in answers] == [True, False]
    assert SLUG not in answers[1].json()["detail"].replace(f"{SLUG}s", "")


async def test_integration_with_connections_is_deleted_only_with_delete_connections(billing: Billing) -> None:
    client = await billing.organization()
    await register(client)
    await connect(client)
    refused = await client.send("DELETE", f"{PATH}/{SLUG}")
    assert (refused.status_code, refused.json()["code"]) == (409, "integration_in_use")
    assert "1 connection" in refused.json()["detail"]
    deleted = (await client.send("DELETE", f"{PATH}/{SLUG}?delete_connections=true")).json()
    assert (deleted["slug"], deleted["deleted_connections"]) == (SLUG, 1)
    assert deleted["revocation_counts"] == {"revoked": 0, "failed": 0, "not_supported": 1}
    assert (await client.get("/v1/connections")).json()["connections"] == []
    assert (await client.get(f"{PATH}/{SLUG}")).status_code == 404
    kinds = [event["type"] for event in (await client.get("/v1/events")).json()["events"]]
    assert kinds[:2] == ["custom_integration.deleted", "connection.deleted"]
    assert (await client.send("DELETE", f"{PATH}/{SLUG}?delete_connections=true")).status_code == 404


async def test_number_of_custom_integrations_is_limited(billing: Billing) -> None:
    organization = await billing.application.organization()
    client = billing.application.client(await billing.application.key(organization))
    entry, now = read_custom(ENTRY, "yaml"), billing.application.clock()
    async with billing.application.installation.database.write() as tx:
        for number in range(organization_catalogs.MOST):
            integration = entry.integration.model_copy(update={"slug": f"x-{number}"})
            await organization_catalogs.create(tx, organization, replace(entry, integration=integration), now)
    assert len((await client.get(PATH)).json()["custom_integrations"]) == organization_catalogs.MOST
    full = await send(client, "POST", PATH, ENTRY)
    assert (full.status_code, full.json()["code"]) == (409, "conflict")
    assert (await send(client, "PUT", f"{PATH}/x-7", ENTRY.replace("x-billing", "x-7"))).status_code == 200
