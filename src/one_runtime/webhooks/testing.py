"""Send a test message to a webhook endpoint."""

from one_runtime.context import Installation
from one_runtime.errors import Conflict
from one_runtime.tenancy.events import Actor
from one_runtime.webhooks import endpoints, samples, secrets
from one_runtime.webhooks.attempts import AttemptResult, attempt
from one_runtime.webhooks.messages import Message


async def send_test(installation: Installation, actor: Actor, endpoint_id: str, event_type: str) -> AttemptResult:
    """Send a made-up event to an endpoint of the actor's organization now, and return the result.

    Store nothing, and change nothing. `event_type`: a type of events, or `samples.TEST`.

    Raises: NotFound; InvalidInput for an unknown type; Conflict for a pull endpoint and for a lost secret; Unavailable.
    """
    now = installation.clock()
    message = Message(samples.make_up(event_type, actor, now))
    async with installation.database.read() as tx:
        endpoint = await endpoints.get(tx, actor.organization_id, endpoint_id)
        if endpoint.kind == "pull":
            raise Conflict(
                "This endpoint has no URL, so One Runtime cannot send a test message. Your program fetches the events "
                f"with GET /v1/webhook-endpoints/{endpoint.id}/pending."
            )
        keys = await secrets.require(tx, installation.vault, endpoint, now)
    return await attempt(installation.webhook_egress, endpoint, keys, message, installation.clock)
