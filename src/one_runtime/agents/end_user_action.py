"""Describe what the end user has to do before an agent can go on."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from one_runtime.agents import approvals, connect_requests
from one_runtime.agents.approvals import ExactCall
from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.calls import AccountRequired
from one_runtime.agents.paused_runs import Kind
from one_runtime.catalog.model import Integration
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import OneRuntimeError

CODES: Final[dict[Kind, str]] = {"connect": "connect_required", "approve": "approval_required"}


@dataclass(frozen=True, slots=True)
class ActionNeeded:
    """An action of the end user at the address `url`: connect an account of the integration, or approve a call.

    `reason`: a sentence for the language model. `request_id`: the connect request or the approval request, or None in
    the mode `link`.
    """

    kind: Kind
    integration: Integration
    reason: str
    url: str = field(repr=False)
    expires_at: datetime
    request_id: str | None

    @property
    def code(self) -> str:
        """Return the code of the answer to the agent."""
        return CODES[self.kind]


@dataclass(frozen=True, slots=True)
class PausedProgram:
    """A program that waits for the end user. `data`: the calls of the program and its output, as JSON values."""

    run_id: str
    action: ActionNeeded
    data: dict[str, Any]


async def need_account(
    tx: Transaction, installation: Installation, caller: AgentCaller, error: AccountRequired
) -> ActionNeeded:
    """Ask the end user to connect the account. Raises: ConnectDeclined; OneRuntimeError if this is not possible."""
    try:
        link = await connect_requests.ask(tx, installation, caller, error.integration)
    except connect_requests.ConnectDeclined:
        raise
    except OneRuntimeError as refusal:
        refusal.detail = f"{error.detail} The end user cannot connect now: {refusal.detail}"
        raise
    return ActionNeeded("connect", error.integration, error.detail, link.url, link.expires_at, link.request_id)


async def need_approval(
    tx: Transaction, installation: Installation, caller: AgentCaller, call: ExactCall, reason: str
) -> ActionNeeded:
    """Ask the end user to approve a call. Raises: NotAllowed; RateLimited."""
    link = await approvals.ask(tx, installation, caller, call)
    return ActionNeeded("approve", call.integration, reason, link.url, link.expires_at, link.request_id)
