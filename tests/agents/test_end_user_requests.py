"""Requests that an end user has to answer: the same states, errors and links for each kind."""

from datetime import timedelta
from typing import Any, Final

import pytest

from one_runtime.agents import approvals, connect_requests
from one_runtime.agents.authorization import authorizations
from one_runtime.agents.end_user_requests import LIFETIME, EndUserRequest, RequestKind
from one_runtime.clock import system_clock
from one_runtime.connecting.redirect_mode import EndUserMismatch
from one_runtime.db.ids import new_id
from one_runtime.errors import Conflict, NotFound
from tests.application import Application

NOW: Final = system_clock()
KINDS: Final[dict[str, RequestKind[Any]]] = {
    kind.name: kind for kind in (approvals.REQUESTS, connect_requests.REQUESTS, authorizations.REQUESTS)
}
ANSWERS: Final[tuple[tuple[str, dict[str, Any], str], ...]] = (
    ("approval request", {"answer": "approved"}, "approved"),
    ("approval request", {"answer": "refused"}, "refused"),
    ("connect request", {"is_connected": True}, "connected"),
    ("connect request", {"declined_at": NOW}, "declined"),
    ("agent authorization", {"approved_at": NOW}, "approved"),
    ("agent authorization", {"declined_at": NOW}, "declined"),
)


def request_of(kind: RequestKind[Any], **fields: Any) -> EndUserRequest:
    empty = dict.fromkeys(kind.record.__dataclass_fields__)
    times = {"created_at": NOW, "expires_at": NOW + LIFETIME}
    request: EndUserRequest = kind.record(**empty | times | {"id": new_id(), **fields})
    return request


@pytest.mark.parametrize("name", KINDS)
def test_request_without_an_answer_is_open_until_it_expires(name: str) -> None:
    kind = KINDS[name]
    request = request_of(kind)
    last = NOW + LIFETIME - timedelta(seconds=1)
    assert [request.status(NOW), request.status(last), request.status(NOW + LIFETIME)] == ["open", "open", "expired"]
    kind.require_open(request, NOW)
    with pytest.raises(kind.closed, match=f"The {name} is expired. Let the end user"):
        kind.require_open(request, NOW + LIFETIME)


@pytest.mark.parametrize("name, fields, status", ANSWERS)
def test_answer_stays_the_state_after_the_expiry(name: str, fields: dict[str, Any], status: str) -> None:
    kind = KINDS[name]
    request = request_of(kind, **fields)
    assert [request.status(NOW), request.status(NOW + 2 * LIFETIME)] == [status, status]
    with pytest.raises(kind.closed, match=f"is {status}"):
        kind.require_open(request, NOW)


@pytest.mark.parametrize("name", KINDS)
async def test_unknown_request_is_not_found_with_the_name_of_its_parameter(application: Application, name: str) -> None:
    kind = KINDS[name]
    for request_id in (new_id(), "nonsense"):
        async with application.installation.database.read() as tx:
            with pytest.raises(NotFound, match=f"There is no {name} .* is the parameter {kind.parameter} "):
                await kind.get(tx, new_id(), request_id)


@pytest.mark.parametrize("name", KINDS)
def test_link_and_error_for_another_end_user(name: str) -> None:
    kind = KINDS[name]
    request = request_of(kind)
    for page in ("https://app.example.com/agents", "https://app.example.com/agents?a=b"):
        link = kind.link(page, request, "acme")
        assert link.url == f"{page}{'&' if '?' in page else '?'}{kind.parameter}={request.id}&integration=acme"
        assert request.id not in repr(link).replace(f"request_id='{request.id}'", "")
    kind.require_end_user("user_123", "user_123")
    with pytest.raises(EndUserMismatch, match=f"The {name} belongs to another end user"):
        kind.require_end_user("user_123", "user_456")
    assert issubclass(kind.closed, Conflict)
