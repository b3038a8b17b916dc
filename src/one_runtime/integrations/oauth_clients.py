"""Store the OAuth clients that an organization or the operator has registered with a provider.

All organizations can use the operator's clients. One Runtime encrypts each client's secret and fields. Only the hosts
that the integration or the client's registration allows receive the secret and the fields (promises P3 and P7 of
docs/security.md).

One Runtime retires a client that the owner deletes, or replaces by a client with another `client_id`. Existing
connections continue to use a retired client. New connections cannot use a retired client.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import bindparam, exists, insert, select, update

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.model import CUSTOM, Integration
from one_runtime.catalog.request import resolve_url
from one_runtime.catalog.templates import UrlTemplate, is_authority, names_in
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import consents, credentials, revocations
from one_runtime.db.schema import oauth_clients as clients
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import SealBroken, SealContext, Sealed, Vault
from one_runtime.errors import Conflict, FieldError, InvalidInput, NotFound
from one_runtime.integrations.client_hosts import MAX_HOSTS, can_list_hosts, names_hosts, secret_hosts
from one_runtime.jobs.queue import batched_delete, run_in_batches
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.scopes import check_scopes
from one_runtime.tenancy.organizations import INSTANCE

TABLE: Final = "oauth_clients"
RETENTION: Final = timedelta(days=30)
"""Minimum time for which One Runtime keeps a retired client."""

MAX_CLIENT_ID: Final = 255
MAX_CLIENT_SECRET: Final = 10_000
MAX_SCOPES: Final = 200
_PRINTABLE: Final = re.compile(r"[ -~]*")
_LAST: Final = 4
_LONG_ENOUGH: Final = 12  # four characters would reveal too much of a shorter secret


class OAuthClientMissing(Conflict):
    """The operation needs an OAuth client, but no client is registered, or the registered client has no secret."""

    code = "oauth_client_missing"
    documentation = (
        "There is no OAuth client for this integration.",
        "Register a client.",
    )


class HostNotRegistered(InvalidInput):
    """The request would send a client's secret or field to a host that is not in the client's registration."""

    code = "host_not_registered"
    documentation = (
        "The provider's host is not in the `hosts` of the OAuth client.",
        "If the client is registered at this host, add the host to `hosts`.",
    )


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A stored OAuth client.

    `scopes`: the scopes to request; None for the integration's default scopes. `hosts`: the hosts that may receive the
    secret and the fields; empty if a built-in integration itself limits the hosts. `fields`: further values of the
    client that the integration defines, such as a developer token. `public_fields`: the names of the fields that were
    not secret at their registration. `version`: 1 for a new client. Each update adds 1.
    """

    id: str
    organization_id: str
    integration_slug: str
    client: ClientIdentity
    scopes: tuple[str, ...] | None
    hosts: tuple[str, ...]
    fields: Mapping[str, str] = field(repr=False)
    created_at: datetime
    updated_at: datetime
    retired_at: datetime | None = None
    version: int = 1
    public_fields: frozenset[str] = frozenset()

    def fields_of(self, auth: OAuth2Auth) -> dict[str, str]:
        """Return the values of the client fields that `auth` declares, without the client's id and secret."""
        return auth.client_fields(self.fields)

    def public_fields_of(self, auth: OAuth2Auth) -> dict[str, str]:
        """Return the values of the fields that are not secret. The authorization URL may contain these values.

        An organization can change a secret field of its custom integration to `secret: false`. So omit a field that
        was secret at the client's registration.
        """
        names = _public_names(auth)
        if self.integration_slug.startswith(CUSTOM):
            names &= self.public_fields
        return {name: value for name, value in self.fields_of(auth).items() if name in names}

    @property
    def secret_last_four(self) -> str | None:
        """Return the last four characters of the secret. Return None for a short secret.

        The API shows these characters, so that the owner recognizes the secret.
        """
        secret = self.client.client_secret
        return secret[-_LAST:] if secret is not None and len(secret) >= _LONG_ENOUGH else None


