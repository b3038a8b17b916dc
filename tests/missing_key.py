"""A key that other servers have, and that becomes active although this server does not have it."""

from dataclasses import replace

from one_runtime.clock import system_clock
from one_runtime.context import Installation
from one_runtime.encryption import key_ring, key_rotation
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.jobs.single_flight import SingleFlight
from one_runtime.jobs.token_hosts import TokenHosts


def add_key(installation: Installation) -> tuple[str, Vault]:
    """Return the setting of a ring with a new key behind the keys of this installation, and the vault of this ring."""
    setting = f"{installation.settings.encryption_keys.get_secret_value()},{new_key()}"
    return setting, Vault(parse_keys(setting))


async def activate_last(installation: Installation, vault: Vault) -> str:
    """Activate the last key of a ring, as `keys activate --force` does. Return the id of the key."""
    async with installation.database.write() as tx:
        return await key_rotation.activate(tx, vault, vault.key_ids[-1], system_clock, force=True)


async def activate_first(installation: Installation, vault: Vault) -> None:
    """Activate the first key of a ring."""
    async with installation.database.write() as tx:
        await key_rotation.activate(tx, vault, vault.key_ids[0], system_clock, force=False)


async def reseal(installation: Installation, vault: Vault) -> None:
    """Encrypt all values with the active key, as `keys reseal` does."""
    async for _ in key_rotation.reseal(installation.database, vault, 100):
        pass


async def count_rows(installation: Installation, key_id: str) -> int:
    """Return the number of rows that are encrypted with a key."""
    async with installation.database.read() as tx:
        return (await key_ring.count_rows(tx))[key_id]


def server_with(installation: Installation, vault: Vault) -> Installation:
    """Return an installation as another server has: the same database, and this ring."""
    return replace(installation, vault=vault, flights=SingleFlight(), token_hosts=TokenHosts())
