"""Delete the end-user tokens, the requests to end users, the authorizations and the paused programs that expired."""

from one_runtime.agents import approvals, connect_requests, paused_runs
from one_runtime.agents.authorization import authorizations
from one_runtime.context import Installation
from one_runtime.jobs.queue import run_in_batches
from one_runtime.tenancy import end_user_tokens


async def purge(installation: Installation) -> int:
    """Delete the expired rows. Return the number of deleted rows."""
    now, database = installation.clock(), installation.database
    tokens = await run_in_batches(database, end_user_tokens.PURGE, before=now - end_user_tokens.KEPT)
    requests = await run_in_batches(database, connect_requests.PURGE, before=now - connect_requests.KEPT)
    interrupted = now - paused_runs.INTERRUPTION_KEPT
    runs = await run_in_batches(database, paused_runs.PURGE, now=now, before=interrupted)
    unapproved = now - authorizations.UNAPPROVED_KEPT
    answered = await run_in_batches(
        database, authorizations.PURGE, before=now - authorizations.KEPT, before_unapproved=unapproved
    )
    approved = await run_in_batches(database, approvals.PURGE, before=now - approvals.KEPT)
    return tokens + requests + runs + answered + approved
