"""Descriptions and examples of the properties and parameters of webhook endpoints and deliveries."""

from collections.abc import Mapping
from typing import Final

from one_runtime.api.described import EXAMPLE_ID, EXAMPLE_TIME, Described

_HOOK: Final = "https://app.example.com/hooks/one-runtime"
WEBHOOKS: Final[Mapping[str, Described]] = {
    "webhook_endpoints": Described("The webhook endpoints, oldest first."),
    "webhook_endpoint_id": Described("The id of the webhook endpoint.", EXAMPLE_ID),
    "kind": Described(
        "`push`: One Runtime sends the events to `url`. `pull`: your program fetches the events.", "push"
    ),
    "url": Described("The URL that receives the events. Null for the kind `pull`.", _HOOK),
    "NewWebhookEndpoint.url": Described("The https URL that receives the events. Omit it for the kind `pull`.", _HOOK),
    "WebhookEndpointUpdate.url": Described("The new URL.", _HOOK),
    "event_types": Described("The types of the events that the endpoint receives.", ["connection.created"]),
    "NewWebhookEndpoint.event_types": Described(
        "A list of types such as `connection.created`, groups such as `connection.*`, or `*` for all types.",
        ["connection.*"],
    ),
    "WebhookEndpoint.include": Described("What One Runtime adds to each message.", ["connection"]),
    "CreatedWebhookEndpoint.include": Described("What One Runtime adds to each message.", ["connection"]),
    "NewWebhookEndpoint.include": Described("`connection` adds the connection to each message.", ["connection"]),
    "WebhookEndpointUpdate.include": Described("`connection` adds the connection to each message.", ["connection"]),
    "WebhookEndpoint.description": Described("Your own note about the endpoint.", "production"),
    "CreatedWebhookEndpoint.description": Described("Your own note about the endpoint.", "production"),
    "NewWebhookEndpoint.description": Described("Your own note about the endpoint.", "production"),
    "WebhookEndpointUpdate.description": Described("Your own note about the endpoint.", "production"),
    "WebhookEndpoint.status": Described("`active`, `paused`, or `disabled` by One Runtime.", "active"),
    "CreatedWebhookEndpoint.status": Described("The status of a new endpoint is `active`.", "active"),
    "WebhookEndpointUpdate.status": Described("`paused` keeps the events back. `active` sends them.", "paused"),
    "NewWebhookEndpoint.expires_in": Described(
        "The time in seconds after which One Runtime deletes the endpoint, 60 to 2,592,000.", 86400
    ),
    "WebhookEndpointUpdate.expires_in": Described(
        "The time in seconds, from now, after which One Runtime deletes the endpoint. Null: never.", 86400
    ),
    "test_webhook_endpoint.type": Described("The type of the message.", "connection.needs_reauth"),
    "disabled_reason": Described("The reason why One Runtime disabled the endpoint, or null.", None),
    "failing_since": Described("The time of the first failed attempt since the last success, or null.", None),
    "last_success_at": Described("The time of the last success, up to a minute too early, or null.", EXAMPLE_TIME),
    "pending_deliveries": Described("The number of events that the endpoint has not received yet.", 0),
    "WebhookEndpoint.expires_at": Described("The time at which One Runtime deletes the endpoint, or null.", None),
    "CreatedWebhookEndpoint.expires_at": Described(
        "The time at which One Runtime deletes the endpoint, or null.", None
    ),
    "CreatedWebhookEndpoint.secret": Described("The secret. No other response contains it. Do not log it.", "whsec_…"),
    "RotatedSecret.secret": Described("The new secret. No other response contains it. Do not log it.", "whsec_…"),
    "old_secret_expires_at": Described("The time at which the old secret stops signing.", EXAMPLE_TIME),
    "overlap_seconds": Described("The time in seconds for which both secrets sign.", 86400),
    "is_success": Described("True if the receiver answered with a status from 200 to 299.", True),
    "response_excerpt": Described("The beginning of the response body, without secrets, or null.", None),
    "WebhookTest.http_status": Described("The HTTP status of the response, or null.", 204),
    "WebhookTest.error_code": Described("The reason why there is no response, or null.", None),
    "WebhookTest.duration_ms": Described("The duration of the request in milliseconds.", 41),
    "webhook_deliveries": Described("The deliveries, by the newest event first."),
    "event_type": Described("The type of the event.", "connection.created"),
    "event_created_at": Described("The time of the event.", EXAMPLE_TIME),
    "WebhookDelivery.status": Described("`pending`, `delivered`, `failed` or `cancelled`.", "delivered"),
    "WebhookDeliveryDetails.status": Described("`pending`, `delivered`, `failed` or `cancelled`.", "delivered"),
    "list_webhook_deliveries.status": Described("Only deliveries with this status.", "failed"),
    "list_webhook_deliveries.type": Described("Only events of this type.", "connection.created"),
    "failed_attempts": Described("The number of failed attempts.", 0),
    "next_attempt_at": Described("The time of the next attempt. Null unless the delivery is pending.", None),
    "WebhookDelivery.error_code": Described("The code of the last failure, or null.", None),
    "WebhookDeliveryDetails.error_code": Described("The code of the last failure, or null.", None),
    "WebhookAttempt.error_code": Described("The reason why there is no response, or null.", None),
    "WebhookAttempt.duration_ms": Described("The duration of the attempt in milliseconds.", 41),
    "settled_at": Described("The time at which the delivery ended, or null while it is pending.", EXAMPLE_TIME),
    "WebhookDeliveryDetails.attempts": Described("The attempts, oldest first."),
    "WebhookReplay.since": Described(
        "Only events at or after this time, such as `2026-11-25T01:02:03Z`.", EXAMPLE_TIME
    ),
    "WebhookReplay.status": Described("`failed`, `missing` or `all`.", "missing"),
    "types": Described("Only events of these types. Default: the types of the endpoint.", None),
    "queued_deliveries": Described("The number of queued deliveries.", 812),
    "wait_seconds": Described("The time in seconds to wait for an event.", 30),
    "messages": Described("The events, oldest first."),
    "WebhookMessage.type": Described("The type of the event.", "connection.created"),
    "timestamp": Described("The time of the event.", EXAMPLE_TIME),
    "WebhookMessage.data": Described("The data of the event.", {"integration_slug": "hubspot"}),
    "event_ids": Described("The ids of the events to acknowledge.", [EXAMPLE_ID]),
    "acknowledged": Described("The number of events that were pending until now.", 1),
}
