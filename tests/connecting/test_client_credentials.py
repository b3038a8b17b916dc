"""Connecting with an OAuth client that the end user entered: a wrong secret and an outage are different errors."""

from collections.abc import AsyncIterator
from itertools import product

import httpx2
import pytest
import pytest_asyncio

from tests.application import RunningAcme
from tests.database import ANY_DATABASE
from tests.missing_key import activate_last, add_key
from tests.tokens.answering import (
    CLIENT_ID,
    CLIENT_SECRET,
    SLUG,
    AnsweringApplication,
    Scripted,
    answering_application,
)

pytestmark = ANY_DATABASE

BODIES = ("empty", "text", "HTML", "JSON")


@pytest_asyncio.fixture
async def app(database_url: str, acme: RunningAcme) -> AsyncIterator[AnsweringApplication]:
    """The application with the answering provider."""
    async with answering_application(database_url, acme) as app:
        yield app


async def connect(app: AnsweringApplication, secret: str) -> httpx2.Response:
    """Import a client id and a secret, as a customer's backend does."""
    body = {"integration_slug": SLUG, "end_user_id": "user_123", "auth_type": "client_credentials"}
    credentials = {"client_id": CLIENT_ID, "client_secret": secret}
    return await app.client.post("/v1/connections", {**body, "credentials": credentials})


async def test_the_right_secret_connects(app: AnsweringApplication) -> None:
    assert (await connect(app, CLIENT_SECRET)).status_code == 201


async def test_a_wrong_secret_that_is_refused_without_an_error_code_is_a_wrong_secret(
    app: AnsweringApplication,
) -> None:
    for status, body in product((400, 401, 403, 422), BODIES):
        app.provider.token = Scripted(status, body)
        answer = await connect(app, "wrong-secret")
        expected = (502, "provider_unavailable") if (status, body) == (403, "HTML") else (422, "credentials_refused")
        assert (answer.status_code, answer.json()["code"]) == expected, (status, body)


async def test_a_wrong_secret_that_is_refused_with_an_error_code_is_a_wrong_secret(app: AnsweringApplication) -> None:
    for status, body in product((400, 401, 403, 404), ("JSON with `invalid_grant`", "JSON with an unknown code")):
        app.provider.token = Scripted(status, body)
        assert (await connect(app, "wrong-secret")).json()["code"] == "credentials_refused", (status, body)


@pytest.mark.slow
async def test_an_outage_is_not_a_wrong_secret(app: AnsweringApplication) -> None:
    answers = [
        Scripted(status, body) for status, body in product((302, 404, 405, 408, 410, 425, 429, 500, 503), BODIES)
    ]
    answers += [Scripted(status, headers={"retry-after": "60"}) for status in (400, 401)]
    for scripted in answers:
        app.provider.token = scripted
        answer = await connect(app, "wrong-secret")
        assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable"), scripted


async def test_the_popup_reports_a_wrong_secret(app: AnsweringApplication) -> None:
    session = await app.client.session(integration_slug=SLUG, allowed_origins=["https://app.example.com"])
    app.provider.token = Scripted(401)
    body = {
        "integration_slug": SLUG,
        "auth_type": "client_credentials",
        "credentials": {"client_id": CLIENT_ID, "client_secret": "wrong-secret"},
    }
    answer = await app.client.popup("/connect", session["session_token"], body)
    assert (answer.status_code, answer.json()["code"]) == (422, "credentials_refused"), answer.text


@pytest.mark.promise("P8")
async def test_a_server_without_the_active_key_requests_no_token(app: AnsweringApplication) -> None:
    await activate_last(app.application.installation, add_key(app.application.installation)[1])
    answer = await connect(app, CLIENT_SECRET)
    assert (answer.status_code, answer.json()["code"]) == (503, "key_not_in_ring")
    assert app.provider.requests == []
