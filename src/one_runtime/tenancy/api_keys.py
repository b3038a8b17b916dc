"""Create, list and revoke the API keys of organizations.

One Runtime stores only the hash of a key (promise P2 of docs/security.md).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import bindparam, delete, insert, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.precondition import Precondition
from one_runtime.db.schema import api_keys
from one_runtime.encryption import secret_tokens
from one_runtime.errors import Conflict, InsufficientRole, InvalidInput, NotFound
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from one_runtime.tenancy.roles import Permission, find_role, permits
from one_runtime.validation.names import text_problem

KeyScope: TypeAlias = Literal["read", "connect", "use", "credentials:read", "admin"]


class ScopeTexts(NamedTuple):
    """The texts about a scope.

    - `label`, `permits`: the name of the scope on pages, and a sentence about what it permits.
    - `documentation`: what it permits, in Markdown with the links of docs/api.md. The page adds the GET routes.
    """

    label: str
    permits: str
    documentation: str


SCOPE_TEXTS: Final[Mapping[KeyScope, ScopeTexts]] = {
    "read": ScopeTexts(
        "Read",
        "Read integrations, connections, end users, sessions, events and the request log.",
        "Every GET route that is not in another row of this table.",
    ),
    "connect": ScopeTexts(
        "Connect",
        "Create sessions, and create, change, check and delete connections.",
        "Creating, redeeming and cancelling sessions; disconnecting; creating, changing, checking, refreshing and "
        "deleting connections; changing end users; reading and declining connect requests of agents; reading, opening "
        "and refusing approval requests of agents.",
    ),
    "use": ScopeTexts(
        "Use",
        "Call providers for end users, and create tokens for agents.",
        "[Calling providers](proxy.md); [agents](agents.md): `/v1/mcp`, creating and revoking end-user tokens, reading "
        "and answering agent authorizations.",
    ),
    "credentials:read": ScopeTexts(
        "Read credentials",
        "Read the tokens and keys of connections in plain text.",
        "Reading the credentials of connections.",
    ),
    "admin": ScopeTexts(
        "Administer",
        "Change the organization, OAuth clients, webhooks, custom integrations and API keys, and delete end users.",
        "Changing the organization; changing and reading webhook endpoints and their deliveries; creating, revoking "
        "and reading API keys; creating, changing and deleting custom integrations; deleting end users, and exporting "
        "their data; changing and reading OAuth clients.",
    ),
}
SCOPES: Final[tuple[KeyScope, ...]] = tuple(SCOPE_TEXTS)
DEFAULT_SCOPES: Final[tuple[KeyScope, ...]] = ("read", "connect", "use")
MAX_NAME: Final = 255
PRIVILEGED_SCOPES: Final[frozenset[str]] = frozenset({"credentials:read", "admin"})
"""Scopes of keys that only admins and owners can create and revoke in the dashboard."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored API key, without its secret.

    `last_used_at`: see `key_uses.PRECISION`. `created_by`: the id of the member who created the key, or None.
    """

    id: str
    organization_id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_by: str | None


_COLUMNS = tuple(api_keys.c[name] for name in ApiKey.__dataclass_fields__)
_INSERT = insert(api_keys)
_LIST = select(*_COLUMNS).order_by(api_keys.c.id)
_BY_ID = _LIST.where(api_keys.c.id == bindparam("key"))
_BY_PREFIX = _LIST.where(api_keys.c.prefix == bindparam("key"))
_REVOKE = (
    update(api_keys).where(api_keys.c.revoked_at.is_(None)).values(revoked_at=bindparam("now")).returning(*_COLUMNS)
)
_REVOKE_BY_ID = _REVOKE.where(api_keys.c.id == bindparam("key"))
# Two keys can have an equal random prefix by chance. The statement revokes only the oldest active key with the prefix.
_REVOKE_BY_PREFIX = _REVOKE.where(
    api_keys.c.id
    == select(api_keys.c.id)
    .where(api_keys.c.prefix == bindparam("key"), api_keys.c.revoked_at.is_(None))
    .order_by(api_keys.c.id)
    .limit(1)
    .scalar_subquery()
)
_OF_ORGANIZATION = api_keys.c.organization_id == bindparam("organization")
_NEWEST = select(*_COLUMNS).where(_OF_ORGANIZATION).order_by(api_keys.c.id.desc())
_OWN = _BY_ID.where(_OF_ORGANIZATION)
_ACTIVE_LOCKED = _LIST.where(_OF_ORGANIZATION, api_keys.c.revoked_at.is_(None)).with_for_update()
_DELETE_ALL = delete(api_keys).where(api_keys.c.organization_id == bindparam("organization"))


def _from_row(row: tuple[object, ...]) -> ApiKey:
    key = ApiKey(*row)  # type: ignore[arg-type]
    return replace(key, scopes=tuple(key.scopes))  # the driver returns the JSON column as a list


async def create(
    tx: Transaction, actor: Actor, name: str, scopes: Collection[str], now: datetime
) -> tuple[ApiKey, secret_tokens.SecretToken]:
    """Create an API key for the actor's organization. Return the stored data and the secret token of the key.

    Raises: InvalidInput for an invalid name, or if `scopes` is empty or contains an unknown scope; InsufficientRole if
    the role of a member does not allow these scopes.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise InvalidInput.of("scopes", f"must be one or more of {', '.join(SCOPES)}")
    name = _clean_name(name)
    await _require_role(tx, actor, scopes)
    token = secret_tokens.make(secret_tokens.API_KEY)
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    created_by = actor.id if actor.type == "member" else None
    key = ApiKey(new_id(), actor.organization_id, name, token.prefix, ordered, now, None, None, created_by)
    await tx.execute(
        _INSERT,
        id=key.id,
        organization_id=key.organization_id,
        name=name,
        prefix=token.prefix,
        secret_hash=token.hash,
        scopes=ordered,
        created_at=now,
        revoked_at=None,
        last_used_at=None,
        created_by=created_by,
    )
    data = {"api_key_id": key.id, "name": name, "scopes": ordered}
    await record(tx, actor, EventType.API_KEY_CREATED, now, Subject(data=data))
    return key, token


