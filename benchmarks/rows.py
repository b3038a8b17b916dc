"""Realistic rows: organizations with an API key, end users, connections, and random bytes as sealed credentials."""

import json
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from one_runtime.catalog.loader import load_catalog
from one_runtime.clock import rfc3339
from one_runtime.db.ids import new_id
from one_runtime.encryption import secret_tokens
from one_runtime.tenancy.api_keys import DEFAULT_SCOPES

NewDatabase: TypeAlias = Callable[[str], str]
"""Creates an empty database with a name and returns its URL."""
Table: TypeAlias = tuple[str, Sequence[str], Iterator[tuple[object, ...]]]
"""The name of a table, its columns and its rows. Both databases accept the values, which are text or bytes."""

CONNECTIONS_OF_A_USER: Final = 5
ORGANIZATIONS: Final = 100
OFFERED: Final = 24
"""Number of integrations that every second organization offers. The others offer all."""
_CHOICES: Final = 997  # number of different sets of integrations
_NEEDS_REAUTH: Final = 0.05
_SEALED_BYTES: Final = 120
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_NAMES: Final = ("Ada", "Bruno", "Chiyo", "Dara", "Elif", "Femi", "Grace", "Hugo", "Ines", "Jonas")


@dataclass(frozen=True, slots=True)
class Target:
    """Target of a request: an API key, and an end user of the key's organization."""

    token: str
    end_user_id: str


class Rows:
    """The rows of one database. Two runs of the same size differ only in ids and secrets."""

    def __init__(self, connections: int, key_id: str) -> None:
        self._connections, self._key_id = connections, key_id
        self._users = max(1, connections // CONNECTIONS_OF_A_USER)
        self._organizations = [new_id() for _ in range(min(ORGANIZATIONS, self._users))]
        self._tokens = [secret_tokens.make(secret_tokens.API_KEY) for _ in self._organizations]
        integrations = load_catalog().integrations
        slugs = [integration.slug for integration in integrations]
        # without an OAuth client, an end user could not connect the others
        with_keys = [each.slug for each in integrations if any(auth.type in {"api_key", "basic"} for auth in each.auth)]
        self._offered = with_keys[:OFFERED]
        self._random = random.Random(connections)
        self._choices = [self._random.sample(slugs, CONNECTIONS_OF_A_USER) for _ in range(_CHOICES)]
        self._ids: list[tuple[str, str]] = []

    def targets(self, most: int, *, few: bool = False) -> list[Target]:
        """Return at most `most` random end users. With `few`, of organizations that offer only `OFFERED` integrations.

        The end users are connected to integrations that their organization does not offer too.
        """
        users = range(1 if few else 0, self._users, 2)
        chosen = self._random.sample(users, min(most, len(users)))
        return [Target(self._tokens[user % len(self._tokens)].secret, _end_user_id(user)) for user in chosen]

    def tables(self) -> Iterator[Table]:
        """Return all tables. A table follows the tables to which its foreign keys refer."""
        yield "key_ring", ("key_id", "created_at"), iter([(self._key_id, rfc3339(_START))])
        yield "organizations", _ORGANIZATION_COLUMNS, self._organization_rows()
        yield "api_keys", _KEY_COLUMNS, self._key_rows()
        yield "end_users", _USER_COLUMNS, self._user_rows()
        yield "connections", _CONNECTION_COLUMNS, self._connection_rows()
        yield "credentials", _CREDENTIAL_COLUMNS, self._credential_rows()

    def _organization_of(self, user: int) -> str:
        return self._organizations[user % len(self._organizations)]

    def _organization_rows(self) -> Iterator[tuple[object, ...]]:
        now = rfc3339(_START)
        for number, organization in enumerate(self._organizations):
            site = f"https://customer-{number}.example.com"
            mode, slugs = ("listed", json.dumps(self._offered)) if number % 2 else ("all", "[]")
            name, logo = f"Customer {number}", f"{site}/logo.svg"
            yield organization, name, logo, f'["{site}"]', "[]", mode, slugs, now, now

    def _key_rows(self) -> Iterator[tuple[object, ...]]:
        scopes = "[" + ",".join(f'"{scope}"' for scope in DEFAULT_SCOPES) + "]"
        for organization, token in zip(self._organizations, self._tokens, strict=True):
            yield new_id(), organization, "backend", token.prefix, token.hash, scopes, rfc3339(_START)

    def _user_rows(self) -> Iterator[tuple[object, ...]]:
        now = rfc3339(_START)
        for user in range(self._users):
            name = f"{_NAMES[user % len(_NAMES)]} {user}"
            yield self._organization_of(user), _end_user_id(user), name, f"user.{user}@example.com", now, now

    def _connection_rows(self) -> Iterator[tuple[object, ...]]:
        # Rows are ordered by creation time, so the rows of one end user are far apart, as in production.
        step = timedelta(days=300) / self._connections
        for number in range(self._connections):
            round_, user = divmod(number, self._users)
            slug = self._choices[user % len(self._choices)][round_ % CONNECTIONS_OF_A_USER]
            organization, end_user, connection = self._organization_of(user), _end_user_id(user), new_id()
            self._ids.append((connection, organization))
            moment = rfc3339(_START + step * number)
            status = "needs_reauth" if self._random.random() < _NEEDS_REAUTH else "active"
            account = (f"acct-{number}", f"Account {number} of {end_user}")
            rest = ("{}", "[]", "[]", "{}", moment, moment)
            yield connection, organization, end_user, slug, slug.title(), "api_key", status, *account, *rest

    def _credential_rows(self) -> Iterator[tuple[object, ...]]:
        noise = secrets.token_bytes(64 * 1024)
        for number, (connection, organization) in enumerate(self._ids):
            start = number % (len(noise) - _SEALED_BYTES)
            yield connection, organization, b"\x01" + noise[start : start + _SEALED_BYTES], self._key_id, "1"


def _end_user_id(user: int) -> str:
    return f"user_{user}"


_ORGANIZATION_COLUMNS: Final = (
    "id",
    "display_name",
    "logo_url",
    "allowed_origins",
    "return_urls",
    "integrations_mode",
    "integrations_slugs",
    "created_at",
    "updated_at",
)
_KEY_COLUMNS: Final = ("id", "organization_id", "name", "prefix", "secret_hash", "scopes", "created_at")
_USER_COLUMNS: Final = ("organization_id", "end_user_id", "name", "email", "created_at", "updated_at")
_CONNECTION_COLUMNS: Final = (
    "id",
    "organization_id",
    "end_user_id",
    "integration_slug",
    "name",
    "auth_type",
    "status",
    "account_id",
    "account_label",
    "params",
    "scopes",
    "missing_scopes",
    "metadata",
    "created_at",
    "updated_at",
)
_CREDENTIAL_COLUMNS: Final = ("connection_id", "organization_id", "sealed", "key_id", "version")
