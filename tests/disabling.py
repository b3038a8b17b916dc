"""Disable and enable an integration as the commands do, and read the list as the worker does."""

from typing import Final

from one_runtime.context import Installation
from one_runtime.integrations import disabling

OPERATOR: Final = "ada"


async def disable(installation: Installation, slug: str, reason: str | None = None) -> None:
    async with installation.database.write() as tx:
        await disabling.disable(tx, installation.catalog, OPERATOR, slug, reason, installation.clock())
    await installation.disabled.load(installation.database)


async def enable(installation: Installation, slug: str) -> None:
    async with installation.database.write() as tx:
        await disabling.enable(tx, OPERATOR, slug, installation.clock())
    await installation.disabled.load(installation.database)
