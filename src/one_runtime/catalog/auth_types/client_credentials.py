"""Define the auth type `client_credentials`: the end user enters an OAuth client (RFC 6749, 4.4)."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.grants import ClientCredentials
from one_runtime.catalog.oauth2 import CLIENT_OWN
from one_runtime.catalog.parts import CredentialField


class ClientCredentialsAuth(TokenAuth):
    """The client credentials grant (RFC 6749, 4.4). The end user enters the client's id and secret."""

    type: Literal["client_credentials"]
    title: ClassVar[str] = "Client id and secret"
    default_label: ClassVar[str] = "Client id and secret"
    imported_keys: ClassVar[str] = "`client_id` and `client_secret`"

    def _inconsistencies(self) -> Iterator[str]:
        yield from super()._inconsistencies()
        if [field.name for field in self.fields[:2]] != ["client_id", "client_secret"]:
            yield "fields: client_credentials must begin with client_id and client_secret"
        yield from self.token.refuse_own(CLIENT_OWN)

    def first_grant(self, credentials: Mapping[str, str], /) -> ClientCredentials:
        """Return the OAuth client that the end user entered."""
        return ClientCredentials(credentials)

    def refresh_grant(self, secrets: Mapping[str, str], scopes: tuple[str, ...], /) -> ClientCredentials:
        """Return the stored OAuth client, to request the scopes that are granted."""
        fields = {name: value for name, value in secrets.items() if name != "access_token"}
        return ClientCredentials(fields, scopes or None)

    def probe_grant(self, fields: Mapping[str, str], _: str, /) -> ClientCredentials:
        """Return the credentials of a made-up OAuth client."""
        return ClientCredentials(fields)

    def templates(self) -> Iterator[str]:
        """Yield every template of the entry, and templates for `client_id` and `client_secret`.

        The OAuth flow uses both values. Without a template for each value, the validation would refuse both as unused.
        """
        yield from super().templates()
        yield from ("{client_id}", "{client_secret}", *self.token.templates(), *self.scopes.templates())

    @classmethod
    def draft(cls, api: str, /) -> dict[str, object]:
        """Return a first version of the keys that only this auth type has."""
        return {
            "fields": [CredentialField.draft("client_id", secret=False), CredentialField.draft("client_secret")],
            "token": {"url": f"{api}/oauth/token", "auth": "post"},
        }
