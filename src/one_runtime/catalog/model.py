"""Define and validate a catalog entry, which describes one integration.

One Runtime validates a new entry completely. Entries in the compiled catalog and in the database are already valid. For
these entries, the pydantic context `{"trusted": True}` limits the validation to field types.
"""

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, get_args

from pydantic import Field, PrivateAttr, StringConstraints

from one_runtime.catalog.auth_types import AUTH_TYPES, Auth, oauth2_of
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.logos import logo_hash
from one_runtime.catalog.parts import EntryPart, Label, Link, Text

# Never change this namespace: API callers store the ids that One Runtime derives from the namespace.
ID_NAMESPACE = uuid.UUID("7eca3406-a90b-57e4-84d9-31773fc066b6")

SLUG = r"^[a-z0-9]+(?:-[a-z0-9]+)*$"
CUSTOM = "x-"
"""Prefix of the slugs of custom integrations, which organizations define. No built-in integration has this prefix."""
MAX_SLUG = 64
CUSTOM_SLUG = r"^x(?:-[a-z0-9]+)+$"

Category = Literal[
    "CRM", "Support", "Marketing", "Productivity", "Communication", "Developer Tools", "Accounting", "Payments",
    "E-commerce", "HR", "Recruiting", "Storage", "Data", "Social", "Scheduling", "AI", "Project Management", "Design",
    "Security", "Industry", "Consumer", "Other",
]  # fmt: skip
CATEGORIES: Final[tuple[str, ...]] = get_args(Category)

Slug: TypeAlias = Annotated[str, StringConstraints(pattern=SLUG, max_length=MAX_SLUG)]
DESCRIPTION = r"^[A-Z0-9][^\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]*\.$"
Description: TypeAlias = Annotated[str, StringConstraints(pattern=DESCRIPTION, max_length=89)]
"""One sentence about the purpose of the product, in One Runtime's own words."""

ALIAS = r"^[a-z0-9][a-z0-9 .&+-]{0,38}[a-z0-9]$"
Alias: TypeAlias = Annotated[str, StringConstraints(pattern=ALIAS)]
"""Another search word for the product, in lower case, such as a former name or the parent brand."""


class GetCanWrite(EntryPart):
    """A source that says that a GET can change something at the provider.

    `reason`: one sentence. `source`: the page that says so. `date`: the day on which the page was read.
    """

    reason: Text
    source: Link
    date: dt.date


class Integration(EntryPart):
    """One third-party product to which end users can connect."""

    slug: Slug
    name: Label
    description: Description
    category: Category
    aliases: Annotated[tuple[Alias, ...], Field(max_length=12)] = ()
    website: Link
    docs: Link
    get_can_write: GetCanWrite | None = None
    """Set if a GET can change something. An agent then reads only with the listed functions."""
    auth: Annotated[tuple[Auth, ...], Field(max_length=8)]

    def _inconsistencies(self) -> Iterator[str]:
        yield from check_auth_types(self.auth_types)

    @property
    def id(self) -> str:
        """Return the UUID version 5 of the slug, the same on every installation."""
        return str(uuid.uuid5(ID_NAMESPACE, self.slug))

    @property
    def auth_types(self) -> tuple[str, ...]:
        """Return the auth types of this integration, in the entry's order."""
        return tuple(auth.type for auth in self.auth)

    def audience(self, auth_type: str) -> str | None:  # noqa: ARG002 - CustomIntegration uses the argument
        """Return None, because only a custom integration has an audience.

        The audience describes the places that receive the credential. An organization can change these places only in
        a custom integration.
        """
        return None

    def auth_of(self, auth_type: str) -> Auth | None:
        """Return the definition of this auth type, or None if the entry lacks the auth type."""
        return next((auth for auth in self.auth if auth.type == auth_type), None)

    @property
    def oauth2(self) -> OAuth2Auth | None:
        """Return the definition of the auth type `oauth2`, or None if the entry lacks the auth type."""
        return oauth2_of(self.auth_of("oauth2"))


def check_auth_types(auth_types: Sequence[str]) -> Iterator[str]:
    """Yield a message if an entry has no auth type, or has an auth type twice."""
    if not auth_types:
        yield "auth: needs at least one auth type"
    if len(set(auth_types)) != len(auth_types):
        yield "auth: must contain each auth type only once"


def is_custom(slug: str) -> bool:
    """Return True if the slug is valid for a custom integration. Such a slug begins with `x-`."""
    return len(slug) <= MAX_SLUG and re.fullmatch(CUSTOM_SLUG, slug) is not None


class CustomIntegration(Integration):
    """An integration that an organization defines. The slug begins with `x-`."""

    slug: Annotated[str, StringConstraints(pattern=CUSTOM_SLUG, max_length=MAX_SLUG)]
    _id: str = PrivateAttr()
    _logo: str = PrivateAttr()
    _moved_at: dt.datetime = PrivateAttr()

    @classmethod
    def of(cls, definition: Mapping[str, object], row_id: str, logo: str, moved_at: dt.datetime) -> Self:
        """Build a custom integration from a valid definition. Check only field types."""
        integration = cls.model_validate(definition, context={"trusted": True})
        integration._id, integration._logo, integration._moved_at = row_id, logo, moved_at  # noqa: SLF001 - own class
        return integration

    @property
    def moved_at(self) -> dt.datetime:
        """Return the time of the last change of an audience, or the creation time if no audience changed."""
        return self._moved_at

    @property
    def id(self) -> str:
        """Return the id of the database row, a UUID version 7."""
        return self._id

    @property
    def logo(self) -> str:
        """Return the sanitized SVG."""
        return self._logo

    @property
    def logo_hash(self) -> str:
        """Return the hash for the public URL of the logo.

        The hash depends on the integration's id and the logo. Other organizations do not know the id, so they cannot
        compute the URL.
        """
        return logo_hash(f"{self._id}{self._logo}".encode())

    def audience(self, auth_type: str) -> str | None:
        """Return a digest of the audience of this auth type, or None for an auth type without credentials.

        The digest changes if the entry sends credentials to other hosts or in another way. For an auth type that the
        entry does not have, return the digest of an empty text.
        """
        auth = self.auth_of(auth_type)
        if not AUTH_TYPES[auth_type].has_credential:  # no host receives credentials
            return None
        return hashlib.sha256(auth.audience().encode() if auth is not None else b"").hexdigest()


def dump(integration: Integration) -> dict[str, Any]:
    """Return the entry as plain data. Keep keys that the entry sets to null. Omit keys that the entry does not set."""
    return integration.model_dump(mode="json", by_alias=True, exclude_unset=True)
