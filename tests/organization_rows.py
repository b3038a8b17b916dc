"""Rows of one organization in every table with an organization id, and the tokens that a deletion has to revoke."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Select, Table, bindparam, insert, select

from one_runtime.agents import approvals, connect_requests, paused_runs
from one_runtime.agents.approvals import ExactCall
from one_runtime.agents.authorization import authorizations
from one_runtime.agents.authorization.client_documents import ClientDocument
from one_runtime.agents.authorization.requests import AgentAuthorizationRequest
from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.paused_runs import PausedState, WaitingCall
from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.custom import read_custom
from one_runtime.clock import system_clock
from one_runtime.connecting import account_selection, authorization_attempts, redirect_mode, sessions
from one_runtime.connecting.account_selection import Question
from one_runtime.connecting.authorization_attempts import AttemptDetails, AttemptSecret, AuthorizationAttempt
from one_runtime.connecting.sessions import ConnectSession
from one_runtime.connecting.verification import GrantedTokens
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection, NewConnection
from one_runtime.connections.credentials import ProviderAccount, TokenMetadata
from one_runtime.context import Installation
from one_runtime.db.ids import new_id
from one_runtime.db.schema import (
    invitations,
    members,
    memberships,
    metadata,
    requests,
    revocations,
    totp_secrets,
    usage_hours,
    webhook_attempts,
    webhook_deliveries,
)
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.oauth.token_response import TokenSet
from one_runtime.tenancy import api_keys, end_user_tokens, end_users, events, idempotency_keys, organizations
from one_runtime.tenancy.agent_policy import AgentPolicy
from one_runtime.tenancy.authentication import Principal
from one_runtime.tenancy.end_user_tokens import NewToken
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.webhooks import endpoints, secrets
from tests import oauth_rows, sealed_rows
from tests.billing import ENTRY, OAUTH, SLUG, SVG

OWNED: Final = tuple(
    table for table in metadata.sorted_tables if "organization_id" in table.c and table is not totp_secrets
)
"""Every table with rows of organizations."""


@dataclass(frozen=True, slots=True)
class OrganizationRows:
    """Inserts rows of an organization."""

    installation: Installation
    organization_id: str
    client: OAuthClient

    @property
    def actor(self) -> Actor:
        return Actor(self.organization_id, "system")

    @property
    def place(self) -> oauth_rows.Place:
        return oauth_rows.Place(self.installation.database, self.installation.vault, self.organization_id)

    def new(self, end_user_id: str, token: str, slug: str = oauth_rows.SLUG) -> NewConnection:
        """Return the data of a connection with this access token. Each token belongs to an account of its own."""
        issued = TokenMetadata(self.client.id if slug == oauth_rows.SLUG else None)
        account, secrets = ProviderAccount(f"account of {token}"), {"access_token": token}
        return NewConnection(
            end_user_id, slug, "oauth2", None, {}, secrets, account, {}, multiple=True, token_metadata=issued
        )

    async def connect(self, end_user_id: str, token: str, slug: str = oauth_rows.SLUG) -> Connection:
        installation, new = self.installation, self.new(end_user_id, token, slug)
        async with installation.database.write() as tx:
            stored, _ = await connections.create_or_replace(
                tx, installation.vault, installation.catalogs, self.actor, new, system_clock()
            )
        return stored

    async def session(self, end_user_id: str, status: str = "pending") -> ConnectSession:
        now = system_clock()
        session = ConnectSession(
            new_id(), self.organization_id, end_user_id, oauth_rows.SLUG, "redirect", None, (), None, True, None,
            (), {}, None, now, now, now + timedelta(hours=1), status,
        )  # fmt: skip
        async with self.installation.database.write() as tx:
            await end_users.ensure(tx, self.organization_id, EndUser(end_user_id, None, None, now, now))
            await sessions.insert_session(tx, session)
        return session

    async def hold(self, end_user_id: str, token: str) -> None:
        """Connect an account in the mode `redirect`, but do not redeem the code."""
        session = await self.session(end_user_id, "unredeemed")
        async with self.installation.database.write() as tx:
            until = system_clock() + timedelta(hours=1)
            await redirect_mode.store_unredeemed(
                tx, self.installation.vault, session, self.new(end_user_id, token), until
            )

    async def pause(self, end_user_id: str, token: str) -> None:
        """Store an authorization attempt in which the end user still has to select an account."""
        session, now = await self.session(end_user_id), system_clock()
        attempt = AuthorizationAttempt(
            new_id(), session.id, self.organization_id, oauth_rows.SLUG, self.client.id,
            authorization_attempts.CONSUMED, None, AttemptDetails({}), now, now + authorization_attempts.STATE_LIFE,
        )  # fmt: skip
        granted = GrantedTokens(TokenSet(token, None, None, None), {}, {}, self.client, ())
        async with self.installation.database.write() as tx:
            await authorization_attempts.create(tx, self.installation.vault, attempt, AttemptSecret())
            question = Question(account_id=f"account of {token}")
            await account_selection.pause(tx, self.installation, attempt, "browser", granted, question)

    async def call(self, connection: Connection, count: int = 1) -> None:
        """Insert calls through the proxy."""
        call = {
            "organization_id": self.organization_id, "at": system_clock(), "end_user_id": connection.end_user_id,
            "connection_id": connection.id, "integration_slug": connection.integration_slug, "method": "GET",
            "path": "user", "status": 200, "error": None, "attempts": 1, "request_bytes": 0, "response_bytes": 5,
            "duration_ms": 3, "upstream_ms": 2, "api_key_id": None, "request_id": None,
            "end_user_token_id": None, "run_id": None, "member_id": None,
        }  # fmt: skip
        async with self.installation.database.write() as tx:
            await tx.execute_many(insert(requests), [{**call, "id": new_id()} for _ in range(count)])

    async def webhook(self) -> None:
        """Insert a webhook endpoint with a secret, a delivery and an attempt."""
        now, vault = system_clock(), self.installation.vault
        endpoint = endpoints.new(self.organization_id, url=None, description="", include=[], now=now)
        async with self.installation.database.write() as tx:
            await endpoints.create(tx, self.actor, endpoint, ["*"])
            await secrets.create(tx, vault, endpoint, now)
            await events.record(tx, self.actor, EventType.ORGANIZATION_UPDATED, now, Subject())
            (delivery,) = await tx.all(
                select(webhook_deliveries).where(webhook_deliveries.c.endpoint_id == endpoint.id)
            )
            attempt = {"id": new_id(), "attempted_at": now, "duration_ms": 1, "response_status": 500, "error": None}
            keys = {"organization_id": self.organization_id, "event_id": delivery.event_id, "endpoint_id": endpoint.id}
            await tx.execute(insert(webhook_attempts), **attempt, **keys, excerpt=None)

    async def agent(self) -> None:
        """Create an end-user token, a paused program, and requests of every kind."""
        now, end_user, policy = system_clock(), "agent's user", AgentPolicy()
        async with self.installation.database.write() as tx:
            await end_user_tokens.create(tx, self.actor, NewToken(end_user, policy), now)
            caller = AgentCaller(self.organization_id, end_user, self.actor, policy, "https://app.example.com/connect")
            entry = self.installation.catalog.get(oauth_rows.SLUG)
            assert entry is not None
            await connect_requests.ask(tx, self.installation, caller, entry)
            waiting = PausedState(b"{}", (), (WaitingCall(1, "connect", entry.slug),))
            await paused_runs.store(tx, self.installation, caller, new_id(), waiting)
            client = ClientDocument("https://agent.example/client.json", "Agent", ("https://agent.example/callback",))
            request = AgentAuthorizationRequest(
                client, client.redirect_uris[0], self.organization_id, "x", "read", None
            )
            await authorizations.create(tx, request, now)
            call = ExactCall(entry, new_id(), None, "POST", "https://api.example.com", "/contacts", "", (), b"{}")
            await approvals.ask(tx, self.installation, caller, call)

    async def dashboard(self) -> None:
        """Insert a member with a role, an invitation and an hour of usage."""
        now, member_id = system_clock(), new_id()
        owned = {"organization_id": self.organization_id, "role": "owner", "created_at": now}
        invitation = {
            **owned, "id": new_id(), "email": "grace@example.com", "token_hash": new_id().encode(), "invited_by": None,
            "expires_at": now, "used_at": None,
        }  # fmt: skip
        usage = {
            "organization_id": self.organization_id, "hour": now, "integration_slug": oauth_rows.SLUG,
            "source": "proxy", "calls": 1, "failures": 0, "duration_ms_sum": 1, "duration_ms_max": 1,
            "request_bytes": 1, "response_bytes": 1,
        }  # fmt: skip
        async with self.installation.database.write() as tx:
            email = f"{member_id}@example.com"
            await tx.execute(insert(members), id=member_id, email=email, name=None, created_at=now)
            await tx.execute(insert(memberships), **owned, member_id=member_id)
            await tx.execute(insert(invitations), **invitation)
            await tx.execute(insert(usage_hours), **usage)


async def fill(installation: Installation, name: str, end_users: int = 1) -> tuple[OrganizationRows, set[str]]:
    """Insert an organization with a row in each table of `OWNED`. Return it, and the tokens that a deletion revokes."""
    now, database, vault = system_clock(), installation.database, installation.vault
    async with database.write() as tx:
        organization_id = (await organizations.create(tx, name, now)).id
        await api_keys.create(tx, Actor(organization_id, "system"), "backend", ["read"], now)
        entry = read_custom(ENTRY + OAUTH, "yaml")
        await organization_catalogs.create(tx, organization_id, replace(entry, logo=SVG), now)
    client = await oauth_rows.client(oauth_rows.Place(database, vault, organization_id), f"client of {name}", "secret")
    rows = OrganizationRows(installation, organization_id, client)
    await rows.agent()
    await rows.webhook()
    await rows.dashboard()
    reserved = await idempotency_keys.reserve(
        database, vault, installation.clock, Principal(organization_id, new_id(), ()), "key", "fingerprint"
    )
    assert isinstance(reserved, idempotency_keys.Reservation)
    tokens = {f"{kind} of {name}" for kind in ("queued", "custom", "held", "paused")}
    await oauth_rows.pending_revocation(rows.place, client, {"access_token": f"queued of {name}"})
    await rows.call(await rows.connect("ada", f"custom of {name}", SLUG))
    await rows.hold("ada", f"held of {name}")
    await rows.pause("grace", f"paused of {name}")
    for number in range(end_users):
        token = f"{number} of {name}"
        tokens.add(token)
        await rows.connect(f"user_{number}", token)
        await rows.session(f"user_{number}")
    return rows, tokens


async def count_rows(installation: Installation, organization_id: str) -> dict[str, int]:
    """Return the number of an organization's rows in each table of `OWNED`, without the tables that have none."""
    async with installation.database.read() as tx:
        counts = {table.name: len(await tx.all(_find(table), organization=organization_id)) for table in OWNED}
    return {name: count for name, count in counts.items() if count}


def _find(table: Table) -> Select[Any]:
    return select(table.c.organization_id).where(table.c.organization_id == bindparam("organization"))


async def queued_tokens(installation: Installation, organization_id: str) -> list[str]:
    """Return the access tokens of an organization's pending revocations."""
    contents = await sealed_rows.contents(installation.database, installation.vault)
    async with installation.database.read() as tx:
        queued = await tx.all(select(revocations.c.id).where(revocations.c.organization_id == organization_id))
    return sorted(contents["revocations", row.id]["access_token"] for row in queued)
