"""Create hosted connection sessions: check that the end user can connect an account, and store the session."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NamedTuple, NoReturn
from urllib.parse import urlencode

from sqlalchemy import bindparam, func, select

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.connecting.sessions import (
    DEFAULT_EXPIRES_IN,
    MAX_EXPIRES_IN,
    MAX_LINK_EXPIRES_IN,
    MIN_EXPIRES_IN,
    UNOPENED,
    ConnectSession,
    Mode,
    insert_session,
)
from one_runtime.connections import connections
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.row_counts import AGE
from one_runtime.db.schema import hosted_connection_sessions as sessions
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.errors import InvalidInput, RateLimited
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.availability import Availability, Unavailability
from one_runtime.oauth.scopes import check_scopes
from one_runtime.tenancy import end_users, events, organizations
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tenancy.organizations import Organization


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to create.

    Without `mode`, a session with a `return_url` has the mode `redirect`, and other sessions have the mode `embed`.
    Without `integration_slug`, the end user chooses the integration. Without `allowed_origins`, the organization's
    origins apply. `expires_in`: seconds in which the end user can open the session.
    """

    end_user: EndUser
    integration_slug: str | None = None
    mode: Mode | None = None
    return_url: str | None = None
    expires_in: int = DEFAULT_EXPIRES_IN
    auth_type: str | None = None
    target_connection_id: str | None = None
    multiple: bool = False
    suggested_connection_name: str | None = None
    allowed_origins: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    locale: str | None = None


_RETURN_URLS: Final = (
    "GET /v1/organization shows them. To add a URL, send the whole new list with PATCH /v1/organization."
)


class _UnopenedCount(NamedTuple):
    sessions: int


_COUNT_UNOPENED = select(func.count().label("sessions")).where(
    sessions.c.organization_id == bindparam("organization"), *UNOPENED
)


async def create_session(
    tx: Transaction, installation: Installation, actor: Actor, new: NewSession
) -> tuple[ConnectSession, SecretToken]:
    """Create a session and its token, which One Runtime shows only once.

    Raises:
        NotFound: the integration or the connection is unknown.
        InvalidInput: a field is invalid, or the end user cannot connect the integration.
        IntegrationDisabled: the operator has disabled the integration.
        RateLimited: the organization has too many unopened sessions.
    """
    now = installation.clock()
    session = ConnectSession(
        id=new_id(),
        organization_id=actor.organization_id,
        end_user_id=new.end_user.end_user_id,
        integration_slug=new.integration_slug,
        mode=new.mode or ("redirect" if new.return_url else "embed"),
        auth_type=new.auth_type,
        scopes=new.scopes,
        target_connection_id=new.target_connection_id,
        multiple=new.multiple,
        suggested_connection_name=new.suggested_connection_name,
        allowed_origins=organizations.clean_origins(new.allowed_origins),
        metadata=new.metadata,
        return_url=organizations.clean_link("return_url", new.return_url),
        locale=new.locale,
        created_at=now,
        updated_at=now,
        expires_at=now + timedelta(seconds=new.expires_in),
    )
    organization = await organizations.get(tx, actor.organization_id)
    clients = await oauth_clients.list_slugs(tx, actor.organization_id)
    availability = Availability.of(organization, installation.disabled.slugs, clients)
    _require_mode(session, organization, new.mode)
    if new.expires_in > MAX_EXPIRES_IN and session.mode != "link":
        raise InvalidInput.of(
            "expires_in",
            f"must be {MIN_EXPIRES_IN} to {MAX_EXPIRES_IN} seconds. Only a session with the mode link can have up to "
            f"{MAX_LINK_EXPIRES_IN} seconds",
        )
    catalog = await installation.catalogs.of(tx, actor.organization_id)
    _require_connectable(installation, catalog, availability, new)
    if new.target_connection_id is not None:
        await _require_target(tx, actor, new)
    await _require_quota(tx, installation, actor.organization_id)
    await end_users.ensure(tx, actor.organization_id, new.end_user)
    token = await insert_session(tx, session)
    data = {"session_id": session.id, "integration_slug": new.integration_slug}
    subject = Subject(session.end_user_id, new.target_connection_id, data)
    await events.record(tx, actor, EventType.HOSTED_CONNECTION_SESSION_CREATED, now, subject)
    return session, token


async def _require_quota(tx: Transaction, installation: Installation, organization_id: str) -> None:
    """Raises: RateLimited."""
    limit = installation.settings.unopened_sessions

    async def count() -> int:
        row = await tx.one(_COUNT_UNOPENED, _UnopenedCount, organization=organization_id)
        return row.sessions if row is not None else 0

    if limit and not await installation.unopened_sessions.add(organization_id, count, limit):
        raise RateLimited(
            f"Your organization has {limit} sessions that no end user has opened. One Runtime deletes such a session "
            "after a day. Create a session only when an end user wants to connect an account.",
            round(AGE),
        )


