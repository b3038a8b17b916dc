"""Health: does the process run, and can it serve."""

from typing import Literal

from fastapi import APIRouter

from one_runtime.api.auth import Installed
from one_runtime.api.fields import Answer

router = APIRouter(tags=["System"])


class Health(Answer):
    """Up, and ready to serve."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", summary="The process runs")
async def healthz() -> Health:
    """Liveness: the process answers. It says nothing about the database."""
    return Health()


@router.get("/readyz", summary="The process can serve")
async def readyz(installation: Installed) -> Health:
    """Readiness: the database answers too; 503 where it does not."""
    await installation.database.ping()
    return Health()
