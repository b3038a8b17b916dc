"""The part of a story in which an end user gives an agent (an OAuth client) access, and takes the access back."""

import base64
import hashlib
from typing import Any

from one_runtime.agents.authorization.resources import PATH
from tests.agent_clients import REDIRECT_URI, SIGN_IN_PAGE, Publisher, query_of
from tests.promises.agents_story import Storyteller
from tests.promises.canaries import fitting, secret_part


async def authorize_an_agent(story: Storyteller, publisher: Publisher) -> None:
    """Approve an agent, renew its tokens, replay its code, and send its secrets to wrong places."""
    client_id = publisher.client_id
    settings = {"agents": {"sign_in_url": SIGN_IN_PAGE}}
    organization = (await story.ask("PATCH", "/v1/organization", story.api_key, settings)).json()["id"]
    resource = f"{str(story.http.base_url).rstrip('/')}{PATH}/{organization}"
    verifier = fitting(None) + fitting(None)
    story.canaries["code verifier"] = verifier
    digest = hashlib.sha256(verifier.encode()).digest()
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT_URI,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "resource": resource,
    }
    started = await story.http.get("/oauth/authorize", params=parameters)
    authorization = query_of(started.headers["location"])["agent_authorization_id"]
    path = f"/v1/agent-authorizations/{authorization}"
    await story.ask("GET", path, story.api_key)
    approved = await story.ask("POST", path, story.api_key, {"end_user_id": "user_of_a_client"})
    del story.outputs[-2:]  # only this response may contain the code
    code = query_of(approved.json()["continue_url"])["code"]
    story.canaries |= {"code of an agent": code, "its secret part": secret_part(code)}
    form = {"client_id": client_id, "redirect_uri": REDIRECT_URI, "code_verifier": verifier, "resource": resource}
    exchange = {"grant_type": "authorization_code", "code": code, **form}
    await refuse(story, "/oauth/token", exchange | {"code_verifier": verifier[::-1]})
    first = await tokens(story, exchange, "first")
    renewed = await tokens(
        story, {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "client_id": client_id}, "new"
    )
    await story.ask("GET", "/v1/end-user-tokens", story.api_key)
    await refuse(story, "/oauth/token", exchange)
    for field in ("token", "client_id"):
        await refuse(story, "/oauth/revoke", {field: renewed["refresh_token"]})
    for token in (code, first["refresh_token"], renewed["access_token"]):
        assert (await story.ask("POST", f"{PATH}/{organization}", token)).status_code == 401
        wrong = await story.http.get("/oauth/authorize", params={**parameters, "resource": token, "scope": token})
        story.outputs.append(wrong.content)
        assert wrong.status_code == 400
    await story.ask("GET", "/v1/events", story.api_key)


async def tokens(story: Storyteller, form: dict[str, str], name: str) -> dict[str, Any]:
    """Return tokens. Only the response of the token endpoint may contain the tokens."""
    response = await story.http.post("/oauth/token", data=form)
    assert response.status_code == 200, response.text
    issued: dict[str, Any] = response.json()
    for part in (issued["access_token"], *issued["refresh_token"].split(".")):
        number = len(story.canaries)
        story.canaries |= {f"{name} token {number}": part, f"secret part {number}": secret_part(part)}
    return issued


async def refuse(story: Storyteller, path: str, form: dict[str, str]) -> None:
    response = await story.http.post(path, data=form)
    story.outputs.append(response.content)
    assert response.status_code == 400, response.text