@dataclass(frozen=True, slots=True)
class NewOAuthClient:
    """An OAuth client to register.

    If `client_secret` is None, a registered client with the same `client_id` keeps its secret.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] | None = None
    hosts: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)


class _ClientRow(NamedTuple):
    id: str
    organization_id: str
    integration_slug: str
    client_id: str
    scopes: list[str] | None
    hosts: list[str]
    sealed: bytes
    key_id: str
    version: int
    created_at: datetime
    updated_at: datetime
    retired_at: datetime | None


class _ClientSlug(NamedTuple):
    integration_slug: str


_COLUMNS = tuple(clients.c[name] for name in _ClientRow._fields)
_OF_OWNER = clients.c.organization_id == bindparam("organization")
_SERVES = _OF_OWNER | (clients.c.organization_id == bindparam("instance"))
_ACTIVE = clients.c.retired_at.is_(None)
_SLUG = clients.c.integration_slug == bindparam("slug")
_OWN = select(*_COLUMNS).where(_OF_OWNER, _SLUG, _ACTIVE)
# The organization's own client comes first, because `INSTANCE` is the lowest UUID.
_FOR = select(*_COLUMNS).where(_SERVES, _SLUG, _ACTIVE).order_by(clients.c.organization_id.desc()).limit(1)
_BY_ID = select(*_COLUMNS).where(
    clients.c.id == bindparam("client"),
    _SERVES,
)
_ALL_OF = select(*_COLUMNS).where(_OF_OWNER, _ACTIVE).order_by(clients.c.integration_slug)
_SLUGS = select(clients.c.integration_slug).where(_SERVES, _ACTIVE)
_INSERT = insert(clients)
_UPDATE = (
    update(clients)
    .where(clients.c.id == bindparam("client"))
    .values(
        {name: bindparam(name) for name in ("scopes", "hosts", "sealed", "key_id", "version", "updated_at")},
    )
)
_RETIRE = (
    update(clients).where(_OF_OWNER, _SLUG, _ACTIVE).values(retired_at=bindparam("now"), updated_at=bindparam("now"))
)
_PURGE = batched_delete(
    clients,
    clients.c.retired_at < bindparam("before"),
    *(~exists().where(table.c.oauth_client_id == clients.c.id) for table in (credentials, revocations, consents)),
)


async def find_own(tx: Transaction, vault: Vault, organization_id: str, slug: str) -> OAuthClient | None:
    """Return the owner's active client for an integration, or None. The owner is an organization or the operator."""
    row = await tx.one(_OWN, _ClientRow, organization=organization_id, slug=slug)
    return _decrypt(vault, row) if row else None


async def find_to_retire(tx: Transaction, vault: Vault, organization_id: str, slug: str) -> OAuthClient | None:
    """Return the owner's active client, or None. If the secret and the fields cannot be decrypted, omit them.

    So an owner can delete a client whose encryption key is lost.
    """
    row = await tx.one(_OWN, _ClientRow, organization=organization_id, slug=slug)
    if row is None:
        return None
    try:
        return _decrypt(vault, row)
    except SealBroken:  # or its subclass KeyNotInRing
        return _client(row, ClientIdentity(row.client_id, None), {}, ())


async def require(
    tx: Transaction,
    vault: Vault,
    organization_id: str,
    integration: Integration,
    auth: OAuth2Auth,
    params: Mapping[str, str],
) -> OAuthClient | None:
    """Return the client for a new connection. `params`: values of the end user, such as a subdomain.

    If both the organization and the operator have a client, use the organization's client. Return None if each end user
    enters their own client.

    Raises: OAuthClientMissing; HostNotRegistered; InvalidInput for a missing parameter.
    """
    if auth.client.owner == "customer":
        return None
    row = await tx.one(_FOR, _ClientRow, organization=organization_id, instance=INSTANCE, slug=integration.slug)
    if row is None:
        raise OAuthClientMissing(f"No OAuth client is registered for {integration.name}.")
    client = _decrypt(vault, row)
    if _lacks_secret(auth, client.client.client_secret):
        raise OAuthClientMissing(f"The OAuth client for {integration.name} has no secret. Register the client again.")
    require_host(client, integration.name, auth, params)
    require_field_hosts(client, integration.name, auth, params)
    return client


