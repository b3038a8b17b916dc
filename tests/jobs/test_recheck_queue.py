"""P12: rechecks of one integration or one organization leave room for those of others."""

from collections import Counter

import pytest

from one_runtime.jobs.recheck_queue import (
    MAX_OF_INTEGRATION,
    MAX_OF_ORGANIZATION,
    MAX_PER_INTEGRATION,
    RecheckQueue,
    RecheckRequest,
)
from one_runtime.lifecycle.recheck import CONCURRENT

pytestmark = pytest.mark.promise("P12")


def enqueue(queue: RecheckQueue, organization: str, slug: str, connections: int) -> None:
    for number in range(connections):
        queue.enqueue(RecheckRequest(organization, f"{organization} {slug} {number}", slug))


def drained(queue: RecheckQueue) -> Counter[str]:
    return Counter(request.organization_id for request in queue.drain())


def test_slow_host_of_one_organization_leaves_room_for_another_at_the_same_integration() -> None:
    queue = RecheckQueue()
    enqueue(queue, "flooder", "nextcloud", 100)
    enqueue(queue, "other", "nextcloud", 1)
    assert drained(queue) == {"flooder": MAX_PER_INTEGRATION, "other": 1}
    assert drained(queue) == {}, "no recheck has ended"


def test_integration_of_many_organizations_leaves_room_for_others() -> None:
    queue = RecheckQueue()
    for number in range(5):
        enqueue(queue, f"organization {number}", "hubspot", 8)
    enqueue(queue, "other", "slack", 1)
    counts = drained(queue)
    assert counts.pop("other") == 1
    assert counts.total() == MAX_OF_INTEGRATION


def test_many_integrations_of_one_organization_use_half_of_the_rechecks() -> None:
    queue = RecheckQueue()
    for number in range(20):
        enqueue(queue, "flooder", f"x-slow-{number}", 8)
    enqueue(queue, "other", "x-own", 1)
    assert drained(queue) == {"flooder": MAX_OF_ORGANIZATION, "other": 1}
    assert MAX_OF_ORGANIZATION * 2 == CONCURRENT


def test_one_organization_cannot_fill_the_queue() -> None:
    queue = RecheckQueue()
    enqueue(queue, "flooder", "acme", 20_000)
    enqueue(queue, "other", "acme", 1)
    assert drained(queue)["other"] == 1


def test_ended_rechecks_make_room_for_the_next() -> None:
    queue = RecheckQueue()
    enqueue(queue, "one", "acme", 3 * MAX_PER_INTEGRATION)
    rechecked = set[str]()
    for _ in range(3):
        requests = queue.drain()
        assert len(requests) == MAX_PER_INTEGRATION
        rechecked |= {request.connection_id for request in requests}
        for request in requests:
            queue.finish(request)
    assert len(rechecked) == 3 * MAX_PER_INTEGRATION
    assert queue.drain() == []
