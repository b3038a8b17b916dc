"""A scripted agent finishes 20 tasks over Acme and three real programs, each with an account that is missing at first.

Stripe's functions are those of One Runtime, and localstripe answers in the place of Stripe. The organization has
uploaded OpenAPI documents for the two other programs.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.model import Integration, dump
from one_runtime.demo.acme import GLOBEX
from one_runtime.demo.acme_entry import with_acme
from tests.application import ACME_KEYS, Application, Client, RunningAcme, settings_for, started
from tests.authorizations import Authorizing
from tests.database import ANY_DATABASE
from tests.foreign.keyed import Program
from tests.foreign.person import ALICE
from tests.foreign.providers import LOGO, Provider
from tests.foreign.scripted_agent import ScriptedAgent
from tests.foreign.visitor import Visitor
from tests.mcp.conftest import Agents

pytestmark = [pytest.mark.foreign, ANY_DATABASE]

DOCUMENTS: Final = Path(__file__).parent / "tasks"
STRIPE_KEY: Final = "sk_test_0123456789abcdef"


@dataclass(frozen=True, slots=True)
class World:
    """The application, and direct access to the four programs."""

    application: Application
    agents: Agents
    acme: httpx2.AsyncClient
    stripe: httpx2.AsyncClient
    ntfy: Program

    async def ids(self) -> dict[str, str]:
        """Create a contact at Acme, and a customer at localstripe. Return their ids."""
        contact = await self.acme.post("/v1/contacts", json={"name": "Grace Hopper"})
        customer = await self.stripe.post("/v1/customers", data={"name": "Grace Hopper"})
        return {"contact": contact.json()["id"], "customer": customer.json()["id"]}

    async def open_link(self, end_user_id: str, link: str) -> None:
        """Connect the missing account on the organization's page, as the end user does."""
        client, query = self.agents.owner, parse_qs(urlsplit(link).query)
        (integration,), (request,) = query["integration"], query["connect_request_id"]
        session = await client.session(end_user_id, integration_slug=integration, connect_request_id=request)
        token = session["session_token"]
        if integration == "x-staff":
            await self._sign_in(client, token)
            return
        name, password = self.ntfy.process.announcement["username"], self.ntfy.process.announcement["password"]
        typed: Mapping[str, Any] = {
            "acme": ("api_key", {"api_key": ACME_KEYS[GLOBEX]}),
            "stripe": ("api_key", {"api_key": STRIPE_KEY}),
            "x-ntfy": ("basic", {"username": name, "password": password}),
        }
        auth_type, credentials = typed[integration]
        answer = await client.popup("/connect", token, {"auth_type": auth_type, "credentials": credentials})
        assert answer.status_code == 200, answer.text

    async def _sign_in(self, client: Client, token: str) -> None:
        signing_in = Authorizing(self.application, client, "x-staff")
        attempt = await signing_in.authorize(token)
        async with Visitor() as visitor:
            callback = await visitor.consent(attempt.url, ALICE)
        page = await signing_in.call_back(callback, attempt.cookie)
        assert page.status_code == 200, page.text


Check = Callable[[Any, dict[str, str]], bool]
TASKS: Final[list[tuple[str, Check]]] = [
    ("Which plan does my Acme account have?", lambda data, _: data["plan"] == "team"),
    ("Show me all contacts in Acme CRM.", lambda data, _: "Priya Raman" in {each["name"] for each in data["contacts"]}),
    (
        'Add a contact to Acme CRM with the name "Ada Lovelace" and the company "Analytical Engines".',
        lambda data, _: (data["name"], data["company"]) == ("Ada Lovelace", "Analytical Engines"),
    ),
    ('Get the Acme contact with the id "{contact}".', lambda data, ids: data["id"] == ids["contact"]),
    (
        'Change the contact with the id "{contact}" in Acme: the company is now called "Eckert".',
        lambda data, ids: (data["id"], data["company"]) == (ids["contact"], "Eckert"),
    ),
    ('Remove the contact with the id "{contact}" from Acme CRM.', lambda data, _: not data),
    (
        'Create a new customer in Stripe with the name "Ada" and the email "ada@example.com".',
        lambda data, _: (data["object"], data["email"]) == ("customer", "ada@example.com"),
    ),
    ('Look at the customer with the id "{customer}" in Stripe.', lambda data, ids: data["id"] == ids["customer"]),
    ("List my customers in Stripe.", lambda data, _: data["object"] == "list"),
    (
        'Edit the Stripe customer with the id "{customer}": the description is "VIP".',
        lambda data, ids: (data["id"], data["description"]) == (ids["customer"], "VIP"),
    ),
    ('Delete the customer with the id "{customer}" from Stripe.', lambda data, _: data["deleted"] is True),
    (
        'Create a product in Stripe with the name "Tea".',
        lambda data, _: (data["object"], data["name"]) == ("product", "Tea"),
    ),
    (
        'Put an amount of 500 in the currency "eur" on the next invoice of the customer "{customer}" in Stripe.',
        lambda data, ids: (data["object"], data["amount"], data["customer"]) == ("invoiceitem", 500, ids["customer"]),
    ),
    ("How high is the balance of my Stripe account?", lambda data, _: data["available"]["currency"] == "eur"),
    (
        'Send a notification with ntfy to the topic "orders" with the message "A new order" and priority 4.',
        lambda data, _: (data["topic"], data["message"], data["priority"]) == ("orders", "A new order", 4),
    ),
    ("Which limits does my ntfy account have?", lambda data, _: data["limits"]["messages"] == 100_000),
    ('Change the settings of my ntfy account to the language "de".', lambda data, _: data["success"] is True),
    ('Create an access token for my ntfy account with the label "agent".', lambda data, _: data["label"] == "agent"),
    ('Read the notifications of the topic "orders" on ntfy.', lambda data, _: "A new order" in data),
    ("Who is signed in at the staff directory?", lambda data, _: data["email"] == ALICE.email),
]


