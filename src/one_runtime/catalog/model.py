"""The shape of a catalog entry. Data only: nothing here is sent or stored.

An entry is checked in full when the catalog is built (or loaded from YAML). The precompiled file is read with the
context `{"trusted": True}`, which skips the checks that need more than the shape.
"""

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field as Setting
from pydantic import PrivateAttr, StringConstraints, ValidationInfo, model_validator

from one_runtime.catalog.auth import ApiKeyAuth, BasicAuth, NoAuth
from one_runtime.catalog.logos import logo_hash
from one_runtime.catalog.oauth2 import ClientCredentialsAuth, OAuth2Auth
from one_runtime.catalog.parts import Label, Link, Strict, trusted

# The same on every installation, and for good: clients keep these ids.
ID_NAMESPACE = uuid.UUID("7eca3406-a90b-57e4-84d9-31773fc066b6")

SLUG = r"^[a-z0-9]+(?:-[a-z0-9]+)*$"
CUSTOM = "x-"
"""What the slugs of organizations' own integrations begin with, so that no built-in one ever stands in their way."""
MAX_SLUG = 64
CUSTOM_SLUG = r"^x(?:-[a-z0-9]+)+$"

Category = Literal[
    "CRM", "Support", "Marketing", "Productivity", "Communication", "Developer Tools", "Accounting", "Payments",
    "E-commerce", "HR", "Recruiting", "Storage", "Data", "Social", "Scheduling", "AI", "Project Management", "Design",
    "Security", "Industry", "Consumer",
]  # fmt: skip

AuthType: TypeAlias = Literal["api_key", "basic", "none", "oauth2", "client_credentials"]
Auth: TypeAlias = Annotated[
    ApiKeyAuth | BasicAuth | NoAuth | OAuth2Auth | ClientCredentialsAuth, Setting(discriminator="type")
]


Slug: TypeAlias = Annotated[str, StringConstraints(pattern=SLUG, max_length=MAX_SLUG)]
DESCRIPTION = r"^[A-Z0-9][^\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]*\.$"
Description: TypeAlias = Annotated[str, StringConstraints(pattern=DESCRIPTION, max_length=89)]
"""One sentence of ours that says what the product is for."""

Alias: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9 .&+-]{0,38}[a-z0-9]$")]
"""Another word that people type for it, in lower case: a former name, a nickname, the parent brand."""


class Integration(Strict):
    """One third-party product that can be connected."""

    slug: Slug
    name: Label
    description: Description
    category: Category
    aliases: Annotated[tuple[Alias, ...], Setting(max_length=12)] = ()
    website: Link
    docs: Link
    auth: Annotated[tuple[Auth, ...], Setting(max_length=8)]

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

    def audience(self, auth_type: str) -> str | None:  # noqa: ARG002 - of an organization's own it is known
        """Whom the credentials of that auth type are for, where that could change under our hands; else None."""
        return None

    def auth_of(self, auth_type: str) -> Auth | None:
        """How to connect with that auth type, or None."""
        return next((auth for auth in self.auth if auth.type == auth_type), None)


def is_custom(slug: str) -> bool:
    """Whether an organization's own integration may have that slug."""
    return len(slug) <= MAX_SLUG and re.fullmatch(CUSTOM_SLUG, slug) is not None


class CustomIntegration(Integration):
    """An organization's own: its slug begins with `x-`, its id is the row's, and its logo came with it."""

    slug: Annotated[str, StringConstraints(pattern=CUSTOM_SLUG, max_length=MAX_SLUG)]
    _id: str = PrivateAttr()
    _logo: str = PrivateAttr()
    _moved_at: dt.datetime = PrivateAttr()

    @classmethod
    def of(cls, definition: Mapping[str, object], row_id: str, logo: str, moved_at: dt.datetime) -> Self:
        """One that was checked in full when it was stored. `moved_at`: as the property."""
        integration = cls.model_validate(definition, context={"trusted": True})
        integration._id, integration._logo, integration._moved_at = row_id, logo, moved_at  # noqa: SLF001 - its own
        return integration

    @property
    def moved_at(self) -> dt.datetime:
        """Since when it sends credentials where it does."""
        return self._moved_at

    @property
    def id(self) -> str:
        """UUID version 7, of the row."""
        return self._id

    @property
    def logo(self) -> str:
        """An SVG, cleaned."""
        return self._logo

    @property
    def logo_hash(self) -> str:
        """As `logos.logo_hash`, and told to nobody else: with the id in it, which only the organization knows."""
        return logo_hash(f"{self._id}{self._logo}".encode())

    def audience(self, auth_type: str) -> str | None:
        """A digest of whom the credentials of that auth type are for; it changes where the entry sends them elsewhere,
        or otherwise. Where it has no such auth type any more, nobody's."""
        auth = self.auth_of(auth_type)
        if auth_type == "none":  # nothing is sent
            return None
        return hashlib.sha256(auth.audience().encode() if auth is not None else b"").hexdigest()


def dump(integration: Integration) -> dict[str, Any]:
    """The entry as plain data, as it was written (so that an explicit null stays)."""
    return integration.model_dump(mode="json", by_alias=True, exclude_unset=True)
