"""P3: after any operation, the database contains no readable credential, and sealed values work only in their row."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.examples import generate_param
from one_runtime.catalog.parts import Param
from one_runtime.connecting.authorization_attempts import AttemptSecret
from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.encryption.vault import parse_keys
from tests import oauth_rows
from tests.application import ACME_KEYS, Application, Client
from tests.promises.canaries import fitting, leaks, secret_part, spellings
from tests.promises.stores import everything_stored, query
from tests.redirects import RETURN_URL, connect_and_return, register

pytestmark = pytest.mark.promise("P3")

PARAMS: Final = ("northwind", "northwind.example.com", "123456", "northwind.okta", "northwind.myworkday")


def every_way_to_connect(application: Application) -> Iterator[tuple[str, Auth]]:
    for integration in application.installation.catalog.integrations:
        for auth in integration.auth:
            if auth.fields and auth.type in {"api_key", "basic"}:
                yield integration.slug, auth


def fitting_param(param: Param) -> str:
    """Return a value for a parameter. Parameters are not secret."""
    forms = (param.default, *(option.value for option in param.options), *PARAMS)
    fit = (form for form in forms if form and (not param.pattern or re.fullmatch(param.pattern, form)))
    return next(fit, None) or generate_param(param)


async def import_everything(application: Application, client: Client) -> dict[str, str]:
    """Import a connection of each integration and auth type without a check. Return the credentials."""
    canaries: dict[str, str] = {}
    for slug, auth in every_way_to_connect(application):
        typed = {field.name: fitting(field.pattern) for field in auth.fields}
        params = {param.name: fitting_param(param) for param in auth.params}
        body = {"integration_slug": slug, "end_user_id": "user_123", "auth_type": auth.type, "check": False}
        more = {"params": params, "credentials": typed, "multiple": True}
        answer = await client.post("/v1/connections", {**body, **more})
        assert answer.status_code == 201, f"{slug}: {answer.text}"
        canaries |= {f"{slug} {auth.type} {name}": value for name, value in typed.items()}
    return canaries


async def fail_and_connect_in_the_popup(client: Client) -> dict[str, str]:
    """Submit a refused key, a valid key, and the key of another account. Return the keys and the session tokens."""
    refused = fitting("acme_[a-z0-9_]{8,64}")
    first, second = await client.session("user_popup"), await client.session("user_popup")
    assert (await client.popup("", first["session_token"])).status_code == 200
    assert (await client.type_key(first["session_token"], refused)).status_code == 422
    assert (await client.type_key(first["session_token"], ACME_KEYS[GLOBEX])).status_code == 200
    replaced = await client.replace_by_key(second["session_token"], ACME_KEYS[INITECH])
    assert replaced.status_code == 200
    imported = {"integration_slug": "acme", "end_user_id": "user_popup", "auth_type": "api_key"}
    answer = await client.post("/v1/connections", {**imported, "credentials": {"api_key": refused}})
    assert answer.status_code == 422
    tokens = {"first session token": first["session_token"], "second session token": second["session_token"]}
    return {"refused key": refused, "Globex's key": ACME_KEYS[GLOBEX], "Initech's key": ACME_KEYS[INITECH], **tokens}


async def connect_by_redirect(application: Application, client: Client) -> dict[str, str]:
    """Connect in the mode `redirect`, but do not redeem the code. Return the secrets."""
    await register(client, RETURN_URL)
    redirect = await connect_and_return(application, client, ACME_KEYS[GLOBEX], end_user_id="user_redirect")
    return {"third session token": redirect.token, "code": redirect.code}


async def store_oauth_secrets(application: Application, client: Client) -> dict[str, str]:
    """Store an OAuth client, imported tokens, a pending authorization and a pending revocation. Return the secrets."""
    organization = (await client.get("/v1/organization")).json()["id"]
    place = oauth_rows.Place(application.installation.database, application.installation.vault, organization)
    secrets = {name: fitting(None) for name in ("client secret", "verifier", "access token", "refresh token", "left")}
    client_id = await oauth_rows.client(place, "our-id", secrets["client secret"])
    session = await client.session("user_oauth", integration_slug=oauth_rows.SLUG)
    secrets["ticket"] = await oauth_rows.consent(place, session["id"], client_id, AttemptSecret(secrets["verifier"]))
    await oauth_rows.pending_revocation(place, client_id, {"access_token": secrets["left"]})
    tokens = {"access_token": secrets["access token"], "refresh_token": secrets["refresh token"]}
    await oauth_rows.client(place, "our-other-id", secrets["client secret"], oauth_rows.NOT_REVOCABLE)
    body = {"integration_slug": oauth_rows.NOT_REVOCABLE, "end_user_id": "user_oauth", "auth_type": "oauth2"}
    created = await client.post("/v1/connections", {**body, "check": False, "credentials": tokens})
    assert created.status_code == 201
    return {**secrets, "fourth session token": session["session_token"]}


async def every_connection(client: Client) -> list[dict[str, Any]]:
    """Return the connections of all pages."""
    page = (await client.get("/v1/connections")).json()
    connections: list[dict[str, Any]] = page["connections"]
    while page["next_cursor"] is not None:
        page = (await client.get("/v1/connections", cursor=page["next_cursor"])).json()
        connections += page["connections"]
    return connections


async def use(client: Client) -> list[str]:
    ids = [connection["id"] for connection in await every_connection(client)]
    for connection_id in ids:
        assert (await client.send("PATCH", f"/v1/connections/{connection_id}", {"name": "Renamed"})).status_code == 200
    (connection,) = (await client.get("/v1/connections", end_user_id="user_popup")).json()["connections"]
    assert (await client.post(f"/v1/connections/{connection['id']}/check")).json()["working"] is True
    for path in ("/v1/connections", "/v1/events", "/v1/end-users"):
        assert (await client.get(path)).status_code == 200
    await client.integrations(expand="connections")
    return ids


def keys_of(application: Application, api_key: str) -> dict[str, str | bytes]:
    ring = application.installation.settings.encryption_keys.get_secret_value()
    return {"ring": ring, "ring's bytes": parse_keys(ring)[0], "API key": api_key, "its secret": secret_part(api_key)}


@pytest.mark.slow
async def test_no_secret_is_readable_in_the_database_after_a_whole_story(application: Application) -> None:
    api_key = await application.key(await application.organization())
    client = application.client(api_key)
    typed = await import_everything(application, client)
    typed |= await fail_and_connect_in_the_popup(client)
    typed |= await connect_by_redirect(application, client)
    typed |= await store_oauth_secrets(application, client)
    canaries = {**keys_of(application, api_key), **typed}
    ids = await use(client)
    assert len(query(application.installation, "SELECT sealed FROM credentials")) == len(ids)
    assert leaks(canaries, everything_stored(application.installation)) == []
    for connection in await every_connection(client):
        body = {"integration_slug": connection["integration_slug"], "end_user_id": connection["end_user_id"]}
        assert (await client.post("/v1/disconnect", body)).json()["status"] in {"disconnected", "not_found"}
    assert query(application.installation, "SELECT sealed FROM credentials") == []
    assert leaks(canaries, everything_stored(application.installation)) == []


def test_search_finds_a_secret_in_every_spelling_at_every_alignment() -> None:
    secret = fitting(None) + "+/="
    for spelling, written in spellings(secret.encode()).items():
        places = leaks({"secret": secret}, {"file": b"before " + written + b" after"})
        assert f"secret in file ({spelling})" in places
    assert leaks({"secret": secret}, {"file": b"nothing of it"}) == []


@pytest.mark.parametrize("across", ["end users", "organizations"])
async def test_ciphertext_moved_to_another_row_cannot_be_decrypted(
    application: Application, client: Client, across: str
) -> None:
    victims = await client.connect("user_123", ACME_KEYS[GLOBEX])
    if across == "organizations":
        attacker = application.client(await application.key(await application.organization("Southwind")))
    else:
        attacker = client
    attackers = await attacker.connect("user_456", ACME_KEYS[INITECH])
    assert (await attacker.post(f"/v1/connections/{attackers['id']}/check")).json()["working"] is True
    stolen = f"(SELECT sealed FROM credentials WHERE connection_id = '{victims['id']}')"
    query(
        application.installation, f"UPDATE credentials SET sealed = {stolen} WHERE connection_id = '{attackers['id']}'"
    )
    answer = await attacker.post(f"/v1/connections/{attackers['id']}/check")
    assert (answer.status_code, answer.json()["code"]) == (500, "seal_broken")
    assert (await client.post(f"/v1/connections/{victims['id']}/check")).json()["working"] is True


async def test_older_ciphertext_of_the_same_row_cannot_be_decrypted(application: Application, client: Client) -> None:
    connection = await client.connect()
    (old,) = query(application.installation, "SELECT sealed FROM credentials")
    assert (await client.connect())["id"] == connection["id"]
    (row,) = query(application.installation, "SELECT version FROM credentials")
    assert row[0] == 2
    hexadecimal = bytes(old[0]).hex()
    literal = f"x'{hexadecimal}'" if application.installation.settings.database_url.get_secret_value().startswith(
        "sqlite"
    ) else f"'\\x{hexadecimal}'::bytea"  # fmt: skip
    query(application.installation, f"UPDATE credentials SET sealed = {literal}")
    answer = await client.post(f"/v1/connections/{connection['id']}/check")
    assert (answer.status_code, answer.json()["code"]) == (500, "seal_broken")
