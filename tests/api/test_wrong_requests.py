"""Wrong requests that a newcomer sends, each with the exact answer: what is wrong, what is allowed, what to do.

`wrong_requests.yaml` contains the requests and the answers. After a change of a text, run this test with
`REWRITE_WRONG_REQUESTS=1`: it writes the present answers into the file. Read the difference before you commit it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx2
import pytest
import yaml

from one_runtime.catalog.auth_types import AUTH_TYPES
from one_runtime.tenancy import api_keys
from one_runtime.tenancy.event_types import TYPES, EventType
from tests.application import JSON, Application, Client
from tests.redirects import RETURN_URL, connect_and_return, redeem, register
from tests.validators_words import VALIDATORS_WORDS

pytestmark = [pytest.mark.only_database("sqlite"), pytest.mark.slow]

PATH: Final = Path(__file__).with_name("wrong_requests.yaml")
ENTRY: Final[dict[str, Any]] = {
    "slug": "x-tide",
    "name": "Tide",
    "description": "Tide tables of a port.",
    "category": "Data",
    "website": "https://tide.example",
    "docs": "https://docs.tide.example",
}
AUTH: Final[dict[str, Any]] = {
    "type": "api_key",
    "fields": [{"name": "api_key", "label": "API key", "where": "In Tide, open Settings.", "pattern": "[a-z]{16}"}],
    "base_url": "https://api.tide.example",
    "send": {"headers": {"Authorization": "Bearer {api_key}"}},
    "check": {"path": "/me", "expect": {"json": [{"path": "id", "exists": True}]}},
    "verified": {"how": "unverified"},
}


Case: TypeAlias = dict[str, Any]
"""A request and its answer.

- `request`: method and address. `{connection}`, `{session}` and other names in braces stand for ids, and
  `{auth types}` and `{event types}` for lists of names.
- `key`: the API key, if the caller does not send a key with all scopes.
- `headers`; `body` (sent as JSON) or `raw` (sent as it is, without a Content-Type).
- `entry`: a custom integration with these changes. `check path`: another path of its check.
- `answer`: status and code. `detail`: the exact text.
"""


@dataclass(frozen=True, slots=True)
class Callers:
    """The callers of the cases, and the ids that the cases name."""

    clients: dict[str, Client]
    ids: dict[str, str]

    async def send(self, case: Case) -> httpx2.Response:
        client = self.clients[case.get("key", "all scopes")]
        method, _, address = self._filled(case["request"]).partition(" ")
        headers = {name: self._filled(value) for name, value in case.get("headers", {}).items()}
        content = case.get("raw")
        if "entry" in case or "check path" in case:
            auth = {**AUTH, "check": {**AUTH["check"], "path": case.get("check path", "/me")}}
            entry = {**ENTRY, "auth": [auth], **case.get("entry", {})}
            content, headers = yaml.safe_dump(entry, sort_keys=False), {"Content-Type": "application/yaml"}
        elif "body" in case:
            content, headers = self._filled(json.dumps(case["body"])), {**JSON, **headers}
        return await client.http.request(method, address, content=content, headers=headers)

    def _filled(self, text: str) -> str:
        for name, value in self.ids.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def hide_ids(self, text: str) -> str:
        """Replace the ids of this run by their names."""
        for name, value in self.ids.items():
            text = text.replace(value, f"{{{name}}}")
        return text


async def callers(application: Application) -> Callers:
    organization = await application.organization()
    client = application.client(await application.key(organization))
    await register(client, RETURN_URL)
    oauth_client = {"client_id": "a", "client_secret": "b"}
    await client.send("PUT", "/v1/integrations/hubspot/oauth-client", oauth_client)
    revoked = await application.key(organization)
    async with application.installation.database.write() as tx:
        await api_keys.revoke(tx, "_".join(revoked.split("_")[:2]), application.clock())
    connection = await client.connect()
    session = await client.session()
    cancelled = await client.session()
    await client.send("DELETE", f"/v1/hosted-connection-sessions/{cancelled['id']}")
    waiting, used = await connect_and_return(application, client), await connect_and_return(application, client)
    await redeem(client, used)
    push = await webhook_endpoint(client, url=f"{application.acme.url}/hook")
    pull = await webhook_endpoint(client, kind="pull")
    paused = await webhook_endpoint(client, kind="pull")
    await client.send("PATCH", f"/v1/webhook-endpoints/{paused}", {"status": "paused"})
    return Callers(
        clients={
            "all scopes": client,
            "none": application.client(),
            "junk": application.client("oru_junk"),
            "revoked": application.client(revoked),
            "session token": application.client(session["session_token"]),
            "read only": application.client(await application.key(organization, "read")),
            "without origins": application.client(await application.key(await application.organization("New", ()))),
        },
        ids={
            "organization": organization,
            "acme": application.acme.url,
            "connection": connection["id"],
            "session": session["id"],
            "redirect": (await client.session(return_url=RETURN_URL))["id"],
            "cancelled": cancelled["id"],
            "waiting": waiting.session_id,
            "code": waiting.code,
            "used": used.session_id,
            "push": push,
            "pull": pull,
            "paused": paused,
            "auth types": ", ".join(AUTH_TYPES),
            "event types": ", ".join(TYPES),
            "types of connection.*": ", ".join(name for name in TYPES if name.startswith("connection.")),
            "groups of event types": ", ".join(dict.fromkeys(f"{kind.group}.*" for kind in EventType)),
        },
    )


async def webhook_endpoint(client: Client, **fields: str) -> str:
    """Create a webhook endpoint. Return its id."""
    response = await client.post("/v1/webhook-endpoints", {"event_types": ["connection.created"], **fields})
    endpoint_id: str = response.json()["id"]
    return endpoint_id


async def test_every_wrong_request_has_the_answer_of_the_table(application: Application) -> None:
    table: dict[str, list[Case]] = yaml.safe_load(PATH.read_text("utf-8"))
    sender = await callers(application)
    wrong = list[str]()
    for case in (case for cases in table.values() for case in cases):
        response = await sender.send(case)
        problem = response.json()
        found = f"{response.status_code} {problem.get('code')}", sender.hide_ids(problem.get("detail", response.text))
        assert not VALIDATORS_WORDS.search(response.text), f"{case}: {response.text}"
        if found != (case.get("answer"), case.get("detail")):
            wrong.append(f"{case}\n    {found[0]}\n    {found[1]}")
        case["answer"], case["detail"] = found
    if os.environ.get("REWRITE_WRONG_REQUESTS"):
        PATH.write_text(yaml.safe_dump(table, sort_keys=False, allow_unicode=True, width=1_000_000), "utf-8")
    assert sum(map(len, table.values())) >= 120
    assert not wrong, "\n".join(wrong)
