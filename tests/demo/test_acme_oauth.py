"""Acme as an authorization server: consent, redemption of the code, and each refusal."""

import pytest

from one_runtime.demo.acme import GLOBEX, INITECH, Acme
from tests.demo.acme_app import (
    ACME,
    ALL,
    CALLBACK,
    FORM,
    VERIFIER,
    App,
    MovedClock,
    callback_params,
    challenge,
    encoded,
    refusal,
)


async def test_allowed_consent_returns_a_code_with_state_and_issuer(app: App) -> None:
    answer = await app.answer()
    query = callback_params(answer)
    assert query.pop("code")
    assert query == {"state": "st&te", "iss": ACME}
    assert answer.headers["cache-control"] == "no-store"


async def test_denied_consent_returns_access_denied_and_no_code(app: App) -> None:
    query = callback_params(await app.answer("deny"))
    assert query.pop("error_description")
    assert query == {"error": "access_denied", "state": "st&te", "iss": ACME}


async def test_request_without_state_is_answered_without_state(app: App) -> None:
    assert callback_params(await app.answer(state=None)).keys() == {"code", "iss"}


async def test_code_is_exchanged_for_tokens_of_the_selected_account(app: App) -> None:
    answer = await app.redeem(await app.code(account=INITECH))
    tokens = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 60, ALL)
    assert (await app.call(tokens["access_token"])).json()["account"] == {"id": INITECH, "name": "Initech"}


@pytest.mark.parametrize("client_id", ["acmeci_nobody", None])
async def test_unknown_app_ends_on_a_page_of_acme(app: App, client_id: str | None) -> None:
    for answer in (await app.ask(client_id=client_id), await app.answer(client_id=client_id)):
        assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
        assert "No app is registered with the client_id" in answer.text
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "https://evil.example/callback",
        CALLBACK + "&more=1",
        CALLBACK.replace("https", "http"),
        CALLBACK.replace("app", "APP"),
        CALLBACK.replace("callback", "callback/../callback"),
    ],
)
async def test_unregistered_redirect_address_is_never_used(app: App, redirect_uri: str | None) -> None:
    for answer in (await app.ask(redirect_uri=redirect_uri), await app.answer("deny", redirect_uri=redirect_uri)):
        assert answer.status_code == 400
        assert "Fernhill has not registered the redirect_uri" in answer.text
        assert "location" not in answer.headers


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
async def test_repeated_app_or_address_ends_on_a_page_of_acme(app: App, name: str) -> None:
    parameters = app.parameters()
    answer = await app.http.get(f"/oauth/authorize?{encoded((name, parameters[name]), *parameters.items())}")
    assert (answer.status_code, answer.headers.get("location")) == (400, None)


@pytest.mark.parametrize(
    "more, error",
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "=" * 43}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "contacts:read contacts:burn"}, "invalid_scope"),
    ],
)
async def test_invalid_request_returns_to_the_app_with_the_reason(
    app: App, more: dict[str, str | None], error: str
) -> None:
    for answer in (await app.ask(**more), await app.answer(**more)):
        query = callback_params(answer)
        assert (query["error"], query["state"], query["iss"]) == (error, "st&te", ACME)
        assert "code" not in query


async def test_repeated_parameter_is_an_invalid_request(app: App) -> None:
    twice = encoded(*app.parameters().items(), ("state", "another"))
    query = callback_params(await app.http.get(f"/oauth/authorize?{twice}"))
    assert (query["error"], "state" in query) == ("invalid_request", False)


@pytest.mark.parametrize("decision, account", [("", GLOBEX), ("maybe", GLOBEX), ("allow", "acc_nobody"), ("allow", "")])
async def test_answer_without_a_decision_grants_nothing(app: App, decision: str, account: str) -> None:
    answer = await app.answer(decision, account)
    assert (answer.status_code, answer.headers.get("location")) == (400, None)


