"""The demo's data folder: database, key ring, API key and Acme's keys; what is missing is made, what is there is kept.

Secrets are files of their own that only their owner can read. The playground's backend needs the API key at every
start, so it is one of them; a real customer keeps it in a secret store.
"""

import base64
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from one_runtime import api_keys, organizations
from one_runtime.clock import system_clock
from one_runtime.db.engine import Database, Transaction, create_database
from one_runtime.db.migrations import migrate
from one_runtime.demo import acme
from one_runtime.demo.playground.product import CONNECTED
from one_runtime.errors import ConfigurationError
from one_runtime.events import Actor
from one_runtime.organizations import Organization
from one_runtime.vault import new_key

CUSTOMER: Final = "Fernhill"

_DATABASE: Final = "one-runtime.db"
_KEY_RING: Final = "encryption-keys"
_API_KEY: Final = "api-key"
_ACME_KEYS: Final = "acme-keys.json"


@dataclass(frozen=True, slots=True)
class DemoData:
    """What a start of the demo works with. `api_key_is_new`: it was made at this start, and is to be shown."""

    folder: Path
    database_url: str
    encryption_keys: str = field(repr=False)
    organization_id: str
    api_key: str = field(repr=False)
    api_key_is_new: bool
    acme_keys: Mapping[str, str] = field(repr=False)

    @property
    def api_key_file(self) -> Path:
        """Where the playground's API key is kept."""
        return self.folder / _API_KEY


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep a second demo off this folder. Raises: ConfigurationError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be used: {error.strerror}. Name one by --data."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            detail = f"Another demo is running with the folder {folder}. Stop it, or name another folder by --data."
            raise ConfigurationError(detail) from error
        yield


async def prepare(folder: Path, playground_origin: str) -> DemoData:
    """Make what is missing in the folder. Raises: ConfigurationError."""
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    path = (folder / _DATABASE).absolute()
    url = f"sqlite:///{path}"
    migrate(url)
    path.chmod(0o600)
    database = create_database(url)
    await database.open()
    try:
        organization_id, api_key, is_new = await _api_key(database, folder / _API_KEY, playground_origin)
    finally:
        await database.close()
    encryption_keys = _kept(folder / _KEY_RING) or _keep(folder / _KEY_RING, new_key())
    acme_keys = _acme_keys(folder / _ACME_KEYS)
    return DemoData(folder, url, encryption_keys, organization_id, api_key, is_new, acme_keys)


async def _api_key(database: Database, path: Path, origin: str) -> tuple[str, str, bool]:
    """The organization's id and its key: the kept one while it is live, else a new one (first start, or revoked)."""
    async with database.write() as tx:
        organization = await _organization(tx, origin)
        kept = _kept(path)
        found = await api_keys.find(tx, kept) if kept else None
        if kept and found and found.organization_id == organization.id:
            return organization.id, kept, False
        actor = Actor(organization.id, "system")
        _, token = await api_keys.create(tx, actor, "Playground", api_keys.DEFAULT_SCOPES, system_clock())
        return organization.id, _keep(path, token.secret), True


async def _organization(tx: Transaction, origin: str) -> Organization:
    """The demo's one organization. It allows the playground's origin, and sends browsers back there; after another
    --port also those of before."""
    now = system_clock()
    existing = await organizations.list_all(tx)
    first = existing[0] if existing else await organizations.create(tx, CUSTOMER, now)
    allowing = replace(
        first,
        logo_url=first.logo_url if existing else _mark(),
        allowed_origins=_with(first.allowed_origins, origin),
        return_urls=_with(first.return_urls, origin + CONNECTED),
    )
    return first if allowing == first else await organizations.save(tx, Actor(first.id, "system"), allowing, now)


def _with(known: tuple[str, ...], wanted: str) -> tuple[str, ...]:
    return known if wanted in known else (*known, wanted)


def _mark() -> str:
    svg = (files("one_runtime.demo.playground") / "mark.svg").read_bytes()
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def _acme_keys(path: Path) -> dict[str, str]:
    wanted = (acme.GLOBEX, acme.INITECH)
    try:
        kept = json.loads(_kept(path) or "{}")
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON. Delete it: new keys are made at the next start.") from error
    if isinstance(kept, dict) and all(isinstance(kept.get(account), str) for account in wanted):
        return {account: kept[account] for account in wanted}
    made = {account: acme.new_key() for account in wanted}
    _keep(path, json.dumps(made))
    return made


def _kept(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read.") from error


def _keep(path: Path, secret: str) -> str:
    """Write a secret so that it is readable by its owner only from the first byte on, and whole or not at all."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(secret + "\n")
    unfinished.replace(path)
    return secret
