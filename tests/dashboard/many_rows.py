"""One organization with very many rows, for tests of the time that a page needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.rows import Table
from benchmarks.seed import insert_rows
from one_runtime.catalog.loader import load_catalog
from one_runtime.clock import rfc3339
from one_runtime.proxy.usage import ALL, HOUR, start_of_hour

Cells = Iterator[tuple[object, ...]]

INTEGRATIONS: Final = 20
SLUGS: Final = [integration.slug for integration in load_catalog().integrations[:: 600 // INTEGRATIONS]][:INTEGRATIONS]
"""The integrations of the connections."""

DAYS: Final = 30
"""Days of usage by hour."""

_RETENTION: Final = timedelta(days=7)
_SEALED: Final = b"\x01" + bytes(120)
_EVENT_DATA: Final = '{"integration_slug": "%s", "reason": "invalid_grant"}'
_ERROR: Final = (
    '{"code": "invalid_grant", "message": "The provider answered: Token has been expired or revoked.", "at": "%s"}'
)


@dataclass(frozen=True, slots=True)
class ManyRows:
    """Numbers of rows. Each end user has one connection, but the end user `user_0` has twenty.

    The other tables have rows in proportion: two events for each connection, and a delivery for each event.
    """

    organization_id: str
    key_id: str
    now: datetime
    connections: int
    requests: int

    def insert(self, url: str) -> None:
        """Insert the rows into a database in which the organization and the encryption key exist."""
        insert_rows(url, self.tables(), "requests")

    def tables(self) -> Iterator[Table]:
        """Return all tables. A table follows the tables to which its foreign keys refer."""
        yield "end_users", _END_USERS, self._end_users()
        yield "connections", _CONNECTIONS, self._connections()
        yield "credentials", _CREDENTIALS, self._credentials()
        yield "events", _EVENTS, self._events()
        yield "webhook_endpoints", _ENDPOINTS, self._endpoints()
        yield "webhook_deliveries", _DELIVERIES, self._deliveries()
        yield "usage_hours", _USAGE, self._usage()
        yield "requests", _REQUESTS, self._requests()

    def connection_id(self, number: int) -> str:
        """Return the id of a connection. A higher number is a newer connection."""
        return _id(self.now - timedelta(days=60) + number * timedelta(days=60) / self.connections, 0xC, number)

    def _end_users(self) -> Cells:
        created = rfc3339(self.now - timedelta(days=60))
        for number in range(self.connections):
            email = f"person.{number}@customer.example"
            yield self.organization_id, f"user_{number}", f"Person {number}", email, created, created

    def _connections(self) -> Cells:
        at = rfc3339(self.now - timedelta(hours=3))
        for number in range(self.connections):
            end_user = "user_0" if number % (self.connections // 19) == 0 else f"user_{number}"
            is_refused = number % 100 == 99
            status, error = ("needs_reauth", _ERROR % at) if is_refused else ("active", None)
            slug, label = SLUGS[number % INTEGRATIONS], f"person.{number}@provider.example"
            yield (
                self.connection_id(number), self.organization_id, end_user, slug, slug.title(), "oauth2", status, error,
                f"account-{number}", label, "{}", '["contacts.read", "contacts.write"]', "[]", "{}", at, at, at, None,
            )  # fmt: skip

    def _credentials(self) -> Cells:
        due = rfc3339(self.now + timedelta(hours=1))
        for number in range(self.connections):
            failures = "3" if number % 50 == 49 else "0"
            yield self.connection_id(number), self.organization_id, _SEALED, self.key_id, "1", due, failures

    def _events(self) -> Cells:
        for number in range(2 * self.connections):
            at = self._event_time(number)
            kind = ("connection.created", "connection.needs_reauth")[number % 2]
            connection = number // 2
            data = _EVENT_DATA % SLUGS[connection % INTEGRATIONS]
            yield (
                self._event_id(number), self.organization_id, kind, rfc3339(at), "system", None, None,
                f"user_{connection}", self.connection_id(connection), data, None, str(number + 1),
            )  # fmt: skip

    def _event_time(self, number: int) -> datetime:
        return self.now - timedelta(days=60) + number * timedelta(days=60) / (2 * self.connections)

    def _event_id(self, number: int) -> str:
        return _id(self._event_time(number), 0xE, number)

    def _endpoints(self) -> Cells:
        now = rfc3339(self.now)
        for number in range(20):
            failing, attempts = (now, "4") if number % 5 == 0 else (None, "0")
            yield (
                _id(self.now, 0xF, number), self.organization_id, "push", f"https://hooks.example/{number}", "", "[]",
                "active", "0", failing, attempts, now, now,
            )  # fmt: skip

    def _deliveries(self) -> Cells:
        for number in range(2 * self.connections):
            settled = rfc3339(self._event_time(number))
            endpoint = _id(self.now, 0xF, number % 20)
            yield self._event_id(number), endpoint, self.organization_id, "delivered", "1", "0", "0", "200", settled

    def _usage(self) -> Cells:
        start = start_of_hour(self.now) - (DAYS * 24 - 1) * HOUR
        for hour in range(DAYS * 24):
            for number, slug in enumerate(SLUGS):
                for source in ("proxy", "agent"):
                    failures = "200" if number == 0 else "2"
                    numbers = ("1000", failures, "180000", "4200", "100000", "900000")
                    yield self.organization_id, rfc3339(start + hour * HOUR), slug, source, *numbers
            total = ("40000", "476", "7200000", "4200", "4000000", "36000000")
            yield self.organization_id, rfc3339(start + hour * HOUR), ALL, "hour", *total
        for day in {(start + hour * HOUR).replace(hour=0) for hour in range(DAYS * 24)}:
            yield self.organization_id, rfc3339(day), ALL, "day", "960000", "11424", "172800000", "4200", "1", "1"

    def _requests(self) -> Cells:
        """Yield the calls of a week. The loop computes with integers, because it takes most of the builder's time."""
        connections = [
            (f"user_{number}", self.connection_id(number), SLUGS[number % INTEGRATIONS])
            for number in range(self.connections)
        ]
        week = int(_RETENTION.total_seconds() * 1000)
        start, before, second = int(self.now.timestamp() * 1000) - week, 0, ""
        for number in range(self.requests):
            at = start + number * week // self.requests
            if at // 1000 != before:
                before = at // 1000
                second = rfc3339(datetime.fromtimestamp(before, UTC))[:-4]
            end_user, connection, slug = connections[number * 7919 % self.connections]
            status, error = ("200", None) if number % 50 else ("502", "upstream_timeout")
            identifier = f"{at >> 16:08x}-{at & 0xFFFF:04x}-7{number & 0xFFF:03x}-8a00-{number:012x}"
            yield (
                identifier, self.organization_id, f"{second}{at % 1000:03d}Z", end_user, connection, slug, "GET",
                "/v3/contacts/search", status, error, "1", "120", "2048", "184", "171", None, identifier,
            )  # fmt: skip