async def test_form_of_another_site_cannot_allow_access(app: App) -> None:
    form = app.parameters() | {"account": GLOBEX, "decision": "allow"}
    for site in ("cross-site", "same-site"):
        answer = await app.http.post("/oauth/authorize", data=form, headers={"sec-fetch-site": site})
        assert (answer.status_code, answer.headers.get("location")) == (400, None)


@pytest.mark.parametrize(
    "body, headers", [(b"\xff", FORM), (b"a=" + b"x" * 20_000, FORM), (b"{}", {"content-type": "application/json"})]
)
async def test_every_endpoint_refuses_a_malformed_form(app: App, body: bytes, headers: dict[str, str]) -> None:
    for path in ("/oauth/authorize", "/switches", "/oauth/token", "/oauth/revoke"):
        answer = await app.http.post(path, content=body, headers=headers)
        assert answer.status_code == 400, path


async def test_client_may_authenticate_in_the_body(app: App) -> None:
    form = {"grant_type": "authorization_code", "code": await app.code(), "redirect_uri": CALLBACK}
    client = {"client_id": app.id, "client_secret": app.secret}
    answer = await app.http.post("/oauth/token", data={**form, **client, "code_verifier": VERIFIER})
    assert answer.status_code == 200


async def test_header_may_have_an_id_and_secret_with_special_characters(app: App) -> None:
    app.acme.register_client(CALLBACK, client_id="a:b +ü", client_secret="s:%3A")
    answer = await app.token(
        {"grant_type": "refresh_token", "refresh_token": "x"}, auth=("a%3Ab+%2B%C3%BC", "s%3A%253A")
    )
    assert refusal(answer) == (400, "invalid_grant")


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
async def test_unauthenticated_client_is_refused(app: App, path: str) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
    for auth in ((app.id, "wrong"), ("nobody", app.secret), (app.id, "")):
        answer = await app.http.post(path, data=form, auth=auth)
        assert refusal(answer) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic ")
    for header in ("Bearer x", "Basic", "Basic %%%", "Basic bm9jb2xvbg==", "Basic w7w6w7w="):
        answer = await app.http.post(path, data=form, headers={"authorization": header})
        assert refusal(answer) == (401, "invalid_client"), header
    for client in ({}, {"client_id": app.id}, {"client_id": app.id, "client_secret": "wrong"}):
        answer = await app.http.post(path, data={**form, **client})
        assert refusal(answer) == (401, "invalid_client")
        assert "www-authenticate" not in answer.headers


async def test_client_with_two_authentication_methods_is_refused(app: App) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    assert refusal(await app.token({**form, "client_secret": app.secret})) == (400, "invalid_request")
    assert refusal(await app.token({**form, "client_id": "another"})) == (400, "invalid_request")
    assert refusal(await app.token({**form, "client_id": app.id})) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "more, error",
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"code": ""}, "invalid_request"),
        ({"redirect_uri": ""}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"code_verifier": "ü" * 43}, "invalid_request"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"redirect_uri": CALLBACK + "&x=1"}, "invalid_grant"),
        ({"code": "acmeac_nobodys"}, "invalid_grant"),
    ],
)
async def test_invalid_token_request_is_refused(app: App, more: dict[str, str], error: str) -> None:
    answer = await app.redeem(**{"code": await app.code(), **more})
    assert refusal(answer) == (400, error)
    assert "access_token" not in answer.json()


async def test_token_endpoint_refuses_a_repeated_parameter(app: App) -> None:
    body = encoded(("grant_type", "refresh_token"), ("refresh_token", "a"), ("refresh_token", "b"))
    answer = await app.http.post("/oauth/token", content=body, headers=FORM, auth=(app.id, app.secret))
    assert refusal(answer) == (400, "invalid_request")


async def test_second_use_of_a_code_revokes_its_tokens(app: App) -> None:
    code = await app.code()
    tokens = (await app.redeem(code)).json()
    newer = (await app.refresh(tokens["refresh_token"])).json()
    assert await app.state_of(newer["access_token"]) == "works"
    assert refusal(await app.redeem(code)) == (400, "invalid_grant")
    assert [await app.state_of(issued["access_token"]) for issued in (tokens, newer)] == ["token_revoked"] * 2
    assert refusal(await app.refresh(newer["refresh_token"])) == (400, "invalid_grant")


