"""Send one webhook message to an endpoint, and read the response."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from one_runtime import RELEASE
from one_runtime.clock import Clock
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, UpstreamTimeout
from one_runtime.egress.limits import Limits
from one_runtime.egress.provider_text import redact
from one_runtime.egress.response import StreamedResponse
from one_runtime.egress.retry_after import parse_retry_after
from one_runtime.telemetry import metrics
from one_runtime.webhooks.deliveries import Attempt
from one_runtime.webhooks.endpoints import WebhookEndpoint
from one_runtime.webhooks.messages import Message
from one_runtime.webhooks.signatures import signed_headers

GONE: Final = 410
USER_AGENT: Final = f"one-runtime/{RELEASE}"
LIMITS: Final = Limits(connect=5.0, idle=15.0, total=15.0)
"""Limits of one attempt, in seconds. `total` ends with the headers of the response."""

_BODY_TIME: Final = 1.0
_BODY_BYTES: Final = 64 * 1024
"""One Runtime reads the response body for at most this time and up to this size. The status alone decides."""

_EXCERPT_BYTES: Final = 2048
_SHORTEST_VALUE: Final = 6
_MOST_VALUES: Final = 20
"""Limits of the values of a URL's query that an excerpt does not repeat. Shorter values are words such as `prod`."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of an attempt, and what the response asks for. `retry_after`: the header `Retry-After`, or None."""

    attempt: Attempt
    retry_after: timedelta | None = None

    @property
    def is_success(self) -> bool:
        """Return True if the receiver accepted the message."""
        status = self.attempt.response_status
        return status is not None and 200 <= status < 300

    @property
    def outcome(self) -> str:
        """Return the class of the status, such as `2xx`, or the error code. For metrics."""
        status = self.attempt.response_status
        return f"{status // 100}xx" if status is not None else self.attempt.error or metrics.OTHER

    @property
    def is_gone(self) -> bool:
        """Return True if the receiver wants no further messages."""
        return self.attempt.response_status == GONE


async def attempt(
    egress: Egress, endpoint: WebhookEndpoint, secrets: list[str], message: Message, clock: Clock
) -> AttemptResult:
    """Send a message to a push endpoint. Do not follow redirects. Failures do not raise an error."""
    assert endpoint.url is not None  # noqa: S101 - only push endpoints have attempts
    sender = egress.for_tenant(endpoint.organization_id)
    return await post(sender, endpoint.url, secrets, message.event.id, message.body(), clock)


async def post(
    egress: Egress, url: str, secrets: list[str], message_id: str, body: bytes, clock: Clock
) -> AttemptResult:
    """Sign a message, and send the message to a URL. Do not follow redirects. Failures do not raise an error.

    The excerpt of the response contains neither the secrets, nor the signatures, nor the query of the URL.
    """
    now, begun = clock(), time.monotonic()
    signed = signed_headers(secrets, message_id, now, body)
    headers = (*signed.items(), ("content-type", "application/json"), ("user-agent", USER_AGENT))
    status, error, excerpt, retry_after = None, None, None, None
    try:
        async with asyncio.timeout(LIMITS.total) as deadline:
            async with egress.stream("POST", url, headers=headers, body=body, limits=LIMITS) as response:
                deadline.reschedule(None)
                status = response.status
                retry_after = _retry_after(response, now)
                hidden = [*secrets, *signed["webhook-signature"].split(), *_secrets_of_query(urlsplit(url).query)]
                excerpt = await _read_excerpt(response, hidden)
    except TimeoutError:
        error = UpstreamTimeout.code
    except EgressError as failure:
        if status is None:  # after the status, an error in the body changes nothing
            error = failure.code
    duration = round((time.monotonic() - begun) * 1000)
    return AttemptResult(Attempt(now, duration, status, error, excerpt), retry_after)


def _secrets_of_query(query: str) -> list[str]:
    """Return the query, and its values that can be a secret. A receiver repeats a wrong token, and not the query."""
    values = [value for _, value in parse_qsl(query) if len(value) >= _SHORTEST_VALUE]
    return [query, *values[:_MOST_VALUES]]


async def _read_excerpt(response: StreamedResponse, secrets: list[str]) -> str | None:
    """Read the response body, so that the connection can be used again. Return the beginning without the secrets."""
    read, size = bytearray(), 0
    with suppress(TimeoutError, EgressError):
        async with asyncio.timeout(_BODY_TIME):
            async for piece in response.body:
                read += piece[: _EXCERPT_BYTES - len(read)]
                size += len(piece)
                if size > _BODY_BYTES:
                    break
    return redact(read.decode("utf-8", "replace"), secrets) or None


def _retry_after(response: StreamedResponse, now: datetime) -> timedelta | None:
    values = (value.decode("latin-1") for name, value in response.headers if name.lower() == b"retry-after")
    seconds = parse_retry_after(next(values, ""), now)
    return None if seconds is None else timedelta(seconds=seconds)
