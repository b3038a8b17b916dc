"""`one-runtime webhooks`: forward events to a local server, and send made-up events. Both commands need no database."""

import asyncio
from typing import Annotated
from urllib.parse import quote

import typer

from one_runtime.cli.terminal import AsJson, print_json
from one_runtime.errors import InvalidInput

app = typer.Typer()

ServerUrl = Annotated[
    str | None, typer.Option("--url", help="URL of One Runtime. Default: the environment variable ONE_RUNTIME_URL.")
]


@app.command("listen")
def listen_command(
    *,
    forward: Annotated[str, typer.Option(help="URL of your local server, such as http://localhost:3000/hook.")],
    events: Annotated[
        list[str] | None, typer.Option(help="Repeatable. Type of events, such as connection.*. Default: all.")
    ] = None,
    url: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Forward the events of your organization to your local server, signed as webhooks. Ctrl-C ends the command.

    The environment variable ONE_RUNTIME_API_KEY contains an API key with the scope admin.
    """
    from one_runtime.cli.remote_api import connected
    from one_runtime.cli.webhook_forwarding import listen

    async def run() -> None:
        async with connected(url, forward) as (api, egress):
            await listen(api, egress, forward, events or ["*"], as_json=as_json)

    asyncio.run(run())


@app.command("trigger")
def trigger_command(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="Type of the event, such as connection.needs_reauth.")],
    *,
    forward: Annotated[
        str | None, typer.Option(help="URL of your local server. ONE_RUNTIME_WEBHOOK_SECRET contains the secret.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Id of a webhook endpoint with a URL.")] = None,
    url: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Send a made-up event to your local server, or to a webhook endpoint. Exit code 1: the event was not accepted."""
    from one_runtime.cli import webhook_forwarding

    if (forward is None) == (endpoint is None):
        raise InvalidInput(
            "Use either --forward with the URL of your local server, or --endpoint with the id of a webhook endpoint."
        )
    if forward is not None:
        is_success = asyncio.run(webhook_forwarding.trigger(forward, type_, as_json=as_json))
    else:
        is_success = asyncio.run(_test(url, endpoint or "", type_, as_json=as_json))
    raise typer.Exit(int(not is_success))


async def _test(url: str | None, endpoint_id: str, kind: str, *, as_json: bool) -> bool:
    from one_runtime.cli.remote_api import connected
    from one_runtime.cli.webhook_forwarding import ENDPOINTS

    async with connected(url) as (api, _):
        result = await api.call("POST", f"{ENDPOINTS}/{quote(endpoint_id, safe='')}/test?type={quote(kind, safe='')}")
    if as_json:
        print_json(result)
    else:
        answer = result["http_status"] if result["http_status"] is not None else result["error_code"]
        typer.echo(f"{kind} → {answer} in {result['duration_ms']} ms")
    return bool(result["is_success"])
