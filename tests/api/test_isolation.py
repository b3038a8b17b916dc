"""P1: requests every route with the ids of another organization; nothing is visible and nothing changes."""

import json
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import pytest
from sqlalchemy import insert, select

from one_runtime.agents import approvals, connect_requests, paused_runs
from one_runtime.agents.approvals import ExactCall
from one_runtime.agents.authorization import authorizations
from one_runtime.agents.authorization.client_documents import ClientDocument
from one_runtime.agents.authorization.requests import AgentAuthorizationRequest
from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.paused_runs import PausedState, WaitingCall
from one_runtime.connecting.authorization_attempts import AttemptSecret
from one_runtime.db.ids import new_id
from one_runtime.db.schema import metadata, organizations, webhook_attempts
from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.tenancy.agent_policy import AgentPolicy
from one_runtime.tenancy.events import Actor
from tests import oauth_rows
from tests.api.operations import Operation, example, operations, put, texts
from tests.application import ACME_KEYS, JSON, Application, Client
from tests.redirects import RETURN_URL, Redirected, connect_and_return, register

# Two tests send more than 3,000 requests each. On a machine that is busy with other programs, this takes a minute.
pytestmark = [pytest.mark.promise("P1"), pytest.mark.slow, pytest.mark.worker, pytest.mark.timeout(240)]

USER: Final = "user-of-both"
"""An end user id of both organizations, for two different people."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization with a row of every kind, each marked with the organization's name."""

    organization: str
    client: Client
    connection: dict[str, Any]
    session: dict[str, Any]
    unredeemed: Redirected
    own_user: str
    custom: dict[str, Any]
    webhook: dict[str, Any]
    events: tuple[str, ...]
    token: dict[str, Any]
    connect_request: str
    authorization: str
    approval_request: str

    @property
    def ids(self) -> dict[str, str]:
        """Return the ids of the organization by the field that accepts them."""
        return {
            "connection_id": self.connection["id"],
            "session_id": self.unredeemed.session_id,
            "code": self.unredeemed.code,
            "end_user_id": self.own_user,
            "event": self.events[0],
            "organization": self.organization,
            "cursor": self.connection["id"],
            "custom": self.custom["slug"],
            "webhook_endpoint_id": self.webhook["id"],
            "event_id": self.events[0],
            "end_user_token_id": self.token["id"],
            "connect_request_id": self.connect_request,
            "agent_authorization_id": self.authorization,
            "approval_request_id": self.approval_request,
        }

    @property
    def marks(self) -> set[str]:
        """Return texts that only responses with data of this organization contain."""
        more = {
            f"client of {self.own_user.removeprefix('user of ')}",
            self.session["id"],
            self.session["session_token"],
            self.unredeemed.token,
            self.custom["id"],
            self.custom["logo_url"],
            f"mark of {self.own_user}",
            f"/mark-of-{self.own_user.removeprefix('user of ')}",
        }
        return {*self.ids.values(), *self.events, *more}


async def tenant(application: Application, name: str, account: str) -> Tenant:
    organization = await application.organization(f"mark of user of {name}")
    client = application.client(await application.key(organization))
    webhook = await client.post(
        "/v1/webhook-endpoints", {"kind": "pull", "event_types": ["*"], "description": f"mark of user of {name}"}
    )
    place = oauth_rows.Place(application.installation.database, application.installation.vault, organization)
    own, mark = f"user of {name}", {"mark": f"mark of user of {name}"}
    connection = await client.connect(own, ACME_KEYS[account], name=f"mark of {own}", metadata=mark)
    await client.connect(USER, ACME_KEYS[account], name=f"mark of {own}", metadata=mark)
    session = await client.session(own, end_user_name=f"mark of {own}", metadata=mark, connection_id=connection["id"])
    await client.session(USER, end_user_name=f"mark of {own}", metadata=mark)
    made_with = await oauth_rows.client(place, f"client of {name}", f"secret of the client of {name}")
    await oauth_rows.consent(place, session["id"], made_with, AttemptSecret())
    await oauth_rows.pending_revocation(place, made_with, {"access_token": f"token of {name}"})
    await register(client, RETURN_URL)
    back = await connect_and_return(application, client, ACME_KEYS[account], end_user_id=own)
    await client.http.get(f"/v1/proxy/acme/mark-of-{name}", headers={"One-Runtime-End-User": own})
    await application.app.services.request_log.flush()
    custom = await client.send("PUT", f"/v1/custom-integrations/x-{name}", custom_entry(f"x-{name}", f"mark of {own}"))
    token = await client.post("/v1/end-user-tokens", {"end_user_id": own, "name": f"mark of {own}"})
    request = await connect_request(application, organization, own)
    authorization = await agent_authorization(application, organization)
    approval = await approval_request(application, organization, own)
    events = (await client.get("/v1/events")).json()["events"]
    event_ids = tuple(event["id"] for event in events)
    await attempt_of(application, event_ids[0], webhook.json()["id"], organization)
    return Tenant(
        organization,
        client,
        connection,
        session,
        back,
        own,
        custom.json(),
        webhook.json(),
        event_ids,
        token.json(),
        request,
        authorization,
        approval,
    )


