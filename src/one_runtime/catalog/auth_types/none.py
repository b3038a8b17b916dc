"""Define the auth type `none`: a public API, without credentials."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from one_runtime.catalog.auth import AuthBase


class NoAuth(AuthBase):
    """A public API, without credentials."""

    type: Literal["none"]
    title: ClassVar[str] = "No account needed"
    default_label: ClassVar[str] = "No account needed"
    imported_keys: ClassVar[str] = "no fields"
    has_credential: ClassVar[bool] = False
    verifies_by_connecting: ClassVar[bool] = True

    def _inconsistencies(self) -> Iterator[str]:
        yield from super()._inconsistencies()
        if self.fields:
            yield "fields: must be empty for the auth type none"

    @classmethod
    def draft(cls, _: str, /) -> dict[str, object]:
        """Return a first version of the keys that only this auth type has."""
        return {}
