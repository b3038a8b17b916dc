"""The shape of a catalog entry. Data only: nothing here is sent or stored.

An entry is checked in full when the catalog is built (or loaded from YAML). The precompiled file is read with the
context `{"trusted": True}`, which skips the checks that need more than the shape.
"""

import uuid
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field as Setting
from pydantic import StringConstraints, ValidationInfo, model_validator

from one_runtime.catalog.auth import ApiKeyAuth, BasicAuth, NoAuth
from one_runtime.catalog.oauth2 import ClientCredentialsAuth, OAuth2Auth
from one_runtime.catalog.parts import Label, Link, Strict, trusted

# The same on every installation, and for good: clients keep these ids.
ID_NAMESPACE = uuid.UUID("7eca3406-a90b-57e4-84d9-31773fc066b6")

SLUG = r"^[a-z0-9]+(?:-[a-z0-9]+)*$"

Category = Literal[
    "CRM", "Support", "Marketing", "Productivity", "Communication", "Developer Tools", "Accounting", "Payments",
    "E-commerce", "HR", "Recruiting", "Storage", "Data", "Social", "Scheduling", "AI", "Project Management", "Design",
    "Security", "Industry", "Consumer",
]  # fmt: skip

AuthType: TypeAlias = Literal["api_key", "basic", "none", "oauth2", "client_credentials"]
Auth: TypeAlias = Annotated[
    ApiKeyAuth | BasicAuth | NoAuth | OAuth2Auth | ClientCredentialsAuth, Setting(discriminator="type")
]


Alias: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9 .&+-]{0,38}[a-z0-9]$")]
"""Another word that people type for it, in lower case: a former name, a nickname, the parent brand."""


class Integration(Strict):
    """One third-party product that can be connected."""

    slug: Annotated[str, StringConstraints(pattern=SLUG, max_length=64)]
    name: Label
    description: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][^\n]*\.$", max_length=89)]
    category: Category
    aliases: Annotated[tuple[Alias, ...], Setting(max_length=12)] = ()
    website: Link
    docs: Link
    auth: tuple[Auth, ...]

    @model_validator(mode="after")
    def _one_of_each(self, info: ValidationInfo) -> Self:
        if not self.auth:
            raise ValueError("auth: needs at least one auth type")
        if not trusted(info) and len(set(self.auth_types)) != len(self.auth):
            raise ValueError("auth: an auth type stands there twice")
        return self

    @property
    def id(self) -> str:
        """UUID version 5 of the slug, the same on every installation."""
        return str(uuid.uuid5(ID_NAMESPACE, self.slug))

    @property
    def auth_types(self) -> tuple[str, ...]:
        """The auth types that this integration has, in the entry's order."""
        return tuple(auth.type for auth in self.auth)

    def auth_of(self, auth_type: str) -> Auth | None:
        """How to connect with that auth type, or None."""
        return next((auth for auth in self.auth if auth.type == auth_type), None)


def dump(integration: Integration) -> dict[str, Any]:
    """The entry as plain data, as it was written (so that an explicit null stays)."""
    return integration.model_dump(mode="json", by_alias=True, exclude_unset=True)
