"""Create the demo's data folder: database, encryption keys, API keys, and an OAuth client for the provider Acme.

Each start of the demo creates the missing files. Only the owner of the folder can read the files with secrets. The
sample product's backend needs its API key at every start, so the folder also stores this API key. A real product keeps
the API key in a secret store.
"""

import base64
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from one_runtime.catalog.model import Integration
from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Transaction
from one_runtime.db.migrations import migrate
from one_runtime.demo import acme
from one_runtime.demo.sample_product.product import AGENT_LINKS, CONNECTED, WEBHOOKS
from one_runtime.encryption import key_ring
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.errors import ConfigurationError, Unauthenticated
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.client_registration import record_client_event
from one_runtime.integrations.oauth_clients import NewOAuthClient
from one_runtime.oauth.client import ClientIdentity
from one_runtime.team import invitations
from one_runtime.tenancy import api_keys, organizations
from one_runtime.tenancy.authentication import PresentedKey, read_principal
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.organizations import Organization
from one_runtime.webhooks import endpoints, secrets

CUSTOMER: Final = "Fernhill"
OWNER: Final = "owner@fernhill.example"
"""E-mail address of the member whom the link of the demo signs in."""

_PRODUCT: Final = "Sample product"
_NAMES: Final = (_PRODUCT, "Playground")
"""Descriptions of the webhook endpoint: the present one, and the one in data folders of earlier versions."""

_RECEIVED: Final = ("connection.*", "hosted_connection_session.*", "end_user.*", "end_user_token.*", "agent.*")

_DATABASE: Final = "one-runtime.db"
_KEY_RING: Final = "encryption-keys"
_API_KEY: Final = "api-key"
_ADMIN_KEY: Final = "admin-api-key"
_WEBHOOK_SECRET: Final = "webhook-secret"
_ACME_KEYS: Final = "acme-keys.json"
_ACME_CLIENT: Final = "acme-oauth-client.json"


@dataclass(frozen=True, slots=True)
class DemoData:
    """The data of one start of the demo. `invitation`: the token of a link to the dashboard, which works once.

    `link_resets_sign_in`: True if the link deletes the sign-in methods of its member.

    `api_key_is_new` is True if this start created the API key. The start-up text for people
    shows `api_key` only if this key is new.
    """

    folder: Path
    database_url: str
    encryption_keys: str = field(repr=False)
    organization_id: str
    api_key: str = field(repr=False)
    api_key_is_new: bool
    acme_keys: Mapping[str, str] = field(repr=False)
    acme_client: ClientIdentity
    webhook_secret: str = field(repr=False)
    invitation: SecretToken = field(repr=False)
    link_resets_sign_in: bool

    @property
    def api_key_file(self) -> Path:
        """Return the path of the file with the sample product's API key."""
        return self.folder / _API_KEY


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Create the folder if necessary, and lock the folder against a second demo.

    Raises: ConfigurationError if the demo cannot use the folder.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be used: {error.strerror}. Choose another folder with --data."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            detail = f"Another demo uses the folder {folder}. Stop that demo, or choose another folder with --data."
            raise ConfigurationError(detail) from error
        yield


async def prepare(folder: Path, product_origin: str, acme_entry: Integration) -> DemoData:
    """Create the missing files of the folder, and return the data. Raises: ConfigurationError."""
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    path = (folder / _DATABASE).absolute()
    url = f"sqlite:///{path}"
    migrate(url)
    path.chmod(0o600)
    encryption_keys = _read(folder / _KEY_RING) or _write(folder / _KEY_RING, new_key())
    new_keys = {account: acme.new_key() for account in (acme.GLOBEX, acme.INITECH)}
    acme_keys = _read_or_create(folder / _ACME_KEYS, new_keys)
    client_id, client_secret = acme.new_client()
    client = _read_or_create(folder / _ACME_CLIENT, {"client_id": client_id, "client_secret": client_secret})
    acme_client = ClientIdentity(**client)
    database = create_database(url)
    await database.open()
    try:
        async with database.write() as tx:
            organization_id = (await _organization(tx, product_origin)).id
            api_key = await _api_key(tx, folder / _API_KEY, organization_id, _PRODUCT, api_keys.DEFAULT_SCOPES)
            await _api_key(tx, folder / _ADMIN_KEY, organization_id, "Administrator", ("read", "admin"))
            vault = Vault(parse_keys(encryption_keys))
            await register_client(tx, vault, organization_id, acme_entry, acme_client)
            secret = await _webhook_secret(tx, vault, folder / _WEBHOOK_SECRET, organization_id, product_origin)
            actor = Actor(organization_id, "system")
            now = system_clock()
            _, invitation = await invitations.create(tx, actor, OWNER, "owner", now)
            resets = (await invitations.find(tx, invitation.secret, now)).resets_sign_in
    finally:
        await database.close()
    return DemoData(
        folder, url, encryption_keys, organization_id, *api_key, acme_keys, acme_client, secret, invitation, resets
    )


