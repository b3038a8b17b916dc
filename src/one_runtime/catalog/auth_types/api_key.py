"""Define the auth type `api_key`: a key that the end user copies from the provider."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from one_runtime.catalog.auth import AuthBase


class ApiKeyAuth(AuthBase):
    """A key that the end user copies from the provider."""

    type: Literal["api_key"]
    title: ClassVar[str] = "API key"
    default_label: ClassVar[str] = "API key"
    imported_keys: ClassVar[str] = "the fields that the integration defines"

    def _inconsistencies(self) -> Iterator[str]:
        yield from super()._inconsistencies()
        if not self.fields:
            yield "fields: api_key requires at least one field"

    @classmethod
    def draft(cls, _: str, /) -> dict[str, object]:
        """Return a first version of the keys that only this auth type has."""
        return {
            "fields": [
                {
                    "name": "api_key",
                    "label": "API key",
                    "where": "In the product, go to Settings, then API, and create a key.",
                    "pattern": "[A-Za-z0-9._~+/=-]{16,1024}",
                }
            ],
            "send": {"headers": {"Authorization": "Bearer {api_key}"}},
        }
