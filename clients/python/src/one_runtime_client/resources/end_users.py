"""Define the methods of `end_users`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from one_runtime_client.models import (
    DeletedEndUser,
    EndUser,
    EndUserExport,
)
from one_runtime_client.operations import Pages, Resource, page_with_response, with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    OMITTED,
    Omitted,
    Request,
    one_or_more,
)


class EndUsers(Resource):
    """The users of your product."""

    @cached_property
    def with_raw_response(self) -> "EndUsersWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return EndUsersWithRawResponse(self)

    def export(
        self,
        end_user_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> EndUserExport:
        """Return everything that One Runtime stores about an end user, in one response of any size.

        If an error occurs after the beginning of the response, One Runtime closes the connection, so that no program
        takes a part for the whole.

        The API key needs the scope `admin`.

        Args:
            end_user_id: Your own identifier of the end user.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            EndUserExport: Everything that One Runtime stores about an end user, without credentials and other secrets.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/end-user-exports/{end_user_id}",
                path={
                    "end_user_id": end_user_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(EndUserExport),
        )

    def list(
        self,
        *,
        end_user_id: str | Iterable[str] = (),
        email: str | Iterable[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Pages[EndUser]:
        """List the end users of your organization in pages, ordered by identifier.

        The API key needs the scope `read`.

        Args:
            end_user_id: Your own identifier of the end user.
            email: The end user's e-mail address, or None.
            since: Only items at or after this time, as in RFC 3339.
            until: Only items before this time, as in RFC 3339.
            limit: Maximum number of items on a page. Default: 100.
            cursor: `next_cursor` of the previous page.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Pages: A loop requests the pages one by one. Each item: A user of your product.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._pages(
            Request(
                "GET /v1/end-users",
                query={
                    "end_user_id": one_or_more(end_user_id),
                    "email": one_or_more(email),
                    "since": since,
                    "until": until,
                    "limit": limit,
                    "cursor": cursor,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(EndUser, under="end_users"),
        )

    def get(
        self,
        end_user_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> EndUser:
        """Return an end user of your organization.

        The API key needs the scope `read`.

        Args:
            end_user_id: Your own identifier of the end user.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            EndUser: A user of your product.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/end-users/{end_user_id}",
                path={
                    "end_user_id": end_user_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(EndUser),
        )

    def update(
        self,
        end_user_id: str,
        *,
        name: str | Omitted | None = OMITTED,
        email: str | Omitted | None = OMITTED,
        metadata: Mapping[str, Any] | Omitted | None = OMITTED,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> EndUser:
        """Change an end user. The body is a JSON Merge Patch (RFC 7396).

        A request that changes nothing writes no event, and `updated_at` stays the same.

        The API key needs the scope `connect`.

        The fields to change, as a JSON Merge Patch (RFC 7396). An omitted field keeps its value, and None clears it.

        `metadata`: each key changes only this key. A key with None removes the key. With None instead of an object, all
        keys are removed.

        Args:
            end_user_id: Your own identifier of the end user.
            name: The name.
            email: The end user's e-mail address, or None.
            metadata: The changes of the metadata. Each key changes only this key, and a key with None is removed.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            EndUser: A user of your product.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "PATCH /v1/end-users/{end_user_id}",
                path={
                    "end_user_id": end_user_id,
                },
                json={
                    "name": name,
                    "email": email,
                    "metadata": metadata,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(EndUser),
        )

    def delete(
        self,
        end_user_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> DeletedEndUser:
        """Delete an end user, and all connections, credentials and sessions of this end user.

        The response has the end user as it last was. It is the last place with these values, so do not log it.

        One Runtime removes the end user's identifier from all events of the audit log. Only webhook endpoints receive
        the identifier, with the event `end_user.deleted`.

        The API key needs the scope `admin`.

        Args:
            end_user_id: Your own identifier of the end user.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            DeletedEndUser: The deleted end user as it last was, and the results of revoking the tokens.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "DELETE /v1/end-users/{end_user_id}",
                path={
                    "end_user_id": end_user_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(DeletedEndUser),
        )


class EndUsersWithRawResponse:
    """The methods of `end_users`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: EndUsers) -> None:
        self.export = with_response(resource.export)
        self.list = page_with_response(resource.list)
        self.get = with_response(resource.get)
        self.update = with_response(resource.update)
        self.delete = with_response(resource.delete)
