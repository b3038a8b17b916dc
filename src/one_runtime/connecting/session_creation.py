"""From a backend's request to a hosted connection session: what may be asked for, and in which mode (P4, P6)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NoReturn

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.oauth2 import OAuth2Auth
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.connecting import sessions
from one_runtime.connecting.sessions import ConnectSession, Mode
from one_runtime.connections import connections
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.encryption.secret_tokens import Token
from one_runtime.errors import InvalidInput
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.listing import why_not, working_auth_types
from one_runtime.oauth.scopes import check_scopes
from one_runtime.tenancy import end_users, events, organizations
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tenancy.organizations import Organization


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a customer's backend asks for; None leaves it to the organization's settings."""

    end_user: EndUser
    integration_slug: str | None = None
    mode: Mode | None = None
    return_url: str | None = None
    expires_in: int = sessions.DEFAULT_EXPIRES_IN
    auth_type: str | None = None
    target_connection_id: str | None = None
    multiple: bool = False
    suggested_connection_name: str | None = None
    allowed_origins: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()


async def create_session(installation: Installation, actor: Actor, new: NewSession) -> tuple[ConnectSession, Token]:
    """Make a session and its token, which is shown once.

    Raises: NotFound for an unknown integration or connection; InvalidInput where it cannot be connected, saying what
    to do.
    """
    now = installation.clock()
    session = ConnectSession(
        id=new_id(),
        organization_id=actor.organization_id,
        end_user_id=new.end_user.end_user_id,
        integration_slug=new.integration_slug,
        mode=new.mode or ("redirect" if new.return_url else "embed"),
        status="pending",
        auth_type=new.auth_type,
        scopes=new.scopes,
        target_connection_id=new.target_connection_id,
        multiple=new.multiple,
        suggested_connection_name=new.suggested_connection_name,
        allowed_origins=organizations.clean_origins(new.allowed_origins),
        metadata=new.metadata,
        failed_checks=0,
        last_error=None,
        connection_id=None,
        created_at=now,
        updated_at=now,
        expires_at=now + timedelta(seconds=new.expires_in),
        opened_at=None,
        return_url=organizations.clean_link("return_url", new.return_url),
    )
    async with installation.database.write() as tx:
        organization = await organizations.get(tx, actor.organization_id)
        clients = await oauth_clients.list_slugs(tx, actor.organization_id)
        _require_mode(session, organization)
        catalog = await installation.catalogs.of(tx, actor.organization_id)
        _require_connectable(catalog, organization, clients, new)
        if new.target_connection_id is not None:
            await _require_target(tx, actor, new)
        await end_users.ensure(tx, actor.organization_id, new.end_user)
        token = await sessions.create(tx, session)
        data = {"session_id": session.id, "integration_slug": new.integration_slug}
        subject = Subject(session.end_user_id, new.target_connection_id, data)
        await events.record(tx, actor, "hosted_connection_session.created", now, subject)
    return session, token


def _require_mode(session: ConnectSession, organization: Organization) -> None:
    """Each mode has what ends it in the right place, and nothing of another's. Raises: InvalidInput."""
    if session.mode != "redirect" and session.return_url:
        _refuse("return_url", f"is for the mode redirect, and this session's mode is {session.mode}")
    if session.mode != "embed" and session.allowed_origins:
        _refuse("allowed_origins", f"is for the mode embed, and this session's mode is {session.mode}")
    if session.mode == "embed" and not (session.allowed_origins or organization.allowed_origins):
        _refuse(
            "allowed_origins",
            "name the origin of the page that opens the popup, here or once for all with PUT /v1/organization",
        )
    if session.mode == "redirect":
        if not session.return_url:
            _refuse("return_url", "is required in the mode redirect: where the browser goes at the end")
        if not organization.returns_to(session.return_url):
            _refuse(
                "return_url",
                "is none of your organization's return URLs (only the query may differ). Register it with "
                "PUT /v1/organization",
            )


def _refuse(field: str, message: str) -> NoReturn:
    raise InvalidInput.of(field, message)


def _require_connectable(
    catalog: Catalog, organization: Organization, clients: Collection[str], new: NewSession
) -> None:
    """Raises: NotFound, InvalidInput."""
    if new.integration_slug is None:
        for name, value in (
            ("auth_type", new.auth_type),
            ("connection_id", new.target_connection_id),
            ("scopes", new.scopes),
        ):
            if value:
                _refuse(name, "goes with an integration_slug: name the integration too")
        if not any(organization.offers(one.slug) and working_auth_types(one, clients) for one in catalog.integrations):
            _refuse("integration_slug", "your organization offers no integration. Enable some: PUT /v1/organization")
        return
    integration = catalog.get(new.integration_slug)
    if integration is None:
        raise unknown(new.integration_slug)
    if not organization.offers(integration.slug):
        _refuse(
            "integration_slug",
            f"{integration.name} is not enabled for your organization. Enable it with PUT /v1/organization.",
        )
    for name, auth_type in (("integration_slug", None), ("auth_type", new.auth_type)):
        reason = why_not(integration, clients, auth_type)
        if reason is not None:
            _refuse(name, reason)
    if new.scopes:
        _require_scopes(integration, new)


def _require_scopes(integration: Integration, new: NewSession) -> None:
    """Raises: InvalidInput."""
    auth = integration.auth_of("oauth2")
    if not isinstance(auth, OAuth2Auth) or new.auth_type not in {None, "oauth2"}:
        _refuse("scopes", "are asked for by oauth2, and this is another way to connect")
    for message in check_scopes(auth.scopes, new.scopes):
        _refuse("scopes", message)


async def _require_target(tx: Transaction, actor: Actor, new: NewSession) -> None:
    target = await connections.get(tx, actor.organization_id, new.target_connection_id or "")
    if (target.end_user_id, target.integration_slug) != (new.end_user.end_user_id, new.integration_slug):
        raise InvalidInput.of("connection_id", "is a connection of another end user or another integration")
