"""Forward the events of an organization to a server on the developer's machine (`one-runtime webhooks listen`).

The command fetches the events from a pull endpoint. So One Runtime sends no request to the developer's machine, and
each event stays pending until the local server has answered.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from one_runtime.cli.listener_number import reserved_number
from one_runtime.cli.options import AsJson, ServerUrl
from one_runtime.cli.remote_api import RemoteApi, RequestFailed, ServerAway, connected, egress_to
from one_runtime.cli.terminal import print_json, printable
from one_runtime.clock import parse_rfc3339, system_clock
from one_runtime.db.ids import new_id
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import UpstreamUnreachable
from one_runtime.errors import ConfigurationError, InvalidInput
from one_runtime.tenancy.event_types import TYPES
from one_runtime.tenancy.events import Actor
from one_runtime.webhooks import samples
from one_runtime.webhooks.attempts import AttemptResult, post
from one_runtime.webhooks.messages import Message, to_json
from one_runtime.webhooks.signatures import is_secret

app = typer.Typer()

SECRET_VARIABLE: Final = "ONE_RUNTIME_WEBHOOK_SECRET"
ENDPOINTS: Final = "/v1/webhook-endpoints"
RESEND: Final = "r"

_WAIT: Final = 30
"""Seconds for which one request waits for an event."""

_RETRY: Final = 1.0
"""Seconds between two attempts to reach a server that does not answer."""

_KEPT: Final = timedelta(hours=24)
"""Time after which One Runtime deletes the endpoint, if a command is killed and does not continue."""

_DELETION: Final = 5.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The temporary pull endpoint of the command. `waiting`: the number of events of an earlier command."""

    id: str
    secret: str = field(repr=False)
    waiting: int = 0


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
    if (forward is None) == (endpoint is None):
        raise InvalidInput(
            "Use either --forward with the URL of your local server, or --endpoint with the id of a webhook endpoint."
        )
    if forward is not None:
        is_success = asyncio.run(trigger(forward, type_, as_json=as_json))
    else:
        is_success = asyncio.run(_test(url, endpoint or "", type_, as_json=as_json))
    raise typer.Exit(int(not is_success))


async def _test(url: str | None, endpoint_id: str, kind: str, *, as_json: bool) -> bool:
    async with connected(url) as (api, _):
        result = await api.call("POST", f"{ENDPOINTS}/{quote(endpoint_id, safe='')}/test?type={quote(kind, safe='')}")
    if as_json:
        print_json(result)
    else:
        answer = result["http_status"] if result["http_status"] is not None else result["error_code"]
        typer.echo(f"{kind} → {answer} in {result['duration_ms']} ms")
    return bool(result["is_success"])


class Forwarder:
    """Sends messages to the local server, and prints each answer. `as_json`: print one JSON object for each line."""

    def __init__(self, egress: Egress, url: str, secret: str, *, as_json: bool) -> None:
        self._egress, self._url, self._secret, self._as_json = egress, url, secret, as_json
        self._last: Mapping[str, Any] | None = None

    async def forward(self, message: Mapping[str, Any]) -> AttemptResult:
        """Sign and send a message as the server does. Print the type, the status and the duration."""
        self._last = message
        result = await post(self._egress, self._url, [self._secret], message["id"], to_json(message), system_clock)
        if not is_away(result):
            self._print(message, result)
        return result

    async def forward_until_answered(self, message: Mapping[str, Any]) -> None:
        """Forward a message. While the local server is away, for example during a restart, try again."""
        noted = False
        while is_away(await self.forward(message)):
            if not noted:
                note(f"{self._url} cannot be reached. {message['type']} waits until your server runs.")
            noted = True
            await asyncio.sleep(_RETRY)

    async def obey(self, line: str) -> None:
        """Send the last message again for the line `r`. For the type of an event, send a made-up event."""
        if line in TYPES:
            message: Mapping[str, Any] | None = make_up(line)
        elif line == RESEND:
            message = self._last
        elif line:
            note(
                f"Type {RESEND} and Enter to send the last event again, or a type such as connection.created and Enter."
            )
            return
        else:
            return
        if message is None:
            note("No event has arrived yet.")
        elif is_away(await self.forward(message)):
            note(f"{self._url} cannot be reached.")

    def _print(self, message: Mapping[str, Any], result: AttemptResult) -> None:
        made = result.attempt
        if self._as_json:
            row = {"event_id": message["id"], "type": message["type"], "http_status": made.response_status}
            more = {"error_code": made.error, "duration_ms": made.duration_ms, "response_excerpt": made.excerpt}
            print_line(row | more)
            return
        answer = made.response_status if made.response_status is not None else made.error
        advice = "" if result.is_success else f"   ({RESEND} and Enter to send it again)"
        time = made.attempted_at.astimezone().strftime("%H:%M:%S")
        typer.echo(f"{time} {message['type']:33} → {answer} in {made.duration_ms} ms{advice}")
        if not result.is_success and made.excerpt:
            typer.echo(f"         {printable(made.excerpt)[:200]}")


