"""Store the paused programs of agents. Any process can continue such a program, and only one process does so, once.

A row has one of three states:

- `waiting`: the program has paused. The sealed value is the state of the program.
- `running`: a process continues the program. The transaction that claims the row replaces the state by the list of the
  program's calls, so no crash can run the program twice. Before each call that writes, the process adds the call to the
  list. After a crash, the list says which calls the program has sent.
- `ended`: the sealed value is the answer, for an agent that did not receive the answer.

Each change increases `version`. A process changes the row only if `version` is unchanged (a fencing token).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update

from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.programs.limits import MIB
from one_runtime.agents.programs.outcome import MadeCall
from one_runtime.computing import frames
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id
from one_runtime.db.schema import agent_runs as runs
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import SealContext, Sealed
from one_runtime.errors import Conflict, NotFound
from one_runtime.jobs.queue import batched_delete, database_now
from one_runtime.tenancy.agent_policy import READ_METHODS

LIFETIME: Final = timedelta(hours=24)
"""Time for which a program waits for the end user."""
ANSWER_KEPT: Final = timedelta(hours=1)
"""Time for which One Runtime repeats the answer of a program that has ended."""
INTERRUPTION_KEPT: Final = timedelta(days=1)
"""Time for which One Runtime reports that a crash has ended a program."""
LEASE_MARGIN: Final = timedelta(seconds=30)
"""Difference between the lease of a running program and the time that the program may take."""

MAX_RUNS: Final = 20
"""Number of programs of one end user that the database keeps. A further program replaces the oldest one."""
MAX_STATE: Final = 2 * MIB
"""Size of the state of a paused program, in bytes."""

Kind: TypeAlias = Literal["connect", "approve"]


class ProgramRunning(Conflict):
    """Another request runs the program at this moment."""

    code = "program_running"
    documentation = (
        "Another request runs the program of [the agent](agents.md#paused-programs) at this moment.",
        "The agent repeats the call in a few seconds.",
    )


class ProgramInterrupted(Conflict):
    """The server stopped while the program continued after a pause. The program cannot continue."""

    code = "program_interrupted"
    documentation = (
        (
            "The server stopped while a program of [an agent](agents.md#paused-programs) continued after a pause. The "
            "program does not run again."
        ),
        "`detail` lists the calls that the program has sent. The agent does only the rest.",
    )


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A call that waits for the end user. `call`: its number in the interpreter."""

    call: int
    kind: Kind
    integration: str


@dataclass(frozen=True, slots=True)
class ProgramAnswer:
    """The answer of a program that has ended: values in the form of JSON."""

    data: Mapping[str, Any]
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class PausedState:
    """A program at its pause. `state`: the bytes for the sandbox. `calls`: the calls before the pause."""

    state: bytes
    calls: tuple[MadeCall, ...]
    waiting_for: tuple[WaitingCall, ...]


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A program that this process continues."""

    id: str
    organization_id: str
    version: int
    paused: PausedState


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A program that waits for its end user, or that a process continues. `due_at`: the expiry, or end of the lease."""

    id: str
    end_user_id: str
    end_user_token_id: str | None
    status: str
    waiting_for: Sequence[Mapping[str, Any]]
    created_at: datetime
    due_at: datetime


class _RunRow(NamedTuple):
    id: str
    organization_id: str
    end_user_token_id: str | None
    status: str
    waiting_for: list[dict[str, Any]]
    sealed: bytes
    key_id: str
    version: int
    due_at: datetime


_OF_END_USER = (runs.c.organization_id == bindparam("organization"), runs.c.end_user_id == bindparam("end_user"))
_LOCKED = (
    select(*(runs.c[name] for name in _RunRow._fields))
    .where(*_OF_END_USER, runs.c.id == bindparam("run"))
    .with_for_update()
)
_LIST = (
    select(*(runs.c[name] for name in ListedRun.__dataclass_fields__))
    .where(
        runs.c.organization_id == bindparam("organization"),
        runs.c.status != "ended",
        runs.c.due_at > bindparam("now"),
    )
    .order_by(runs.c.id.desc())
)
_FIND = _LIST.where(runs.c.id == bindparam("run"))
_INSERT = insert(runs)
_OLDEST = select(runs.c.id).where(*_OF_END_USER, runs.c.status != "running").order_by(runs.c.id.desc()).offset(MAX_RUNS)
_DELETE_OLDEST = delete(runs).where(runs.c.id.in_(_OLDEST))
_CHANGE = (
    update(runs)
    .where(runs.c.id == bindparam("run"), runs.c.version == bindparam("read_version"))
    .values(
        status=bindparam("new_status"),
        waiting_for=bindparam("new_waiting_for", type_=runs.c.waiting_for.type),
        sealed=bindparam("new_sealed"),
        key_id=bindparam("new_key"),
        version=runs.c.version + 1,
        due_at=bindparam("until", type_=runs.c.due_at.type),
    )
)
_ADD_CALL = (
    update(runs)
    .where(
        runs.c.id == bindparam("run"),
        runs.c.version == bindparam("read_version"),
        runs.c.due_at > bindparam("now"),
    )
    .values(sealed=bindparam("new_sealed"), key_id=bindparam("new_key"), version=runs.c.version + 1)
)
PURGE: Final = batched_delete(
    runs,
    or_(
        and_(runs.c.status != "running", runs.c.due_at < bindparam("now")),
        runs.c.due_at < bindparam("before"),
    ),
)
"""Deletes the expired programs (`now`), and the programs that a crash ended (`before`)."""


