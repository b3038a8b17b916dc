"""Credentials of connections: sealed at rest, opened at the point of use, checked with the provider."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT compiles for SQLite too

from one_runtime import key_ring, metrics, tracing
from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.request import Values, build_check, read_check
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import credentials
from one_runtime.egress import Egress, EgressError, on_behalf_of
from one_runtime.errors import NotFound, OneRuntimeError
from one_runtime.vault import Place, Sealed, Vault

TABLE = "credentials"


class CredentialsRefused(OneRuntimeError):
    """The provider said no to these credentials. `provider_reason`: its own words, plain text, or None."""

    code, status, title = "credentials_refused", 422, "The provider does not accept these credentials"

    def __init__(self, detail: str, provider_reason: str | None) -> None:
        super().__init__(detail)
        self.provider_reason = provider_reason


class ProviderUnavailable(OneRuntimeError):
    """The provider gave no usable answer: nothing is known about the credentials."""

    code, status, title = "provider_unavailable", 502, "The provider does not answer as it should"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account the credentials open, as far as the provider tells."""

    id: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """The row that credentials belong to."""

    organization_id: str
    connection_id: str


_UPSERT = insert(credentials)
_UPSERT = _UPSERT.on_conflict_do_update(
    index_elements=[credentials.c.connection_id],
    set_={name: _UPSERT.excluded[name] for name in ("sealed", "key_id", "version")},
)
_VERSION = select(credentials.c.version).where(credentials.c.connection_id == bindparam("connection"))
_ONE = select(credentials.c.sealed, credentials.c.key_id, credentials.c.version).where(
    credentials.c.organization_id == bindparam("organization"),
    credentials.c.connection_id == bindparam("connection"),
)
_DELETE = delete(credentials).where(credentials.c.connection_id == bindparam("connection"))


async def check(egress: Egress, integration: Integration, auth: Auth, values: Values) -> Account:
    """Ask the provider whether the credentials work, and whose they are; an entry without a check is believed.

    Raises: CredentialsRefused on the provider's definite no; ProviderUnavailable where it gave no usable answer.
    """
    if auth.check is None:
        return Account()
    with metrics.credential_check(integration.slug), tracing.credential_check(integration.slug):
        return await _ask(egress, integration, auth, values)


async def _ask(egress: Egress, integration: Integration, auth: Auth, values: Values) -> Account:
    request = build_check(auth, values)
    try:
        with on_behalf_of(integration.slug):
            response = await egress.request(request.method, request.url, headers=request.headers, body=request.body)
    except EgressError as error:
        raise ProviderUnavailable(
            f"{integration.name} cannot be reached at the moment ({error.code}). Nothing was stored; try again."
        ) from error
    result = read_check(auth, response.status, response.headers, response.body, values)
    if result.refused:
        raise CredentialsRefused(f"{integration.name} did not accept this.", result.reason)
    if not result.ok:
        raise ProviderUnavailable(
            f"{integration.name} answered {response.status}, which says nothing about the credentials. Try again."
        )
    return Account(result.account_id, result.account_label)


async def store(tx: Transaction, vault: Vault, owner: Owner, secrets: Mapping[str, str]) -> None:
    """Seal and keep, over what was kept for this connection; each time under the next version. Raises: KeyNotInRing."""
    row = await tx.one(_VERSION, connection=owner.connection_id)
    version = row.version + 1 if row else 1
    place = Place(TABLE, owner.connection_id, version)
    sealed = await key_ring.seal(tx, vault, owner.organization_id, json.dumps(dict(secrets)).encode(), place)
    await tx.execute(
        _UPSERT,
        connection_id=owner.connection_id,
        organization_id=owner.organization_id,
        sealed=sealed.data,
        key_id=sealed.key_id,
        version=version,
    )


async def load(tx: Transaction, vault: Vault, owner: Owner) -> dict[str, str]:
    """Open what is kept. Raises: NotFound, and SealBroken where it was tampered with."""
    row = await tx.one(_ONE, organization=owner.organization_id, connection=owner.connection_id)
    if row is None:
        raise NotFound("There are no credentials of this connection.")
    place = Place(TABLE, owner.connection_id, row.version)
    opened: dict[str, str] = json.loads(vault.open(owner.organization_id, Sealed(row.key_id, row.sealed), place))
    return opened
