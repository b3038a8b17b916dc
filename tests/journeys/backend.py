"""The customer's backend of a journey. It creates sessions for the test's end user, and reads the state of sessions."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx2

from one_runtime.tenancy.branding import Branding
from tests.journeys.site import Site
from tests.running_demo import Demo


@dataclass(frozen=True, slots=True)
class Backend:
    """A client of the demo's One Runtime for one end user. Its sessions allow the pages of one site."""

    demo: Demo
    site: Site
    end_user_id: str
    http: httpx2.AsyncClient

    async def session(self, slug: str | None = "acme", **more: Any) -> dict[str, Any]:
        """Create a session. Return `id`, `session_token`, `connect_url` and `expires_at`."""
        body = {"integration_slug": slug, "end_user_id": self.end_user_id, "allowed_origins": [self.site.origin]}
        return await self._post("/v1/hosted-connection-sessions", {**body, **_by_key(slug), **more})

    async def window(self, slug: str | None = "acme", **more: Any) -> dict[str, Any]:
        """Create a session in the mode `redirect`, or with `mode="link"` in the mode `link`."""
        place = {} if more.get("mode") == "link" else {"return_url": self.site.return_url}
        body = {"integration_slug": slug, "end_user_id": self.end_user_id, **place}
        return await self._post("/v1/hosted-connection-sessions", {**body, **_by_key(slug), **more})

    async def redeem(self, session: dict[str, Any], code: str, end_user_id: str) -> httpx2.Response:
        path = f"/v1/hosted-connection-sessions/{session['id']}/redeem"
        return await self.http.post(path, json={"code": code, "end_user_id": end_user_id})

    async def token(self, slug: str | None = "acme", **more: Any) -> str:
        return str((await self.session(slug, **more))["session_token"])

    async def state(self, session: dict[str, Any]) -> dict[str, Any]:
        return await self._get(f"/v1/hosted-connection-sessions/{session['id']}")

    async def status(self, slug: str = "acme") -> str:
        """Return the integration's status for the end user."""
        listed = await self._get("/v1/integrations", end_user_id=self.end_user_id, slug=slug, logo="none")
        return str(listed["integrations"][0]["status"])

    async def connections(self) -> list[dict[str, Any]]:
        connections: list[dict[str, Any]] = (await self._get("/v1/connections", end_user_id=self.end_user_id))[
            "connections"
        ]
        return connections

    async def check(self, connection_id: str) -> dict[str, Any]:
        """Check a connection with the provider."""
        return await self._post(f"/v1/connections/{connection_id}/check", {})

    async def type_key(self, token: str, key: str) -> httpx2.Response:
        """Send the popup's request for a typed key. This is faster than the page if a test needs many requests."""
        body = {"auth_type": "api_key", "credentials": {"api_key": key}}
        headers = {"authorization": f"Bearer {token}"}
        return await self.http.post("/connect/session/connect", json=body, headers=headers)

    async def add_unknown_accounts(self, *names: str) -> list[str]:
        """Import accounts of Acme without a check, so that their identities are unknown. Return the ids."""
        body = {"integration_slug": "acme", "end_user_id": self.end_user_id, "auth_type": "api_key", "check": False}
        created = list[str]()
        for name in names:
            credentials = {"api_key": f"acme_{len(created)}_0123456789"}
            answer = await self.http.post(
                "/v1/connections", json={**body, "name": name, "credentials": credentials, "multiple": True}
            )
            assert answer.status_code == 201, answer.text
            created.append(str(answer.json()["id"]))
        return created

    async def cancel(self, token: str) -> None:
        """Send the popup's request for a cancellation."""
        answer = await self.http.post("/connect/session/cancel", headers={"authorization": f"Bearer {token}"})
        answer.raise_for_status()

    async def expire(self, session: dict[str, Any]) -> None:
        """Expire a session in the database, because a test cannot change the clock of the demo's process."""
        with closing(sqlite3.connect(f"{self.demo.data}/one-runtime.db", timeout=30)) as database, database:
            sql = "UPDATE hosted_connection_sessions SET expires_at = created_at WHERE id = ?"
            assert database.execute(sql, (session["id"],)).rowcount == 1

    def register(self, *return_urls: str) -> None:
        """Register further return URLs, as the organization does with an admin key. The product needs its own."""
        with closing(sqlite3.connect(f"{self.demo.data}/one-runtime.db", timeout=30)) as database, database:
            # The demo creates its organization first. Tests can create others.
            sql = "SELECT id, return_urls FROM organizations ORDER BY created_at LIMIT 1"
            ((organization_id, registered),) = database.execute(sql)
            urls = dict.fromkeys((*json.loads(registered), *return_urls))
            sql = "UPDATE organizations SET return_urls = ? WHERE id = ?"
            database.execute(sql, (json.dumps(list(urls)), organization_id))

    def use_page_of_agents(self, url: str) -> None:
        """Set the page that the links of agents open, as the organization does with an admin key."""
        with closing(sqlite3.connect(f"{self.demo.data}/one-runtime.db", timeout=30)) as database, database:
            first = "SELECT id FROM organizations ORDER BY created_at LIMIT 1"
            agents = json.dumps({"connect_url": url, "policy": {}})
            database.execute(f"UPDATE organizations SET agents = ? WHERE id = ({first})", (agents,))

    def brand(self, branding: Branding, logo_url: str | None = None) -> None:
        """Set the branding of the popup, as the organization does with an admin key."""
        with closing(sqlite3.connect(f"{self.demo.data}/one-runtime.db", timeout=30)) as database, database:
            first = "SELECT id FROM organizations ORDER BY created_at LIMIT 1"
            sql = f"UPDATE organizations SET branding = ?, logo_url = ? WHERE id = ({first})"
            database.execute(sql, (json.dumps(branding.fields), logo_url))

    async def turn_key(self, switch: str, key: str) -> None:
        """Revoke or restore an API key at Acme."""
        answer = await self.http.post(f"{self.demo.acme}/v1/test/{switch}", headers={"authorization": f"Bearer {key}"})
        answer.raise_for_status()

    async def _get(self, path: str, **params: str) -> dict[str, Any]:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


def _by_key(slug: str | None) -> dict[str, str]:
    """Select the auth type `api_key`. Acme CRM and Zendesk also support OAuth, but these tests use keys."""
    return {"auth_type": "api_key"} if slug in ("acme", "zendesk") else {}