async def get(tx: Transaction, vault: Vault, organization_id: str, client: str) -> OAuthClient:
    """Return an active or retired client by its id, if the organization or the operator owns the client.

    Raises: OAuthClientMissing.
    """
    row = await tx.one(_BY_ID, _ClientRow, organization=organization_id, instance=INSTANCE, client=client)
    if row is None:
        raise OAuthClientMissing("The OAuth client of this connection was deleted. Connect again.")
    return _decrypt(vault, row)


async def list_own(tx: Transaction, vault: Vault, organization_id: str) -> list[OAuthClient]:
    """Return the active clients of an organization or of the operator, ordered by integration."""
    return [_decrypt(vault, row) for row in await tx.all(_ALL_OF, _ClientRow, organization=organization_id)]


async def list_slugs(tx: Transaction, organization_id: str) -> frozenset[str]:
    """Return the slugs of integrations with an active client of the organization or of the operator."""
    rows = await tx.all(_SLUGS, _ClientSlug, organization=organization_id, instance=INSTANCE)
    return frozenset(row.integration_slug for row in rows)


async def put(
    tx: Transaction, vault: Vault, organization_id: str, integration: Integration, new: NewOAuthClient, now: datetime
) -> OAuthClient:
    """Register a client, or replace the present client.

    If the `client_id` is the same, update the present client. If the `client_id` differs, retire the present client.
    Existing connections continue to use a retired client. If all values are the present values, and `new` has no
    secret, store nothing. With the present secret, the client gets a new version, so that refreshes resume.

    Raises: InvalidInput, with the errors of the fields.
    """
    slug, auth = integration.slug, integration.oauth2
    if auth is None:
        raise InvalidInput(
            f"{integration.name} does not use oauth2, so it has no OAuth client. Available auth types: "
            f"{', '.join(integration.auth_types)}."
        )
    if auth.client.owner == "customer":
        raise InvalidInput(
            f"Each end user of {integration.name} enters their own OAuth client in the popup, so your organization "
            "registers no client."
        )
    present = await find_own(tx, vault, organization_id, slug)
    if present is not None and present.client.client_id != new.client_id:
        present = None
    kept = present if new.client_secret is None else None
    public_fields = _public_names(auth) & {*new.fields, *(kept.public_fields if kept is not None else ())}
    if kept is not None:
        new = replace(new, client_secret=kept.client.client_secret, fields={**kept.fields, **new.fields})
    new = replace(new, hosts=_hosts(new.hosts))
    _require_fit(integration, auth, new)
    if slug.startswith(CUSTOM) and not new.hosts:
        new = replace(new, hosts=secret_hosts(auth))  # a later definition must not send the secret to other hosts
    if kept is not None and not set(new.hosts) <= set(kept.hosts):
        raise InvalidInput.of("client_secret", "is required with a new host, because the host will receive the secret")
    client = OAuthClient(
        id=present.id if present is not None else new_id(),
        organization_id=organization_id,
        integration_slug=slug,
        client=ClientIdentity(new.client_id, new.client_secret),
        scopes=new.scopes,
        hosts=new.hosts,
        fields=new.fields,
        created_at=present.created_at if present is not None else now,
        updated_at=now,
        version=present.version + 1 if present is not None else 1,
        public_fields=public_fields,
    )
    if kept is not None and kept == replace(client, updated_at=kept.updated_at, version=kept.version):
        return kept
    columns = await seal(tx, vault, client)
    if present is not None:
        await tx.execute(_UPDATE, client=client.id, **columns)
    else:
        await tx.execute(_RETIRE, organization=organization_id, slug=slug, now=now)
        await tx.execute(_INSERT, **columns)
    return client


async def retire(tx: Transaction, organization_id: str, slug: str, now: datetime) -> None:
    """Retire a client, so that new connections cannot use the client. Raises: NotFound."""
    if not await tx.execute(_RETIRE, organization=organization_id, slug=slug, now=now):
        raise not_registered(slug)


