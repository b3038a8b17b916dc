"""Steps of the mode `redirect`: an end user connects on our page, and returns to the organization's app with a code."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2

from one_runtime.connecting import popup
from one_runtime.connecting.popup import Connected, SubmittedForm
from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS, Application, Client

RETURN_URL: Final = "https://app.example.com/integrations/done"


@dataclass(frozen=True, slots=True)
class Redirected:
    """The return of an end user to the app, with a code."""

    session_id: str
    token: str
    code: str
    query: dict[str, list[str]]


async def register(client: Client, *urls: str) -> None:
    now = (await client.get("/v1/organization")).json()
    body = {name: now[name] for name in ("display_name", "allowed_origins")}
    assert (await client.send("PUT", "/v1/organization", {**body, "return_urls": list(urls)})).status_code == 200


async def type_key(application: Application, token: str, key: str = ACME_KEYS[GLOBEX], **more: Any) -> Connected:
    """Submit an API key on our page, as an end user does."""
    request = SubmittedForm("api_key", credentials={"api_key": key}, **more)
    view = await popup.load_view(application.installation, token, presentation="page", opening=False)
    return await popup.connect(application.installation, view, request, None)


async def connect_and_return(
    application: Application, client: Client, key: str = ACME_KEYS[GLOBEX], **session: Any
) -> Redirected:
    """Connect an account and return to the app. Do not redeem the code."""
    created = await client.session(**{"return_url": RETURN_URL, **session})
    connected = await type_key(application, created["session_token"], key)
    assert connected.connection_id is None
    assert connected.return_to is not None
    query = parse_qs(urlsplit(connected.return_to).query)
    return Redirected(created["id"], created["session_token"], query["code"][0], query)


async def redeem(client: Client, redirect: Redirected, end_user_id: str = "user_123", **more: str) -> httpx2.Response:
    """Redeem the code with which the end user returned."""
    body = {"code": redirect.code, "end_user_id": end_user_id, **more}
    return await client.post(f"/v1/hosted-connection-sessions/{redirect.session_id}/redeem", body)