def _id(at: datetime, kind: int, number: int) -> str:
    """Return a UUID version 7 of this time. `kind` keeps the ids of tables apart."""
    milliseconds = f"{int(at.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7{number & 0xFFF:03x}-8{kind:x}00-{number:012x}"


_END_USERS: Final = ("organization_id", "end_user_id", "name", "email", "created_at", "updated_at")
_CONNECTIONS: Final = (
    "id", "organization_id", "end_user_id", "integration_slug", "name", "auth_type", "status", "error", "account_id",
    "account_label", "params", "scopes", "missing_scopes", "metadata", "created_at", "updated_at", "last_used_at",
    "expires_at",
)  # fmt: skip
_CREDENTIALS: Final = (
    "connection_id", "organization_id", "sealed", "key_id", "version", "refresh_due_at", "failures",
)  # fmt: skip
_EVENTS: Final = (
    "id", "organization_id", "type", "occurred_at", "actor_type", "actor_id", "address", "end_user_id", "connection_id",
    "data", "request_id", "position",
)  # fmt: skip
_ENDPOINTS: Final = (
    "id", "organization_id", "kind", "url", "description", "include", "status", "lane", "failing_since",
    "failed_attempts", "created_at", "updated_at",
)  # fmt: skip
_DELIVERIES: Final = (
    "event_id", "endpoint_id", "organization_id", "status", "attempts", "failures", "lane", "response_status",
    "settled_at",
)  # fmt: skip
_USAGE: Final = (
    "organization_id", "hour", "integration_slug", "source", "calls", "failures", "duration_ms_sum", "duration_ms_max",
    "request_bytes", "response_bytes",
)  # fmt: skip
_REQUESTS: Final = (
    "id", "organization_id", "at", "end_user_id", "connection_id", "integration_slug", "method", "path", "status",
    "error", "attempts", "request_bytes", "response_bytes", "duration_ms", "upstream_ms", "api_key_id", "request_id",
)  # fmt: skip