async def purge(installation: Installation, retention: timedelta = RETENTION) -> int:
    """Delete clients that were retired more than `retention` ago. Return the number of deleted clients.

    Keep the clients that a connection, an authorization attempt or a pending revocation uses.
    """
    before = installation.clock() - retention
    return await run_in_batches(installation.database, _PURGE, before=before)


def not_registered(slug: str) -> NotFound:
    """Return the error for an integration without an OAuth client of the caller's organization."""
    path = f"/v1/integrations/{slug[:64]}/oauth-client"
    return NotFound(f"You have not registered an OAuth client for {slug[:64]!r}. Register a client with PUT {path}.")


def still_fits(client: OAuthClient, auth: OAuth2Auth) -> bool:
    """Return True if the changed definition of a custom integration still fits the registered client.

    The client must be registered for every host that receives the secret or a client field. No secret field may become
    public. Skip the check of the hosts if `can_list_hosts` is False. `require_host` and `require_field_hosts` then
    check the hosts of each request.
    """
    if not _public_names(auth) & client.fields.keys() <= client.public_fields:
        return False
    return not can_list_hosts(auth) or set(secret_hosts(auth)) <= set(client.hosts)


def require_host(client: OAuthClient, integration: str, auth: OAuth2Auth, known: Mapping[str, str]) -> None:
    """Check that the client's registration lists each host that would receive the client's secret (P7).

    Raises: HostNotRegistered; InvalidInput for a value that is missing.
    """
    _require_hosts(client, integration, auth, auth.secret_urls(), known)


def require_field_hosts(client: OAuthClient, integration: str, auth: OAuth2Auth, known: Mapping[str, str]) -> None:
    """Check that the client's registration lists each API host that would receive a client field (P7).

    Skip each URL whose host contains an unknown value. One Runtime cannot send a request to such a URL.

    Raises: HostNotRegistered.
    """
    urls = [url for url in auth.field_urls if known.keys() >= set(names_in(url.authority))]
    _require_hosts(client, integration, auth, urls, known)


def _require_hosts(
    client: OAuthClient, integration: str, auth: OAuth2Auth, urls: Iterable[UrlTemplate], known: Mapping[str, str]
) -> None:
    if not auth.names_hosts and not client.integration_slug.startswith(CUSTOM):
        return
    for url in urls:
        host = urlsplit(resolve_url(f"{url.scheme}://{url.authority}", known)).netloc
        if host not in client.hosts:
            raise HostNotRegistered(f"The OAuth client for {integration} was not registered for the host {host}.")


def _public_names(auth: OAuth2Auth) -> frozenset[str]:
    return frozenset(part.name for part in auth.client.fields if not part.secret)


async def seal(tx: Transaction, vault: Vault, client: OAuthClient) -> dict[str, object]:
    """Return the columns of a client's row, with the secret and the fields encrypted."""
    secret = {
        "client_secret": client.client.client_secret,
        "fields": dict(client.fields),
        "public_fields": sorted(client.public_fields),
    }
    context = SealContext(TABLE, client.id, client.version)
    sealed = await key_ring.seal(tx, vault, client.organization_id, json.dumps(secret).encode(), context)
    columns = {name: getattr(client, name) for name in _ClientRow._fields if name in OAuthClient.__dataclass_fields__}
    return columns | {"client_id": client.client.client_id, "sealed": sealed.data, "key_id": sealed.key_id}


def _decrypt(vault: Vault, row: _ClientRow) -> OAuthClient:
    context = SealContext(TABLE, row.id, row.version)
    secret = json.loads(vault.open(row.organization_id, Sealed(row.key_id, row.sealed), context))
    identity = ClientIdentity(row.client_id, secret["client_secret"])
    return _client(row, identity, secret["fields"], secret.get("public_fields", ()))


