"""Name the auth types in the words of the dashboard."""

from collections.abc import Mapping
from typing import Final

from one_runtime.catalog.auth_types import AuthType

AUTH_TYPE_NAMES: Final[Mapping[AuthType, str]] = {
    "oauth2": "OAuth",
    "api_key": "API key",
    "basic": "User name and password",
    "client_credentials": "Client id and secret",
    "none": "No account needed",
}
