"""Run the programs of agents, pause them while the end user acts, and continue them."""

from dataclasses import asdict, replace
from typing import Any, Final

from one_runtime.agents import paused_runs
from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.calls import AccountRequired, AgentCalls
from one_runtime.agents.concurrency import ConcurrencyLimit
from one_runtime.agents.discovery import Discovery, Offer
from one_runtime.agents.end_user_action import ActionNeeded, PausedProgram, need_account, need_approval
from one_runtime.agents.paused_runs import MAX_STATE, CallLog, ClaimedRun, Kind, PausedState, ProgramAnswer, WaitingCall
from one_runtime.agents.program_host import AgentProgramHost, CallApprovalNeeded
from one_runtime.agents.programs.host import ConnectionNeeded
from one_runtime.agents.programs.limits import LIMITS, ProgramLimits
from one_runtime.agents.programs.outcome import Failed, Finished, PendingCall, ProgramOutcome, Suspended
from one_runtime.agents.programs.sandbox import Sandbox
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.errors import OneRuntimeError
from one_runtime.telemetry import metrics

MAX_RUNS_OF_AGENT: Final = 2
MAX_RUNS_OF_ORGANIZATION: Final = 8
"""Maximum numbers of concurrent programs in this process: of one token, of one end user of an API key, and of one
organization."""

_REFUSALS: Final[dict[Kind, str]] = {
    "connect": "The end user does not want to connect the account.",
    "approve": "The end user has refused this call.",
}


class ProgramRuns:
    """Runs programs. A server process has one object."""

    def __init__(self, installation: Installation, calls: AgentCalls, discovery: Discovery) -> None:
        self._installation, self._calls, self._discovery = installation, calls, discovery
        self._sandbox = Sandbox()
        self._limit = ConcurrencyLimit("programs", MAX_RUNS_OF_AGENT, MAX_RUNS_OF_ORGANIZATION)

    async def close(self) -> None:
        """End the running programs."""
        await self._sandbox.close()

    async def start(
        self, caller: AgentCaller, code: str, seconds: float, request_id: str
    ) -> ProgramAnswer | PausedProgram:
        """Run a program for at most `seconds`. `request_id`: the HTTP request. Raises: TooManyCalls."""
        run_id = new_id()
        with self._limit.admit(caller):
            offer = await self._discovery.offer(caller)
            host = AgentProgramHost(self._installation, self._calls, self._discovery, offer, request_id, run_id)
            outcome = await self._sandbox.run(code, host, _limits(caller, seconds), owner=caller.organization_id)
        return await self._settle(offer, outcome, run_id, None)

    async def resume(
        self, caller: AgentCaller, run_id: str, seconds: float, request_id: str, *, refused: bool = False
    ) -> ProgramAnswer | PausedProgram:
        """Continue a paused program, within the present policy of the caller.

        `refused`: True if the end user refused the action for which the program waits.

        If the program has ended already, return its answer again.

        Raises: TooManyCalls; the exceptions of `paused_runs.claim`; ProgramInterrupted; OneRuntimeError.
        """
        installation = self._installation
        with self._limit.admit(caller):
            offer = await self._discovery.offer(caller)
            async with installation.database.write() as tx:
                claimed = await paused_runs.claim(tx, installation, caller, run_id, seconds)
            if isinstance(claimed, ProgramAnswer):
                return claimed
            host = AgentProgramHost(installation, self._calls, self._discovery, offer, request_id, claimed.id)
            host.log = log = CallLog(installation, claimed)
            refusals = {each.call: _REFUSALS[each.kind] for each in _asked(claimed)} if refused else {}
            outcome = await self._sandbox.resume(
                claimed.paused.state, host, refusals, _limits(caller, seconds), owner=caller.organization_id
            )
        if isinstance(outcome, Failed) and outcome.kind == "busy":  # the program has not started
            metrics.agent_runs.labels(_label(outcome)).inc()
            async with installation.database.write() as tx:
                await paused_runs.pause(tx, installation, claimed, claimed.paused)
            return _answer(claimed.id, outcome)
        return await self._settle(offer, outcome, claimed.id, log.run)

    async def _settle(
        self, offer: Offer, outcome: ProgramOutcome, run_id: str, run: ClaimedRun | None
    ) -> ProgramAnswer | PausedProgram:
        """Store the outcome of a program, and return the answer. `run`: the row of a program that has continued."""
        if isinstance(outcome, Suspended) and len(outcome.dump) > MAX_STATE:
            message = f"The program has to wait for the end user, but its state has more than {MAX_STATE} bytes."
            outcome = Failed("limit", message, outcome.stdout, outcome.calls)
        metrics.agent_runs.labels(_label(outcome)).inc()
        if isinstance(outcome, Suspended):
            try:
                return await self._pause(offer, outcome, run_id, run)
            except OneRuntimeError as error:
                failure = {"code": error.code, "message": error.detail}
                answer = ProgramAnswer({**failure, **_shared(run_id, outcome)}, is_error=True)
        else:
            answer = _answer(run_id, outcome)
        if run is not None:
            async with self._installation.database.write() as tx:
                await paused_runs.end(tx, self._installation, run, answer)
        return answer

    async def _pause(self, offer: Offer, outcome: Suspended, run_id: str, run: ClaimedRun | None) -> PausedProgram:
        """Ask the end user, and store the program. Raises: OneRuntimeError if the end user cannot act."""
        installation, caller = self._installation, offer.caller
        async with installation.database.write() as tx:
            action = await self._ask(tx, offer, outcome.pending[0])
            waiting_for = tuple(_waiting(pending) for pending in outcome.pending)
            paused = PausedState(outcome.dump, outcome.calls, waiting_for)
            if run is None:
                await paused_runs.store(tx, installation, caller, run_id, paused)
            else:
                await paused_runs.pause(tx, installation, run, paused)
        return PausedProgram(run_id, action, _shared(run_id, outcome))

    async def _ask(self, tx: Transaction, offer: Offer, pending: PendingCall) -> ActionNeeded:
        """Raises: OneRuntimeError."""
        installation, reason = self._installation, pending.reason
        if isinstance(reason, CallApprovalNeeded):
            return await need_approval(tx, installation, offer.caller, reason.call, f"The program has paused. {reason}")
        assert isinstance(reason, ConnectionNeeded)  # noqa: S101 - the host raises no other reason
        integration = offer.find(reason.integration)
        missing = f"The program has paused, because {integration.name} is not connected."
        return await need_account(tx, installation, offer.caller, AccountRequired(missing, integration))


