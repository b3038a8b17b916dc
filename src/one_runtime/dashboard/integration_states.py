"""Describe in words whether end users can connect an integration, what is missing, and what failed last."""

from datetime import datetime
from typing import Literal, NamedTuple

from one_runtime.catalog.model import Integration
from one_runtime.dashboard.quantities import number
from one_runtime.dashboard.visit import Visit
from one_runtime.errors import Explanation
from one_runtime.explanations.stored_errors import explain_connection_error, explain_session_error
from one_runtime.integrations.team_catalog import TeamCatalog, needs_client
from one_runtime.reports.integration_failures import LastFailure


class IntegrationState(NamedTuple):
    """The state of an integration.

    - `kind`, `name`: the kind and the text of the badge.
    - `sentence`: the state and the next step, for the page of the integration.
    - `note`: the same for the list, in few words.
    - `lacks_client`: True if the next step is to register an OAuth client.
    """

    kind: Literal["good", "wait", "bad", "plain"]
    name: str
    sentence: str
    note: str = ""
    lacks_client: bool = False


class FailureText(NamedTuple):
    """A failure in words. `hour`: the hour in which calls failed, or None. `path`: the page with the details."""

    text: str
    at: datetime
    hour: str | None
    path: str


def describe_state(team: TeamCatalog, integration: Integration) -> IntegrationState:
    """Return the state of an integration."""
    name, reason = integration.name, team.availability.unavailability(integration)
    if reason is None:
        return _ready(team, integration)
    if reason.code == "disabled_by_operator":
        return IntegrationState(
            "bad",
            "Disabled by the operator",
            f"The operator of this server has disabled {name} for all organizations. Ask the operator to enable it.",
            "Ask the operator to enable it.",
        )
    if reason.code == "not_offered":
        return IntegrationState(
            "plain", "Not enabled", f"Your organization has not enabled {name}, so no end user can connect it."
        )
    sentence = f"Register an OAuth client first. Then end users can connect {name}."
    return IntegrationState("wait", "Needs an OAuth client", sentence, lacks_client=True)


def _ready(team: TeamCatalog, integration: Integration) -> IntegrationState:
    working = team.availability.working(integration)
    types = " or ".join(auth.title for auth in integration.auth if auth.type in working)
    sentence = f"Your end users can connect {integration.name} ({types})."
    if team.lacks_client(integration):
        more = f"{sentence} For OAuth, register an OAuth client."
        return IntegrationState("good", "Ready", more, f"Possible now: {types}.", lacks_client=True)
    note = ""
    if needs_client(integration):
        is_own = team.client_owner(integration.slug) == "organization"
        note = "With your OAuth client." if is_own else "With the OAuth client of the operator."
    return IntegrationState("good", "Ready", sentence, note)


def describe_failure(visit: Visit, failure: LastFailure | None) -> FailureText | None:
    """Return the last failure of an integration in words, or None if there is none."""
    if failure is None:
        return None
    if failure.kind == "calls":
        calls = visit.path("requests", integration=failure.integration_slug, outcome="failed")
        text = f"{number(failure.failures)} of {number(failure.calls)} calls failed in 24 hours."
        return FailureText(text, failure.at, f"{failure.at:%H}:00 to {failure.at:%H}:59 UTC", calls)
    if failure.kind == "connection":
        explanation = explain_connection_error(failure.status or "", failure.code or "")
        path: str = visit.path("connections", failure.id or "")
    else:
        explanation = explain_session_error(failure.code or "")
        path = f"{visit.path('integrations', failure.integration_slug)}#health"
    return FailureText(_first_sentence(explanation, failure), failure.at, None, path)


def _first_sentence(explanation: Explanation | None, failure: LastFailure) -> str:
    text = explanation.message if explanation is not None else failure.message or failure.code or "Unknown error"
    return text.replace("`", "").partition(". ")[0].removesuffix(".") + "."
