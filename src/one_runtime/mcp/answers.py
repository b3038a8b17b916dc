"""Build the answers of the tools: data for programs, and a text for the language model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from one_runtime.agents.accounts import ConnectedIntegration, account_fields
from one_runtime.agents.calls import AgentResponse
from one_runtime.agents.end_user_action import ActionNeeded, PausedProgram
from one_runtime.agents.end_user_requests import LIFETIME
from one_runtime.agents.paused_runs import Kind
from one_runtime.agents.shaping import compact
from one_runtime.clock import rfc3339

_MINUTES: Final = round(LIFETIME.total_seconds() / 60)
_TASKS: Final[dict[Kind, str]] = {"connect": "to connect {integration}", "approve": "to approve the call"}
_URLS: Final[dict[Kind, str]] = {"connect": "connect_url", "approve": "approval_url"}


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """The answer of a tool: data for programs, and a text for the language model."""

    data: Mapping[str, Any]
    is_error: bool = False
    message: str | None = None

    @property
    def text(self) -> str:
        """Return the text for the language model."""
        return self.message if self.message is not None else compact(self.data)


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """The end user has to act before the tool can go on. `program`: the program that waits, or None."""

    action: ActionNeeded
    program: PausedProgram | None = None

    @property
    def answer(self) -> ToolAnswer:
        """Return the answer for a client that cannot show a link to its user itself."""
        action, program = self.action, self.program
        task = _TASKS[action.kind].format(integration=action.integration.name)
        again = "Repeat this call when the user says that it is done."
        if program is not None:
            again = f"When the user says that it is done, call run_python with run_id {program.run_id!r} and no code."
        text = (
            f"{action.code}: {action.reason} Ask the user to open {action.url} and {task}. {again} The link is valid "
            f"for {_MINUTES} minutes."
        )
        data = {
            "code": action.code,
            "integration": action.integration.slug,
            _URLS[action.kind]: action.url,
            "expires_at": rfc3339(action.expires_at),
            **(program.data if program is not None else {}),
        }
        return ToolAnswer(data, is_error=True, message=text)


def outcome_of(answer: ToolAnswer | ActionAnswer) -> str:
    """Return a label for metrics.

    The label is `answered`, `waiting` if the end user has to act, an error code, or the class of a provider's error.
    """
    if isinstance(answer, ActionAnswer):
        return "waiting"
    if not answer.is_error:
        return "answered"
    return str(answer.data["code"]) if "code" in answer.data else f"{answer.data['status'] // 100}xx"


def error_answer(code: str, detail: str) -> ToolAnswer:
    """Return the answer for an error."""
    return ToolAnswer({"code": code, "message": detail}, is_error=True, message=f"{code}: {detail}")


def response_answer(response: AgentResponse) -> ToolAnswer:
    """Return the answer for a provider's response. Its body is JSON, in the size that the agent has chosen."""
    data: dict[str, Any] = {"status": response.status, "data": json.loads(response.body)}
    if response.truncated is not None:
        data |= {"truncated": response.truncated, "offset": response.offset}
    if response.headers:
        data["headers"] = dict(response.headers)
    data["connection"] = account_fields(response.connection)
    return ToolAnswer(data, is_error=response.status >= 400)


def listed_fields(entry: ConnectedIntegration) -> dict[str, Any]:
    """Return an integration with its accounts, as `list_connections` shows it."""
    accounts = [account_fields(account) for account in entry.accounts]
    listed = {"slug": entry.slug, "name": entry.name, "status": entry.status, "accounts": accounts}
    return listed if entry.reason is None else {**listed, "reason": entry.reason}
