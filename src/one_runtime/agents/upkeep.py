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
    interrupted = now - paused_runs.INTERRUPTION_KEPT
    runs = await run_in_batches(database, paused_runs.PURGE, now=now, before=interrupted)
    kinds = (connect_requests.REQUESTS, authorizations.REQUESTS, approvals.REQUESTS)
    return tokens + runs + sum([await kind.purge(installation) for kind in kinds])
