"""Define the asynchronous methods of `events`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Literal

from one_runtime_client.models import (
    Event,
)
from one_runtime_client.operations import AsyncPages, AsyncResource, async_page_with_response, async_with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    Request,
    choice,
    choices,
    one_or_more,
)


class AsyncEvents(AsyncResource):
    """The audit log of your organization."""

    @cached_property
    def with_raw_response(self) -> "AsyncEventsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return AsyncEventsWithRawResponse(self)

    def list(
        self,
        *,
        type: str | Iterable[str] = (),
        end_user_id: str | Iterable[str] = (),
        connection_id: str | Iterable[str] = (),
        integration_slug: str | Iterable[str] = (),
        actor_type: Literal["api_key", "member", "end_user", "end_user_token", "system"]
        | Iterable[Literal["api_key", "member", "end_user", "end_user_token", "system"]] = (),
        actor_id: str | Iterable[str] = (),
        request_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Literal["asc", "desc"] | None = None,
        after: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncPages[Event]:
        """List the events of your organization, newest first.

        To follow the events, read them in ascending order: send `order=asc` first, and then the id of the last event as
        `after`. In this order, you receive each event exactly once, even if a transaction stores an event late. If the
        log has deleted the event of `after`, the response is 410: you can have missed events.

        One Runtime keeps events for 90 days. The operator can change this time.

        The API key needs the scope `read`.

        Args:
            type: Only events of this type.
            end_user_id: Your own identifier of the end user.
            connection_id: The id of the connection.
            integration_slug: The slug of the integration.
            actor_type: Only events of this kind of actor.
            actor_id: Only events of the actor with this id.
            request_id: The id of the request, as in the header `Request-Id`. The server's log contains this id.
            since: Only items at or after this time, as in RFC 3339.
            until: Only items before this time, as in RFC 3339.
            order: `desc`: newest first. `asc`: oldest first.
            after: Only events after the event with this id, oldest first.
            limit: Maximum number of items on a page. Default: 100.
            cursor: `next_cursor` of the previous page.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            AsyncPages: A loop requests the pages one by one. Each item: An event of the audit log.

        Raises:
            Gone: `event_expired`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._pages(
            Request(
                "GET /v1/events",
                query={
                    "type": one_or_more(type),
                    "end_user_id": one_or_more(end_user_id),
                    "connection_id": one_or_more(connection_id),
                    "integration_slug": one_or_more(integration_slug),
                    "actor_type": choices(
                        "actor_type", actor_type, ("api_key", "member", "end_user", "end_user_token", "system")
                    ),
                    "actor_id": one_or_more(actor_id),
                    "request_id": request_id,
                    "since": since,
                    "until": until,
                    "order": choice("order", order, ("asc", "desc")),
                    "after": after,
                    "limit": limit,
                    "cursor": cursor,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(Event, under="events"),
        )

    async def get(
        self,
        event_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Event:
        """Return an event of your organization.

        The API key needs the scope `read`.

        Args:
            event_id: The id of the event.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Event: An event of the audit log.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "GET /v1/events/{event_id}",
                path={
                    "event_id": event_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Event),
        )


class AsyncEventsWithRawResponse:
    """The methods of `events`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: AsyncEvents) -> None:
        self.list = async_page_with_response(resource.list)
        self.get = async_with_response(resource.get)
