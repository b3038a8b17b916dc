"""Define the classes of answers of `webhook_deliveries`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

__all__ = [
    "AcknowledgedWebhooks",
    "PendingWebhookMessages",
    "QueuedWebhooks",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookDeliveryDetails",
    "WebhookMessage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgedWebhooks:
    """`acknowledged`: number of events that were pending until now.

    Attributes:
        acknowledged: The number of events that were pending until now.
    """

    acknowledged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookMessage:
    """An event, as One Runtime also sends the event to URLs (docs/webhooks.md).

    Attributes:
        id: The id. Ids are UUIDs.
        type: The type of the event.
        timestamp: The time of the event.
        data: The data of the event.
    """

    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingWebhookMessages:
    """The pending events, oldest first.

    Attributes:
        messages: The events, oldest first.
    """

    messages: tuple[WebhookMessage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedWebhooks:
    """`queued_deliveries`: number of queued deliveries. If it is 100,000, repeat the request for the others.

    Attributes:
        queued_deliveries: The number of queued deliveries.
    """

    queued_deliveries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """The delivery of one event to one endpoint.

    Attributes:
        event_id: The id of the event.
        event_type: The type of the event.
        event_created_at: The time of the event.
        status: `pending`, `delivered`, `failed` or `cancelled`.
        failed_attempts: The number of failed attempts.
        next_attempt_at: The time of the next attempt. None unless the delivery is pending.
        http_status: The HTTP status of the response.
        error_code: The code of the last failure, or None.
        settled_at: The time at which the delivery ended, or None while it is pending.
    """

    event_id: str
    event_type: str
    event_created_at: datetime
    status: Literal["pending", "delivered", "failed", "cancelled"]
    failed_attempts: int
    next_attempt_at: datetime | None
    http_status: int | None
    error_code: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAttempt:
    """One attempt to deliver an event. `response_excerpt`: the beginning of the response body, without secrets.

    Attributes:
        created_at: The time of the creation, as in RFC 3339.
        duration_ms: The duration of the attempt in milliseconds.
        http_status: The HTTP status of the response.
        error_code: The reason why there is no response, or None.
        response_excerpt: The beginning of the response body, without secrets, or None.
    """

    created_at: datetime
    duration_ms: int
    http_status: int | None
    error_code: str | None
    response_excerpt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDeliveryDetails(WebhookDelivery):
    """A delivery with its attempts, oldest first.

    Attributes:
        attempts: The attempts, oldest first.
    """

    attempts: tuple[WebhookAttempt, ...]
