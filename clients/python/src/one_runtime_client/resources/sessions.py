"""Define the methods of `sessions`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from one_runtime_client.models import (
    CreatedSession,
    Session,
    SessionSummary,
)
from one_runtime_client.operations import Pages, Resource, page_with_response, with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    Request,
    as_list,
    choices,
    new_idempotency_key,
    one_or_more,
)


class Sessions(Resource):
    """Permissions to make one connection in the hosted popup."""

    @cached_property
    def with_raw_response(self) -> "SessionsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return SessionsWithRawResponse(self)

    def create(
        self,
        *,
        end_user_id: str,
        integration_slug: str | None = None,
        end_user_name: str | None = None,
        end_user_email: str | None = None,
        suggested_connection_name: str | None = None,
        allowed_origins: Iterable[str] | None = None,
        return_url: str | None = None,
        mode: Literal["embed", "redirect", "link"] | None = None,
        connection_id: str | None = None,
        connect_request_id: str | None = None,
        multiple: bool | None = None,
        auth_type: Literal["api_key", "basic", "none", "oauth2", "client_credentials"] | None = None,
        scopes: Iterable[str] | None = None,
        locale: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        expires_in: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CreatedSession:
        """Create a session: a short-lived permission for one end user to make one connection in the hosted popup.

        The API key needs the scope `connect`.

        The end user, the integration, and the place where the popup opens.

        An empty text in an optional field has the same meaning as an omitted field.

        Args:
            end_user_id: Your own identifier of the end user.
            integration_slug: The integration to connect. Default: the end user chooses.
            end_user_name: The end user's name, which the popup shows.
            end_user_email: The end user's e-mail address, which the popup shows.
            suggested_connection_name: A name for the connection. The end user can change the name.
            allowed_origins: The origins of pages that can show the popup.
            return_url: The URL to which the browser returns in the mode `redirect`.
            mode: The place where the popup opens: `embed`, `redirect` or `link`.
            connection_id: The id of the connection to reconnect.
            connect_request_id: The id of an agent's connect request.
            multiple: True gives a new account its own connection. False replaces the present account. Default: False.
            auth_type: The only auth type that the popup offers. Default: all.
            scopes: The OAuth scopes to request. Default: the scopes of the OAuth client.
            locale: The language of the popup. Default: the language of the browser.
            metadata: An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not
                interpret it.
            expires_in: The time in which the end user must open the session: 60 to 3600 seconds, and with the mode
                `link` up to 2592000 seconds (30 days). Default: 600.
            idempotency_key: A unique value for this creation. A second call with the value creates nothing. Default: a
                random UUID.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            CreatedSession: A new session.

        Raises:
            NotFound: `not_found`.
            Conflict: `idempotency_key_in_use`, `conflict`, `end_user_mismatch`, `connect_request_closed`.
            InvalidInput: `invalid_input`, `idempotency_key_reused`, `integration_disabled`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/hosted-connection-sessions",
                json={
                    "integration_slug": integration_slug,
                    "end_user_id": end_user_id,
                    "end_user_name": end_user_name,
                    "end_user_email": end_user_email,
                    "suggested_connection_name": suggested_connection_name,
                    "allowed_origins": as_list(allowed_origins),
                    "return_url": return_url,
                    "mode": mode,
                    "connection_id": connection_id,
                    "connect_request_id": connect_request_id,
                    "multiple": multiple,
                    "auth_type": auth_type,
                    "scopes": as_list(scopes),
                    "locale": locale,
                    "metadata": metadata,
                    "expires_in": expires_in,
                },
                idempotency_key=idempotency_key or new_idempotency_key(),
                timeout=timeout,
                headers=headers,
            ),
            answer(CreatedSession),
        )

    def list(
        self,
        *,
        end_user_id: str | Iterable[str] = (),
        integration_slug: str | Iterable[str] = (),
        status: Literal["pending", "connected", "failed", "cancelled", "expired"]
        | Iterable[Literal["pending", "connected", "failed", "cancelled", "expired"]] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Pages[SessionSummary]:
        """List the sessions of your organization, newest first. The response contains no token.

        One Runtime keeps a session for 30 days after its last change. One Runtime keeps a session that no end user has
        opened for one day, or until it expires.

        The API key needs the scope `read`.

        Args:
            end_user_id: Your own identifier of the end user.
            integration_slug: The slug of the integration.
            status: The state.
            since: Only items at or after this time, as in RFC 3339.
            until: Only items before this time, as in RFC 3339.
            limit: Maximum number of items on a page. Default: 100.
            cursor: `next_cursor` of the previous page.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Pages: A loop requests the pages one by one. Each item: A session in a list, without its token.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._pages(
            Request(
                "GET /v1/hosted-connection-sessions",
                query={
                    "end_user_id": one_or_more(end_user_id),
                    "integration_slug": one_or_more(integration_slug),
                    "status": choices("status", status, ("pending", "connected", "failed", "cancelled", "expired")),
                    "since": since,
                    "until": until,
                    "limit": limit,
                    "cursor": cursor,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(SessionSummary, under="sessions"),
        )

    def get(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Session:
        """Return the state of a session. Your backend must rely on this response, not on the result in the browser.

        The API key needs the scope `read`.

        Args:
            session_id: The id of the session.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Session: The state of a session, with the connection that the session made.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/hosted-connection-sessions/{session_id}",
                path={
                    "session_id": session_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Session),
        )

    def cancel(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Session:
        """Cancel a pending session.

        In the mode `redirect`, you can cancel the session until your backend redeems the session's code. If the session
        has already made its connection, the response is 409. A second cancellation changes nothing.

        The API key needs the scope `connect`.

        Args:
            session_id: The id of the session.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Session: The state of a session, with the connection that the session made.

        Raises:
            NotFound: `not_found`.
            Conflict: `conflict`, `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "DELETE /v1/hosted-connection-sessions/{session_id}",
                path={
                    "session_id": session_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Session),
        )

    def redeem(
        self,
        session_id: str,
        *,
        code: str,
        end_user_id: str,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Session:
        """Confirm the new connection of a session in the mode `redirect`. The code is valid for 10 minutes.

        `end_user_id` is the user who is signed in to your product. If the session belongs to another end user, the
        response is 409, and One Runtime deletes the credentials that wait for the redemption. If you redeem the code
        again for the right user, nothing changes.

        The API key needs the scope `connect`.

        Args:
            session_id: The id of the session.
            code: The parameter `code` in the query of your return URL.
            end_user_id: Your own identifier of the user who is signed in when the browser returns. Read the identifier
                from your own login, never from the URL.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Session: The state of a session, with the connection that the session made.

        Raises:
            NotFound: `not_found`.
            Conflict: `conflict`, `account_mismatch`, `several_connections`, `end_user_mismatch`, `session_cancelled`,
                `session_used`, `wrong_mode`.
            Gone: `session_expired`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/hosted-connection-sessions/{session_id}/redeem",
                path={
                    "session_id": session_id,
                },
                json={
                    "code": code,
                    "end_user_id": end_user_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Session),
        )


class SessionsWithRawResponse:
    """The methods of `sessions`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: Sessions) -> None:
        self.create = with_response(resource.create)
        self.list = page_with_response(resource.list)
        self.get = with_response(resource.get)
        self.cancel = with_response(resource.cancel)
        self.redeem = with_response(resource.redeem)