async def register_client(
    tx: Transaction, vault: Vault, owner: str, integration: Integration, client: ClientIdentity
) -> None:
    """Register an OAuth client for Acme in One Runtime. `owner`: an organization, or `INSTANCE` for all organizations.

    In production, an administrator of the organization registers the client with the API, and the operator with a
    command.
    """
    now = system_clock()
    await key_ring.register(tx, vault, now)
    registered = await oauth_clients.find_own(tx, vault, owner, integration.slug)
    if registered is not None and registered.client == client:
        return
    new = NewOAuthClient(client.client_id, client.client_secret)
    await oauth_clients.put(tx, vault, owner, integration, new, now)
    actor, of_operator = Actor(owner, "system"), owner == organizations.INSTANCE
    await record_client_event(tx, actor, EventType.OAUTH_CLIENT_UPDATED, integration.slug, now, of_operator=of_operator)


async def _api_key(
    tx: Transaction, path: Path, organization_id: str, name: str, scopes: Sequence[str]
) -> tuple[str, bool]:
    """Return an API key of the organization, and True if the key is new.

    If the file has no valid API key of the organization, create a new key and store the key in the file.
    """
    stored = _read(path)
    if stored and await _is_key_of(tx, stored, organization_id):
        return stored, False
    _, token = await api_keys.create(tx, Actor(organization_id, "system"), name, scopes, system_clock())
    return _write(path, token.secret), True


async def _webhook_secret(tx: Transaction, vault: Vault, path: Path, organization_id: str, origin: str) -> str:
    """Return the secret of the webhook endpoint that sends events to the sample product.

    If the file or the endpoint is missing, create both. If an earlier start used another port or another version,
    change the URL and the event types.
    """
    actor, now, url = Actor(organization_id, "system"), system_clock(), origin + WEBHOOKS
    found = [each for each in await endpoints.list_all(tx, organization_id) if each.description in _NAMES]
    stored = _read(path)
    if stored and found:
        present = (await endpoints.details(tx, organization_id, found))[0]
        changed = endpoints.change(present.endpoint, {"url": url, "status": "active", "description": _PRODUCT})
        await endpoints.save(tx, actor, present, changed, endpoints.expand(_RECEIVED), now)
        return stored
    for each in found:
        await endpoints.remove(tx, actor, each, now)
    new = endpoints.new(organization_id, url=url, description=_PRODUCT, include=(), now=now)
    await endpoints.create(tx, actor, new, endpoints.expand(_RECEIVED))
    return _write(path, await secrets.create(tx, vault, new, now))


async def _is_key_of(tx: Transaction, token: str, organization_id: str) -> bool:
    key = PresentedKey.recognize(token)
    if key is None:
        return False
    try:
        return (await read_principal(tx, key)).organization_id == organization_id
    except Unauthenticated:
        return False


async def _organization(tx: Transaction, origin: str) -> Organization:
    """Return the demo's organization. The organization allows the origin and the return URLs of the sample product.

    The links of agents open the sample product of the newest start.

    If earlier starts used other ports, the origins and return URLs of those starts stay allowed.
    """
    now = system_clock()
    existing = await organizations.list_all(tx)
    organization = existing[0] if existing else await organizations.create(tx, CUSTOMER, now)
    logo = base64.b64encode((files("one_runtime.demo.sample_product") / "mark.svg").read_bytes()).decode()
    changed = replace(
        organization,
        logo_url=organization.logo_url if existing else f"data:image/svg+xml;base64,{logo}",
        allowed_origins=tuple(dict.fromkeys((*organization.allowed_origins, origin))),
        return_urls=tuple(dict.fromkeys((*organization.return_urls, origin + CONNECTED, origin + AGENT_LINKS))),
        agents=replace(organization.agents, connect_url=origin + AGENT_LINKS),
    )
    if changed == organization:
        return organization
    return await organizations.save(tx, Actor(organization.id, "system"), changed, now)


def _read_or_create(path: Path, new: dict[str, str]) -> dict[str, str]:
    """Read a JSON file, and return the file's values for the names in `new`.

    If the file is missing, or lacks one of the names, write `new` to the file and return `new`.

    Raises: ConfigurationError if the file is unreadable or contains no JSON.
    """
    try:
        stored = json.loads(_read(path) or "{}")
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON. Delete the file. The next start creates a new file.") from error
    if isinstance(stored, dict) and all(isinstance(stored.get(name), str) for name in new):
        return {name: stored[name] for name in new}
    _write(path, json.dumps(new))
    return new


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read. Check the permissions of the file.") from error


def _write(path: Path, secret: str) -> str:
    """Write a secret atomically. Only the owner can read the file, even before the file is complete."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(secret + "\n")
    unfinished.replace(path)
    return secret