async def test_wrong_verifier_spends_the_code(app: App) -> None:
    code = await app.code()
    assert refusal(await app.redeem(code, code_verifier="w" * 43)) == (400, "invalid_grant")
    assert refusal(await app.redeem(code)) == (400, "invalid_grant")


async def test_code_expires_after_a_minute(app: App, acme_clock: MovedClock) -> None:
    first, second = await app.code(), await app.code()
    acme_clock.advance(59)
    assert (await app.redeem(first)).status_code == 200
    acme_clock.advance(1)
    assert refusal(await app.redeem(second)) == (400, "invalid_grant")


async def test_code_is_valid_for_its_app_only(app: App) -> None:
    thief = app.acme.register_client(CALLBACK)
    code = await app.code()
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    assert refusal(await app.token(form, auth=thief)) == (400, "invalid_grant")
    assert (await app.redeem(code)).status_code == 200, "another app's attempt spends nothing"


async def test_metadata_is_at_the_well_known_address(app: App) -> None:
    metadata = (await app.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["issuer"] == callback_params(await app.answer())["iss"] == ACME
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["scopes_supported"] == ALL.split()
    assert (await app.http.get(metadata["authorization_endpoint"], params=app.parameters())).status_code == 200
    for endpoint in ("token_endpoint", "revocation_endpoint"):
        assert (await app.http.post(metadata[endpoint])).status_code == 400, "it is there, and wants a form"


def test_client_may_have_a_set_id_and_secret_and_more_addresses(app: App) -> None:
    acme = Acme({account.id: account.key for account in app.acme.accounts.values()})
    pair = {"client_id": "acmeci_kept", "client_secret": "acmecs_kept"}
    assert acme.register_client(CALLBACK, **pair) == ("acmeci_kept", "acmecs_kept")
    assert acme.register_client(CALLBACK) != acme.register_client(CALLBACK)


async def test_every_registered_address_is_accepted(app: App) -> None:
    another = "http://127.0.0.1:9000/connect/callback/acme"
    app.acme.register_client(another, client_id=app.id, client_secret=app.secret)
    assert (await app.ask()).status_code == 200
    assert (await app.ask(redirect_uri=another)).status_code == 200
    answer = await app.answer(redirect_uri=another)
    assert answer.headers["location"].startswith(f"{another}?code=")


@pytest.mark.parametrize("address", ["", "app.example/x", "https:///x", "https://a;b/x", "https://a/x#y", "app:/x"])
def test_invalid_redirect_address_cannot_be_registered(app: App, address: str) -> None:
    with pytest.raises(ValueError, match="must be an absolute redirect URL"):
        app.acme.register_client(address)


async def test_token_requests_are_logged_with_time_grant_and_outcome(app: App, acme_clock: MovedClock) -> None:
    code = await app.code()
    tokens = (await app.redeem(code)).json()
    acme_clock.advance(5)
    await app.refresh(tokens["refresh_token"])
    await app.refresh("nobodys")
    await app.token({"grant_type": "refresh_token"}, auth=(app.id, "wrong"))
    app.acme.faults.token_status = 503
    await app.redeem(code)
    start = app.acme.log[0].at
    assert [((entry.at - start).seconds, entry.grant, entry.outcome) for entry in app.acme.log] == [
        (0, "authorization_code", "granted"),
        (5, "refresh_token", "granted"),
        (5, "refresh_token", "invalid_grant"),
        (5, "refresh_token", "invalid_client"),
        (5, "authorization_code", "http_503"),
    ]
    assert not any(secret in repr(app.acme.log) for secret in (code, tokens["access_token"], app.secret))


def test_challenge_of_the_tests_matches_the_rfc() -> None:
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
