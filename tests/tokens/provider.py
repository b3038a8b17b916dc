"""An authorization server whose refresh tokens rotate, on a free port of loopback, until standard input ends.

`python -m tests.tokens.provider --log FILE`

A refresh token that is used again ends its family (RFC 9700, 4.14.2). Each token request is one line of the log, which
is written before the response is sent: time, family, presented generation, response. Tests create families and set
their behaviour over `/families`. State is in memory: this process outlives the processes that a test kills.
"""

import argparse
import asyncio
import base64
import json
import os
import random
import secrets
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

CLIENT_ID: Final = "one-runtime"
CLIENT_SECRET: Final = "of-the-client-of-the-tests"
_BASIC: Final = f"Basic {base64.b64encode(f'{CLIENT_ID}:{CLIENT_SECRET}'.encode()).decode()}"


@dataclass(slots=True)
class Behaviour:
    """Responses to a family's token requests.

    `life`: seconds of an access token. `before`, `after`: the maximum of a random delay before and after the tokens
    rotate. `hold`: the place (`before` or `after`) where requests wait until it changes. `fault`: the response instead
    of tokens; `lost` takes effect after the rotation, the others before. `account`: the account of the family.

    `revokes`: the effect of a revocation. `present`: the present refresh token ends its family. `token`: a token ends
    only itself. `family`: each token, also a replaced one, ends its family. `account`: all families of an account are
    one grant, and each of their tokens ends it.
    """

    life: float = 3600.0
    before: float = 0.0
    after: float = 0.0
    hold: str | None = None
    fault: str | None = None
    retry_after: str | None = None
    words: str = "The grant has been revoked."
    padding: int = 0
    account: str = ""
    revokes: str = "present"


@dataclass(slots=True)
class Family:
    """The tokens of one grant. The generation counts refreshes."""

    name: str
    behaviour: Behaviour
    alive: bool = True
    generation: int = 0
    refresh_token: str = ""
    access: dict[str, float] = field(default_factory=dict)
    issued: set[str] = field(default_factory=set)
    waiting: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def rotate(self, generation: int) -> dict[str, Any]:
        """Replace the tokens; access tokens stay valid until they expire."""
        now = time.monotonic()
        self.generation = generation
        self.refresh_token = f"rt.{self.name}.{generation}.{secrets.token_hex(8)}"
        access_token = f"at.{self.name}.{generation}.{secrets.token_hex(8)}{'x' * self.behaviour.padding}"
        self.access = {token: end for token, end in self.access.items() if end > now}
        self.access[access_token] = now + self.behaviour.life
        self.issued |= {self.refresh_token, access_token}
        tokens = {"access_token": access_token, "refresh_token": self.refresh_token, "token_type": "Bearer"}
        return {**tokens, "expires_in": self.behaviour.life}

    def end(self) -> None:
        """Invalidate all tokens of this family."""
        self.alive = False
        self.refresh_token = ""
        self.access.clear()

    async def pass_time(self, where: str, seconds: float) -> None:
        """Wait for the random delay of this place, then until it is not held."""
        self.waiting += 1
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), random.uniform(0, seconds))
            while self.behaviour.hold == where:
                self.moved.clear()
                await self.moved.wait()
        finally:
            self.waiting -= 1


