"""Store and validate organizations and their settings. Each organization is a tenant."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import bindparam, delete, insert, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.schema import organizations
from one_runtime.errors import InvalidInput, NotFound
from one_runtime.settings import is_loopback
from one_runtime.tenancy.agent_policy import UNLIMITED, AgentPolicy
from one_runtime.tenancy.branding import DEFAULT_BRANDING, Branding, clean_branding, clean_logo
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from one_runtime.validation.names import name_problem

IntegrationsMode: TypeAlias = Literal["all", "listed", "all_but"]
SeveralConnectionsRule: TypeAlias = Literal["refuse", "use_default"]

MAX_NAME: Final = 255
MAX_ORIGINS: Final = 50
REQUEST_PARAMETER: Final = "connect_request_id"
"""Query parameter that One Runtime adds to the `connect_url` of an organization."""

AUTHORIZATION_PARAMETER: Final = "agent_authorization_id"
"""Query parameter that One Runtime adds to the `sign_in_url` of an organization."""

INSTANCE: Final = "00000000-0000-0000-0000-000000000000"
"""The organization id of rows that belong to the whole installation, such as the OAuth clients of the operator."""

_DELETED: Final = ""
"""Name of an organization whose deletion has begun. The row has no other content, and stays until the deletion ends."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The settings for all agents of an organization.

    `connect_url`: the page of the organization's product on which an end user connects an account for an agent. None:
    One Runtime's own page, in the mode `link`. `sign_in_url`: the page on which an end user signs in and approves an
    agent. None: end users cannot add the organization's MCP address to an agent.
    """

    connect_url: str | None = None
    policy: AgentPolicy = UNLIMITED
    sign_in_url: str | None = None

    @classmethod
    def parse(cls, document: Mapping[str, Any] | None) -> Self:
        """Return the settings of a stored document. None means the defaults."""
        document = document or {}
        policy = AgentPolicy.parse(document.get("policy") or {})
        return cls(document.get("connect_url"), policy, document.get("sign_in_url"))

    @property
    def document(self) -> dict[str, Any]:
        """Return the settings as a JSON document."""
        return {"connect_url": self.connect_url, "sign_in_url": self.sign_in_url, "policy": self.policy.document}

    @property
    def fields(self) -> dict[str, Any]:
        """Return the settings with the names and the form of the API."""
        return {"connect_url": self.connect_url, "sign_in_url": self.sign_in_url, **self.policy.document}


DEFAULT_AGENT_SETTINGS: Final = AgentSettings()


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant.

    `integrations_slugs`: in the mode `listed`, the enabled integrations. In the mode `all_but`, the disabled
    integrations. `custom_revision`: a value that changes with each change of a custom integration.
    `several_connections`: what happens to a call that names none of an end user's several active connections. `refuse`:
    the error `several_connections`. `use_default`: the call uses the default connection, if there is one.
    """

    id: str
    display_name: str
    logo_url: str | None
    privacy_url: str | None
    allowed_origins: tuple[str, ...]
    return_urls: tuple[str, ...]
    integrations_mode: IntegrationsMode
    integrations_slugs: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    custom_revision: str | None = None
    agents: AgentSettings = DEFAULT_AGENT_SETTINGS
    branding: Branding = DEFAULT_BRANDING
    several_connections: SeveralConnectionsRule = "refuse"

    def offers(self, slug: str) -> bool:
        """Return True if the integration is enabled for the organization."""
        return is_offered(slug, self.integrations_mode, self.integrations_slugs)

    def returns_to(self, url: str) -> bool:
        """Return True if One Runtime may redirect a browser to the URL.

        Compare the URL with the organization's return URLs, but ignore the queries, because apps store state in the
        query. The comparison in RFC 9700 section 4.1.3 includes the query.
        """
        return any(url.partition("?")[0] == known.partition("?")[0] for known in self.return_urls)


def is_offered(slug: str, mode: IntegrationsMode, slugs: Collection[str]) -> bool:
    """Return True if an organization with this mode and these slugs has enabled the integration."""
    return mode == "all" or (slug in slugs) == (mode == "listed")


class _OrganizationId(NamedTuple):
    id: str


