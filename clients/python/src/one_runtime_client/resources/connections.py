"""Define the methods of `connections`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from one_runtime_client.models import (
    Connection,
    ConnectionCheck,
    Credentials,
    DeletedConnection,
)
from one_runtime_client.operations import Pages, Resource, page_with_response, with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    OMITTED,
    Omitted,
    Request,
    choices,
    new_idempotency_key,
    one_or_more,
)


class Connections(Resource):
    """Connected accounts of end users, and their credentials."""

    @cached_property
    def with_raw_response(self) -> "ConnectionsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return ConnectionsWithRawResponse(self)

    def list(
        self,
        *,
        end_user_id: str | Iterable[str] = (),
        integration_slug: str | Iterable[str] = (),
        status: Literal["active", "needs_reauth"] | Iterable[Literal["active", "needs_reauth"]] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Pages[Connection]:
        """List the connections of your organization in pages, newest first.

        The API key needs the scope `read`.

        Args:
            end_user_id: Your own identifier of the end user.
            integration_slug: The slug of the integration.
            status: Only connections with this status.
            since: Only items at or after this time, as in RFC 3339.
            until: Only items before this time, as in RFC 3339.
            limit: Maximum number of items on a page. Default: 100.
            cursor: `next_cursor` of the previous page.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Pages: A loop requests the pages one by one. Each item: A connected account of an end user, without the
                credentials.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._pages(
            Request(
                "GET /v1/connections",
                query={
                    "end_user_id": one_or_more(end_user_id),
                    "integration_slug": one_or_more(integration_slug),
                    "status": choices("status", status, ("active", "needs_reauth")),
                    "since": since,
                    "until": until,
                    "limit": limit,
                    "cursor": cursor,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(Connection, under="connections"),
        )

    def create(
        self,
        *,
        integration_slug: str,
        end_user_id: str,
        auth_type: Literal["api_key", "basic", "none", "oauth2", "client_credentials"],
        name: str | None = None,
        params: Mapping[str, str] | None = None,
        credentials: Mapping[str, str | datetime] | None = None,
        metadata: Mapping[str, Any] | None = None,
        check: bool | None = None,
        connection_id: str | None = None,
        multiple: bool | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Connection:
        """Store a credential for an end user.

        One Runtime applies the first rule that fits:

        1. `connection_id` names a connection: the new credential replaces the credential of this connection (200).
        2. The end user has a connection to the credential's account: the new credential replaces the credential of this
           connection (200).
        3. `multiple` is True: One Runtime creates a connection (201).
        4. The end user has no connection to the integration: One Runtime creates a connection (201).
        5. The end user has one connection to the integration: the new credential replaces its credential (200). But if
           the provider reports that the new account is a different one, the answer is 409 `account_mismatch`.
        6. The end user has several connections to the integration: the answer is 409 `several_connections`, and
           `connections` lists them.

        After an error 409, send `connection_id` to replace the credential of this connection, or `multiple` to add one.

        The API key needs the scope `connect`.

        A credential to import. The fields of `credentials` depend on the auth type.

        - `api_key`: the fields that the integration defines.
        - `basic`: `username` and `password`.
        - `none`: no fields.
        - `oauth2`: `access_token`. The fields `refresh_token`, `expires_at` (RFC 3339) and `scope` are optional. The
          OAuth client of the tokens must be the client that One Runtime uses for the integration. If each end user
          registers a client, `credentials` must also contain `client_id` and `client_secret`.
        - `client_credentials`: `client_id` and `client_secret`.

        If `check` is True, the provider must accept the credential before One Runtime stores the credential. One
        Runtime always checks a credential that it exchanges for tokens, such as `client_credentials`.

        Args:
            integration_slug: The slug of the integration.
            end_user_id: Your own identifier of the end user.
            auth_type: The auth type: the way to authenticate with the provider.
            name: A name for the connection. Default: the account's name.
            params: Values that are not secret, such as a subdomain.
            credentials: The credential. The keys depend on the auth type.
            metadata: An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not
                interpret it.
            check: True verifies the credential with the provider, and stores only an accepted credential. Default:
                True.
            connection_id: The id of the connection whose credential to replace.
            multiple: True gives a new account its own connection. False replaces the present account. Default: False.
            idempotency_key: A unique value for this creation. A second call with the value creates nothing. Default: a
                random UUID.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Connection: A connected account of an end user, without the credentials.

        Raises:
            NotFound: `not_found`.
            Conflict: `idempotency_key_in_use`, `account_mismatch`, `several_connections`, `client_refused`,
                `oauth_client_missing`, `unconfirmed_copy`.
            InvalidInput: `invalid_input`, `idempotency_key_reused`, `credentials_refused`, `permission_missing`,
                `target_refused`, `host_not_registered`, `integration_disabled`.
            ProviderUnavailable: `provider_unavailable`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/connections",
                json={
                    "integration_slug": integration_slug,
                    "end_user_id": end_user_id,
                    "auth_type": auth_type,
                    "name": name,
                    "params": params,
                    "credentials": credentials,
                    "metadata": metadata,
                    "check": check,
                    "connection_id": connection_id,
                    "multiple": multiple,
                },
                idempotency_key=idempotency_key or new_idempotency_key(),
                timeout=timeout,
                headers=headers,
            ),
            answer(Connection),
        )

    def get(
        self,
        connection_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Connection:
        """Return a connection of your organization.

        The API key needs the scope `read`.

        Args:
            connection_id: The id of the connection.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Connection: A connected account of an end user, without the credentials.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/connections/{connection_id}",
                path={
                    "connection_id": connection_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Connection),
        )

    def update(
        self,
        connection_id: str,
        *,
        name: str | Omitted | None = OMITTED,
        is_default: bool | Omitted | None = OMITTED,
        metadata: Mapping[str, Any] | Omitted | None = OMITTED,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Connection:
        """Change the name or the metadata of a connection, or make it the default connection.

        The body is a JSON Merge Patch (RFC 7396). A request that changes nothing writes no event, and `updated_at`
        stays the same.

        The API key needs the scope `connect`.

        The fields to change, as a JSON Merge Patch (RFC 7396). An omitted field keeps its value.

        Args:
            connection_id: The id of the connection.
            name: The new name of the connection.
            is_default: True makes this the end user's default connection to the integration.
            metadata: The changes of the metadata. Each key changes only this key, and a key with None is removed.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Connection: A connected account of an end user, without the credentials.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "PATCH /v1/connections/{connection_id}",
                path={
                    "connection_id": connection_id,
                },
                json={
                    "name": name,
                    "is_default": is_default,
                    "metadata": metadata,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Connection),
        )

    def delete(
        self,
        connection_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> DeletedConnection:
        """Delete a connection and its credentials immediately. The response has the connection as it last was.

        `revocations` has the result of revoking each token.

        The API key needs the scope `connect`.

        Args:
            connection_id: The id of the connection.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            DeletedConnection: The deleted connection as it last was, and the result of revoking each of its tokens.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "DELETE /v1/connections/{connection_id}",
                path={
                    "connection_id": connection_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(DeletedConnection),
        )

    def check(
        self,
        connection_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ConnectionCheck:
        """Check the credential of a connection at the provider.

        - If the provider refuses an access token, One Runtime refreshes the tokens and repeats the check once.
        - If the provider refuses the credential in the last check, the connection becomes `needs_reauth`.
        - If the credential is valid but lacks a permission, the connection stays active. Its `error` names the
          permission.
        - If the provider gives no usable response, One Runtime answers with 502. The connection stays unchanged.

        The API key needs the scope `connect`.

        Args:
            connection_id: The id of the connection.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            ConnectionCheck: The result of checking a credential.

        Raises:
            NotFound: `not_found`.
            Conflict: `client_refused`, `oauth_client_missing`, `unconfirmed_copy`.
            InvalidInput: `invalid_input`, `target_refused`, `host_not_registered`, `integration_disabled`.
            ProviderUnavailable: `provider_unavailable`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/connections/{connection_id}/check",
                path={
                    "connection_id": connection_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(ConnectionCheck),
        )

    def credentials(
        self,
        connection_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Credentials:
        """Return the credentials of a connection. If a refresh is due, One Runtime first refreshes the tokens.

        Each read adds the event `connection.credentials_read` to the audit log.

        The API key needs the scope `credentials:read`.

        Args:
            connection_id: The id of the connection.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Credentials: Valid credentials for requests to the provider.

        Raises:
            NotFound: `not_found`.
            ConnectRequired: `needs_reauth`.
            Conflict: `client_refused`, `oauth_client_missing`, `unconfirmed_copy`.
            InvalidInput: `invalid_input`, `target_refused`, `host_not_registered`, `integration_disabled`.
            ProviderUnavailable: `provider_unavailable`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/connections/{connection_id}/credentials",
                path={
                    "connection_id": connection_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Credentials),
        )

    def refresh(
        self,
        connection_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Connection:
        """Refresh the tokens at the provider, even if the tokens are still valid. API keys and passwords stay
        unchanged.

        The API key needs the scope `connect`.

        Args:
            connection_id: The id of the connection.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Connection: A connected account of an end user, without the credentials.

        Raises:
            NotFound: `not_found`.
            ConnectRequired: `needs_reauth`.
            Conflict: `client_refused`, `oauth_client_missing`, `unconfirmed_copy`.
            InvalidInput: `invalid_input`, `target_refused`, `host_not_registered`, `integration_disabled`.
            ProviderUnavailable: `provider_unavailable`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/connections/{connection_id}/refresh",
                path={
                    "connection_id": connection_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Connection),
        )


class ConnectionsWithRawResponse:
    """The methods of `connections`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: Connections) -> None:
        self.list = page_with_response(resource.list)
        self.create = with_response(resource.create)
        self.get = with_response(resource.get)
        self.update = with_response(resource.update)
        self.delete = with_response(resource.delete)
        self.check = with_response(resource.check)
        self.credentials = with_response(resource.credentials)
        self.refresh = with_response(resource.refresh)
