"""What is counted and timed, for Prometheus: every metric of ours stands on this page (docs/observability.md).

Labels are bounded and say nothing of people: no end user, no organization, no address, no host. The values live in
this process, or, where several serve, in files that `metrics_listener` adds up.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from time import perf_counter
from typing import Final, ParamSpec, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from one_runtime.errors import OneRuntimeError

REGISTRY: Final = CollectorRegistry()
"""Ours alone, and not the library's own: an application that embeds us keeps its metrics apart."""

P = ParamSpec("P")
T = TypeVar("T")

OTHER: Final = "other"

REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_EGRESS_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

request_duration: Final = Histogram(
    "one_runtime_http_request_duration_seconds",
    "Time from a request to the end of its answer.",
    ["method", "route", "status"],
    registry=REGISTRY,
    buckets=REQUEST_BUCKETS,
)
requests_in_flight: Final = Gauge(
    "one_runtime_http_requests_in_flight",
    "Requests that are being answered, looked at once a second.",
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

for _code in ("seal_broken", "key_not_in_ring"):  # an alert on a rise wants to have seen zero
    vault_failures.labels(_code)
for _state in ("created", "connected", "failed", "cancelled", "expired"):
    sessions.labels(_state)


class Times:
    """How long requests of one kind took, kept until they are published.

    The library's own `observe` takes a lock for each of its two values, or writes them to a file: for the list of
    integrations that is too much (docs/decisions/0013-metrics-of-several-processes.md).
    """

    __slots__ = ("_published", "counts", "total")

    def __init__(self, method: str, route: str, status: str) -> None:
        self._published = request_duration.labels(method, route, status)
        self.counts = [0] * (len(REQUEST_BUCKETS) + 1)
        """Requests by the index of their bucket."""
        self.total = 0.0
        """Seconds of all of them."""

    def publish(self) -> None:
        """Add what was kept to the metric, and begin anew."""
        # The library has no public way to add several observations at once.
        for bucket, count in zip(self._published._buckets, self.counts, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)
        if self.total:
            self._published._sum.inc(self.total)  # noqa: SLF001
        self.counts, self.total = [0] * len(self.counts), 0.0


def integration_label(slug: object) -> str:
    """A built-in integration's slug; those that organizations made themselves (`x-…`) count as one."""
    return "custom" if str(slug).startswith("x-") else str(slug)


def counting_failures(call: Callable[P, T]) -> Callable[P, T]:
    """Count the errors of ours that a function of the vault raises."""

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
    """Count a credential check by how it ends: `accepted`, the code of our error, or `other`."""
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
    """Time how long new tokens are in memory alone."""
    begun = perf_counter()
    yield
    token_commits.observe(perf_counter() - begun)


class TokenRequest:
    """What became of a request to a token endpoint."""

    result: str = OTHER


@contextmanager
def token_request(slug: str, grant: str) -> Iterator[TokenRequest]:
    """Count a request to a token endpoint by how it ends: `granted`, the code of the failure, or `other`."""
    request = TokenRequest()
    try:
        yield request
    finally:
        token_requests.labels(integration_label(slug), grant, request.result).inc()


class TaskRun:
    """What a background task reports."""

    done: int = 0


@contextmanager
def worker_task(name: str) -> Iterator[TaskRun]:
    """Time a background task; its body sets how much was done."""
    begun, taken, result = perf_counter(), TaskRun(), "failed"
    worker_last_success.labels(name)  # 0 until it succeeds: an alert cannot see what is not there
    try:
        yield taken
        result = "done"
        worker_done.labels(name).inc(taken.done)
        worker_last_success.labels(name).set_to_current_time()
    finally:
        worker_tasks.labels(name, result).observe(perf_counter() - begun)
