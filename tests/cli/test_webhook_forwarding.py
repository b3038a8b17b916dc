"""`one-runtime webhooks listen` and `trigger`: real processes, a real server, and a receiver that verifies messages."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send

from one_runtime.cli.remote_api import RequestFailed, connected
from one_runtime.cli.webhook_forwarding import listen, trigger
from one_runtime.errors import OneRuntimeError
from one_runtime.webhooks.signatures import new_secret
from tests.application import Application, Client, running
from tests.command_line import Run
from tests.ports import free_port
from tests.waiting import async_attempts, eventually
from tests.webhooks.receiver import Receiver, accept_lifespan, receiving, with_status
from tests.webhooks.test_crashes import Story, running_story

pytestmark = pytest.mark.worker

PROGRAM: Final = Path(sys.executable).with_name("one-runtime")


class Command:
    """A running command. `lines`: the JSON lines of standard output. `notes`: the text of standard error."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines = list[dict[str, Any]]()
        self.notes = ""
        self._readers = [asyncio.create_task(self._read_lines()), asyncio.create_task(self._read_notes())]

    async def _read_lines(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))

    async def _read_notes(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.notes += line.decode()

    async def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def end(self, number: int) -> int:
        self.process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        code = await self.process.wait()
        await asyncio.gather(*self._readers)
        return code


@asynccontextmanager
async def command(*words: str, **variables: str) -> AsyncIterator[Command]:
    """Run a command of `one-runtime webhooks` with `--json`, without a database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONE_RUNTIME_")}
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "webhooks", *words, "--json", stdin=PIPE, stdout=PIPE, stderr=PIPE, env=kept | variables
    )
    started = Command(process)
    try:
        yield started
    finally:
        if process.returncode is None:
            process.kill()
        await started.wait()


@pytest_asyncio.fixture
async def served(application: Application) -> AsyncIterator[str]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (accept_lifespan if scope["type"] == "lifespan" else application.app)(scope, receive, send)

    async with running(app) as port:
        yield f"http://127.0.0.1:{port}"


async def endpoints(client: Client) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await client.get("/v1/webhook-endpoints")).json()["webhook_endpoints"]
    return listed


def variables_of(client: Client, url: str) -> dict[str, str]:
    key = client.http.headers["authorization"].removeprefix("Bearer ")
    return {"ONE_RUNTIME_URL": url, "ONE_RUNTIME_API_KEY": key}


@pytest.mark.slow
async def test_listen_forwards_signed_events_and_a_killed_command_loses_none(client: Client, served: str) -> None:
    variables = variables_of(client, served)
    async with receiving() as receiver:
        words = ("listen", "--forward", receiver.url(), "--events", "connection.*")
        async with command(*words, **variables) as first:
            (ready,) = await eventually(lambda: first.lines)
            await client.connect("user_1")
            message = await receiver.wait_for("connection.created")
            message.verify(ready["secret"])
            assert message.headers["user-agent"].startswith("one-runtime/")
            assert message.headers["content-type"] == "application/json"
            receiver.answers["/hook"] = with_status(500)
            await client.connect("user_2")
            line = (await eventually(lambda: first.lines[2:]))[0]
            assert (line["http_status"], line["response_excerpt"]) == (500, "answer 500")
            del receiver.answers["/hook"]
            await first.type("r")
            assert (await eventually(lambda: first.lines[3:]))[0] | {"duration_ms": 0} == line | {
                "http_status": 204,
                "response_excerpt": None,
                "duration_ms": 0,
            }
            await first.type("connection.needs_reauth")
            (await receiver.wait_for("connection.needs_reauth")).verify(ready["secret"])
            await wait_for_endpoint(client, 0)
            await first.end(signal.SIGKILL)
        await client.connect("user_3")
        async with command(*words, **variables) as second:
            again = (await eventually(lambda: second.lines))[0]
            assert again["webhook_endpoint_id"] == ready["webhook_endpoint_id"]
            message = await receiver.wait_for("connection.created", count=4)
            message.verify(again["secret"])
            assert message.body["data"]["end_user_id"] == "user_3"
            assert await second.end(signal.SIGINT) == 0
            assert second.notes == ""
    assert await endpoints(client) == []


async def forward(url: str, *event_types: str) -> None:
    """Run the command's function in this process, until the task is cancelled."""
    async with connected(None, url) as (api, egress):
        await listen(api, egress, url, event_types or ("*",), as_json=False)


async def test_events_wait_while_the_local_server_restarts(
    client: Client, served: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret, port = new_secret(), free_port()
    for name, value in {**variables_of(client, served), "ONE_RUNTIME_WEBHOOK_SECRET": secret}.items():
        monkeypatch.setenv(name, value)
    listening = asyncio.create_task(forward(f"http://127.0.0.1:{port}/hook?token=hidden"))
    await wait_for_endpoint(client, 0)
    assert "hidden" not in json.dumps(await endpoints(client))
    for number in range(3):
        await client.connect(f"user_{number}")
    noted = await eventually(lambda: capsys.readouterr().err)
    assert "connection.created waits until your server runs" in noted
    receiver = Receiver(port)
    async with running(receiver, port):
        (await receiver.wait_for("connection.created", count=3)).verify(secret)
        await wait_for_endpoint(client, 0)
    listening.cancel()
    await listening
    printed = capsys.readouterr()
    assert (printed.err, len(printed.out.splitlines())) == ("", 3)
    assert "connection.created" in printed.out
    assert "→ 204 in" in printed.out
    ids = [message.id for message in receiver.messages]
    assert ids == sorted(set(ids))
    assert await endpoints(client) == []


async def test_two_commands_with_the_same_url_each_forward_all_events(
    client: Client, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables_of(client, served).items():
        monkeypatch.setenv(name, value)
    async with receiving() as receiver:
        commands = [asyncio.create_task(forward(receiver.url())) for _ in range(2)]
        await wait_for_endpoints(client, 2)
        await client.connect()
        await receiver.wait_for("connection.created", count=2)
        commands.pop().cancel()
        await wait_for_endpoints(client, 1)
        commands.append(asyncio.create_task(forward(receiver.url())))
        await wait_for_endpoints(client, 2)
        await client.connect("user_456")
        await receiver.wait_for("connection.created", count=4)
        for command_ in commands:
            command_.cancel()
        await asyncio.gather(*commands)
    ids = Counter(message.id for message in receiver.messages if message.type == "connection.created")
    assert sorted(ids.values()) == [2, 2]
    assert await endpoints(client) == []


@pytest.mark.parametrize("method, body, left", [("PATCH", {"status": "paused"}, 1), ("DELETE", None, 0)])
async def test_the_command_ends_with_its_endpoint_and_keeps_waiting_events(
    client: Client,
    served: str,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    body: dict[str, str] | None,
    left: int,
) -> None:
    for name, value in variables_of(client, served).items():
        monkeypatch.setenv(name, value)
    async with receiving() as receiver:
        listening = asyncio.create_task(forward(receiver.url()))
        await wait_for_endpoint(client, 0)
        (endpoint,) = await endpoints(client)
        await client.send(method, f"/v1/webhook-endpoints/{endpoint['id']}", body)
        with pytest.raises(RequestFailed):
            await listening
    assert len(await endpoints(client)) == left


async def wait_for_endpoints(client: Client, count: int) -> None:
    async for _ in async_attempts():
        if len(await endpoints(client)) == count:
            return


@pytest.mark.slow
@pytest.mark.promise("P10")
@pytest.mark.timeout(120)
@pytest.mark.soak_on("postgresql")
async def test_no_event_is_lost_when_the_command_or_a_server_is_killed(database_url: str, tmp_path: Path) -> None:
    """Kill One Runtime, the local server and the command while events are written, and start them again."""
    async with running_story(database_url, tmp_path, 1) as story:
        key = story.http.headers["authorization"].removeprefix("Bearer ")
        variables = {"ONE_RUNTIME_URL": story.url(""), "ONE_RUNTIME_API_KEY": key}
        receiver = Receiver(free_port())
        words = ("listen", "--forward", receiver.url(), "--events", "end_user.updated")
        async with command(*words, **variables) as listening:
            await eventually(lambda: listening.lines)
            async with running(receiver, receiver.port):
                await asyncio.gather(change_end_user(story, 20), story.fleet.kill(0, 0.05))
                await change_end_user(story, 5)
                await wait_for_committed(story, receiver)
            await change_end_user(story, 5)
            await eventually(lambda: "waits until your server runs" in listening.notes)
            async with running(receiver, receiver.port):
                await asyncio.gather(change_end_user(story, 5), listening.end(signal.SIGKILL))
        async with command(*words, **variables), running(receiver, receiver.port):
            await wait_for_committed(story, receiver)


async def change_end_user(story: Story, count: int) -> None:
    """Write events. Some requests fail while One Runtime is killed."""
    for _ in range(count):
        body = {"metadata": {"number": str(next(story.numbers))}}
        with suppress(httpx2.TransportError):
            await story.http.patch(story.url("/v1/end-users/user_1"), json=body)


async def wait_for_committed(story: Story, receiver: Receiver) -> None:
    """Wait until the receiver has received all committed events. A killed command reserves events for a minute."""
    committed = await story.committed()
    assert committed
    for _ in range(15):
        await story.end_leases()
        with suppress(TimeoutError):
            await eventually(lambda: committed <= {message.id for message in receiver.messages}, seconds=2)
            return
    raise AssertionError("Events were lost.")


async def wait_for_endpoint(client: Client, pending: int) -> None:
    """Wait until the organization has one endpoint, with this number of pending deliveries."""
    async for _ in async_attempts():
        if [each["pending_deliveries"] for each in await endpoints(client)] == [pending]:
            return


async def test_trigger_sends_a_made_up_event(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = new_secret()
    monkeypatch.setenv("ONE_RUNTIME_WEBHOOK_SECRET", secret)
    async with receiving() as receiver:
        assert await trigger(receiver.url(), "connection.needs_reauth", as_json=False)
        (await receiver.wait_for("connection.needs_reauth")).verify(secret)
        receiver.answers["/hook"] = with_status(400)
        assert not await trigger(receiver.url(), "end_user.deleted", as_json=True)
    first, second = capsys.readouterr().out.splitlines()
    assert "connection.needs_reauth           → 204 in" in first
    assert json.loads(second)["http_status"] == 400


async def test_errors_say_what_to_do(
    application: Application, client: Client, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = await application.key(await application.organization(), "read")
    url, local = f"http://127.0.0.1:{free_port()}", "http://127.0.0.1:1/hook"
    listening = partial(forward, local)
    triggering = partial(trigger, local, "connection.created", as_json=False)
    cases: list[tuple[str, dict[str, str], Callable[[], Awaitable[object]]]] = [
        ("Set ONE_RUNTIME_URL", {"ONE_RUNTIME_URL": ""}, listening),
        ("Set ONE_RUNTIME_API_KEY", {"ONE_RUNTIME_API_KEY": ""}, listening),
        ("refused the API key", {"ONE_RUNTIME_API_KEY": reader[:-1]}, listening),
        ("--scope admin", {"ONE_RUNTIME_API_KEY": reader}, listening),
        ("does not answer", {"ONE_RUNTIME_URL": url}, listening),
        ("is not One Runtime", {"ONE_RUNTIME_URL": application.acme.url}, listening),
        ("must be a URL", {}, partial(forward, "localhost:3000")),
        ("is not an event type", {}, partial(forward, local, "connections.*")),
        ("24 to 64 bytes", {"ONE_RUNTIME_WEBHOOK_SECRET": "whsec_c2hvcnQ="}, listening),
        ("Set ONE_RUNTIME_WEBHOOK_SECRET", {}, triggering),
        ("cannot be reached", {"ONE_RUNTIME_WEBHOOK_SECRET": new_secret()}, triggering),
    ]
    for words, variables, run in cases:
        with monkeypatch.context() as patch:
            for name, value in (variables_of(client, served) | variables).items():
                patch.setenv(name, value)
            with pytest.raises(OneRuntimeError) as caught:
                await run()
        assert words in caught.value.detail
    assert await endpoints(client) == []


def test_trigger_needs_one_receiver(bare: Run) -> None:
    assert "Use either --forward" in bare("webhooks", "trigger", "connection.created").sentence
