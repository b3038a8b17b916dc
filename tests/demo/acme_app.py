"""An app of a customer at Acme: builds its requests and reads the answers."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from one_runtime.demo.acme import GLOBEX, Acme

ACME: Final = "http://acme.test"
CALLBACK: Final = "https://app.example/callback?tenant=7"
VERIFIER: Final = "v" * 43
ALL: Final = "account:read contacts:read contacts:write"
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


class MovedClock:
    """A clock that moves only when a test advances it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class App:
    """A client of Acme, registered as `id` with `secret`."""

    acme: Acme
    http: httpx2.AsyncClient
    id: str
    secret: str

    def parameters(self, **more: str | None) -> dict[str, str]:
        """Return the parameters of an authorization request, without those that are None."""
        usual: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": CALLBACK,
            "scope": ALL,
            "state": "st&te",
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (usual | more).items() if value is not None}

    async def ask(self, **more: str | None) -> httpx2.Response:
        """Open the consent page."""
        return await self.http.get("/oauth/authorize", params=self.parameters(**more))

    async def answer(
        self, decision: str | None = "allow", account: str | None = GLOBEX, **more: str | None
    ) -> httpx2.Response:
        """Press a button of the consent page."""
        form = self.parameters(**more) | {"account": account or "", "decision": decision or ""}
        return await self.http.post("/oauth/authorize", data=form)

    async def code(self, account: str | None = GLOBEX, **more: str | None) -> str:
        """Return a code after an allowed consent."""
        return callback_params(await self.answer(account=account, **more))["code"]

    async def token(self, form: Mapping[str, str], *, auth: tuple[str, str] | None = None) -> httpx2.Response:
        """Ask the token endpoint, with the client in the header."""
        return await self.http.post("/oauth/token", data=dict(form), auth=auth or (self.id, self.secret))

    async def redeem(self, code: str, **more: str) -> httpx2.Response:
        """Ask for the tokens of a code."""
        usual = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.token({**usual, "code": code, **more})

    async def refresh(self, refresh_token: str, **more: str) -> httpx2.Response:
        """Ask for new tokens."""
        return await self.token({"grant_type": "refresh_token", "refresh_token": refresh_token, **more})

    async def revoke(self, token: str, *, auth: tuple[str, str] | None = None) -> httpx2.Response:
        """Revoke a token."""
        return await self.http.post("/oauth/revoke", data={"token": token}, auth=auth or (self.id, self.secret))

    async def tokens(self, **more: str | None) -> dict[str, Any]:
        """Return the answer of the token endpoint after an allowed consent."""
        answer = await self.redeem(await self.code(**more))
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def call(self, access_token: str, method: str = "GET", path: str = "/v1/me", **more: Any) -> httpx2.Response:
        """Use the API with an access token."""
        return await self.http.request(method, path, headers={"authorization": f"Bearer {access_token}"}, **more)

    async def state_of(self, access_token: str) -> str:
        """`works`, or why the API refuses the token."""
        answer = await self.call(access_token)
        return "works" if answer.status_code == 200 else str(answer.json()["error"]["code"])


def callback_params(answer: httpx2.Response) -> dict[str, str]:
    """Return the callback parameters of the browser."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(CALLBACK + "&"), location
    query = dict(parse_qsl(urlsplit(location).query, strict_parsing=True))
    assert query.pop("tenant") == "7"
    return query


def encoded(*pairs: tuple[str, str]) -> str:
    """Encode a form or query, which may repeat a name."""
    return urlencode(pairs)


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of an error of the token endpoint, which has a sentence and is never stored."""
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["error_description"]
    return answer.status_code, answer.json()["error"]
