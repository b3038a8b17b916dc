"""Define all Prometheus metrics of One Runtime (docs/observability.md).

Each label has few values. No label contains an end user, an organization, an IP address or a host. A single process
keeps its metrics in memory. Several server processes (workers) keep their metrics in files, and `metrics_server`
combines the values of all workers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from time import perf_counter
from typing import Final, ParamSpec, TypeAlias, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from one_runtime.errors import OneRuntimeError

REGISTRY: Final = CollectorRegistry()
"""A separate registry, because the library's global registry can contain metrics of other applications."""

P = ParamSpec("P")
T = TypeVar("T")

OTHER: Final = "other"

CUSTOM_SLUGS: Final = 100
"""Maximum number of custom integrations (`x-…`) that have a label of their own, in each process."""

_REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_EGRESS_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

request_duration: Final = Histogram(
    "one_runtime_http_request_duration_seconds",
    "Time from the start of a request to the end of its response.",
    ["method", "route", "status"],
    registry=REGISTRY,
    buckets=_REQUEST_BUCKETS,
)
requests_in_flight: Final = Gauge(
    "one_runtime_http_requests_in_flight",
    "Requests in progress, updated once a second.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
errors: Final = Counter("one_runtime_errors", "Error responses, by error code.", ["code"], registry=REGISTRY)
egress_requests: Final = Counter(
    "one_runtime_egress_requests",
    "Requests to providers, by outcome.",
    ["integration", "outcome"],
    registry=REGISTRY,
)
egress_duration: Final = Histogram(
    "one_runtime_egress_request_duration_seconds",
    "Duration of requests to providers. A request ends with the end of its response, or with a failure.",
    ["integration"],
    registry=REGISTRY,
    buckets=_EGRESS_BUCKETS,
)
credential_checks: Final = Counter(
    "one_runtime_credential_checks",
    "Checks of credentials at the provider, by result.",
    ["integration", "result"],
    registry=REGISTRY,
)
token_requests: Final = Counter(
    "one_runtime_token_requests",
    "Requests to providers' token endpoints, by grant and result.",
    ["integration", "grant", "result"],
    registry=REGISTRY,
)
connections: Final = Gauge(
    "one_runtime_connections",
    "Connections of all organizations, by status. One process of a server counts the connections.",
    ["status"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
refreshes_overdue: Final = Gauge(
    "one_runtime_refreshes_overdue",
    "Token refreshes whose due time has passed, by state. One process of a server counts at most 100,000 refreshes.",
    ["state"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
oldest_overdue: Final = Gauge(
    "one_runtime_refresh_overdue_oldest_seconds",
    "Time since the earliest due time of the overdue refreshes, or 0 without overdue refreshes.",
    ["state"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
token_hosts_paused: Final = Gauge(
    "one_runtime_token_hosts_paused",
    "Token hosts of an integration at which a process has paused the background refreshes, because the host fails. "
    "If no refresh at the host was due for 15 minutes, the host does not count. With several processes, the largest "
    "value.",
    ["integration"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
token_commits: Final = Histogram(
    "one_runtime_token_commit_duration_seconds",
    "Time from the receipt of new tokens to their commit. A crash in this time loses the tokens.",
    registry=REGISTRY,
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0),
)
sessions: Final = Counter(
    "one_runtime_hosted_connection_sessions",
    "Hosted connection sessions, counted at their creation and at their end, by state.",
    ["state"],
    registry=REGISTRY,
)
events: Final = Counter(
    "one_runtime_events", "Committed events of the audit log, by type.", ["type", "integration"], registry=REGISTRY
)
agent_tool_calls: Final = Counter(
    "one_runtime_agent_tool_calls", "Calls of the tools of agents, by outcome.", ["tool", "outcome"], registry=REGISTRY
)
agent_runs: Final = Counter("one_runtime_agent_runs", "Programs of agents, by outcome.", ["outcome"], registry=REGISTRY)
webhook_attempts: Final = Counter(
    "one_runtime_webhook_attempts",
    "Attempts to send a webhook, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
webhook_endpoints: Final = Gauge(
    "one_runtime_webhook_endpoints",
    "Webhook endpoints of all organizations, by state. One process of a server counts the endpoints.",
    ["state"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
oldest_webhook: Final = Gauge(
    "one_runtime_webhook_overdue_oldest_seconds",
    "Time since the earliest due time of the webhooks that a server can send now, or 0 without due webhooks.",
    ["lane"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
worker_tasks: Final = Summary(
    "one_runtime_worker_task_duration_seconds",
    "Duration of the runs of background tasks, by task and result.",
    ["task", "result"],
    registry=REGISTRY,
)
worker_done: Final = Counter(
    "one_runtime_worker_done", "Items that background tasks handled, such as deleted rows.", ["task"], registry=REGISTRY
)
worker_last_success: Final = Gauge(
    "one_runtime_worker_last_success_timestamp_seconds",
    "Time of a background task's last success, or 0 before the first success. With several processes, the earliest "
    "time.",
    ["task"],
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
clock_skew: Final = Gauge(
    "one_runtime_clock_skew_seconds",
    "Seconds by which the database's clock is ahead of the process's clock. Each process measures this difference "
    "every 15 seconds. With several processes, the largest value.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
unconfirmed_copy: Final = Gauge(
    "one_runtime_unconfirmed_copy",
    "1 if the server uses a copy of the database that the operator has not confirmed, otherwise 0. With several "
    "processes, the largest value.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
database_connections: Final = Gauge(
    "one_runtime_database_connections",
    "Open connections to PostgreSQL, by state.",
    ["state"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
database_connections_max: Final = Gauge(
    "one_runtime_database_connections_max",
    "Maximum number of connections to PostgreSQL.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
database_waiting: Final = Gauge(
    "one_runtime_database_waiting",
    "Transactions and reads that wait for a connection to PostgreSQL.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
requests_unlogged: Final = Counter(
    "one_runtime_requests_unlogged",
    "Proxy calls that are missing from the request log. The database was unavailable for too long, or a bug occurred.",
    registry=REGISTRY,
)
vault_failures: Final = Counter(
    "one_runtime_vault_failures", "Failures to encrypt or decrypt a secret, by error code.", ["code"], registry=REGISTRY
)


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Use of a connection pool. `most`: maximum number of connections. `waiting`: tasks that wait for a connection."""

    in_use: int
    idle: int
    most: int
    waiting: int


for _code in ("seal_broken", "key_not_in_ring"):  # an alert on an increase needs a time series that starts at zero
    vault_failures.labels(_code)
for _state in ("created", "connected", "failed", "cancelled", "expired"):
    sessions.labels(_state)


Duration: TypeAlias = Histogram


def duration_of(route: str, method: str, status: int) -> Duration:
    """Return the histogram for requests with these labels. Callers cache the result, because the look-up is slow."""
    return request_duration.labels(method, route, f"{status // 100}xx" if status else "cancelled")


_custom_slugs: Final[set[str]] = set()
"""Slugs of the custom integrations that have a label of their own in this process."""


def integration_label(slug: object) -> str:
    """Return the slug of an integration, or `other` for a custom integration after the first `CUSTOM_SLUGS` slugs.

    Organizations choose the slugs of custom integrations, so the number of slugs has no other limit.
    """
    label = str(slug)
    if not label.startswith("x-") or label in _custom_slugs:
        return label
    if len(_custom_slugs) >= CUSTOM_SLUGS:
        return OTHER
    _custom_slugs.add(label)
    return label


def counting_failures(call: Callable[P, T]) -> Callable[P, T]:
    """Wrap a function of the vault, and count its errors by code."""

    @wraps(call)
    def counted(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except OneRuntimeError as error:
            vault_failures.labels(error.code).inc()
            raise

    return counted


@contextmanager
def credential_check(slug: str) -> Iterator[None]:
    """Count a credential check by its result: `accepted`, an error code, or `other`."""
    result = OTHER
    try:
        yield
        result = "accepted"
    except OneRuntimeError as error:
        result = error.code
        raise
    finally:
        credential_checks.labels(integration_label(slug), result).inc()


@contextmanager
def token_commit() -> Iterator[None]:
    """Measure how long new tokens exist only in memory."""
    begun = perf_counter()
    yield
    token_commits.observe(perf_counter() - begun)


class TokenRequest:
    """Result of a request to a token endpoint."""

    result: str = OTHER


@contextmanager
def token_request(slug: str, grant: str) -> Iterator[TokenRequest]:
    """Count a request to a token endpoint by its result: `granted`, an error code, or `other`."""
    request = TokenRequest()
    try:
        yield request
    finally:
        token_requests.labels(integration_label(slug), grant, request.result).inc()


class TaskRun:
    """Number of items that a run of a background task handled."""

    done: int = 0


@contextmanager
def worker_task(name: str) -> Iterator[TaskRun]:
    """Measure one run of a background task. The `with` block sets `done`."""
    begun, task_run, result = perf_counter(), TaskRun(), "failed"
    worker_last_success.labels(name)  # for alerts, create the series with the value 0
    try:
        yield task_run
        result = "done"
        worker_done.labels(name).inc(task_run.done)
        worker_last_success.labels(name).set_to_current_time()
    finally:
        worker_tasks.labels(name, result).observe(perf_counter() - begun)
