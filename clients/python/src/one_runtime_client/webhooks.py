"""Verify the webhooks of One Runtime in your backend, as Standard Webhooks 1.0.0 describes."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from one_runtime_client.errors import OneRuntimeError, WebhookVerificationError
from one_runtime_client.models import Connection, WebhookMessage
from one_runtime_client.models.event_types import EventType
from one_runtime_client.parsing import ParseError, answer

__all__ = ["EventType", "WebhookEvent", "verify"]

TOLERANCE: Final = 300
"""Maximum difference in seconds between the time of a message and the clock of your server."""

RawBody: TypeAlias = bytes | bytearray | memoryview | str

_PREFIX: Final = "whsec_"
_MIN_KEY: Final = 24  # bytes, by the standard. An empty key would let everyone sign messages
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_RAW_BODY: Final = (
    "body must be the raw body of the request, because the signature covers its bytes. The body is already parsed. "
    "Pass `await request.body()` in FastAPI and Starlette, `request.get_data()` in Flask, or `request.body` in Django."
)


class Headers(Protocol):
    """The headers of a request, as a dictionary or as the object of a web framework."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return the names and values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent(WebhookMessage):
    """A verified event. `type` can also be a type of a later version of One Runtime.

    `data` has the fields of the event as in `GET /v1/events/{event_id}`, with the names of the API.
    """

    type: EventType | str

    @property
    def end_user_id(self) -> str | None:
        """Your own identifier of the end user, or None."""
        return self.data.get("end_user_id")

    @property
    def connection_id(self) -> str | None:
        """The id of the connection, or None."""
        return self.data.get("connection_id")

    @property
    def connection(self) -> Connection | None:
        """The connection at the time of sending, if the webhook endpoint includes connections.

        None if the endpoint does not include connections, or if the connection no longer exists.

        Raises:
            OneRuntimeError: The connection does not have the documented form.
        """
        document = self.data.get("connection")
        try:
            return None if document is None else answer(Connection)(document)
        except ParseError as error:
            raise OneRuntimeError("The connection of the event does not have the documented form.") from error


def verify(secret: str | Iterable[str], headers: Headers, body: RawBody) -> WebhookEvent:
    """Verify the signature and the time of a message, and return its event.

    A message can arrive twice, with the same `id`. To ignore repetitions, store the ids of processed events.

    Args:
        secret: The secret of the webhook endpoint, `whsec_…`. During a rotation, pass a list with both secrets.
        headers: The headers of the request. The case of the names does not matter.
        body: The raw body of the request, before a framework parses the body.

    Raises:
        WebhookVerificationError: The message does not come from One Runtime, was changed, or is more than 5 minutes
            old. Answer with the status 400.
        TypeError: `body` is not raw, or `secret` is missing.
        ValueError: `secret` is not the secret of a webhook endpoint.
    """
    keys = _keys(secret)
    sent = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, signatures = (_header(sent, f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    _check_time(timestamp)
    content = _raw(body)
    signed = b".".join([_encoded(message_id), _encoded(timestamp), content])
    expected = [b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in keys]
    received = [_encoded(signature) for signature in signatures.split(" ")]
    if not any(hmac.compare_digest(one, other) for one in expected for other in received):
        raise WebhookVerificationError(
            "No signature of the message matches. Check that the secret belongs to this webhook endpoint, and that "
            "the body is the raw body of the request: JSON that was parsed and encoded again has other bytes."
        )
    return _event(content)


def _keys(secret: object) -> list[bytes]:
    secrets = list(secret) if isinstance(secret, Iterable) and not isinstance(secret, str) else [secret]
    if not secrets:
        raise ValueError("secret must contain at least one secret.")
    return [_key(each) for each in secrets]


def _key(secret: object) -> bytes:
    if not isinstance(secret, str):
        raise TypeError("secret must be the secret of the webhook endpoint (whsec_…), or a list of secrets.")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:  # the key has no base64
        key = b""
    if len(key) < _MIN_KEY:
        raise ValueError("secret must be the secret of a webhook endpoint: whsec_ and at least 24 bytes in base64.")
    return key


def _header(headers: dict[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise WebhookVerificationError(f"The request has no header {name}. One Runtime did not send the request.")
    return value


def _check_time(timestamp: str) -> None:
    if not _SECONDS.fullmatch(timestamp):
        raise WebhookVerificationError("The header webhook-timestamp must contain seconds since 1970.")
    age = int(time.time()) - int(timestamp)
    if abs(age) > TOLERANCE:
        direction = "past" if age > 0 else "future"
        raise WebhookVerificationError(
            f"The time of the message is {abs(age)} seconds in the {direction}. At most {TOLERANCE} seconds are "
            "allowed. Either the message is a repetition, or the clock of this server is wrong."
        )


def _raw(body: RawBody) -> bytes:
    if isinstance(body, str):
        return _encoded(body)
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise TypeError(_RAW_BODY)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _event(content: bytes) -> WebhookEvent:
    try:
        message = answer(WebhookMessage)(json.loads(content))
    except (ValueError, ParseError) as error:
        raise WebhookVerificationError("The message has a valid signature, but is not an event.") from error
    return WebhookEvent(id=message.id, type=message.type, timestamp=message.timestamp, data=message.data)