def _client(
    row: _ClientRow, identity: ClientIdentity, fields: Mapping[str, str], public_fields: Iterable[str]
) -> OAuthClient:
    return OAuthClient(
        id=row.id,
        organization_id=row.organization_id,
        integration_slug=row.integration_slug,
        client=identity,
        scopes=tuple(row.scopes) if row.scopes is not None else None,
        hosts=tuple(row.hosts),
        fields=fields,
        created_at=row.created_at,
        updated_at=row.updated_at,
        retired_at=row.retired_at,
        version=row.version,
        public_fields=frozenset(public_fields),
    )


def _hosts(values: Collection[str]) -> tuple[str, ...]:
    """Return the hosts in lower case, without duplicates. A value can also be a URL. Raises: InvalidInput."""
    if len(values) > MAX_HOSTS:
        raise InvalidInput.of("hosts", f"must have at most {MAX_HOSTS} hosts")
    hosts = []
    for value in values:
        try:
            host = urlsplit(value if "//" in value else f"//{value}").netloc.lower()
        except ValueError:
            host = ""
        if not is_authority(host):
            raise InvalidInput.of("hosts", f"{value[:100]!r} must be a host, such as acme.example.com")
        hosts.append(host)
    return tuple(dict.fromkeys(hosts))


def _require_fit(integration: Integration, auth: OAuth2Auth, new: NewOAuthClient) -> None:
    """Check that a client has all values that the integration requires. Raises: InvalidInput."""
    errors = _identity_errors(new)
    if _lacks_secret(auth, new.client_secret):
        message = f"is required: the secret that {integration.name} shows for this client_id"
        errors.append(FieldError("client_secret", message))
    errors += [*_field_errors(auth, new), *_host_errors(integration, auth, new)]
    if new.scopes is not None and len(new.scopes) > MAX_SCOPES:
        errors.append(FieldError("scopes", f"must have at most {MAX_SCOPES} scopes"))
    elif new.scopes is not None:
        errors += [FieldError("scopes", message) for message in check_scopes(auth.scopes, new.scopes)]
    if errors:
        raise InvalidInput.of_all(errors)


def _identity_errors(new: NewOAuthClient) -> list[FieldError]:
    """Refuse characters that RFC 6749 (A.1, A.2) does not allow, such as the "…" of an example in the documentation."""
    errors = [] if new.client_id else [FieldError("client_id", "must not be blank")]
    values = {"client_id": new.client_id, "client_secret": new.client_secret or ""}
    limited = [("client_id", MAX_CLIENT_ID), ("client_secret", MAX_CLIENT_SECRET)]
    errors += [
        FieldError(name, f"must be at most {limit} characters") for name, limit in limited if len(values[name]) > limit
    ]
    message = "must contain only printable ASCII characters. Copy the value from the provider's page"
    return errors + [FieldError(name, message) for name, value in values.items() if _PRINTABLE.fullmatch(value) is None]


def _lacks_secret(auth: OAuth2Auth, client_secret: str | None) -> bool:
    """Return True if the provider authenticates OAuth clients, and the client has no secret."""
    return client_secret is None and (auth.token.auth != "none" or bool(auth.authorization.callback_signature))


def _field_errors(auth: OAuth2Auth, new: NewOAuthClient) -> list[FieldError]:
    known = {part.name: part for part in auth.client.fields}
    missing = [name for name, part in known.items() if not part.optional and not new.fields.get(name)]
    names = f"The fields are: {', '.join(known)}" if known else "This integration needs no fields. Leave out fields"
    unknown = f"is not a field of this OAuth client. {names}"
    return [
        *(FieldError(f"fields.{name}", f"is required: {known[name].label}. {known[name].where}") for name in missing),
        *(FieldError(f"fields.{name}", unknown) for name in sorted(set(new.fields) - set(known))),
    ]


def _host_errors(integration: Integration, auth: OAuth2Auth, new: NewOAuthClient) -> list[FieldError]:
    must_name_hosts = names_hosts(integration.slug, auth)
    if must_name_hosts and not new.hosts:
        return [FieldError("hosts", "is required. List the provider's hosts; only these hosts receive the secret")]
    if new.hosts and not must_name_hosts:
        message = f"must be left out: the definition of {integration.name} sets the hosts that receive the secret"
        return [FieldError("hosts", message)]
    return []
