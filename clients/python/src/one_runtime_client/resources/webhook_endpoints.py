"""Define the methods of `webhook_endpoints`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from one_runtime_client.models import (
    CreatedWebhookEndpoint,
    RotatedSecret,
    WebhookEndpoint,
    WebhookTest,
)
from one_runtime_client.operations import Resource, with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    OMITTED,
    Omitted,
    Request,
    as_list,
    new_idempotency_key,
)


class WebhookEndpoints(Resource):
    """The endpoints that receive events."""

    @cached_property
    def with_raw_response(self) -> "WebhookEndpointsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return WebhookEndpointsWithRawResponse(self)

    def list(
        self,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[WebhookEndpoint, ...]:
        """List all webhook endpoints of your organization, oldest first.

        The API key needs the scope `admin`.

        Args:
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            tuple: Each item: A webhook endpoint, without its secret.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/webhook-endpoints",
                timeout=timeout,
                headers=headers,
            ),
            list_of(WebhookEndpoint, under="webhook_endpoints"),
        )

    def create(
        self,
        *,
        event_types: Iterable[str],
        kind: Literal["push", "pull"] | None = None,
        url: str | None = None,
        include: Iterable[Literal["connection"]] | None = None,
        description: str | None = None,
        expires_in: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CreatedWebhookEndpoint:
        """Create a webhook endpoint. It receives the events that happen from now on.

        Only this response contains the secret. Your organization can have at most 100 endpoints.

        The API key needs the scope `admin`.

        Args:
            event_types: A list of types such as `connection.created`, groups such as `connection.*`, or `*` for all
                types.
            kind: `push`: One Runtime sends the events to `url`. `pull`: your program fetches the events. Default: push.
            url: The https URL that receives the events. Omit it for the kind `pull`.
            include: `connection` adds the connection to each message.
            description: Your own note about the endpoint. Default: .
            expires_in: The time in seconds after which One Runtime deletes the endpoint, 60 to 2,592,000.
            idempotency_key: A unique value for this creation. A second call with the value creates nothing. Default: a
                random UUID.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            CreatedWebhookEndpoint: A new webhook endpoint.

        Raises:
            Conflict: `idempotency_key_in_use`, `conflict`.
            InvalidInput: `invalid_input`, `idempotency_key_reused`, `target_refused`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/webhook-endpoints",
                json={
                    "kind": kind,
                    "url": url,
                    "event_types": as_list(event_types),
                    "include": as_list(include),
                    "description": description,
                    "expires_in": expires_in,
                },
                idempotency_key=idempotency_key or new_idempotency_key(),
                timeout=timeout,
                headers=headers,
            ),
            answer(CreatedWebhookEndpoint),
        )

    def get(
        self,
        webhook_endpoint_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebhookEndpoint:
        """Return a webhook endpoint of your organization. The `ETag` changes only with the settings.

        The API key needs the scope `admin`.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            WebhookEndpoint: A webhook endpoint, without its secret.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/webhook-endpoints/{webhook_endpoint_id}",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(WebhookEndpoint),
        )

    def update(
        self,
        webhook_endpoint_id: str,
        *,
        url: str | Omitted | None = OMITTED,
        event_types: Iterable[str] | Omitted | None = OMITTED,
        include: Iterable[Literal["connection"]] | Omitted | None = OMITTED,
        description: str | Omitted | None = OMITTED,
        status: Literal["active", "paused"] | Omitted | None = OMITTED,
        expires_in: int | Omitted | None = OMITTED,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebhookEndpoint:
        """Change a webhook endpoint. A request that changes nothing writes no event.

        Waiting events go to the new URL.

        The API key needs the scope `admin`.

        The fields to change. An omitted field keeps its value.

        `status`: a paused endpoint collects events for up to 72 hours. With `active`, One Runtime sends these events. A
        disabled endpoint becomes active again, and `POST …/replay` sends what the endpoint missed.

        `expires_in`: seconds from now until One Runtime deletes the endpoint. With None, the endpoint stays.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            url: The new URL.
            event_types: The types of the events that the endpoint receives.
            include: `connection` adds the connection to each message.
            description: Your own note about the endpoint.
            status: `paused` keeps the events back. `active` sends them.
            expires_in: The time in seconds, from now, after which One Runtime deletes the endpoint. None: never.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            WebhookEndpoint: A webhook endpoint, without its secret.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`, `target_refused`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "PATCH /v1/webhook-endpoints/{webhook_endpoint_id}",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                },
                json={
                    "url": url,
                    "event_types": as_list(event_types),
                    "include": as_list(include),
                    "description": description,
                    "status": status,
                    "expires_in": expires_in,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(WebhookEndpoint),
        )

    def delete(
        self,
        webhook_endpoint_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebhookEndpoint:
        """Delete a webhook endpoint with its deliveries. One Runtime does not send its waiting events.

        The response has the endpoint as it last was, without its secret. `pending_deliveries` is the number of the
        waiting events.

        The API key needs the scope `admin`.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            WebhookEndpoint: A webhook endpoint, without its secret.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "DELETE /v1/webhook-endpoints/{webhook_endpoint_id}",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(WebhookEndpoint),
        )

    def rotate(
        self,
        webhook_endpoint_id: str,
        *,
        overlap_seconds: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RotatedSecret:
        """Create a new secret. During the overlap, each message has a signature by each of the two secrets.

        A second rotation during the overlap ends the validity of the oldest secret immediately.

        The API key needs the scope `admin`.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            overlap_seconds: The time in seconds for which both secrets sign. Default: 86400.
            idempotency_key: A unique value for this creation. A second call with the value creates nothing. Default: a
                random UUID.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            RotatedSecret: The new secret.

        Raises:
            NotFound: `not_found`.
            Conflict: `idempotency_key_in_use`.
            InvalidInput: `invalid_input`, `idempotency_key_reused`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/webhook-endpoints/{webhook_endpoint_id}/rotate-secret",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                },
                json={
                    "overlap_seconds": overlap_seconds,
                },
                idempotency_key=idempotency_key or new_idempotency_key(),
                timeout=timeout,
                headers=headers,
            ),
            answer(RotatedSecret),
        )

    def test(
        self,
        webhook_endpoint_id: str,
        *,
        type: str = "webhook.test",
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebhookTest:
        """Send a test message to the URL now, and return the receiver's answer.

        `type` selects the type of a made-up event, also a type that the endpoint does not receive. One Runtime does not
        store the message, and does not repeat it. The status of the endpoint stays the same.

        The API key needs the scope `admin`.

        Args:
            webhook_endpoint_id: The id of the webhook endpoint.
            type: The type of the message. Default: webhook.test.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            WebhookTest: The receiver's answer to a test message.

        Raises:
            NotFound: `not_found`.
            Conflict: `conflict`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/webhook-endpoints/{webhook_endpoint_id}/test",
                path={
                    "webhook_endpoint_id": webhook_endpoint_id,
                },
                query={
                    "type": type,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(WebhookTest),
        )


class WebhookEndpointsWithRawResponse:
    """The methods of `webhook_endpoints`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: WebhookEndpoints) -> None:
        self.list = with_response(resource.list)
        self.create = with_response(resource.create)
        self.get = with_response(resource.get)
        self.update = with_response(resource.update)
        self.delete = with_response(resource.delete)
        self.rotate = with_response(resource.rotate)
        self.test = with_response(resource.test)
