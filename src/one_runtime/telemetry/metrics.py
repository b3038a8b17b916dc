"""Prometheus metrics of One Runtime, all in this file (docs/observability.md).

Labels are bounded and identify no person: no end user, organization, address or host. The values are in the memory of
this process or, with several workers, in files that `metrics_server` adds up.
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
"""Not the library's global registry, so that an application that embeds us keeps its metrics apart."""

P = ParamSpec("P")
T = TypeVar("T")

OTHER: Final = "other"

_REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_EGRESS_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

request_duration: Final = Histogram(
    "one_runtime_http_request_duration_seconds",
    "Time from a request to the end of its answer.",
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
errors: Final = Counter(
    "one_runtime_errors", "Requests answered with an error, by its stable code.", ["code"], registry=REGISTRY
)
egress_requests: Final = Counter(
    "one_runtime_egress_requests",
    "Requests to providers: answered by a class of status, or failed with a code of ours.",
    ["integration", "outcome"],
    registry=REGISTRY,
)
egress_duration: Final = Histogram(
    "one_runtime_egress_request_duration_seconds",
    "Time from a request to a provider to the end of its answer, or to its failure.",
    ["integration"],
    registry=REGISTRY,
    buckets=_EGRESS_BUCKETS,
)
credential_checks: Final = Counter(
    "one_runtime_credential_checks",
    "Credentials that a provider was asked about.",
    ["integration", "result"],
    registry=REGISTRY,
)
token_requests: Final = Counter(
    "one_runtime_token_requests",
    "Requests to providers' token endpoints, by what was presented, and how they ended.",
    ["integration", "grant", "result"],
    registry=REGISTRY,
)
token_commits: Final = Histogram(
    "one_runtime_token_commit_duration_seconds",
    "Time from a provider's new tokens until they are committed: a crash in between loses them.",
    registry=REGISTRY,
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0),
)
sessions: Final = Counter(
    "one_runtime_hosted_connection_sessions", "Sessions made, and how they ended.", ["state"], registry=REGISTRY
)
events: Final = Counter(
    "one_runtime_events", "Events recorded, once they are committed.", ["type", "integration"], registry=REGISTRY
)
worker_tasks: Final = Summary(
    "one_runtime_worker_task_duration_seconds",
    "Runs of background tasks, and the time they took.",
    ["task", "result"],
    registry=REGISTRY,
)
worker_done: Final = Counter(
    "one_runtime_worker_done", "What runs of background tasks did, such as rows deleted.", ["task"], registry=REGISTRY
)
worker_last_success: Final = Gauge(
    "one_runtime_worker_last_success_timestamp_seconds",
    "When a background task last succeeded, 0 where it never did; of several processes, the one for which that "
    "is longest ago.",
    ["task"],
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
clock_skew: Final = Gauge(
    "one_runtime_clock_skew_seconds",
    "Seconds by which the database's clock is ahead of the process's, by its last heartbeat; of several processes, the "
    "largest.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
database_connections: Final = Gauge(
    "one_runtime_database_connections",
    "Connections to PostgreSQL.",
    ["state"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
database_connections_max: Final = Gauge(
    "one_runtime_database_connections_max",
    "Connections to PostgreSQL that there may be.",
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
    "Calls through the proxy that are missing from the log of requests: the database was away for too long.",
    registry=REGISTRY,
)
vault_failures: Final = Counter(
    "one_runtime_vault_failures", "Secrets that could not be sealed or opened.", ["code"], registry=REGISTRY
)


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Use of a connection pool: connections in use, idle, and allowed; and tasks that wait for a connection."""

    in_use: int
    idle: int
    most: int
    waiting: int


for _code in ("seal_broken", "key_not_in_ring"):  # an alert on an increase needs a first value of zero
    vault_failures.labels(_code)
for _state in ("created", "connected", "failed", "cancelled", "expired"):
    sessions.labels(_state)


Duration: TypeAlias = Histogram


def duration_of(route: str, method: str, status: int) -> Duration:
    """Return the histogram that times requests with these labels; its look-up is not cheap, so callers keep it."""
    return request_duration.labels(method, route, f"{status // 100}xx" if status else "cancelled")


def integration_label(slug: object) -> str:
    """Return the slug of a built-in integration; custom integrations (`x-…`) share one label."""
    return "custom" if str(slug).startswith("x-") else str(slug)


def counting_failures(call: Callable[P, T]) -> Callable[P, T]:
    """Count the errors that a function of the vault raises, by code."""

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
    """Time how long new tokens exist in memory only."""
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
    """Time a run of a background task; the block sets `done`."""
    begun, task_run, result = perf_counter(), TaskRun(), "failed"
    worker_last_success.labels(name)  # creates the series with the value 0, for alerts
    try:
        yield task_run
        result = "done"
        worker_done.labels(name).inc(task_run.done)
        worker_last_success.labels(name).set_to_current_time()
    finally:
        worker_tasks.labels(name, result).observe(perf_counter() - begun)