def _require_mode(session: ConnectSession, organization: Organization, requested: Mode | None) -> None:
    """Require the fields of the session's mode, and refuse fields of other modes (P6). Raises: InvalidInput.

    `requested`: the `mode` of the request, or None if the request has no `mode`.
    """
    mode = f'mode "{session.mode}"'
    if session.mode != "redirect" and session.return_url:
        _refuse("return_url", f'must be left out with {mode}: only mode "redirect" uses return_url')
    if session.mode != "embed" and session.allowed_origins:
        reason = "" if requested is not None else ", which return_url selects"
        _refuse("allowed_origins", f'must be left out with {mode}{reason}: only mode "embed" uses allowed_origins')
    if session.mode == "embed" and not (session.allowed_origins or organization.allowed_origins):
        reason = "" if requested is not None else ", the default"
        _refuse(
            "allowed_origins",
            f"is required with {mode}{reason}: list the origins of the pages that open the popup, or store the origins "
            'with PATCH /v1/organization. The modes "redirect" (with a return_url) and "link" need no origins.',
        )
    if session.mode == "redirect":
        if not session.return_url:
            _refuse(
                "return_url",
                f"is required with {mode}: the browser returns to this URL at the end. It must be one of your "
                f"organization's return_urls. {_RETURN_URLS}",
            )
        if not organization.return_urls:
            _refuse(
                "return_url",
                "is not registered: your organization has no return_urls. Add the URL to return_urls with "
                "PATCH /v1/organization",
            )
        if not organization.returns_to(session.return_url):
            _refuse(
                "return_url",
                f"must be one of your organization's return_urls; only the query can be different. {_RETURN_URLS}",
            )


def _refuse(field: str, message: str) -> NoReturn:
    raise InvalidInput.of(field, message)


async def require_connectable(tx: Transaction, installation: Installation, organization_id: str, slug: str) -> None:
    """Check that the end users of the organization can connect the integration.

    Raises: NotFound, InvalidInput, IntegrationDisabled.
    """
    organization = await organizations.get(tx, organization_id)
    clients = await oauth_clients.list_slugs(tx, organization_id)
    catalog = await installation.catalogs.of(tx, organization_id)
    availability = Availability.of(organization, installation.disabled.slugs, clients)
    _require_available(installation, catalog, availability, slug, None)


def _require_connectable(
    installation: Installation, catalog: Catalog, availability: Availability, new: NewSession
) -> None:
    """Raises: NotFound, InvalidInput, IntegrationDisabled."""
    if new.integration_slug is None:
        for name, value in (
            ("auth_type", new.auth_type),
            ("connection_id", new.target_connection_id),
            ("scopes", new.scopes),
        ):
            if value:
                _refuse(name, "requires integration_slug: name the integration in the same request")
        if not any(availability.auth_types(integration) for integration in catalog.integrations):
            _refuse(
                "integration_slug",
                "your organization has no integration that end users can connect. Enable integrations with "
                "PATCH /v1/organization, and register the OAuth clients that the integrations need.",
            )
        return
    integration = _require_available(installation, catalog, availability, new.integration_slug, new.auth_type)
    if new.scopes:
        _require_scopes(integration, new)


def _require_available(
    installation: Installation,
    catalog: Catalog,
    availability: Availability,
    slug: str,
    auth_type: str | None,
) -> Integration:
    """Return the integration. Raises: NotFound, InvalidInput, IntegrationDisabled."""
    integration = catalog.get(slug)
    if integration is None:
        raise unknown(slug, catalog)
    match availability.unavailability(integration):
        case Unavailability("disabled_by_operator"):
            installation.disabled.require_enabled(integration.slug, "integration_slug")
        case Unavailability("not_offered"):
            _refuse(
                "integration_slug",
                f"{integration.name} is not enabled for your organization. Enable it with PATCH /v1/organization.",
            )
    for name, wanted in (("integration_slug", None), ("auth_type", auth_type)):
        reason = availability.explain_auth_type(integration, wanted)
        if reason is not None:
            _refuse(name, reason)
    return integration


def _require_scopes(integration: Integration, new: NewSession) -> None:
    """Raises: InvalidInput."""
    auth = integration.oauth2
    if auth is None or new.auth_type not in {None, "oauth2"}:
        _refuse("scopes", "must be left out: only oauth2 has scopes")
    for message in check_scopes(auth.scopes, new.scopes):
        _refuse("scopes", message)


async def _require_target(tx: Transaction, actor: Actor, new: NewSession) -> None:
    """Raises: NotFound, InvalidInput."""
    target = await connections.get(tx, actor.organization_id, new.target_connection_id or "")
    wanted = {"end_user_id": new.end_user.end_user_id, "integration_slug": new.integration_slug}
    present = {name: getattr(target, name) for name in wanted}
    different = [
        f"the {name} {present[name]!r}, not {value!r}" for name, value in wanted.items() if value != present[name]
    ]
    if different:
        _refuse(
            "connection_id",
            f"does not fit this request: the connection has {', and '.join(different)}. "
            f"GET /v1/connections?{urlencode(wanted)} lists the connections that fit.",
        )
