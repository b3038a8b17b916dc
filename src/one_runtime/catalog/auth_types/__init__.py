"""List the auth types: the ways in which an end user can connect an integration.

Each auth type is one class in a file of its own. Only this module lists the classes. To add an auth type, add its file
and its class to `Auth`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, get_args

from pydantic import Field

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.auth_types.api_key import ApiKeyAuth
from one_runtime.catalog.auth_types.basic import BasicAuth
from one_runtime.catalog.auth_types.client_credentials import ClientCredentialsAuth
from one_runtime.catalog.auth_types.none import NoAuth
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth

__all__ = ["AUTH_TYPES", "Auth", "AuthType", "oauth2_of"]

Auth: TypeAlias = Annotated[
    ApiKeyAuth | BasicAuth | NoAuth | OAuth2Auth | ClientCredentialsAuth, Field(discriminator="type")
]


def _name_of(auth_class: type[AuthBase]) -> str:
    (name,) = get_args(auth_class.model_fields["type"].annotation)
    return str(name)


AUTH_TYPES: Final[Mapping[str, type[AuthBase]]] = MappingProxyType(
    {_name_of(auth_class): auth_class for auth_class in get_args(get_args(Auth)[0])}
)
"""The class of each auth type, by name. The entry of a stored connection can be deleted, its class cannot."""


def oauth2_of(auth: Auth | None) -> OAuth2Auth | None:
    """Return `auth` if the auth type is `oauth2`. Otherwise, return None."""
    return auth if auth is not None and auth.type == "oauth2" else None


if TYPE_CHECKING:
    AuthType: TypeAlias = str
else:  # pydantic and the OpenAPI document list the names
    AuthType = Literal[tuple(AUTH_TYPES)]