async def list_page(
    tx: Transaction,
    organization_id: str,
    now: datetime,
    end_user_id: str | None = None,
    *,
    limit: int,
    before: str | None = None,
) -> list[ListedRun]:
    """Return at most `limit` programs of an organization that have not ended, newest first.

    `end_user_id`: None for the programs of all end users. With `before`, return only programs before this id.
    """
    statement = _LIST if before is None else _LIST.where(runs.c.id < before)
    if end_user_id is not None:
        statement = statement.where(runs.c.end_user_id == end_user_id)
    return await tx.all(statement.limit(limit), ListedRun, organization=organization_id, now=now)


async def find(tx: Transaction, organization_id: str, run_id: str, now: datetime) -> ListedRun | None:
    """Return a program of an organization that has not ended, or None."""
    return await tx.one(_FIND, ListedRun, organization=organization_id, run=run_id, now=now)


async def store(
    tx: Transaction, installation: Installation, caller: AgentCaller, run_id: str, paused: PausedState
) -> None:
    """Store a program that has paused for the first time. Delete the oldest programs of the end user above the limit.

    The end user exists.
    """
    now = await database_now(tx, installation.clock)
    place, plaintext = SealContext(runs.name, run_id, 1), frames.encode(_calls(paused.calls), paused.state)
    sealed = await key_ring.seal(tx, installation.vault, caller.organization_id, plaintext, place)
    await tx.execute(
        _INSERT,
        id=run_id,
        organization_id=caller.organization_id,
        end_user_id=caller.end_user_id,
        end_user_token_id=caller.end_user_token_id,
        status="waiting",
        waiting_for=[asdict(each) for each in paused.waiting_for],
        sealed=sealed.data,
        key_id=sealed.key_id,
        version=1,
        created_at=now,
        due_at=now + LIFETIME,
    )
    await tx.execute(_DELETE_OLDEST, organization=caller.organization_id, end_user=caller.end_user_id)


async def claim(
    tx: Transaction, installation: Installation, caller: AgentCaller, run_id: str, seconds: float
) -> ClaimedRun | ProgramAnswer:
    """Claim a paused program, or return the answer of a program that has ended. `seconds`: duration of the program.

    Only the end-user token that started the program can continue it. If an API key started the program, every API key
    of the organization with the scope `use` can continue it.

    Raises: NotFound; ProgramRunning; ProgramInterrupted; SealBroken.
    """
    owner = {"organization": caller.organization_id, "end_user": caller.end_user_id}
    row = await tx.one(_LOCKED, _RunRow, **owner, run=run_id) if is_id(run_id) else None
    now = await database_now(tx, installation.clock)
    if (
        row is None
        or row.end_user_token_id != caller.end_user_token_id
        or (row.status != "running" and row.due_at <= now)
    ):
        raise NotFound(
            f"There is no paused program {run_id[:64]!r} of this agent. A program waits for at most 24 hours, and an "
            f"end user has at most {MAX_RUNS} paused programs. Run the program again with its code."
        )
    place = SealContext(runs.name, row.id, row.version)
    header, state = frames.decode(installation.vault.open(row.organization_id, Sealed(row.key_id, row.sealed), place))
    if row.status == "ended":
        return ProgramAnswer(header["data"], header["is_error"])
    calls = tuple(MadeCall(**call) for call in header["calls"])
    if row.status == "running":
        if row.due_at > now:
            raise ProgramRunning("Another request runs this program at this moment. Repeat the call in a few seconds.")
        raise ProgramInterrupted(_interruption(calls))
    paused = PausedState(state, calls, tuple(WaitingCall(**each) for each in row.waiting_for))
    run = ClaimedRun(row.id, row.organization_id, row.version, paused)
    until = now + timedelta(seconds=seconds) + LEASE_MARGIN
    await _change(tx, installation, run, _Change("running", until, _calls(calls)))
    return replace(run, version=run.version + 1)


