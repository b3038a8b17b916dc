"""Define the auth type `basic`: a user name and a password (RFC 7617)."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.parts import CredentialField, CredentialPlacement, HttpBasic


class BasicAuth(AuthBase):
    """A user name and a password. Some providers use other names for the two values."""

    type: Literal["basic"]
    title: ClassVar[str] = "Username and password"
    default_label: ClassVar[str] = "Username and password"
    imported_keys: ClassVar[str] = "`username` and `password`"

    send: CredentialPlacement = CredentialPlacement.model_construct(
        basic=HttpBasic.model_construct(username="{username}", password="{password}")
    )

    def _inconsistencies(self) -> Iterator[str]:
        yield from super()._inconsistencies()
        if [field.name for field in self.fields] != ["username", "password"]:
            yield "fields: basic requires username and password, in this order"

    @classmethod
    def draft(cls, _: str, /) -> dict[str, object]:
        """Return a first version of the keys that only this auth type has."""
        return {"fields": [CredentialField.draft("username", secret=False), CredentialField.draft("password")]}
