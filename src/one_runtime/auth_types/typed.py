"""Credentials that the end user types and that are sent as they are: a key, a user name and password, or nothing."""

from collections.abc import Mapping
from typing import ClassVar

from one_runtime.catalog.model import AuthType


class ApiKeyMethod:
    """A key that the end user copies from the provider."""

    name: ClassVar[AuthType] = "api_key"
    tokens: ClassVar[None] = None
    needs_registered_client: ClassVar[bool] = False
    can_be_revoked: ClassVar[bool] = False
    sends_client: ClassVar[bool] = False

    @staticmethod
    def exposes(credentials: Mapping[str, str], /) -> dict[str, str]:
        """Return all credentials: the provider's API takes them as they are."""
        return dict(credentials)


class BasicMethod(ApiKeyMethod):
    """A user name and a password."""

    name: ClassVar[AuthType] = "basic"


class NoCredentialMethod(ApiKeyMethod):
    """A public API, which takes no credential."""

    name: ClassVar[AuthType] = "none"
