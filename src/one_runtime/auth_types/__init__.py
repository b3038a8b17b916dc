"""Auth types: one class for each way to connect. These classes contain all differences between auth types.

`auth_method(auth)` returns an object for the auth type of a catalog entry. `AUTH_METHODS` contains the classes by name.
Use `AUTH_METHODS` if the entry is possibly no longer in the catalog, for example for an old connection.
"""

from one_runtime.auth_types.method import AuthMethod, RefreshGrant, TokenMethod
from one_runtime.auth_types.oauth2 import OAuth2Method
from one_runtime.auth_types.registry import AUTH_METHODS, auth_method, oauth2_of

__all__ = ["AUTH_METHODS", "AuthMethod", "OAuth2Method", "RefreshGrant", "TokenMethod", "auth_method", "oauth2_of"]