def entry_at(slug: str, url: str) -> Integration:
    """Return a built-in entry whose API is at this URL. Its check asks for the customers."""
    builtin = load_catalog().get(slug)
    assert builtin is not None
    entry = dump(builtin)
    (auth,) = [auth for auth in entry["auth"] if auth["type"] == "api_key"]
    check = {"path": "/customers"}
    entry["auth"] = [{**auth, "base_url": f"{url}/v1", "check": check, "identity": None}]
    return Integration.model_validate(entry, context={"trusted": True})


async def upload(client: Client, slug: str, name: str, url: str) -> None:
    """Send an OpenAPI document, as an organization does for an integration of its own."""
    document = (DOCUMENTS / f"{name}.yaml").read_text().replace("{url}", url)
    answer = await client.http.put(
        f"/v1/custom-integrations/{slug}", content=document, headers={"content-type": "application/yaml"}
    )
    assert answer.status_code == 201, answer.text


@asynccontextmanager
async def world(
    database_url: str, acme: RunningAcme, stripe: Program, ntfy: Program, django: Provider
) -> AsyncIterator[World]:
    """Run the application with the four programs until the block ends."""
    ports = (acme.port, *(urlsplit(program.url).port for program in (stripe, ntfy, django)))
    settings = settings_for(database_url, acme, egress_allow=frozenset(("127.0.0.1", port) for port in ports))
    catalog = with_acme(load_catalog(), acme.url).with_extra(entry_at("stripe", stripe.url), LOGO)
    headers = {"authorization": f"Bearer {ACME_KEYS[GLOBEX]}"}
    async with (
        started(settings, acme, catalog) as application,
        httpx2.AsyncClient(base_url=acme.url, headers=headers) as at_acme,
        stripe.plain(headers={"authorization": f"Bearer {STRIPE_KEY}"}) as at_stripe,
    ):
        client = application.client(await application.key(await application.organization()))
        await upload(client, "x-ntfy", "ntfy", ntfy.url)
        await upload(client, "x-staff", "django", django.url)
        oauth_client = django.register_client("http://127.0.0.1:8000/connect/callback/x-staff")
        pair = {"client_id": oauth_client.client_id, "client_secret": oauth_client.client_secret}
        assert (await client.send("PUT", "/v1/integrations/x-staff/oauth-client", pair)).status_code == 200
        page = {"agents": {"connect_url": "https://app.example.com/connect"}}
        assert (await client.send("PATCH", "/v1/organization", page)).status_code == 200
        yield World(application, Agents(application, client), at_acme, at_stripe, ntfy)


async def test_agent_finishes_each_task_in_four_calls_and_in_one_program(
    database_url: str, acme: RunningAcme, localstripe: Program, ntfy: Program, django_provider: Provider
) -> None:
    assert len(TASKS) == 20
    async with world(database_url, acme, localstripe, ntfy, django_provider) as at:
        for number, (task, check) in enumerate(TASKS):
            user = f"user_{number}"
            async with at.agents.connect(end_user_id=user) as agent:
                scripted = ScriptedAgent(agent, partial(at.open_link, user))
                ids = await at.ids()
                function, answer = await scripted.do(task.format(**ids))
                tool = function.tool
                assert scripted.calls == ["tool_search", "tool_help", tool, tool], (task, function, answer)
                assert not answer.is_error, (task, function, answer)
                assert check(answer.data["data"], ids), (task, function, answer)
                ids = await at.ids()
                program = function.program(task.format(**ids))
                answer = await agent.call("run_python", code=program)
                assert not answer.is_error, (program, answer)
                assert check(value_of(answer.data["result"]), ids), (program, answer)


def value_of(result: str) -> Any:
    """Return the result of a program. A text is not JSON."""
    try:
        return json.loads(result)
    except ValueError:
        return result
