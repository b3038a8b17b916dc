"""Open the configured installation for a subcommand: its vault, or everything that a change of connections needs."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from one_runtime.catalog.loader import load_catalog
from one_runtime.cli.running import run
from one_runtime.clock import system_clock
from one_runtime.context import Installation
from one_runtime.db.engine import Database
from one_runtime.egress.client import Egress
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.settings import load_settings

T = TypeVar("T")


def load_vault() -> Vault:
    """Return the vault, which encrypts with the configured keys. Raises: ConfigurationError."""
    return Vault(parse_keys(load_settings().encryption_keys.get_secret_value()))


def run_installed(work: Callable[[Installation], Awaitable[T]], *, pool_size: int = 1) -> T:
    """Run work that needs an `Installation`. First register the key ring (the configured keys) in the database."""
    settings = load_settings()

    async def installed(database: Database) -> T:
        vault = load_vault()
        async with database.write() as tx:
            await key_ring.register(tx, vault, system_clock())
        egress = Egress(allow=settings.egress_allow)
        try:
            return await work(Installation(settings, database, load_catalog(), vault, egress, system_clock))
        finally:
            await egress.close()

    return run(installed, pool_size=pool_size)