async def agent_authorization(application: Application, organization: str) -> str:
    """Store the request of an OAuth client, and return the id of the request."""
    client = ClientDocument("https://agent.example/client.json", "Agent", ("https://agent.example/callback",))
    request = AgentAuthorizationRequest(client, client.redirect_uris[0], organization, "challenge", "write", "state")
    async with application.installation.database.write() as tx:
        return await authorizations.create(tx, request, application.clock())


async def connect_request(application: Application, organization: str, end_user: str) -> str:
    """Ask the end user to connect Acme CRM, and return the id of the request."""
    entry, actor = application.installation.catalog.get("acme"), Actor(organization, "system")
    assert entry is not None
    caller = AgentCaller(organization, end_user, actor, AgentPolicy(), "https://app.example.com/connect")
    async with application.installation.database.write() as tx:
        link = await connect_requests.ask(tx, application.installation, caller, entry)
    assert link.request_id is not None
    return link.request_id


async def approval_request(application: Application, organization: str, end_user: str) -> str:
    """Ask the end user to approve a call, and store a paused program. Return the id of the approval request."""
    entry, actor = application.installation.catalog.get("acme"), Actor(organization, "system")
    assert entry is not None
    caller = AgentCaller(organization, end_user, actor, AgentPolicy("ask"), "https://app.example.com/connect")
    call = ExactCall(entry, new_id(), None, "POST", "https://api.example.com", f"/mark of {end_user}", "", (), b"{}")
    waiting = PausedState(b"{}", (), (WaitingCall(1, "connect", entry.slug),))
    async with application.installation.database.write() as tx:
        await paused_runs.store(tx, application.installation, caller, new_id(), waiting)
        link = await approvals.ask(tx, application.installation, caller, call)
    assert link.request_id is not None
    return link.request_id


async def attempt_of(application: Application, event_id: str, endpoint_id: str, organization: str) -> None:
    """Insert an attempt, because One Runtime makes no attempts for a pull endpoint."""
    ids = {"id": new_id(), "event_id": event_id, "endpoint_id": endpoint_id, "organization_id": organization}
    values = {"attempted_at": application.clock(), "duration_ms": 1, "response_status": 500}
    async with application.installation.database.write() as tx:
        await tx.execute(insert(webhook_attempts), **ids, **values, error=None, excerpt=None)


def custom_entry(slug: str, name: str) -> dict[str, Any]:
    """Return a minimal custom integration."""
    where = "https://marked.example.com"
    auth = {"type": "none", "base_url": where, "check_missing": "Nothing is sent.", "verified": {"how": "unverified"}}
    words = {"description": "Something of our own.", "category": "Data", "website": where, "docs": where}
    return {"slug": slug, "name": name, **words, "auth": [auth]}