async def trigger(url: str, kind: str, *, as_json: bool) -> bool:
    """Send a made-up event to a URL, without One Runtime's server. Return True if the receiver accepts the event.

    Raises: ConfigurationError, InvalidInput.
    """
    secret = own_secret()
    if not secret:
        raise ConfigurationError(
            f"The signing secret is missing. Set {SECRET_VARIABLE} to the secret that your receiver uses."
        )
    async with egress_to(url) as egress:
        result = await Forwarder(egress, url, secret, as_json=as_json).forward(make_up(kind))
    if is_away(result):
        raise ConfigurationError(f"{url} cannot be reached. Start your server first.")
    return result.is_success


def make_up(kind: str) -> dict[str, object]:
    """Return the message of a made-up event. Raises: InvalidInput."""
    now = system_clock()
    return Message(samples.make_up(kind, Actor(new_id(), "system"), now)).document()


def is_away(result: AttemptResult) -> bool:
    """Return True if the receiver refused the connection, or if the connection broke."""
    return result.attempt.error == UpstreamUnreachable.code


async def listen(api: RemoteApi, egress: Egress, url: str, event_types: Sequence[str], *, as_json: bool) -> None:
    """Forward all events until SIGINT or SIGTERM. Then delete the endpoint.

    Several commands with the same URL each forward all events. After an error, the endpoint and its waiting events
    stay, so that the next command can continue.

    Raises: ConfigurationError, RequestFailed, ServerAway.
    """
    task, endpoint = asyncio.current_task(), None
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    with _cancelled_by_signal(task), reserved_number(*api.identity, url) as number:
        try:
            endpoint = await _open(api, url, event_types, number)
            forwarder = Forwarder(egress, url, endpoint.secret, as_json=as_json)
            _print_start(endpoint, url, as_json=as_json)
            with _obeying_lines(forwarder):
                await _forward_all(api, endpoint, forwarder)
        except asyncio.CancelledError:
            task.uncancel()
            if endpoint is not None:
                await _delete(api, endpoint)


async def _forward_all(api: RemoteApi, endpoint: Endpoint, forwarder: Forwarder) -> None:
    """Fetch one event at a time, so that a killed command has reserved at most one event."""
    path, renewed_at = f"{ENDPOINTS}/{endpoint.id}", system_clock()
    while True:
        fetched = await _patiently(api, "GET", f"{path}/pending?limit=1&wait_seconds={_WAIT}")
        for message in fetched["messages"]:
            await forwarder.forward_until_answered(message)
            await _patiently(api, "POST", f"{path}/acknowledge", {"event_ids": [message["id"]]})
        if system_clock() - renewed_at > _KEPT / 2:
            await _patiently(api, "PATCH", path, {"expires_in": _seconds(_KEPT)})
            renewed_at = system_clock()