_NOT_SETTINGS: Final = frozenset({"id", "created_at", "updated_at", "custom_revision"})
_SETTINGS: Final = tuple(name for name in Organization.__dataclass_fields__ if name not in _NOT_SETTINGS)
_INSERT = insert(organizations)
_SELECT = select(*(organizations.c[name] for name in Organization.__dataclass_fields__))
_IS_ID = organizations.c.id == bindparam("organization")
_PRESENT = organizations.c.display_name != _DELETED
_ONE = _SELECT.where(_IS_ID, _PRESENT)
# FOR NO KEY UPDATE: other transactions can still insert rows that refer to the organization.
_ONE_LOCKED = _ONE.with_for_update(key_share=True)
_ALL = _SELECT.where(_PRESENT).order_by(organizations.c.id)
_FIRST_TWO = _ALL.limit(2)
_UPDATE = (
    update(organizations).where(_IS_ID, _PRESENT).values({name: bindparam(name) for name in (*_SETTINGS, "updated_at")})
)
_EMPTY = (
    update(organizations)
    .where(_IS_ID, _PRESENT)
    .values(
        display_name=_DELETED,
        logo_url=None,
        privacy_url=None,
        allowed_origins=[],
        return_urls=[],
        integrations_mode="listed",
        integrations_slugs=[],
        agents=None,
        branding=None,
        several_connections="refuse",
        updated_at=bindparam("now"),
    )
)
_EMPTIED = select(organizations.c.id).where(organizations.c.display_name == _DELETED)
_IS_EMPTIED = _EMPTIED.where(_IS_ID)
_EMPTIED_BEFORE = _EMPTIED.where(organizations.c.updated_at < bindparam("before"))
_LOCK = select(organizations.c.id).where(_IS_ID).with_for_update()
_DELETE = delete(organizations).where(_IS_ID, organizations.c.display_name == _DELETED)


def _from_row(row: tuple[object, ...]) -> Organization:
    organization = Organization(*row)  # type: ignore[arg-type]
    return replace(
        organization,
        allowed_origins=tuple(organization.allowed_origins),
        return_urls=tuple(organization.return_urls),
        integrations_slugs=tuple(organization.integrations_slugs),
        agents=AgentSettings.parse(organization.agents),  # type: ignore[arg-type] # the row has a document
        branding=Branding.parse(organization.branding),  # type: ignore[arg-type] # the row has a document
    )


