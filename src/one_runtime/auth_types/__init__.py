"""Define one class for each auth type (a way to connect), with the code that differs between auth types.

`auth_method(auth)` returns an object for an auth type of a catalog entry (an integration's definition). `AUTH_METHODS`
contains the classes by name. Use `AUTH_METHODS` for a stored connection, because the connection's entry can be deleted.
"""

from one_runtime.auth_types.method import AuthMethod, RefreshGrant, TokenMethod
from one_runtime.auth_types.oauth2 import OAuth2Method
from one_runtime.auth_types.registry import AUTH_METHODS, auth_method, oauth2_of

__all__ = ["AUTH_METHODS", "AuthMethod", "OAuth2Method", "RefreshGrant", "TokenMethod", "auth_method", "oauth2_of"]