async def _patiently(
    api: RemoteApi, method: str, path: str, body: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Send a request. While the server is away, try again. Raises: RequestFailed."""
    noted = False
    while True:
        try:
            answer = await api.call(method, path, body)
        except ServerAway as error:
            if not noted:
                note(f"{error.detail} The command tries again every second.")
            noted = True
            await asyncio.sleep(_RETRY)
            continue
        if noted:
            note("One Runtime answers again.")
        return answer


async def _open(api: RemoteApi, url: str, event_types: Sequence[str], number: int) -> Endpoint:
    """Create the endpoint, or continue with the endpoint of a command with the same number that was killed."""
    secret, settings = own_secret(), {"event_types": list(event_types), "expires_in": _seconds(_KEPT)}
    target = url.partition("?")[0]  # the query can contain a secret, and other people can read the description
    which = f" ({number})" if number > 1 else ""
    description = f"one-runtime webhooks listen{which} on {socket.gethostname()}, {target}"[:500]
    listed = (await api.call("GET", ENDPOINTS))["webhook_endpoints"]
    for each in listed:
        is_temporary = each["kind"] == "pull" and each["status"] == "active" and each["expires_at"] is not None
        if is_temporary and each["description"] == description and parse_rfc3339(each["expires_at"]) > system_clock():
            path = f"{ENDPOINTS}/{each['id']}"
            await api.call("PATCH", path, settings)
            secret = secret or (await api.call("POST", f"{path}/rotate-secret", {"overlap_seconds": 0}))["secret"]
            return Endpoint(each["id"], secret, each["pending_deliveries"])
    created = await api.call("POST", ENDPOINTS, {"kind": "pull", "description": description, **settings})
    return Endpoint(created["id"], secret or created["secret"])


async def _delete(api: RemoteApi, endpoint: Endpoint) -> None:
    with suppress(ServerAway, RequestFailed, TimeoutError):  # One Runtime deletes the endpoint when it expires
        async with asyncio.timeout(_DELETION):
            await api.call("DELETE", f"{ENDPOINTS}/{endpoint.id}")


def own_secret() -> str:
    """Return the secret that the developer's server already has, or an empty text. Raises: ConfigurationError."""
    secret = os.environ.get(SECRET_VARIABLE, "").strip()
    if secret and not is_secret(secret):
        raise ConfigurationError(f"{SECRET_VARIABLE} must be a signing secret: whsec_ and 24 to 64 bytes in base64.")
    return secret


def _print_start(endpoint: Endpoint, url: str, *, as_json: bool) -> None:
    if as_json:
        print_line({"webhook_endpoint_id": endpoint.id, "secret": endpoint.secret, "forward": url})
        return
    if endpoint.waiting:
        typer.echo(f"{endpoint.waiting} events have waited since the last command ended.")
    typer.echo(f"Ready. Signing secret for this session: {endpoint.secret}")
    typer.echo(f"Events go to {url}. Ctrl-C ends. {RESEND} and Enter sends the last event again.")
    typer.echo("A type such as connection.created and Enter sends a made-up event.")


def print_line(row: Mapping[str, object]) -> None:
    """Print one line of JSON at once, for a program that reads the lines."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a message about the progress to standard error."""
    typer.echo(printable(text), err=True)


def _seconds(time: timedelta) -> int:
    return int(time.total_seconds())


@contextmanager
def _cancelled_by_signal(task: asyncio.Task[Any]) -> Iterator[None]:
    loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)

    def cancel() -> None:
        stop_handling()  # a second signal ends the process at once
        task.cancel()

    def stop_handling() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, cancel)
    try:
        yield
    finally:
        stop_handling()


@contextmanager
def _obeying_lines(forwarder: Forwarder) -> Iterator[None]:
    """Obey each line on standard input."""
    loop, sending = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def read() -> None:
        data = os.read(0, 1024)
        if not data:
            loop.remove_reader(0)
        for line in data.decode("utf-8", "replace").splitlines():
            task = loop.create_task(forwarder.obey(line.strip().lower()))
            sending.add(task)
            task.add_done_callback(sending.discard)

    with suppress(OSError):  # a regular file cannot be watched, and standard input can be closed
        loop.add_reader(0, read)
    try:
        yield
    finally:
        loop.remove_reader(0)
