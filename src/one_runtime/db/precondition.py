"""Define the condition that a caller sets for a change, such as the header `If-Match` of the API."""

from typing import Protocol, TypeVar

from one_runtime.db.engine import Transaction

T_contra = TypeVar("T_contra", contravariant=True)


class Precondition(Protocol[T_contra]):
    """A check of the present resource. The transaction of the change calls the check after it has locked the resource.

    So of several concurrent changes with the same condition, only the first one is successful.
    """

    async def __call__(self, tx: Transaction, present: T_contra | None, /) -> None:
        """`present`: None if the resource does not exist. Raises: PreconditionFailed."""