def _asked(run: ClaimedRun) -> list[WaitingCall]:
    """Return the calls about which One Runtime asked: the first one, or all that need the same account."""
    first, *others = run.paused.waiting_for
    if first.kind == "approve":
        return [first]
    return [first, *(each for each in others if (each.kind, each.integration) == (first.kind, first.integration))]


def _waiting(pending: PendingCall) -> WaitingCall:
    if isinstance(pending.reason, ConnectionNeeded):
        return WaitingCall(pending.id, "connect", pending.reason.integration)
    return WaitingCall(pending.id, "approve", pending.call.integration)


def _limits(caller: AgentCaller, seconds: float) -> ProgramLimits:
    calls = min(LIMITS.calls, caller.policy.calls_per_run)
    return replace(LIMITS, calls=calls, wall_seconds=seconds, dump_bytes=min(LIMITS.dump_bytes, MAX_STATE))


def _answer(run_id: str, outcome: Finished | Failed) -> ProgramAnswer:
    shared = _shared(run_id, outcome)
    if isinstance(outcome, Failed):
        code = f"program_{outcome.kind}"
        return ProgramAnswer({"code": code, "message": outcome.message, **shared}, is_error=True)
    note = {"note": outcome.note} if outcome.note else {}
    return ProgramAnswer({"result": outcome.result, **shared, "truncated": outcome.truncated, **note})


def _shared(run_id: str, outcome: ProgramOutcome) -> dict[str, Any]:
    """Return the parts that all answers have."""
    shared: dict[str, Any] = {"run_id": run_id, "calls": [asdict(made) for made in outcome.calls]}
    return {**shared, "stdout": outcome.stdout} if outcome.stdout else shared


def _label(outcome: ProgramOutcome) -> str:
    """Return the label of the metric."""
    if isinstance(outcome, Failed):
        return outcome.kind
    return "finished" if isinstance(outcome, Finished) else "suspended"
