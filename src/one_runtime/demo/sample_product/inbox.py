"""Receive One Runtime's webhooks in the sample product's backend, and keep the newest events for the page.

The backend verifies each message, as every receiver of webhooks must. A real product uses a library for Standard
Webhooks, or `verify` of One Runtime's clients (docs/webhooks.md).
"""

import hmac
import json
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from one_runtime.clock import system_clock
from one_runtime.demo.sample_product.product import WEBHOOKS
from one_runtime.tenancy.event_types import explain_type
from one_runtime.webhooks.signatures import signed_headers

KEPT: Final = 50
"""Number of events that the backend keeps for the page."""

TOLERANCE: Final = timedelta(minutes=5)
"""Maximum age of a message. An attacker could otherwise send an old message again."""


class Inbox:
    """The newest messages of this start of the demo, oldest first. Each message has a number and an explanation."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._ids: deque[str] = deque(maxlen=KEPT)
        self._count = 0

    def routes(self) -> list[Route]:
        """Return the route that receives the webhooks, and the route from which the page reads the events."""
        return [
            Route(WEBHOOKS, self._receive, methods=["POST"]),
            Route("/api/events", self._list, methods=["GET"]),
        ]

    async def _receive(self, request: Request) -> Response:
        body = await request.body()  # the raw bytes: the signature covers them
        if not is_authentic(self._secret, request.headers, body, system_clock()):
            return JSONResponse({"error": "The signature of this message is not valid."}, status_code=400)
        message = json.loads(body)
        if message["id"] not in self._ids:  # One Runtime can repeat a message
            self._count += 1
            self._ids.append(message["id"])
            self._events.append({"number": self._count, "explanation": _explain(message), "message": message})
        return Response(status_code=204)

    async def _list(self, request: Request) -> Response:
        """Return the events after the event with the number `after`."""
        after = request.query_params.get("after", "0")
        number = int(after) if after.isascii() and after.isdigit() else 0
        events = [event for event in self._events if event["number"] > number]
        return JSONResponse({"events": events}, headers={"Cache-Control": "no-store"})


def _explain(message: Mapping[str, Any]) -> str:
    """Return what happened, and what to do if the event has a reason."""
    explained = message["data"].get("explanation")
    return f"{explained['message']} {explained['action']}" if explained else explain_type(message["type"])


def is_authentic(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Return True if One Runtime has signed this message with the secret, and if the message is not old."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (message_id.isascii() and timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        return False
    sent_at = datetime.fromtimestamp(int(timestamp), UTC)
    expected = signed_headers([secret], message_id, sent_at, body)["webhook-signature"].encode()
    given = headers.get("webhook-signature", "").encode().split()
    return abs(now - sent_at) <= TOLERANCE and any(hmac.compare_digest(expected, each) for each in given)