async def pause(tx: Transaction, installation: Installation, run: ClaimedRun, paused: PausedState) -> None:
    """Store a claimed program that has paused again. Raises: NotFound if the program was deleted."""
    until = await database_now(tx, installation.clock) + LIFETIME
    change = _Change("waiting", until, _calls(paused.calls), paused.state, paused.waiting_for)
    if not await _change(tx, installation, run, change):
        raise NotFound("The program was deleted while it ran, because its end user was deleted.")


async def end(tx: Transaction, installation: Installation, run: ClaimedRun, answer: ProgramAnswer) -> None:
    """Store the answer of a claimed program. If the program was deleted, store nothing."""
    until = await database_now(tx, installation.clock) + ANSWER_KEPT
    header = {"data": dict(answer.data), "is_error": answer.is_error}
    await _change(tx, installation, run, _Change("ended", until, header))


class CallLog:
    """The list of calls of a claimed program. The list is in the program's row before a call that writes is sent."""

    def __init__(self, installation: Installation, run: ClaimedRun) -> None:
        self._installation, self._calls = installation, list(run.paused.calls)
        self._lock = asyncio.Lock()
        self.run = run
        """The claimed program, with its present version."""

    async def add(self, call: MadeCall) -> int:
        """Store a call that follows. Return its number. Raises: ProgramInterrupted if the call must not be sent."""
        async with self._lock:
            self._calls.append(call)
            async with self._installation.database.write() as tx:
                await self._store(tx)
            self.run = replace(self.run, version=self.run.version + 1)
            return len(self._calls) - 1

    def set_status(self, number: int, status: int) -> None:
        """Set the HTTP status of a call. The row receives the status with the next call that writes."""
        self._calls[number] = replace(self._calls[number], status=status)

    async def _store(self, tx: Transaction) -> None:
        now, run = await database_now(tx, self._installation.clock), self.run
        sealed = await _seal(tx, self._installation, run, _calls(self._calls))
        values = {"new_sealed": sealed.data, "new_key": sealed.key_id}
        if not await tx.execute(_ADD_CALL, run=run.id, read_version=run.version, now=now, **values):
            raise ProgramInterrupted("The program was deleted, or took too long. This call was not sent.")


class _Change(NamedTuple):
    """New values of a row. `header`, `state`: the parts of the sealed value."""

    status: str
    until: datetime
    header: Mapping[str, Any]
    state: bytes = b""
    waiting_for: Sequence[WaitingCall] = ()


async def _change(tx: Transaction, installation: Installation, run: ClaimedRun, change: _Change) -> bool:
    """Change the row if its version is unchanged. Return False if another process changed or deleted the row."""
    sealed = await _seal(tx, installation, run, change.header, change.state)
    changed = await tx.execute(
        _CHANGE,
        run=run.id,
        read_version=run.version,
        new_status=change.status,
        new_waiting_for=[asdict(each) for each in change.waiting_for],
        new_sealed=sealed.data,
        new_key=sealed.key_id,
        until=change.until,
    )
    return changed > 0


async def _seal(
    tx: Transaction, installation: Installation, run: ClaimedRun, header: Mapping[str, Any], state: bytes = b""
) -> Sealed:
    """Seal a value for the next version of the row."""
    place, plaintext = SealContext(runs.name, run.id, run.version + 1), frames.encode(header, state)
    return await key_ring.seal(tx, installation.vault, run.organization_id, plaintext, place)


def _calls(calls: Sequence[MadeCall]) -> dict[str, Any]:
    return {"calls": [asdict(call) for call in calls]}


def _interruption(calls: Sequence[MadeCall]) -> str:
    """Return the message for a program that a crash ended. `calls`: the calls that One Runtime knows."""
    writes = [call for call in calls if call.method not in READ_METHODS]
    listed = "; ".join(
        f"{call.method} {call.integration} {call.path} ({call.status or 'no response known'})" for call in writes
    )
    sent = f"It sent these calls, which can have changed something: {listed}." if writes else "It changed nothing."
    return (
        f"The server stopped while this program continued after a pause. The program does not run again. {sent} Check "
        "with call_read what is done, and do only the rest."
    )
