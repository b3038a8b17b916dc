"""Handle the header `Idempotency-Key`: repeat the response of an earlier request instead of the request's work.

The rules follow draft-ietf-httpapi-idempotency-key-header and the API of Stripe, which also has the response header
`Idempotent-Replayed`.
"""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from one_runtime.context import Installation
from one_runtime.errors import InvalidInput, Unavailable
from one_runtime.tenancy import idempotency_keys
from one_runtime.tenancy.authentication import Principal
from one_runtime.tenancy.idempotency_keys import StoredResponse

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
MAX_LENGTH: Final = 255
PARAMETER: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A random value for this request, such as a UUID. If you repeat the request with the same value "
    "within 24 hours, One Runtime sends the same response again, with the header `Idempotent-Replayed: true`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "pattern": "^[ -~]+$"},
}
"""The header in the OpenAPI document."""


async def handle_once(
    installation: Installation,
    principal: Principal,
    request: Request,
    handle: Callable[[Request], Awaitable[Response]],
) -> Response:
    """Handle a request. If an earlier request with its key was successful, repeat the earlier response instead.

    One Runtime stores only successful responses. After an error, nothing was created, and the key is free.

    Raises: InvalidInput; IdempotencyKeyReused; IdempotencyKeyInUse; the errors of `handle`.
    """
    keys = request.headers.getlist(HEADER)
    if not keys:
        return await handle(request)
    target = f"{request.url.path}?{request.url.query}"
    fingerprint = idempotency_keys.fingerprint_of(request.method, target, await request.body())
    reserved = await idempotency_keys.reserve(
        installation, principal.organization_id, principal.api_key_id, _require_one(keys), fingerprint
    )
    if isinstance(reserved, StoredResponse):
        headers = {REPLAYED: "true"}
        return Response(reserved.body, reserved.status, headers=headers, media_type="application/json")
    try:
        response = await handle(request)
    except Exception:
        with suppress(Unavailable):  # the key is free at the end of the lease
            await idempotency_keys.release(installation, reserved)
        raise
    with suppress(Unavailable):
        stored = StoredResponse(response.status_code, bytes(response.body).decode())
        await idempotency_keys.finish(installation, reserved, stored)
    return response


def _require_one(keys: list[str]) -> str:
    """Raises: InvalidInput."""
    if len(keys) > 1:
        raise InvalidInput.of(HEADER, "must occur only once")
    if not re.fullmatch(f"[ -~]{{1,{MAX_LENGTH}}}", keys[0]):
        raise InvalidInput.of(HEADER, f"must have 1 to {MAX_LENGTH} printable ASCII characters, such as a UUID")
    return keys[0]
