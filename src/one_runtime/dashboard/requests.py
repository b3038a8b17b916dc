"""The request log of an organization: calls through the proxy, with filters, and one call with all its data."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from starlette.datastructures import QueryParams
from starlette.responses import Response

from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.end_user_labels import EndUserLabel, find_labels
from one_runtime.dashboard.end_user_paths import identifier_of
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.db.ids import is_id
from one_runtime.errors import FieldError, InvalidInput, explain_error
from one_runtime.proxy import request_log, usage
from one_runtime.proxy.request_log import OUTCOMES, LoggedRequest, Outcome, RequestFilter
from one_runtime.reports import actor_names
from one_runtime.reports.actor_names import ActorKey
from one_runtime.tenancy.events import ACTORS
from one_runtime.validation.names import text_problem

PAGE_SIZE: Final = 50

SCANNED: Final = 3_000
"""Maximum number of calls that one page compares with a filter without an index."""

OUTCOME_TEXTS: Final[Mapping[Outcome, str]] = {
    "failed": "Failed",
    "2xx": "2xx: success",
    "3xx": "3xx: redirect",
    "4xx": "4xx: refused",
    "5xx": "5xx: error",
    "cancelled": "Cancelled by the caller",
}
_FIELDS: Final = ("integration", "outcome", "error", "end_user", "connection", "since", "until")
_PATH: Final = f"{ORGANIZATION}/requests"
_FORMAT: Final = "%Y-%m-%dT%H:%M"
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)

pages = Pages()


@dataclass(frozen=True, slots=True)
class RequestQuery:
    """The values of the filters, as the form shows them."""

    values: Mapping[str, str]

    @classmethod
    def read(cls, fields: QueryParams) -> "RequestQuery":
        """Return the filters of a URL."""
        return cls({name: fields.get(name, "").strip() for name in _FIELDS})

    @property
    def given(self) -> dict[str, str]:
        """Return the filters that have a value."""
        return {name: value for name, value in self.values.items() if value}

    @property
    def searches(self) -> bool:
        """True if a filter has no index. Then the list can need a second statement."""
        return any(self.values[name] for name in ("integration", "outcome", "error"))

    def filter(self) -> RequestFilter:
        """Return the filter for the request log. Raises: InvalidInput."""
        errors = [FieldError(name, problem) for name, value in self.given.items() if (problem := text_problem(value))]
        outcome = next((each for each in OUTCOMES if each == self.values["outcome"]), None)
        if outcome is None and self.values["outcome"]:
            errors.append(FieldError("outcome", "must be one of the listed values"))
        if self.values["connection"] and not is_id(self.values["connection"]):
            errors.append(FieldError("connection", "must be the id of a connection"))
        since, until = (_read_time(name, self.values[name], errors) for name in ("since", "until"))
        if errors:
            raise InvalidInput.of_all(errors)
        return RequestFilter(
            integration_slug=self.values["integration"] or None,
            outcome=outcome,
            error=self.values["error"] or None,
            end_user_id=identifier_of(self.values["end_user"]) or None,
            connection_id=self.values["connection"] or None,
            since=since,
            until=None if until is None else min(until, _LATEST) + timedelta(minutes=1),
        )


def _read_time(name: str, value: str, errors: list[FieldError]) -> datetime | None:
    """Return a time in UTC, or None. Add an error for a text that is no time."""
    try:
        return datetime.strptime(value[:16], _FORMAT).replace(tzinfo=UTC) if value else None
    except ValueError:
        errors.append(FieldError(name, "must be a time such as 2026-11-30T14:05"))
        return None


@pages.get(_PATH, access="read")
async def list_requests(visit: Visit) -> Response:
    """List the calls that match the filters, newest first. For htmx, return only the list."""
    query, before, organization_id = RequestQuery.read(visit.request.query_params), visit.cursor, visit.organization_id
    errors, calls, following, slugs = None, list[LoggedRequest](), None, list[str]()
    labels: Mapping[str | None, EndUserLabel] = {}
    try:
        matching = query.filter()
    except InvalidInput as error:
        errors = FormErrors.of(error, _FIELDS)
    else:
        async with visit.installation.database.read() as tx:
            calls, following = await request_log.list_newest(
                tx, organization_id, matching, limit=PAGE_SIZE, before=before, scanned=SCANNED
            )
            labels = await find_labels(visit, tx, [call.end_user_id for call in calls])
            slugs = sorted({call.integration_slug for call in calls})
            if not visit.is_partial and not query.searches:
                used = await usage.read_integrations(tx, organization_id, visit.now - usage.DAY)
                slugs = sorted(each.integration_slug for each in used)
    given = query.given
    return visit.render(
        "requests_list.html" if visit.is_partial else "requests.html",
        status=422 if errors else 200,
        title="Requests",
        query=query,
        errors=errors,
        calls=calls,
        labels=labels,
        slugs=slugs,
        outcomes=list(OUTCOME_TEXTS.items()),
        is_live=visit.query("live") == "1" and before is None and errors is None,
        live_path=visit.path("requests", **given, live="1"),
        still_path=visit.path("requests", **given),
        older=None if following is None else visit.path("requests", **given, before=following),
        first=visit.path("requests", **given) if before else None,
        scanned=SCANNED,
        retention=visit.installation.settings.request_retention_days,
        badge_of=badge_of,
    )


@pages.get(f"{_PATH}/{{logged_request_id}}", access="read")
async def show_request(visit: Visit) -> Response:
    """Show one call with all its data."""
    async with visit.installation.database.read() as tx:
        call = await request_log.get(tx, visit.organization_id, visit.parameter("logged_request_id"))
        labels = await find_labels(visit, tx, [call.end_user_id])
        caller = caller_of(call)
        names = await actor_names.find_names(tx, visit.organization_id, [caller] if caller is not None else [])
    return visit.render(
        "request.html",
        title=f"{call.method} {call.path}",
        call=call,
        label=labels.get(call.end_user_id),
        caller=caller,
        actors=ACTORS,
        name=names.get(caller) if caller is not None else None,
        explanation=explain_error(call.error) if call.error else None,
        curl=as_curl(visit.installation.settings.public_url, call),
        badge_of=badge_of,
    )


def caller_of(call: LoggedRequest) -> ActorKey | None:
    """Return the type and the id of the caller. Return None if an older version of One Runtime logged the call."""
    callers = (("member", call.member_id), ("end_user_token", call.end_user_token_id), ("api_key", call.api_key_id))
    return next(((kind, caller_id) for kind, caller_id in callers if caller_id is not None), None)


def badge_of(call: LoggedRequest) -> tuple[str, str]:
    """Return the text and the kind of the badge for the status of a call."""
    if call.status == 0:
        return "Cancelled" if call.error is None else "No response", "wait" if call.error is None else "bad"
    return str(call.status), "bad" if usage.is_failure(call) else "good"


def as_curl(public_url: str, call: LoggedRequest) -> str:
    """Return a shell command that sends a call again. The log has neither the query nor the body of the call."""
    path = quote(call.path.lstrip("/"), safe="/%:@!$&'()*+,;=~-._")
    lines = [
        f"curl --request {shlex.quote(call.method)}",
        f"--url {shlex.quote(f'{public_url}/v1/proxy/{call.integration_slug}/{path}')}",
        '--header "Authorization: Bearer $ONE_RUNTIME_API_KEY"',
        f"--header {shlex.quote(f'One-Runtime-Connection: {call.connection_id}')}",
    ]
    return " \\\n  ".join(lines)
