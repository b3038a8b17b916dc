"""Compare a resource with the headers `If-Match` and `If-None-Match` of a request (RFC 9110 section 13)."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from fastapi import Depends, Request, Response

from one_runtime.api.fields import Answer
from one_runtime.api.headers import header, is_current, is_unchanged
from one_runtime.db.engine import Transaction
from one_runtime.db.precondition import Precondition
from one_runtime.errors import PreconditionFailed

A = TypeVar("A", bound=Answer)
T = TypeVar("T")

IF_MATCH: Final[dict[str, Any]] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the version that you have read. If the resource has changed since, the response is "
    "412, and nothing changes.",
    "schema": {"type": "string"},
}
IF_NONE_MATCH: Final[dict[str, Any]] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the version that you have. If the resource has not changed, the response is 304.",
    "schema": {"type": "string"},
}
"""The headers in the OpenAPI document."""

_HEADERS: Final = {"cache-control": "private, no-cache", "vary": "authorization"}


class Conditions:
    """The conditions of a request. The class also adds the entity tag to the response.

    The entity tag is a hash of the resource, as GET returns it. So each change of a field changes the tag.
    """

    def __init__(self, request: Request, response: Response) -> None:
        self._scope, self._response = request.scope, response
        self._is_present = any(header(request.scope, name) for name in (b"if-match", b"if-none-match"))

    def tag(self, answer: A, version: Answer | None = None) -> A:
        """Add the entity tag of a resource to the response. Return the resource.

        `version`: the part of the resource that callers can change. None: the whole resource.
        """
        self._response.headers.update({"etag": entity_tag(version or answer), **_HEADERS})
        return answer

    def require(self, read: Callable[[], Answer | None]) -> None:
        """Check the conditions of a change. Call this method in the transaction that has locked the resource.

        `read`: returns the resource as GET returns it, or None if the resource does not exist.

        Raises: PreconditionFailed.
        """
        if not self._is_present:
            return
        present = read()
        etag = None if present is None else entity_tag(present).encode()
        if not is_unchanged(self._scope, etag):
            raise PreconditionFailed(
                "The resource has changed since you read this ETag. Read the resource again, and repeat your change "
                "with the new ETag in If-Match."
            )
        if etag is not None and is_current(self._scope, etag):
            raise PreconditionFailed("The resource has an ETag that If-None-Match excludes. Read the resource again.")

    def on(self, read: Callable[[Transaction, T], Awaitable[Answer]]) -> Precondition[T] | None:
        """Return `require` as a function for another module's transaction, or None for a request without conditions."""

        async def require(tx: Transaction, present: T | None) -> None:
            answer = None if present is None else await read(tx, present)
            self.require(lambda: answer)

        return require if self._is_present else None


def entity_tag(answer: Answer) -> str:
    """Return the entity tag of a resource. `answer`: the part of the resource that decides its version."""
    return f'"{hashlib.blake2b(answer.model_dump_json().encode(), digest_size=16).hexdigest()}"'


Conditional: TypeAlias = Annotated[Conditions, Depends(Conditions)]
"""Type of a route's argument for the conditions of the request."""
