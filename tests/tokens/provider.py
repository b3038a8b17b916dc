"""An authorization server whose refresh tokens rotate, on a free port of loopback, until standard input ends.

`python -m tests.tokens.provider --log FILE`

A refresh token that is used again ends its family (RFC 9700, 4.14.2). Each token request is one line of the log, which
is written before the answer leaves: when, which family, which generation was presented, what was answered. Families
are made, and told how to behave, over `/families`. State is in memory: this process outlives whoever is killed.
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
class Manners:
    """How a family's token requests are answered. `life`: seconds of an access token; `before`, `after`: the most
    seconds that pass, at random, before and after the tokens have rotated; `hold`: wait there until told otherwise
    (`before` or `after`); `fault`: what is answered instead, `lost` after rotating, the others before."""

    life: float = 3600.0
    before: float = 0.0
    after: float = 0.0
    hold: str | None = None
    fault: str | None = None
    retry_after: str | None = None
    words: str = "The grant has been revoked."


@dataclass(slots=True)
class Family:
    """The tokens that came of one consent. The generation counts refreshes."""

    name: str
    manners: Manners
    alive: bool = True
    generation: int = 0
    refresh_token: str = ""
    access: dict[str, float] = field(default_factory=dict)
    waiting: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def rotate(self, generation: int) -> dict[str, Any]:
        """New tokens in the place of the ones before; access tokens live on until their end."""
        now = time.monotonic()
        self.generation = generation
        self.refresh_token = f"rt.{self.name}.{generation}.{secrets.token_hex(8)}"
        access_token = f"at.{self.name}.{generation}.{secrets.token_hex(8)}"
        self.access = {token: end for token, end in self.access.items() if end > now}
        self.access[access_token] = now + self.manners.life
        told = {"access_token": access_token, "refresh_token": self.refresh_token, "token_type": "Bearer"}
        return {**told, "expires_in": self.manners.life}

    def end(self) -> None:
        """No token of this family is good for anything any more."""
        self.alive = False
        self.access.clear()

    async def pass_time(self, where: str, seconds: float) -> None:
        """The delay at this place, and the hold."""
        self.waiting += 1
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), random.uniform(0, seconds))
            while self.manners.hold == where:
                self.moved.clear()
                await self.moved.wait()
        finally:
            self.waiting -= 1


class Provider:
    """Everything that it knows."""

    def __init__(self, log: int) -> None:
        self.families: dict[str, Family] = {}
        self._log = log

    def note(self, family: str, presented: int, answer: str, granted: int | None = None) -> None:
        """One line, in the file when this returns."""
        told = {"at": time.time(), "family": family, "presented": presented, "answer": answer, "granted": granted}
        os.write(self._log, f"{json.dumps(told)}\n".encode())

    async def token(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The token endpoint, in bare ASGI: it can close the connection."""
        request = Request(scope, receive)
        form = dict(parse_qsl((await request.body()).decode()))
        answer = await self._answer(request.headers.get("authorization", ""), form)
        if answer is None:
            cast("Any", send).__self__.transport.abort()  # uvicorn's own `send`: nothing stands around this
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
        manners = family.manners
        await family.pass_time("before", manners.before)
        if manners.fault is not None and manners.fault != "lost":
            self.note(name, generation, manners.fault)
            return _faulty(manners)
        if not family.alive:
            self.note(name, generation, "dead")
            return _refusal(manners.words)
        if presented != family.refresh_token:
            family.end()
            self.note(name, generation, "reused")
            return _refusal("The refresh token was used before.")
        tokens = family.rotate(generation + 1)
        self.note(name, generation, "granted", generation + 1)
        await family.pass_time("after", manners.after)
        return None if manners.fault == "lost" else JSONResponse(tokens)

    async def me(self, request: Request) -> Response:
        """The API: whose token that is."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        family = self.families.get(token.split(".")[1]) if token.count(".") == 3 else None
        if family is None or family.access.get(token, 0) <= time.monotonic():
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse({"id": family.name})

    async def revoke(self, request: Request) -> Response:
        """RFC 7009. A token that is not the present one is unknown, and its revocation changes nothing (2.2)."""
        token = dict(parse_qsl((await request.body()).decode())).get("token", "")
        for family in self.families.values():
            family.access.pop(token, None)
            if token == family.refresh_token:
                family.end()
        return Response()

    async def make(self, request: Request) -> Response:
        """New families, with their first tokens."""
        asked = await request.json()
        made = []
        for _ in range(asked.pop("count", 1)):
            family = Family(secrets.token_hex(6), Manners(**asked))
            self.families[family.name] = family
            made.append({"family": family.name, **family.rotate(0)})
        return JSONResponse(made)

    async def behave(self, request: Request) -> Response:
        """Other manners from now on, of one family or of all; what is held goes on where it may."""
        told, name = await request.json(), request.path_params["name"]
        for family in self.families.values() if name == "all" else [self.families[name]]:
            for key, value in told.items():
                setattr(family.manners, key, value)
            family.moved.set()
        return Response()

    async def look(self, request: Request) -> Response:
        """How a family stands."""
        family = self.families[request.path_params["name"]]
        told = {"alive": family.alive, "generation": family.generation, "waiting": family.waiting}
        return JSONResponse(told)


def _refusal(words: str) -> Response:
    return JSONResponse({"error": "invalid_grant", "error_description": words}, 400)


def _faulty(manners: Manners) -> Response | None:
    headers = {} if manners.retry_after is None else {"retry-after": manners.retry_after}
    answers: dict[str, Response | None] = {
        "500": Response("<h1>Something went wrong</h1>", 500, headers),
        "503": Response("", 503, headers),
        "429": JSONResponse({"error": "slow_down"}, 429, headers),
        "invalid_grant": _refusal(manners.words),
        "invalid_client": JSONResponse({"error": "invalid_client"}, 401),
        "malformed": Response('{"access_token": ', 200),
        "closed": None,
    }
    return answers[cast("str", manners.fault)]


def app_of(provider: Provider) -> Any:
    """The ASGI application."""
    rest = Starlette(
        routes=[
            Route("/me", provider.me),
            Route("/revoke", provider.revoke, methods=["POST"]),
            Route("/families", provider.make, methods=["POST"]),
            Route("/families/{name}", provider.behave, methods=["PATCH"]),
            Route("/families/{name}", provider.look),
        ]
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (provider.token if scope["path"] == "/token" else rest)(scope, receive, send)

    return app


def end_with_standard_input() -> None:
    """Wait for the end of the tests."""
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