class Provider:
    """State and endpoints of the authorization server."""

    def __init__(self, log: int) -> None:
        self.families: dict[str, Family] = {}
        self._log = log

    def note(self, family: str, presented: int, answer: str, granted: int | None = None) -> None:
        """Write one line, which is in the file when this returns."""
        record = {"at": time.time(), "family": family, "presented": presented, "answer": answer, "granted": granted}
        os.write(self._log, f"{json.dumps(record)}\n".encode())

    async def token(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The token endpoint, in bare ASGI so that it can close the connection."""
        request = Request(scope, receive)
        form = dict(parse_qsl((await request.body()).decode()))
        answer = await self._answer(request.headers.get("authorization", ""), form)
        if answer is None:
            cast("Any", send).__self__.transport.abort()  # `send` is uvicorn's own: no middleware wraps it
            return
        await answer(scope, receive, send)

    async def _answer(self, authorization: str, form: Mapping[str, str]) -> Response | None:
        if authorization != _BASIC:
            return JSONResponse({"error": "invalid_client"}, 401)
        presented = form.get("refresh_token", "")
        _, name, number, _ = presented.split(".") if presented.count(".") == 3 else ("", "", "-1", "")
        family, generation = self.families.get(name), int(number)
        if form.get("grant_type") != "refresh_token" or family is None:
            self.note(name, generation, "unknown")
            return JSONResponse({"error": "invalid_grant", "error_description": "There is no such token."}, 400)
        behaviour = family.behaviour
        await family.pass_time("before", behaviour.before)
        if behaviour.fault is not None and behaviour.fault != "lost":
            self.note(name, generation, behaviour.fault)
            return _faulty(behaviour)
        if not family.alive:
            self.note(name, generation, "dead")
            return _refusal(behaviour.words)
        if presented != family.refresh_token:
            family.end()
            self.note(name, generation, "reused")
            return _refusal("The refresh token was used before.")
        tokens = family.rotate(generation + 1)
        self.note(name, generation, "granted", generation + 1)
        await family.pass_time("after", behaviour.after)
        return None if behaviour.fault == "lost" else JSONResponse(tokens)

    async def me(self, request: Request) -> Response:
        """The API: return the family of the token."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        family = self.families.get(token.split(".")[1]) if token.count(".") == 3 else None
        if family is None or family.access.get(token, 0) <= time.monotonic():
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse({"id": family.behaviour.account or family.name})

    async def revoke(self, request: Request) -> Response:
        """RFC 7009. The revocation of an unknown token changes nothing (2.2)."""
        token = dict(parse_qsl((await request.body()).decode())).get("token", "")
        for family in [family for family in self.families.values() if token in family.issued]:
            self._revoke(family, token)
        return Response()

    def _revoke(self, family: Family, token: str) -> None:
        family.access.pop(token, None)
        behaviour, is_present = family.behaviour, token == family.refresh_token
        if behaviour.revokes == "token" and is_present:
            family.refresh_token = ""
        elif behaviour.revokes == "family" or (behaviour.revokes == "present" and is_present):
            family.end()
        elif behaviour.revokes == "account":
            for other in self.families.values():
                if other.behaviour.account == behaviour.account:
                    other.end()

    async def make(self, request: Request) -> Response:
        """Create families and return their first tokens."""
        options = await request.json()
        first_tokens = []
        for _ in range(options.pop("count", 1)):
            family = Family(secrets.token_hex(6), Behaviour(**options))
            self.families[family.name] = family
            first_tokens.append({"family": family.name, **family.rotate(0)})
        return JSONResponse(first_tokens)

    async def behave(self, request: Request) -> Response:
        """Change the behaviour of one family or of all; held requests continue if the new behaviour allows it."""
        changes, name = await request.json(), request.path_params["name"]
        for family in self.families.values() if name == "all" else [self.families[name]]:
            for key, value in changes.items():
                setattr(family.behaviour, key, value)
            family.moved.set()
        return Response()

    async def look(self, request: Request) -> Response:
        """Return the state of a family."""
        family = self.families[request.path_params["name"]]
        state = {"alive": family.alive, "generation": family.generation, "waiting": family.waiting}
        state |= {"refreshable": family.refresh_token != ""}
        return JSONResponse(state)

    async def look_at_all(self, _: Request) -> Response:
        """Return the present refresh token of each family that is alive, and the number of its waiting requests."""
        families = self.families.values()
        return JSONResponse({family.name: [family.refresh_token, family.waiting] for family in families})


def _refusal(words: str) -> Response:
    return JSONResponse({"error": "invalid_grant", "error_description": words}, 400)


def _faulty(behaviour: Behaviour) -> Response | None:
    headers = {} if behaviour.retry_after is None else {"retry-after": behaviour.retry_after}
    answers: dict[str, Response | None] = {
        "500": Response("<h1>Something went wrong</h1>", 500, headers),
        "503": Response("", 503, headers),
        "429": JSONResponse({"error": "slow_down"}, 429, headers),
        "invalid_grant": _refusal(behaviour.words),
        "invalid_client": JSONResponse({"error": "invalid_client"}, 401),
        "malformed": Response('{"access_token": ', 200),
        "closed": None,
    }
    return answers[cast("str", behaviour.fault)]


def app_of(provider: Provider) -> Any:
    """The ASGI application."""
    rest = Starlette(
        routes=[
            Route("/me", provider.me),
            Route("/revoke", provider.revoke, methods=["POST"]),
            Route("/families", provider.make, methods=["POST"]),
            Route("/families", provider.look_at_all),
            Route("/families/{name}", provider.behave, methods=["PATCH"]),
            Route("/families/{name}", provider.look),
        ]
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (provider.token if scope["path"] == "/token" else rest)(scope, receive, send)

    return app


def end_with_standard_input() -> None:
    """Exit when standard input ends, which is when the tests end."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    log = os.open(parser.parse_args().log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    config = uvicorn.Config(app_of(Provider(log)), log_level="warning", lifespan="off", timeout_keep_alive=60)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}) + "\n")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
