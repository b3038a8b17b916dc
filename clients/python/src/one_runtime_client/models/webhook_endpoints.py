"""Define the classes of answers of `webhook_endpoints`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

__all__ = ["CreatedWebhookEndpoint", "RotatedSecret", "WebhookEndpoint", "WebhookTest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """A webhook endpoint, without its secret.

    Attributes:
        id: The id. Ids are UUIDs.
        kind: `push`: One Runtime sends the events to `url`. `pull`: your program fetches the events.
        url: The URL that receives the events. None for the kind `pull`.
        event_types: The types of the events that the endpoint receives.
        include: What One Runtime adds to each message.
        description: Your own note about the endpoint.
        status: `active`, `paused`, or `disabled` by One Runtime.
        disabled_reason: The reason why One Runtime disabled the endpoint, or None.
        expires_at: The time at which One Runtime deletes the endpoint, or None.
        created_at: The time of the creation, as in RFC 3339.
        updated_at: The time of the last change, as in RFC 3339.
        failing_since: The time of the first failed attempt since the last success, or None.
        last_success_at: The time of the last success, up to a minute too early, or None.
        pending_deliveries: The number of events that the endpoint has not received yet.
    """

    id: str
    kind: Literal["push", "pull"]
    url: str | None
    event_types: tuple[str, ...]
    include: tuple[Literal["connection"], ...]
    description: str
    status: Literal["active", "paused", "disabled"]
    disabled_reason: Literal["gone", "failing", "overflow", "secret_lost"] | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime
    failing_since: datetime | None
    last_success_at: datetime | None
    pending_deliveries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedWebhookEndpoint(WebhookEndpoint):
    """A new webhook endpoint. Only this response contains `secret`, with which you verify the messages.

    Attributes:
        secret: The secret. No other response contains it. Do not log it.
    """

    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedSecret:
    """The new secret. Only this response contains the secret. The old secret is valid until
    `old_secret_expires_at`.

    Attributes:
        secret: The new secret. No other response contains it. Do not log it.
        old_secret_expires_at: The time at which the old secret stops signing.
    """

    secret: str = field(repr=False)
    old_secret_expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTest:
    """The receiver's answer to a test message. `error_code`: the reason why there is no answer, or None.

    Attributes:
        is_success: True if the receiver answered with a status from 200 to 299.
        http_status: The HTTP status of the response, or None.
        error_code: The reason why there is no response, or None.
        duration_ms: The duration of the request in milliseconds.
        response_excerpt: The beginning of the response body, without secrets, or None.
    """

    is_success: bool
    http_status: int | None
    error_code: str | None
    duration_ms: int
    response_excerpt: str | None
