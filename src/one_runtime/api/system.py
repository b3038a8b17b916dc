"""Report whether the process runs and can serve requests, and serve the self-check of `one-runtime doctor`."""

import asyncio
from typing import Annotated, Final, Literal

from fastapi import Request, Response

from one_runtime.api.described import Described
from one_runtime.api.fields import Answer
from one_runtime.api.proxy_self_check import wait_seconds
from one_runtime.api.routing import PUBLIC, Installed, Routes
from one_runtime.encryption import key_ring, self_check
from one_runtime.encryption.vault import KeyNotInRing
from one_runtime.errors import NotFound, Unavailable
from one_runtime.tenancy.authentication import client_address

STOPPING: Final = "one_runtime_stopping"
"""Key of the ASGI state that a stopping server sets to True."""

READY_WITHIN: Final = 2.0
"""Seconds in which the database must answer `/readyz`. Load balancers wait only a few seconds for an answer."""

router = Routes("System")


class Health(Answer):
    """The state of the process."""

    status: Annotated[Literal["ok"], Described("The value is always `ok`.", "ok")] = "ok"


@router.route("GET /healthz", scope=PUBLIC, summary="Report that the process runs")
async def healthz() -> Health:
    """Report that the process is alive. The route does not check the database."""
    return Health()


@router.route("GET /readyz", scope=PUBLIC, summary="Report that the process can serve requests", errors=(KeyNotInRing,))
async def readyz(request: Request, installation: Installed) -> Health:
    """Report that the process can serve requests.

    The response is 503 if the database does not answer within two seconds, or if the last write failed because the disk
    is full or the database is read-only. The response is also 503 while the server stops
    (`ONE_RUNTIME_DRAIN_SECONDS`), and while the server lacks the active encryption key (`key_not_in_ring`).
    """
    if getattr(request.state, STOPPING, False):
        raise Unavailable("This server is stopping. Send requests to another server.")
    try:
        async with asyncio.timeout(READY_WITHIN):
            await installation.database.ping()
            async with installation.database.read() as tx:
                await key_ring.require_active_key(tx, installation.vault)
    except TimeoutError as error:
        raise Unavailable(f"The database does not answer within {READY_WITHIN:g} seconds.") from error
    return Health()


@router.fastapi.get(self_check.PATH, include_in_schema=False)
async def get_self_check(request: Request, installation: Installed) -> Response:
    """Return facts about this request and this server for `one-runtime doctor`. Raises: NotFound for other callers."""
    now = installation.clock()
    if not self_check.is_authorized(installation.vault, request.headers.get(self_check.HEADER, ""), now):
        raise NotFound("There is nothing at this address.")
    await asyncio.sleep(wait_seconds(request.url.query, "delay"))
    async with installation.database.read() as tx:
        fingerprint = await self_check.database_fingerprint(tx)
    echo = self_check.RequestEcho(
        database_fingerprint=fingerprint,
        public_url=installation.settings.public_url,
        now=now,
        client=client_address(request.scope),
        forwarded_for=request.headers.get("x-forwarded-for"),
        host=request.headers.get("host"),
        agent_headers={name: value for name in self_check.AGENT_HEADERS if (value := request.headers.get(name))},
    )
    return Response(echo.model_dump_json(), headers={"Cache-Control": "no-store"}, media_type="application/json")
