"""Define the methods of `webhook_deliveries`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Literal

from one_runtime_client.models import (
    AcknowledgedWebhooks,
    PendingWebhookMessages,
    QueuedWebhooks,
    WebhookDelivery,
    WebhookDeliveryDetails,
)
from one_runtime_client.operations import Pages, Resource, page_with_response, with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    Request,
    as_list,
    choices,
    one_or_more,
)


class WebhookDeliveries(Resource):
    """The deliveries of events to webhook endpoints."""

    @cached_property
    def with_raw_response(self) -> "WebhookDeliveriesWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return WebhookDeliveriesWithRawResponse(self)

    def acknowledge(
        self,
        webhook_endpoint_id: str,
        *,
        event_ids: Iterable[str],
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AcknowledgedWebhooks:
        """Mark events as delivered. One Runtime ignores events that are not pending.

        The API key needs the scope `admin`.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            event_ids: The ids of the events to acknowledge.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            AcknowledgedWebhooks: `acknowledged`: number of events that were pending until now.

        Raises:
            NotFound: `not_found`.
            Conflict: `conflict`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/webhook-endpoints/{webhook_endpoint_id}/acknowledge",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                },
                json={
                    "event_ids": as_list(event_ids),
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(AcknowledgedWebhooks),
        )

    def list(
        self,
        webhook_endpoint_id: str,
        *,
        status: Literal["pending", "delivered", "failed", "cancelled"]
        | Iterable[Literal["pending", "delivered", "failed", "cancelled"]] = (),
        type: str | Iterable[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Pages[WebhookDelivery]:
        """List the deliveries of a webhook endpoint, by the newest event first.

        One Runtime keeps a delivery as long as its event.

        The API key needs the scope `admin`.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            status: Only deliveries with this status.
            type: Only events of this type.
            since: Only items at or after this time, as in RFC 3339.
            until: Only items before this time, as in RFC 3339.
            limit: Maximum number of items on a page. Default: 100.
            cursor: `next_cursor` of the previous page.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Pages: A loop requests the pages one by one. Each item: The delivery of one event to one endpoint.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._pages(
            Request(
                "GET /v1/webhook-endpoints/{webhook_endpoint_id}/deliveries",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                },
                query={
                    "status": choices("status", status, ("pending", "delivered", "failed", "cancelled")),
                    "type": one_or_more(type),
                    "since": since,
                    "until": until,
                    "limit": limit,
                    "cursor": cursor,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(WebhookDelivery, under="webhook_deliveries"),
        )

    def get(
        self,
        webhook_endpoint_id: str,
        event_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebhookDeliveryDetails:
        """Return the delivery of an event to a webhook endpoint, with its attempts.

        The API key needs the scope `admin`.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            event_id: The id of the event.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            WebhookDeliveryDetails: A delivery with its attempts, oldest first.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/webhook-endpoints/{webhook_endpoint_id}/deliveries/{event_id}",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                    "event_id": event_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(WebhookDeliveryDetails),
        )

    def retry(
        self,
        webhook_endpoint_id: str,
        event_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebhookDelivery:
        """Deliver an event to a webhook endpoint again, now. If this attempt fails, a new schedule of attempts
        begins.

        Message ids do not change, so a receiver can ignore a repeated message.

        The API key needs the scope `admin`.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            event_id: The id of the event.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            WebhookDelivery: The delivery of one event to one endpoint.

        Raises:
            NotFound: `not_found`.
            Conflict: `conflict`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/webhook-endpoints/{webhook_endpoint_id}/deliveries/{event_id}/retry",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                    "event_id": event_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(WebhookDelivery),
        )

    def pull(
        self,
        webhook_endpoint_id: str,
        *,
        limit: int = 100,
        wait_seconds: int = 0,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> PendingWebhookMessages:
        """Return pending events, oldest first. Events that you do not acknowledge within a minute are pending again.

        With `wait_seconds`, the request waits until an event is pending. If the endpoint is deleted, paused or disabled
        meanwhile, the wait ends with an error. Several programs can fetch events at the same time: each event goes to
        one of them.

        The API key needs the scope `admin`.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            limit: Maximum number of items on a page. Default: 100.
            wait_seconds: The time in seconds to wait for an event. Default: 0.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            PendingWebhookMessages: The pending events, oldest first.

        Raises:
            NotFound: `not_found`.
            Conflict: `conflict`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/webhook-endpoints/{webhook_endpoint_id}/pending",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                },
                query={
                    "limit": limit,
                    "wait_seconds": wait_seconds,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(PendingWebhookMessages),
        )

    def replay(
        self,
        webhook_endpoint_id: str,
        *,
        since: datetime,
        until: datetime | None = None,
        status: Literal["failed", "missing", "all"] | None = None,
        types: Iterable[str] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> QueuedWebhooks:
        """Deliver the failed or missing events of a time again. New events do not wait for the repeated ones.

        One request queues at most 100,000 deliveries. One Runtime keeps events for 90 days. The operator can change
        this time.

        The API key needs the scope `admin`.

        The events to deliver again.

        - `since`, `until`: events at or after `since`, and before `until`. Without `until`, up to now.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            since: Only events at or after this time, such as `2026-11-25T01:02:03Z`.
            until: Only items before this time, as in RFC 3339.
            status: `failed`, `missing` or `all`. Default: failed.
            types: Only events of these types. Default: the types of the endpoint.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            QueuedWebhooks: `queued_deliveries`: number of queued deliveries.

        Raises:
            NotFound: `not_found`.
            Conflict: `conflict`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/webhook-endpoints/{webhook_endpoint_id}/replay",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                },
                json={
                    "since": since,
                    "until": until,
                    "status": status,
                    "types": as_list(types),
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(QueuedWebhooks),
        )


class WebhookDeliveriesWithRawResponse:
    """The methods of `webhook_deliveries`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: WebhookDeliveries) -> None:
        self.acknowledge = with_response(resource.acknowledge)
        self.list = page_with_response(resource.list)
        self.get = with_response(resource.get)
        self.retry = with_response(resource.retry)
        self.pull = with_response(resource.pull)
        self.replay = with_response(resource.replay)
