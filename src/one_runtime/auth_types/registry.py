"""Find the class of an auth type. This module also contains the classes of auth types without tokens."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from one_runtime.auth_types.client_credentials import ClientCredentialsMethod
from one_runtime.auth_types.method import AuthMethod
from one_runtime.auth_types.oauth2 import OAuth2Method
from one_runtime.catalog.auth_types import Auth, AuthType
from one_runtime.catalog.auth_types.api_key import ApiKeyAuth
from one_runtime.catalog.auth_types.basic import BasicAuth
from one_runtime.catalog.auth_types.client_credentials import ClientCredentialsAuth
from one_runtime.catalog.auth_types.none import NoAuth
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth


class ApiKeyMethod:
    """A key that the end user copies from the provider."""

    name: ClassVar[AuthType] = "api_key"
    tokens: ClassVar[None] = None
    needs_registered_client: ClassVar[bool] = False
    can_be_revoked: ClassVar[bool] = False
    sends_client: ClassVar[bool] = False

    @staticmethod
    def exposes(credentials: Mapping[str, str], /) -> dict[str, str]:
        """Return all credentials, because a caller sends the credentials unchanged to the provider's API."""
        return dict(credentials)


class BasicMethod(ApiKeyMethod):
    """A user name and a password."""

    name: ClassVar[AuthType] = "basic"


class NoCredentialMethod(ApiKeyMethod):
    """A public API, which needs no credential."""

    name: ClassVar[AuthType] = "none"


AUTH_METHODS: Final[Mapping[str, type[AuthMethod]]] = MappingProxyType(
    {
        method.name: method
        for method in (ApiKeyMethod, BasicMethod, NoCredentialMethod, OAuth2Method, ClientCredentialsMethod)
    }
)


def auth_method(auth: Auth) -> AuthMethod:
    """Return the object for an auth type of a catalog entry."""
    match auth:
        case ApiKeyAuth():
            return ApiKeyMethod()
        case BasicAuth():
            return BasicMethod()
        case NoAuth():
            return NoCredentialMethod()
        case OAuth2Auth():
            return OAuth2Method(auth)
        case ClientCredentialsAuth():
            return ClientCredentialsMethod(auth)


def oauth2_of(auth: Auth | None) -> OAuth2Auth | None:
    """Return `auth` if the auth type is `oauth2`. Otherwise, return None."""
    return auth if isinstance(auth, OAuth2Auth) else None