async def rows_of(application: Application, organization: str) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of an organization, by table."""
    rows = {}
    async with application.installation.database.read() as tx:
        for table in metadata.tables.values():
            column = organizations.c.id if table is organizations else table.c.get("organization_id")
            if column is not None:
                statement = select(table).where(column == organization).order_by(*table.primary_key)
                rows[table.name] = [tuple(row) for row in await tx.all(statement)]
    return rows


async def send(
    client: Client, operation: Operation, named: dict[str, str], body: object, **query: str
) -> httpx2.Response:
    content = None if operation.body is None else json.dumps(body)
    custom = named.get("custom") if "custom-integrations" in operation.path else None
    named = {"slug": custom or oauth_rows.SLUG, **named}
    if operation.path.endswith("/oauth-client"):
        named = {**named, "integration_slug": oauth_rows.SLUG}
    once = {"idempotency-key": new_id()} if operation.spec.idempotent else {}
    return await client.http.request(
        operation.method,
        operation.address(named, **query),
        content=content,
        headers={**JSON, **once} if content else {},
    )


def fitting(operation: Operation, named: dict[str, str]) -> Any:
    """Return a valid body whose id fields have these ids."""
    if operation.body is None:
        return None
    working = {
        "integration_slug": "acme",
        "credentials": {"api_key": ACME_KEYS[INITECH]},
        "display_name": "Other",
        "client_secret": "another",
    }
    body = {**example(operation.body), **working, **named}
    return {name: value for name, value in body.items() if name in operation.body["properties"]}


async def everything(
    client: Client, operation: Operation, ids: dict[str, str]
) -> list[tuple[set[str], httpx2.Response]]:
    """Send foreign ids in every position of an operation. Return the ids sent and the response of each request."""
    sent = [(set(ids.values()), await send(client, operation, ids, fitting(operation, ids)))]
    for value in ids.values():
        everywhere = dict.fromkeys(operation.parameters_in("path"), value)
        body = fitting(operation, {})
        sent.append(({value}, await send(client, operation, everywhere, body)))
        for name in operation.parameters_in("query"):
            ids_in_path = {ids[each] for each in operation.parameters_in("path") if each in ids}
            sent += [({value, *ids_in_path}, await send(client, operation, ids, body, **{name: value}))]
        for place in texts(operation.body or {}):
            sent += [({value}, await send(client, operation, ids, put(body, place, value)))]
    return sent


@pytest.fixture
async def tenants(application: Application) -> tuple[Tenant, Tenant]:
    return await tenant(application, "one", GLOBEX), await tenant(application, "other", INITECH)


async def test_organization_cannot_read_or_change_another(
    application: Application, tenants: tuple[Tenant, Tenant]
) -> None:
    victim, other = tenants
    before = await rows_of(application, victim.organization)
    document = (await other.client.get("/openapi.json")).json()
    reading = [operation for operation in operations(document) if operation.method == "GET"]
    writing = [operation for operation in operations(document) if operation.method != "GET"]
    assert len(reading) >= 10
    assert len(writing) >= 8
    for operation in reading + sorted(writing, key=lambda operation: operation.method == "DELETE"):
        for sent, answer in await everything(other.client, operation, victim.ids):
            assert answer.status_code < 500, f"{operation.name}: {answer.text}"
            # A refusal may repeat the ids that were sent, and a written value belongs to the writer.
            repeated = sent if operation in reading else set(victim.ids.values())
            seen = {mark for mark in victim.marks - repeated if mark in answer.text}
            assert not seen, f"{operation.name} after {sent}: {answer.text}"
            if any(name in operation.path for name in ("{connection_id}", "{session_id}", "{webhook_endpoint_id}")):
                assert answer.status_code in {404, 422}, f"{operation.name}: {answer.status_code}"
    assert await rows_of(application, victim.organization) == before


@pytest.mark.soak_on("postgresql")
async def test_same_requests_work_within_the_own_organization(
    application: Application, tenants: tuple[Tenant, Tenant]
) -> None:
    victim, _ = tenants
    before = await rows_of(application, victim.organization)
    document = (await victim.client.get("/openapi.json")).json()
    reading, seen = operations(document), set()
    for operation in reading:
        if operation.method == "GET":
            for sent, answer in await everything(victim.client, operation, victim.ids):
                seen |= {mark for mark in victim.marks - sent if mark in answer.text}
    secret = {victim.session["session_token"], victim.unredeemed.token, victim.unredeemed.code}
    # No response contains the id of an authorization, except the responses to requests with this id.
    assert seen >= victim.marks - secret - {victim.ids["cursor"], victim.authorization}
    assert not seen & secret
    for operation in reading:
        if operation.method != "GET":
            answer = await send(victim.client, operation, victim.ids, fitting(operation, victim.ids))
            assert answer.status_code < 500, f"{operation.name}: {answer.text}"
    after = await rows_of(application, victim.organization)
    # No route shows or changes pending revocations, or the data of the dashboard.
    # The worker deletes the attempts of a deleted endpoint.
    unchanged = {name for name in before if before[name] == after[name]}
    dashboard = {"invitations", "memberships", "totp_secrets", "usage_hours"}
    assert unchanged <= {"api_keys", "revocations", "webhook_attempts", *dashboard}


async def test_lists_hold_only_the_own_rows(tenants: tuple[Tenant, Tenant]) -> None:
    victim, other = tenants
    for path in ("/v1/connections", "/v1/end-users", "/v1/events", "/v1/organization", "/v1/proxy-requests"):
        text = (await other.client.get(path)).text
        assert not {mark for mark in victim.marks if mark in text}, path


async def test_same_end_user_id_in_another_organization_is_another_end_user(
    tenants: tuple[Tenant, Tenant],
) -> None:
    victim, other = tenants
    assert (await other.client.integrations(victim.own_user))["acme"]["status"] == "not_connected"
    gone = {"integration_slug": "acme", "end_user_id": USER}
    assert (await other.client.post("/v1/disconnect", gone)).json()["deleted_count"] == 1
    assert (await other.client.integrations(USER))["acme"]["status"] == "not_connected"
    assert (await victim.client.integrations(USER))["acme"]["status"] == "connected"
    assert (await other.client.send("DELETE", f"/v1/end-users/{USER}")).status_code == 200
    assert (await victim.client.integrations(USER))["acme"]["status"] == "connected"
    events = (await victim.client.get("/v1/events", end_user_id=USER)).json()["events"]
    assert [event["type"] for event in events] == ["hosted_connection_session.created", "connection.created"]


async def test_subkey_of_one_organization_does_not_decrypt_credentials_of_another(
    application: Application, tenants: tuple[Tenant, Tenant]
) -> None:
    victim, other = tenants
    answer = await other.client.http.post(f"/v1/connections/{victim.connection['id']}/check")
    assert answer.status_code == 404
    assert (await victim.client.http.post(f"/v1/connections/{victim.connection['id']}/check")).json()["working"] is True
