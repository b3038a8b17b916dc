"""Define the methods of `proxy`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import httpx2

from one_runtime_client.calls import Files
from one_runtime_client.operations import Resource
from one_runtime_client.proxy import proxy_call


class Proxy(Resource):
    """The APIs of providers. For example: `client.proxy.get("hubspot", "/crm/v3/owners", end_user_id="user_123")`."""

    def request(
        self,
        method: str,
        integration_slug: str,
        path: str,
        *,
        end_user_id: str | None = None,
        connection_id: str | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        retry: bool = False,
        base_url: str | None = None,
    ) -> httpx2.Response:
        """Send a request to a provider's API through a connection.

        Args:
            method: The HTTP method.
            integration_slug: The slug of the integration.
            path: The path after the base URL of the integration. The client does not change its percent-encoding.
            end_user_id: Your identifier of the end user. One Runtime uses the newest active connection of the end user.
            connection_id: The id of the connection. Pass this argument or `end_user_id`.
            query: The query parameters. A list repeats the name for each item. The client omits None.
            json: The request body, for a body in JSON.
            body: The request body as bytes, text, or an iterable of bytes.
            data: The fields of a form. A list repeats the name for each item. The client omits None.
            files: The files of a form by the names of their fields. A file is its content, `(name, content)` or
                `(name, content, media_type)`. The content is bytes, text or a file that is open in binary mode.
            headers: Headers for the provider.
            timeout: Maximum seconds that One Runtime waits for data from the provider, at most 600. Default: 60.
            retry: One Runtime repeats a GET, HEAD, PUT, DELETE or OPTIONS when the provider is overloaded or
                unreachable. The call can take minutes.
            base_url: Another base URL of the integration, for example for uploads.

        Returns:
            The provider's response, even if the provider answered with an error.

        Raises:
            ConnectRequired: The end user has to connect the account (again).
            ProviderUnavailable: One Runtime received no usable answer from the provider.
            OneRuntimeError: Every other failure of One Runtime or of the client. A provider's error is a response.
            ValueError: An argument is invalid, such as a path with the segment `..`.
            TypeError: The client cannot send the body, or you passed two bodies.
        """

        return self._transport.send(
            proxy_call(
                method,
                integration_slug,
                path,
                end_user_id=end_user_id,
                connection_id=connection_id,
                query=query,
                json=json,
                body=body,
                data=data,
                files=files,
                headers=headers,
                timeout=timeout,
                retry=retry,
                base_url=base_url,
            )
        )

    def stream(
        self,
        method: str,
        integration_slug: str,
        path: str,
        *,
        end_user_id: str | None = None,
        connection_id: str | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        retry: bool = False,
        base_url: str | None = None,
    ) -> AbstractContextManager[httpx2.Response]:
        """Send a request to a provider's API, for a response that you read in parts.

        Args:
            method: The HTTP method.
            integration_slug: The slug of the integration.
            path: The path after the base URL of the integration. The client does not change its percent-encoding.
            end_user_id: Your identifier of the end user. One Runtime uses the newest active connection of the end user.
            connection_id: The id of the connection. Pass this argument or `end_user_id`.
            query: The query parameters. A list repeats the name for each item. The client omits None.
            json: The request body, for a body in JSON.
            body: The request body as bytes, text, or an iterable of bytes.
            data: The fields of a form. A list repeats the name for each item. The client omits None.
            files: The files of a form by the names of their fields. A file is its content, `(name, content)` or
                `(name, content, media_type)`. The content is bytes, text or a file that is open in binary mode.
            headers: Headers for the provider.
            timeout: Maximum seconds that One Runtime waits for data from the provider, at most 600. Default: 60.
            retry: One Runtime repeats a GET, HEAD, PUT, DELETE or OPTIONS when the provider is overloaded or
                unreachable. The call can take minutes.
            base_url: Another base URL of the integration, for example for uploads.

        Returns:
            A context manager for `with`. It gives the provider's response before the body is read.

        Raises:
            ConnectRequired: The end user has to connect the account (again).
            ProviderUnavailable: One Runtime received no usable answer from the provider.
            OneRuntimeError: Every other failure of One Runtime or of the client. A provider's error is a response.
            ValueError: An argument is invalid, such as a path with the segment `..`.
            TypeError: The client cannot send the body, or you passed two bodies.
        """

        return self._transport.stream(
            proxy_call(
                method,
                integration_slug,
                path,
                end_user_id=end_user_id,
                connection_id=connection_id,
                query=query,
                json=json,
                body=body,
                data=data,
                files=files,
                headers=headers,
                timeout=timeout,
                retry=retry,
                base_url=base_url,
            )
        )

    def get(
        self,
        integration_slug: str,
        path: str,
        *,
        end_user_id: str | None = None,
        connection_id: str | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        retry: bool = False,
        base_url: str | None = None,
    ) -> httpx2.Response:
        """Send a GET request to a provider's API through a connection.

        Args:
            integration_slug: The slug of the integration.
            path: The path after the base URL of the integration. The client does not change its percent-encoding.
            end_user_id: Your identifier of the end user. One Runtime uses the newest active connection of the end user.
            connection_id: The id of the connection. Pass this argument or `end_user_id`.
            query: The query parameters. A list repeats the name for each item. The client omits None.
            json: The request body, for a body in JSON.
            body: The request body as bytes, text, or an iterable of bytes.
            data: The fields of a form. A list repeats the name for each item. The client omits None.
            files: The files of a form by the names of their fields. A file is its content, `(name, content)` or
                `(name, content, media_type)`. The content is bytes, text or a file that is open in binary mode.
            headers: Headers for the provider.
            timeout: Maximum seconds that One Runtime waits for data from the provider, at most 600. Default: 60.
            retry: One Runtime repeats a GET, HEAD, PUT, DELETE or OPTIONS when the provider is overloaded or
                unreachable. The call can take minutes.
            base_url: Another base URL of the integration, for example for uploads.

        Returns:
            The provider's response, even if the provider answered with an error.

        Raises:
            ConnectRequired: The end user has to connect the account (again).
            ProviderUnavailable: One Runtime received no usable answer from the provider.
            OneRuntimeError: Every other failure of One Runtime or of the client. A provider's error is a response.
            ValueError: An argument is invalid, such as a path with the segment `..`.
            TypeError: The client cannot send the body, or you passed two bodies.
        """

        return self._transport.send(
            proxy_call(
                "GET",
                integration_slug,
                path,
                end_user_id=end_user_id,
                connection_id=connection_id,
                query=query,
                json=json,
                body=body,
                data=data,
                files=files,
                headers=headers,
                timeout=timeout,
                retry=retry,
                base_url=base_url,
            )
        )

    def head(
        self,
        integration_slug: str,
        path: str,
        *,
        end_user_id: str | None = None,
        connection_id: str | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        retry: bool = False,
        base_url: str | None = None,
    ) -> httpx2.Response:
        """Send a HEAD request to a provider's API through a connection.

        Args:
            integration_slug: The slug of the integration.
            path: The path after the base URL of the integration. The client does not change its percent-encoding.
            end_user_id: Your identifier of the end user. One Runtime uses the newest active connection of the end user.
            connection_id: The id of the connection. Pass this argument or `end_user_id`.
            query: The query parameters. A list repeats the name for each item. The client omits None.
            json: The request body, for a body in JSON.
            body: The request body as bytes, text, or an iterable of bytes.
            data: The fields of a form. A list repeats the name for each item. The client omits None.
            files: The files of a form by the names of their fields. A file is its content, `(name, content)` or
                `(name, content, media_type)`. The content is bytes, text or a file that is open in binary mode.
            headers: Headers for the provider.
            timeout: Maximum seconds that One Runtime waits for data from the provider, at most 600. Default: 60.
            retry: One Runtime repeats a GET, HEAD, PUT, DELETE or OPTIONS when the provider is overloaded or
                unreachable. The call can take minutes.
            base_url: Another base URL of the integration, for example for uploads.

        Returns:
            The provider's response, even if the provider answered with an error.

        Raises:
            ConnectRequired: The end user has to connect the account (again).
            ProviderUnavailable: One Runtime received no usable answer from the provider.
            OneRuntimeError: Every other failure of One Runtime or of the client. A provider's error is a response.
            ValueError: An argument is invalid, such as a path with the segment `..`.
            TypeError: The client cannot send the body, or you passed two bodies.
        """

        return self._transport.send(
            proxy_call(
                "HEAD",
                integration_slug,
                path,
                end_user_id=end_user_id,
                connection_id=connection_id,
                query=query,
                json=json,
                body=body,
                data=data,
                files=files,
                headers=headers,
                timeout=timeout,
                retry=retry,
                base_url=base_url,
            )
        )

    def post(
        self,
        integration_slug: str,
        path: str,
        *,
        end_user_id: str | None = None,
        connection_id: str | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        retry: bool = False,
        base_url: str | None = None,
    ) -> httpx2.Response:
        """Send a POST request to a provider's API through a connection.

        Args:
            integration_slug: The slug of the integration.
            path: The path after the base URL of the integration. The client does not change its percent-encoding.
            end_user_id: Your identifier of the end user. One Runtime uses the newest active connection of the end user.
            connection_id: The id of the connection. Pass this argument or `end_user_id`.
            query: The query parameters. A list repeats the name for each item. The client omits None.
            json: The request body, for a body in JSON.
            body: The request body as bytes, text, or an iterable of bytes.
            data: The fields of a form. A list repeats the name for each item. The client omits None.
            files: The files of a form by the names of their fields. A file is its content, `(name, content)` or
                `(name, content, media_type)`. The content is bytes, text or a file that is open in binary mode.
            headers: Headers for the provider.
            timeout: Maximum seconds that One Runtime waits for data from the provider, at most 600. Default: 60.
            retry: One Runtime repeats a GET, HEAD, PUT, DELETE or OPTIONS when the provider is overloaded or
                unreachable. The call can take minutes.
            base_url: Another base URL of the integration, for example for uploads.

        Returns:
            The provider's response, even if the provider answered with an error.

        Raises:
            ConnectRequired: The end user has to connect the account (again).
            ProviderUnavailable: One Runtime received no usable answer from the provider.
            OneRuntimeError: Every other failure of One Runtime or of the client. A provider's error is a response.
            ValueError: An argument is invalid, such as a path with the segment `..`.
            TypeError: The client cannot send the body, or you passed two bodies.
        """

        return self._transport.send(
            proxy_call(
                "POST",
                integration_slug,
                path,
                end_user_id=end_user_id,
                connection_id=connection_id,
                query=query,
                json=json,
                body=body,
                data=data,
                files=files,
                headers=headers,
                timeout=timeout,
                retry=retry,
                base_url=base_url,
            )
        )

    def put(
        self,
        integration_slug: str,
        path: str,
        *,
        end_user_id: str | None = None,
        connection_id: str | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        retry: bool = False,
        base_url: str | None = None,
    ) -> httpx2.Response:
        """Send a PUT request to a provider's API through a connection.

        Args:
            integration_slug: The slug of the integration.
            path: The path after the base URL of the integration. The client does not change its percent-encoding.
            end_user_id: Your identifier of the end user. One Runtime uses the newest active connection of the end user.
            connection_id: The id of the connection. Pass this argument or `end_user_id`.
            query: The query parameters. A list repeats the name for each item. The client omits None.
            json: The request body, for a body in JSON.
            body: The request body as bytes, text, or an iterable of bytes.
            data: The fields of a form. A list repeats the name for each item. The client omits None.
            files: The files of a form by the names of their fields. A file is its content, `(name, content)` or
                `(name, content, media_type)`. The content is bytes, text or a file that is open in binary mode.
            headers: Headers for the provider.
            timeout: Maximum seconds that One Runtime waits for data from the provider, at most 600. Default: 60.
            retry: One Runtime repeats a GET, HEAD, PUT, DELETE or OPTIONS when the provider is overloaded or
                unreachable. The call can take minutes.
            base_url: Another base URL of the integration, for example for uploads.

        Returns:
            The provider's response, even if the provider answered with an error.

        Raises:
            ConnectRequired: The end user has to connect the account (again).
            ProviderUnavailable: One Runtime received no usable answer from the provider.
            OneRuntimeError: Every other failure of One Runtime or of the client. A provider's error is a response.
            ValueError: An argument is invalid, such as a path with the segment `..`.
            TypeError: The client cannot send the body, or you passed two bodies.
        """

        return self._transport.send(
            proxy_call(
                "PUT",
                integration_slug,
                path,
                end_user_id=end_user_id,
                connection_id=connection_id,
                query=query,
                json=json,
                body=body,
                data=data,
                files=files,
                headers=headers,
                timeout=timeout,
                retry=retry,
                base_url=base_url,
            )
        )

    def patch(
        self,
        integration_slug: str,
        path: str,
        *,
        end_user_id: str | None = None,
        connection_id: str | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        retry: bool = False,
        base_url: str | None = None,
    ) -> httpx2.Response:
        """Send a PATCH request to a provider's API through a connection.

        Args:
            integration_slug: The slug of the integration.
            path: The path after the base URL of the integration. The client does not change its percent-encoding.
            end_user_id: Your identifier of the end user. One Runtime uses the newest active connection of the end user.
            connection_id: The id of the connection. Pass this argument or `end_user_id`.
            query: The query parameters. A list repeats the name for each item. The client omits None.
            json: The request body, for a body in JSON.
            body: The request body as bytes, text, or an iterable of bytes.
            data: The fields of a form. A list repeats the name for each item. The client omits None.
            files: The files of a form by the names of their fields. A file is its content, `(name, content)` or
                `(name, content, media_type)`. The content is bytes, text or a file that is open in binary mode.
            headers: Headers for the provider.
            timeout: Maximum seconds that One Runtime waits for data from the provider, at most 600. Default: 60.
            retry: One Runtime repeats a GET, HEAD, PUT, DELETE or OPTIONS when the provider is overloaded or
                unreachable. The call can take minutes.
            base_url: Another base URL of the integration, for example for uploads.

        Returns:
            The provider's response, even if the provider answered with an error.

        Raises:
            ConnectRequired: The end user has to connect the account (again).
            ProviderUnavailable: One Runtime received no usable answer from the provider.
            OneRuntimeError: Every other failure of One Runtime or of the client. A provider's error is a response.
            ValueError: An argument is invalid, such as a path with the segment `..`.
            TypeError: The client cannot send the body, or you passed two bodies.
        """

        return self._transport.send(
            proxy_call(
                "PATCH",
                integration_slug,
                path,
                end_user_id=end_user_id,
                connection_id=connection_id,
                query=query,
                json=json,
                body=body,
                data=data,
                files=files,
                headers=headers,
                timeout=timeout,
                retry=retry,
                base_url=base_url,
            )
        )

    def delete(
        self,
        integration_slug: str,
        path: str,
        *,
        end_user_id: str | None = None,
        connection_id: str | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        retry: bool = False,
        base_url: str | None = None,
    ) -> httpx2.Response:
        """Send a DELETE request to a provider's API through a connection.

        Args:
            integration_slug: The slug of the integration.
            path: The path after the base URL of the integration. The client does not change its percent-encoding.
            end_user_id: Your identifier of the end user. One Runtime uses the newest active connection of the end user.
            connection_id: The id of the connection. Pass this argument or `end_user_id`.
            query: The query parameters. A list repeats the name for each item. The client omits None.
            json: The request body, for a body in JSON.
            body: The request body as bytes, text, or an iterable of bytes.
            data: The fields of a form. A list repeats the name for each item. The client omits None.
            files: The files of a form by the names of their fields. A file is its content, `(name, content)` or
                `(name, content, media_type)`. The content is bytes, text or a file that is open in binary mode.
            headers: Headers for the provider.
            timeout: Maximum seconds that One Runtime waits for data from the provider, at most 600. Default: 60.
            retry: One Runtime repeats a GET, HEAD, PUT, DELETE or OPTIONS when the provider is overloaded or
                unreachable. The call can take minutes.
            base_url: Another base URL of the integration, for example for uploads.

        Returns:
            The provider's response, even if the provider answered with an error.

        Raises:
            ConnectRequired: The end user has to connect the account (again).
            ProviderUnavailable: One Runtime received no usable answer from the provider.
            OneRuntimeError: Every other failure of One Runtime or of the client. A provider's error is a response.
            ValueError: An argument is invalid, such as a path with the segment `..`.
            TypeError: The client cannot send the body, or you passed two bodies.
        """

        return self._transport.send(
            proxy_call(
                "DELETE",
                integration_slug,
                path,
                end_user_id=end_user_id,
                connection_id=connection_id,
                query=query,
                json=json,
                body=body,
                data=data,
                files=files,
                headers=headers,
                timeout=timeout,
                retry=retry,
                base_url=base_url,
            )
        )