async def list_all(tx: Transaction, organization_id: str | None = None) -> list[ApiKey]:
    """Return the API keys of an organization, oldest first. The list includes revoked keys.

    If `organization_id` is None, return the API keys of all organizations.
    """
    if organization_id is not None and not is_id(organization_id):
        return []
    statement = _LIST if organization_id is None else _LIST.where(api_keys.c.organization_id == organization_id)
    return [_from_row(row) for row in await tx.all(statement)]


async def list_page(tx: Transaction, organization_id: str, *, limit: int, before: str | None = None) -> list[ApiKey]:
    """Return at most `limit` API keys of an organization, newest first. The list includes revoked keys.

    With `before`, return only keys older than this id.
    """
    statement = _NEWEST if before is None else _NEWEST.where(api_keys.c.id < before)
    return [_from_row(row) for row in await tx.all(statement.limit(limit), organization=organization_id)]


async def get(tx: Transaction, organization_id: str, key_id: str) -> ApiKey:
    """Return an API key of this organization, which can be revoked. Raises: NotFound."""
    row = await tx.one(_OWN, organization=organization_id, key=key_id) if is_id(key_id) else None
    if row is None:
        raise NotFound(f"There is no API key {key_id[:64]!r}. GET /v1/api-keys lists your API keys.")
    return _from_row(row)


async def find(tx: Transaction, key_id_or_prefix: str) -> ApiKey:
    """Return an API key, which can be revoked. Raises: NotFound; Conflict if several keys have this prefix."""
    rows = await tx.all(_BY_ID if is_id(key_id_or_prefix) else _BY_PREFIX, key=key_id_or_prefix)
    if not rows:
        raise NotFound(f"There is no API key {key_id_or_prefix}. `one-runtime api-keys list` shows all keys.")
    if len(rows) > 1:
        raise Conflict(f"{len(rows)} API keys have the prefix {key_id_or_prefix}. Use the id of the key.")
    return _from_row(rows[0])