def _values(organization: Organization, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of these columns."""
    values = {name: getattr(organization, name) for name in names}
    branding = None if organization.branding == DEFAULT_BRANDING else organization.branding.fields
    return values | {"agents": organization.agents.document, "branding": branding}


async def create(
    tx: Transaction,
    display_name: str,
    now: datetime,
    *,
    allowed_origins: Iterable[str] = (),
    return_urls: Iterable[str] = (),
) -> Organization:
    """Create an organization that can use every integration.

    Raises: InvalidInput for an invalid name, origin or return URL.
    """
    organization = Organization(
        id=new_id(),
        display_name=clean_name(display_name),
        logo_url=None,
        privacy_url=None,
        allowed_origins=clean_origins(allowed_origins),
        return_urls=clean_return_urls(return_urls),
        integrations_mode="all",
        integrations_slugs=(),
        created_at=now,
        updated_at=now,
    )
    await tx.execute(_INSERT, **_values(organization, Organization.__dataclass_fields__), webhooks_since=None)
    return organization


async def get(tx: Transaction, organization_id: str, *, lock: bool = False) -> Organization:
    """Return an organization. `lock`: lock the organization's settings until `tx` ends. Raises: NotFound."""
    statement = _ONE_LOCKED if lock else _ONE
    row = await tx.one(statement, organization=organization_id) if is_id(organization_id) else None
    if row is None:
        raise NotFound(
            f"There is no organization {organization_id}. `one-runtime organizations list` shows all organizations."
        )
    return _from_row(row)


async def list_all(tx: Transaction) -> list[Organization]:
    """Return every organization, oldest first."""
    return [_from_row(row) for row in await tx.all(_ALL)]


async def find_only(tx: Transaction) -> Organization | None:
    """Return the organization of an installation that has only one. Otherwise, return None."""
    rows = await tx.all(_FIRST_TWO)
    return _from_row(rows[0]) if len(rows) == 1 else None


async def save(tx: Transaction, actor: Actor, organization: Organization, now: datetime) -> Organization:
    """Store a changed copy of an organization, and write the event `organization.updated`.

    If the copy has no changes, store nothing, and write no event. Return the stored organization.

    Raises: NotFound; InvalidInput for an invalid name, origin, return URL, logo, privacy link or branding.
    """
    logo_url = clean_logo("logo_url", organization.logo_url)
    cleaned = replace(
        organization,
        display_name=clean_name(organization.display_name),
        allowed_origins=clean_origins(organization.allowed_origins),
        return_urls=clean_return_urls(organization.return_urls),
        logo_url=logo_url,
        privacy_url=clean_link("privacy_url", organization.privacy_url),
        branding=clean_branding(organization.branding, logo_url),
        agents=replace(
            organization.agents,
            connect_url=_clean_page("connect_url", organization.agents.connect_url, REQUEST_PARAMETER),
            sign_in_url=_clean_page("sign_in_url", organization.agents.sign_in_url, AUTHORIZATION_PARAMETER),
        ),
    )
    before = await get(tx, organization.id)
    changed = [name for name in _SETTINGS if getattr(cleaned, name) != getattr(before, name)]
    if not changed:
        return before
    saved = replace(cleaned, updated_at=now)
    await tx.execute(_UPDATE, organization=organization.id, **_values(saved, (*_SETTINGS, "updated_at")))
    await record(tx, actor, EventType.ORGANIZATION_UPDATED, now, Subject(data={"changed": sorted(changed)}))
    return saved


async def begin_deletion(tx: Transaction, organization_id: str, now: datetime) -> None:
    """Empty the organization's row. From now on, `get` and `list_all` regard the organization as deleted."""
    await tx.execute(_EMPTY, organization=organization_id, now=now)


async def is_being_deleted(tx: Transaction, organization_id: str) -> bool:
    """Return True if the deletion of the organization has begun and not ended."""
    return is_id(organization_id) and await tx.one(_IS_EMPTIED, organization=organization_id) is not None


async def list_being_deleted(tx: Transaction, before: datetime) -> list[str]:
    """Return the ids of organizations whose deletion began before a time and has not ended."""
    return [row.id for row in await tx.all(_EMPTIED_BEFORE, _OrganizationId, before=before)]


async def lock(tx: Transaction, organization_id: str) -> None:
    """Lock the organization's row until `tx` ends. Other transactions cannot insert rows that refer to this row."""
    await tx.all(_LOCK, organization=organization_id)


async def end_deletion(tx: Transaction, organization_id: str) -> None:
    """Delete the emptied row of an organization."""
    await tx.execute(_DELETE, organization=organization_id)


def clean_name(value: str) -> str:
    """Remove spaces around an organization's name, validate the name and return the name. Raises: InvalidInput."""
    name = value.strip()
    if not 0 < len(name) <= MAX_NAME:
        raise InvalidInput.of("display_name", f"must have 1 to {MAX_NAME} characters")
    problem = name_problem(name)
    if problem is not None:
        raise InvalidInput.of("display_name", problem)
    return name


def clean_origins(values: Iterable[str], field: str = "allowed_origins") -> tuple[str, ...]:
    """Validate web origins (RFC 6454 section 6.2), and return the canonical origins without duplicates.

    Raises: InvalidInput.
    """
    origins = tuple(dict.fromkeys(_clean_origin(field, value) for value in values))
    if len(origins) > MAX_ORIGINS:
        raise InvalidInput.of(field, f"must contain at most {MAX_ORIGINS} origins")
    return origins


def _clean_origin(field: str, value: str) -> str:
    advice = f"{value[:100]!r} must be an origin such as https://app.example.com, without a path or a wildcard"
    try:
        url = urlsplit(value.strip())
        host, port = url.hostname, url.port
    except ValueError as error:
        raise InvalidInput.of(field, advice) from error
    if url.scheme not in {"http", "https"} or not host or url.path.strip("/") or url.query or url.fragment:
        raise InvalidInput.of(field, advice)
    if url.username is not None or not re.fullmatch(r"[a-z0-9.:\[\]_-]+", host):
        raise InvalidInput.of(field, advice)
    if url.scheme == "http" and not is_loopback(host):
        raise InvalidInput.of(
            field, f"{value[:100]!r} must begin with https. http is allowed only for localhost and loopback addresses"
        )
    bracketed = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[url.scheme]
    return f"{url.scheme}://{bracketed}" + ("" if port in {None, default} else f":{port}")


def clean_return_urls(values: Iterable[str]) -> tuple[str, ...]:
    """Validate return URLs, and return the URLs without duplicates. Raises: InvalidInput."""
    links = [clean_link("return_urls", value) for value in values]
    if None in links:
        raise InvalidInput.of("return_urls", "must not be blank")
    urls = tuple(dict.fromkeys(url for url in links if url))
    if len(urls) > MAX_ORIGINS:
        raise InvalidInput.of("return_urls", f"must contain at most {MAX_ORIGINS} return URLs")
    return urls


def clean_link(field: str, value: str | None) -> str | None:
    """Validate an https URL, and return the URL. Return None for a blank value. Raises: InvalidInput.

    For a loopback host such as `localhost`, http is also allowed. A URL must not contain user info or a fragment.
    """
    if value is None or not value.strip():
        return None
    link = value.strip()
    try:
        url = urlsplit(link)
        _ = url.port
    except ValueError as error:
        raise InvalidInput.of(field, "must be a URL, such as https://app.example.com/page") from error
    http_on_loopback = url.scheme == "http" and is_loopback(url.hostname or "")
    if not url.hostname or url.username is not None or not (url.scheme == "https" or http_on_loopback) or "#" in link:
        raise InvalidInput.of(
            field,
            f"{link[:100]!r} must be an https URL, such as https://app.example.com/page, without a user name or a "
            "fragment. http is allowed only for localhost and loopback addresses",
        )
    if len(link) > 2000 or re.search(r"[\s\x00-\x1f\x7f\\<>\"]", link):
        raise InvalidInput.of(field, 'must have at most 2000 characters, without spaces and without \\, <, > or "')
    return link


def _clean_page(name: str, value: str | None, parameter: str) -> str | None:
    """Return the URL of a page for agents, to which One Runtime adds a query parameter. Raises: InvalidInput."""
    url = clean_link(f"agents.{name}", value)
    if url is not None and parameter in parse_qs(urlsplit(url).query):
        raise InvalidInput.of(f"agents.{name}", f"must not contain {parameter}. One Runtime adds it")
    return url
