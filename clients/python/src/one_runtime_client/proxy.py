"""Call a provider's API through One Runtime (`client.proxy`). One Runtime adds the end user's credential."""

import re
from collections.abc import Mapping
from typing import Any, Final

from one_runtime_client.calls import Body, Call, Files, Form, Query, query_string, segment

MAX_TIMEOUT: Final = 600.0
"""Maximum number of seconds that One Runtime waits for a provider."""
_DEFAULT_TIMEOUT: Final = 60.0  # seconds that One Runtime waits for a provider by default
_MARGIN: Final = 15.0  # seconds for each attempt: One Runtime needs up to 10 seconds to connect to the provider
_ATTEMPTS: Final = 3
_PAUSES: Final = 60.0  # total seconds of all pauses between the attempts
_DOT_SEGMENT: Final = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:[/?]|$)", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def proxy_call(  # noqa: PLR0913 - by name
    method: str,
    integration_slug: str,
    path: str,
    *,
    end_user_id: str | None = None,
    connection_id: str | None = None,
    query: Query | None = None,
    json: Any = None,
    body: Body | None = None,
    data: Form | None = None,
    files: Files | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    retry: bool = False,
    base_url: str | None = None,
) -> Call:
    """Return the call for the arguments of `client.proxy`.

    Raises: ValueError for an invalid argument. TypeError for two bodies.
    """
    if sum(value is not None for value in (json, body, files or data)) > 1:
        raise TypeError("Pass the request body as json, as body, or as data and files.")
    if end_user_id is None and connection_id is None:
        raise ValueError("Pass end_user_id or connection_id: the call needs a connection.")
    options = {
        "One-Runtime-End-User": end_user_id,
        "One-Runtime-Connection": connection_id,
        "One-Runtime-Base-Url": base_url,
        "One-Runtime-Retry": "idempotent" if retry else None,
        "One-Runtime-Timeout": None if timeout is None else f"{min(timeout, MAX_TIMEOUT):.3f}",
    }
    own_headers = [(name, value) for name, value in options.items() if value is not None]
    for name, value in own_headers:
        if _CONTROL.search(value):
            raise ValueError(f"{name} must not contain control characters.")
    provider_headers = [(name, value) for name, value in (headers or {}).items() if name.lower() != "authorization"]
    address, _, path_query = path.partition("?")
    return Call(
        method=method,
        path=f"/v1/proxy/{segment(integration_slug)}/{_checked_path(address).removeprefix('/')}",
        query="&".join(part for part in (path_query, query_string(query)) if part),
        json=json,
        body=body,
        data=None if data is None else {name: value for name, value in data.items() if value is not None},
        files=files,
        headers=(*provider_headers, *own_headers),
        route=f"{method} /v1/proxy/{integration_slug}/{{path}}",
        relayed=True,
        repeatable=retry,
        timeout=_client_timeout(timeout, retry=retry),
    )


def _checked_path(path: str) -> str:
    """Return the path. Raises: ValueError for a path that can resolve to another path of One Runtime."""
    if _DOT_SEGMENT.search(path) or "#" in path or "\\" in path or _CONTROL.search(path):
        raise ValueError("path must not contain the segments . or .., #, a backslash or control characters.")
    return path


def _client_timeout(timeout: float | None, *, retry: bool) -> float | None:
    """Return the seconds that the client waits, or None for the client's default.

    The client waits longer than One Runtime. So the client receives One Runtime's error, which says what went wrong.
    """
    if timeout is None and not retry:
        return None
    attempt = min(_DEFAULT_TIMEOUT if timeout is None else timeout, MAX_TIMEOUT) + _MARGIN
    return attempt * _ATTEMPTS + _PAUSES if retry else attempt