async def revoke(tx: Transaction, key_id_or_prefix: str, now: datetime, operator: str | None = None) -> ApiKey:
    """Revoke an API key. One Runtime refuses every later request with this key.

    `operator`: the name of the person who runs the command, for the event.

    Raises: NotFound if no active key has this id or prefix.
    """
    # PostgreSQL refuses to compare a UUID column with a text that is not a UUID.
    statement = _REVOKE_BY_ID if is_id(key_id_or_prefix) else _REVOKE_BY_PREFIX
    row = await tx.one(statement, key=key_id_or_prefix, now=now)
    if row is None:
        raise NotFound(f"There is no active API key {key_id_or_prefix}. `one-runtime api-keys list` shows all keys.")
    key = _from_row(row)
    await _record_revocation(tx, Actor(key.organization_id, "system", operator), key, now)
    return key


async def revoke_own(
    tx: Transaction, actor: Actor, key_id: str, now: datetime, condition: Precondition[ApiKey] | None = None
) -> ApiKey:
    """Revoke an API key of the actor's organization. If the key is revoked already, change nothing.

    The transaction locks the active keys. Otherwise, two requests could revoke the last two keys with the scope `admin`
    at the same time. The organization could then create no further key over the API. A member can revoke the last key
    with this scope, because members create keys in the dashboard.

    Raises: NotFound; PreconditionFailed; InsufficientRole if the role of a member does not allow the key's scopes;
    Conflict if the key is the only active key with the scope `admin`.
    """
    active = [_from_row(row) for row in await tx.all(_ACTIVE_LOCKED, organization=actor.organization_id)]
    key = await get(tx, actor.organization_id, key_id)
    if condition is not None:
        await condition(tx, key)
    if key.revoked_at is not None:
        return key
    await _require_role(tx, actor, key.scopes)
    is_needed = actor.type != "member" and "admin" in key.scopes
    if is_needed and not any("admin" in other.scopes for other in active if other.id != key.id):
        raise Conflict(
            "This is the only active API key with the scope 'admin'. Create another key with this scope first. The "
            "operator can revoke this key with `one-runtime api-keys revoke`."
        )
    row = await tx.one(_REVOKE_BY_ID, key=key.id, now=now)
    assert row is not None  # noqa: S101 - the transaction locks the key
    revoked = _from_row(row)
    await _record_revocation(tx, actor, revoked, now)
    return revoked


def _clean_name(text: str) -> str:
    name = text.strip()
    if not 0 < len(name) <= MAX_NAME:
        raise InvalidInput.of("name", f"must have 1 to {MAX_NAME} characters")
    problem = text_problem(name)
    if problem is not None:
        raise InvalidInput.of("name", problem)
    return name


async def _require_role(tx: Transaction, actor: Actor, scopes: Collection[str]) -> None:
    """Check that a member may create and revoke keys with these scopes. Other actors have scopes, and no role."""
    if actor.type != "member":
        return
    role = await find_role(tx, actor.organization_id, actor.id) if actor.id else None
    needed: Permission = "admin" if PRIVILEGED_SCOPES & set(scopes) else "develop"
    if role is None or not permits(role, needed):
        raise InsufficientRole(
            "Only admins and owners can create and revoke API keys with the scopes 'credentials:read' and 'admin'. "
            "Developers can create and revoke all other API keys."
        )


async def _record_revocation(tx: Transaction, actor: Actor, key: ApiKey, now: datetime) -> None:
    await record(tx, actor, EventType.API_KEY_REVOKED, now, Subject(data={"api_key_id": key.id, "name": key.name}))


async def delete_all(tx: Transaction, organization_id: str) -> int:
    """Delete the API keys of an organization. One Runtime then refuses the keys. Return the number of keys."""
    return await tx.execute(_DELETE_ALL, organization=organization_id)
