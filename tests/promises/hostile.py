"""A hostile or failing provider in place of Acme. It repeats secrets, hangs, or sends endless responses."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from one_runtime.demo.acme import Acme
from one_runtime.demo.acme_entry import acme_operations
from one_runtime.egress.client import Egress
from one_runtime.egress.limits import Limits
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from tests.application import (
    ACME_KEYS,
    Application,
    Client,
    RunningAcme,
    SetClock,
    catalog_with_acme,
    lifespan,
    refuse_open_transaction,
    settings_for,
)
from tests.egress.upstream import Answer, Upstream, Writes, answer, running_upstream

CHECKED = "/v1/me"
QUICK = Limits(connect=1.0, idle=1.0, total=1.5, body=64 * 1024)
JSON = [("Content-Type", "application/json")]


@dataclass(frozen=True, slots=True)
class Hostile:
    """The application with the hostile provider as Acme."""

    provider: Upstream
    application: Application
    client: Client

    def answers(self, reply: Answer) -> None:
        """Set the provider's response to the next checks."""
        self.provider.answers[CHECKED] = reply

    def refuses_with(self, words: Callable[[str], str]) -> None:
        """Let the provider respond 401. `words` creates the reason from the credential in the request."""

        async def reply(writer: asyncio.StreamWriter) -> None:
            body = {"error": {"message": words(self.last_credential())}}
            writer.write(answer(401, JSON, json.dumps(body).encode()))
            await writer.drain()

        self.answers(reply)

    def last_credential(self) -> str:
        """Return the API key in the newest request."""
        return (self.provider.requests[-1].header("authorization") or "").removeprefix("Bearer ")


def accepted(account_id: str = "acc_1", name: str = "Someone") -> bytes:
    """Return the provider's response to a valid key."""
    return answer(200, JSON, json.dumps({"account": {"id": account_id, "name": name}}).encode())


def after(event: Callable[[], object], reply: bytes) -> Writes:
    """Return an answer that first runs an action, and then responds."""

    async def write(writer: asyncio.StreamWriter) -> None:
        event_id = event()
        if asyncio.iscoroutine(event_id):
            await event_id
        writer.write(reply)
        await writer.drain()

    return write


@asynccontextmanager
async def running_hostile(database_url: str, *, limits: Limits = QUICK, **more: object) -> AsyncIterator[Hostile]:
    """Run the application on this database, with the hostile provider. By default, time limits are short."""
    async with running_upstream() as provider:
        acme = RunningAcme(provider.url, provider.port, Acme(ACME_KEYS))
        settings: Settings = settings_for(database_url, acme, **more)
        clock = SetClock()
        egress = Egress(allow=settings.egress_allow, limits=limits, before_request=refuse_open_transaction)
        operations = [partial(acme_operations, acme.url)]
        catalog = catalog_with_acme(acme.url)
        app = create_app(settings, catalog, clock=clock, egress=egress, operations=operations)
        async with lifespan(app):
            application = Application(app, app.services.installation, clock, acme)
            client = application.client(await application.key(await application.organization()))
            yield Hostile(provider, application, client)
