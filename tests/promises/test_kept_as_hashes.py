"""P2: One Runtime stores API keys and session tokens as hashes, compares them in constant time, and shows them once."""

import ast
import hashlib
import inspect

import pytest

from one_runtime.db import schema
from one_runtime.encryption import secret_tokens
from tests.application import Application, Client
from tests.promises.canaries import join_texts, leaks, secret_part
from tests.promises.stores import everything_stored, query

pytestmark = pytest.mark.promise("P2")


def stored_hash(application: Application, table: str, column: str) -> set[bytes]:
    return {bytes(row[0]) for row in query(application.installation, f"SELECT {column} FROM {table}")}


async def test_only_the_hash_of_an_api_key_is_stored(application: Application, client: Client) -> None:
    key = await application.key(await application.organization("Southwind"))
    assert (await application.client(key).get("/v1/connections")).status_code == 200
    assert hashlib.sha256(key.encode()).digest() in stored_hash(application, "api_keys", "secret_hash")
    assert leaks({"the key": key, "its secret": secret_part(key)}, everything_stored(application.installation)) == []


async def test_only_the_hash_of_a_session_token_is_stored(application: Application, client: Client) -> None:
    token = (await client.session())["session_token"]
    assert (await client.popup("", token)).status_code == 200
    assert hashlib.sha256(token.encode()).digest() in stored_hash(
        application, "hosted_connection_sessions", "token_hash"
    )
    canaries = {"the token": token, "its secret": secret_part(token)}
    assert leaks(canaries, everything_stored(application.installation)) == []


async def test_api_key_and_session_token_are_shown_once(application: Application, client: Client) -> None:
    organization_id = (await client.get("/v1/organization")).json()["id"]
    key = await application.key(organization_id)
    session = await client.session()
    texts = [
        (await client.get(path)).text
        for path in (
            f"/v1/hosted-connection-sessions/{session['id']}",
            "/v1/events",
            "/v1/organization",
            "/v1/connections",
            "/v1/end-users",
            "/openapi.json",
        )
    ]
    texts.append((await client.popup("", session["session_token"])).text)
    texts.append((await client.get("/connect", session_token=session["session_token"])).text)
    canaries = {"key": secret_part(key), "token": secret_part(session["session_token"])}
    assert leaks(canaries, {"answers": join_texts(texts)}) == []


async def test_every_entry_point_refuses_a_token_that_the_comparison_refuses(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each look-up of a hash, the constant-time comparison decides."""
    token = (await client.session())["session_token"]
    monkeypatch.setattr(secret_tokens, "same", lambda left, right: False)
    for answer in (
        await client.get("/v1/integrations", end_user_id="user_123"),
        await client.get("/v1/connections"),
        await client.popup("", token),
        await client.popup("/cancel", token),
    ):
        assert answer.status_code == 401


def test_digests_and_checksums_are_compared_only_in_constant_time() -> None:
    assert "return hmac.compare_digest(left, right)" in inspect.getsource(secret_tokens.same)
    tree = ast.parse(inspect.getsource(secret_tokens))
    compared = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    assert compared == ["len(text) != length"]


def test_every_column_for_a_secret_holds_a_hash_or_is_sealed() -> None:
    secret_words = ("secret", "token", "password", "key", "code", "verifier", "credential", "sealed")
    columns = {
        f"{table.name}.{column.name}"
        for table in schema.metadata.tables.values()
        for column in table.columns
        if any(word in column.name for word in secret_words)
    }
    assert columns == {
        "api_keys.secret_hash",
        "end_user_tokens.secret_hash",
        "end_user_tokens.refresh_token_hash",
        "agent_authorizations.code_challenge",  # the hash of the client's verifier (PKCE)
        "agent_authorizations.code_hash",
        "agent_authorizations.code_expires_at",
        "agent_authorizations.end_user_token_id",  # the id of the token, not the token
        "connect_requests.end_user_token_id",  # the id of the token, not the token
        "requests.end_user_token_id",  # the id of the token, not the token
        "hosted_connection_sessions.token_hash",
        "hosted_connection_sessions.code_hash",
        "credentials.sealed",
        "credentials.key_id",
        "unredeemed_connections.sealed",
        "unredeemed_connections.key_id",
        "oauth_clients.sealed",
        "oauth_clients.key_id",
        "idempotency_keys.api_key_id",
        "idempotency_keys.key_hash",
        "idempotency_keys.sealed",
        "idempotency_keys.key_id",
        "consents.sealed",
        "consents.key_id",
        "revocations.sealed",
        "revocations.key_id",
        "webhook_secrets.sealed",
        "webhook_secrets.key_id",
        "agent_runs.sealed",
        "agent_runs.key_id",
        "agent_runs.end_user_token_id",  # the id of the token, not the token
        "approval_requests.sealed",
        "approval_requests.key_id",
        "approval_requests.end_user_token_id",  # the id of the token, not the token
        "invitations.token_hash",
        "dashboard_sessions.token_hash",
        "sign_in_steps.token_hash",
        "passkeys.credential_id",  # public
        "passkeys.public_key",
        "totp_secrets.sealed",
        "totp_secrets.key_id",
        "key_ring.key_id",
        "requests.api_key_id",  # the id of the API key, not the key
        "servers.key_ids",
    }


@pytest.mark.parametrize(
    "kind",
    [
        secret_tokens.API_KEY,
        secret_tokens.END_USER_TOKEN,
        secret_tokens.REFRESH_TOKEN,
        secret_tokens.AUTHORIZATION_CODE,
        secret_tokens.SESSION,
        secret_tokens.CODE,
        secret_tokens.TICKET,
        secret_tokens.APPROVAL,
        secret_tokens.STATE,
        secret_tokens.BROWSER,
    ],
)
def test_a_token_has_256_random_bits_and_a_checksum(kind: str) -> None:
    tokens = [secret_tokens.make(kind) for _ in range(200)]
    assert len({token.secret for token in tokens}) == 200
    assert all(secret_tokens.recognize(kind, token.secret) for token in tokens)
    assert all(len(secret_part(token.secret)) == 43 + 6 for token in tokens)
    assert all(secret_part(token.secret) not in repr(token) for token in tokens)
    changed = tokens[0].secret[:20] + ("a" if tokens[0].secret[20] != "a" else "b") + tokens[0].secret[21:]
    assert not secret_tokens.recognize(kind, changed)
    other = secret_tokens.SESSION if kind == secret_tokens.API_KEY else secret_tokens.API_KEY
    assert not secret_tokens.recognize(other, tokens[0].secret)
