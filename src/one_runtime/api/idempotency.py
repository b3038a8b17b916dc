"""Handle the header `Idempotency-Key`: repeat the response of an earlier request instead of the request's work.

The rules follow draft-ietf-httpapi-idempotency-key-header and the API of Stripe, which also has the response header
`Idempotent-Replayed`.
"""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from fastapi import Depends, Request, Response

from one_runtime.api.conditions import entity_tag
from one_runtime.api.fields import Answer
from one_runtime.api.services import services_of
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import InvalidInput, Unavailable
from one_runtime.tenancy import idempotency_keys
from one_runtime.tenancy.authentication import Principal
from one_runtime.tenancy.idempotency_keys import Reservation, StoredResponse

A = TypeVar("A", bound=Answer)

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

_RESERVATION: Final = "one_runtime.idempotency_reservation"


class RepeatableResponse:
    """The response of a route that accepts the header `Idempotency-Key`."""

    def __init__(self, request: Request, response: Response) -> None:
        self._scope, self._response = request.scope, response

    async def store(self, tx: Transaction, answer: A, version: Answer | None = None) -> A:
        """Store the response for a repeated request, and return the answer unchanged.

        `tx`: the transaction that creates the resource. A route with several statuses sets the status first. A response
        201 gets the entity tag of the new resource (RFC 9110, 15.3.2). A repeated response does not have it, because
        the resource can have changed since. `version`: the version that GET tags, if it is not the whole answer.

        Raises: IdempotencyKeyInUse if a repeated request has reserved the key.
        """
        reservation: Reservation | None = self._scope.get(_RESERVATION)
        status = self._response.status_code or self._scope["route"].status_code or 200
        if status == 201:
            self._response.headers["etag"] = entity_tag(version or answer)
        if reservation is not None:
            stored = StoredResponse(status, answer.model_dump_json())
            await idempotency_keys.finish(tx, services_of(self._scope).installation.vault, reservation, stored)
        return answer


Repeatable: TypeAlias = Annotated[RepeatableResponse, Depends(RepeatableResponse)]
"""Type of an argument of a route that accepts the header `Idempotency-Key`. Each such route must call `store`."""


async def handle_once(
    installation: Installation,
    principal: Principal,
    request: Request,
    handle: Callable[[Request], Awaitable[Response]],
) -> Response:
    """Handle a request. If an earlier request with its key was successful, repeat the earlier response instead.

    The route itself stores a successful response (`RepeatableResponse.store`). After an error, nothing was created, and
    the key is free.

    Raises: InvalidInput; IdempotencyKeyReused; IdempotencyKeyInUse; the errors of `handle`.
    """
    keys = request.headers.getlist(HEADER)
    if not keys:
        return await handle(request)
    target = f"{request.url.path}?{request.url.query}"
    fingerprint = idempotency_keys.fingerprint_of(request.method, target, await request.body())
    database, clock = installation.database, installation.clock
    reserved = await idempotency_keys.reserve(
        database, installation.vault, clock, principal, _require_one(keys), fingerprint
    )
    if isinstance(reserved, StoredResponse):
        headers = {REPLAYED: "true"}
        return Response(reserved.body, reserved.status, headers=headers, media_type="application/json")
    request.scope[_RESERVATION] = reserved
    try:
        async with idempotency_keys.heartbeats(database, clock, reserved):
            return await handle(request)
    except Exception:
        with suppress(Unavailable):  # the key is free at the end of the lease
            await idempotency_keys.release(database, reserved)
        raise


def _require_one(keys: list[str]) -> str:
    """Raises: InvalidInput."""
    if len(keys) > 1:
        raise InvalidInput.of(HEADER, "must occur only once")
    if not re.fullmatch(f"[ -~]{{1,{MAX_LENGTH}}}", keys[0]):
        raise InvalidInput.of(HEADER, f"must have 1 to {MAX_LENGTH} printable ASCII characters, such as a UUID")
    return keys[0]
