"""Auth types: one object for each way to connect. All differences between auth types are in these objects.

`auth_method(auth)` returns the object for an entry's auth type. `AUTH_METHODS` has the classes by name, for callers
without an entry: the integration of an old connection may have been deleted.
"""

from one_runtime.auth_types.method import AuthMethod, RefreshGrant, TokenMethod
from one_runtime.auth_types.oauth2 import OAuth2Method
from one_runtime.auth_types.registry import AUTH_METHODS, auth_method, oauth2_of

__all__ = ["AUTH_METHODS", "AuthMethod", "OAuth2Method", "RefreshGrant", "TokenMethod", "auth_method", "oauth2_of"]
