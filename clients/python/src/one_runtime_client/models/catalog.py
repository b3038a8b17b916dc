"""Define the classes of answers of `catalog`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

__all__ = [
    "CatalogAuth",
    "CatalogDetail",
    "CatalogField",
    "CatalogFieldOption",
    "CatalogIntegration",
    "CatalogOAuth2",
    "CatalogVerified",
    "Category",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFieldOption:
    """An option of a field.

    Attributes:
        value: The value of the option.
        label: The label of the option for end users.
    """

    value: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogField:
    """A field of the form that end users fill in. `secret` is False for a value such as a subdomain.

    Attributes:
        name: The key of the value in `params` or `credentials`.
        label: The label of the field for end users.
        help: A text that explains the field, or None.
        placeholder: An example of the value, or None.
        pattern: A regular expression that must match the whole value, or None.
        secret: True if the value is secret.
        optional: True if the end user can leave the field empty.
        options: The values from which the end user chooses. Empty for a text field.
    """

    name: str
    label: str
    help: str | None
    placeholder: str | None
    pattern: str | None
    secret: bool
    optional: bool
    options: tuple[CatalogFieldOption, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogOAuth2:
    """Facts about the provider's OAuth 2.0 authorization.

    Attributes:
        scopes: The scopes that One Runtime requests by default.
        pkce: The provider's support for PKCE (RFC 7636).
        refresh: The kind of refresh token that the provider issues.
        client: `organization`: your organization registers one OAuth client. `customer`: each end user enters one.
        client_url: The provider's page for registering an OAuth client, or None.
    """

    scopes: tuple[str, ...]
    pkce: Literal["required", "supported", "tolerated", "avoid", "unknown"]
    refresh: Literal["rotates", "static", "optional", "none"]
    client: Literal["organization", "customer"]
    client_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogVerified:
    """The evidence that the integration's definition is correct, and the date of the evidence.

    `how` has one of these values:

    - `documentation`: the definition was compared with the provider's documentation.
    - `fixture`: in addition to this comparison, a test compares One Runtime's request with a documented example.
    - `live`: the definition was tested with the provider.
    - `unverified`: there is no evidence, and `date` is None.

    Attributes:
        how: The kind of evidence.
        date: The date of the evidence, or None.
    """

    how: Literal["documentation", "fixture", "live", "unverified"]
    date: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogAuth:
    """A way to authenticate (auth type) with its fields. Only the auth type `oauth2` has a value in `oauth2`.

    Attributes:
        auth_type: The auth type: the way to authenticate with the provider.
        params: The values that are not secret. The popup asks the end user for them.
        fields: The credential fields, such as an API key. The popup asks the end user for them.
        oauth2: Facts about OAuth 2.0. None for other auth types.
        verified: The evidence that the definition is correct.
    """

    auth_type: Literal["api_key", "basic", "none", "oauth2", "client_credentials"]
    params: tuple[CatalogField, ...]
    fields: tuple[CatalogField, ...]
    oauth2: CatalogOAuth2 | None
    verified: CatalogVerified


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogIntegration:
    """A built-in integration.

    Attributes:
        id: The id. Ids are UUIDs.
        slug: The slug: the name of the integration in URLs and requests.
        name: The name.
        description: The purpose of the product, in one sentence.
        logo_url: The URL of the logo: a URL on this server, a data URI, or None.
        category: The category.
        supported_auth_types: All auth types.
    """

    id: str
    slug: str
    name: str
    description: str
    logo_url: str | None
    category: str
    supported_auth_types: tuple[Literal["api_key", "basic", "none", "oauth2", "client_credentials"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogDetail(CatalogIntegration):
    """A built-in integration with the fields of all its auth types.

    Attributes:
        website: The product's website.
        docs: The provider's API documentation, or None.
        auth: The auth types, each with its fields.
    """

    website: str
    docs: str | None
    auth: tuple[CatalogAuth, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A category. `count`: the number of integrations in the category.

    Attributes:
        name: The name of the category.
        count: The number of integrations in the category.
    """

    name: str
    count: int
