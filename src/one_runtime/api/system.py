"""Health, readiness, and the self-check that `one-runtime doctor` calls."""

from typing import Literal

from fastapi import Request, Response

from one_runtime.api.fields import Answer
from one_runtime.api.routing import PUBLIC, Installed, Routes
from one_runtime.encryption import self_check
from one_runtime.errors import NotFound
from one_runtime.tenancy.authentication import client_address

router = Routes("System")


class Health(Answer):
    """The state of the process."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", scope=PUBLIC, summary="The process runs")
async def healthz() -> Health:
    """Liveness: the process answers. The database is not checked."""
    return Health()


@router.get("/readyz", scope=PUBLIC, summary="The process can serve")
async def readyz(installation: Installed) -> Health:
    """Readiness: the database answers too; 503 otherwise."""
    await installation.database.ping()
    return Health()


@router.fastapi.get("/mirror", include_in_schema=False)
async def get_mirror(request: Request, installation: Installed) -> Response:
    """Return this request as the server received it, for holders of the key ring only. Raises: NotFound."""
    vault, now = installation.vault, installation.clock()
    nonce = self_check.read_challenge(vault, request.headers.get(self_check.CHALLENGE, ""), now)
    if nonce is None:
        raise NotFound("There is nothing at this address.")
    async with installation.database.read() as tx:
        fingerprint = await self_check.database_fingerprint(tx)
    echo = self_check.RequestEcho(
        database_fingerprint=fingerprint,
        public_url=installation.settings.public_url,
        now=now,
        client=client_address(request.scope),
        forwarded_for=request.headers.get("x-forwarded-for"),
    )
    body, proof = self_check.signed(vault, nonce, echo)
    headers = {"Cache-Control": "no-store", self_check.PROOF: proof}
    return Response(body, headers=headers, media_type="application/json")
