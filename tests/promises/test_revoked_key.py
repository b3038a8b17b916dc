"""P2: if an operator revokes a key on the command line, every server process refuses the next request with the key."""

import asyncio
import http.client
from pathlib import Path

import pytest

from tests.promises.canaries import secret_part
from tests.promises.serving import Served, Serving, make_key, serving
from tests.waiting import async_attempts

pytestmark = [pytest.mark.promise("P2"), pytest.mark.slow, pytest.mark.only_database("postgresql")]

WORKERS = 2


def answering_process(served: Served, client_port: int) -> int:
    """Return the process at the server's end of a connection. Linux identifies the socket by its inode."""
    ends = f":{served.port:04X} 0100007F:{client_port:04X} "
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines() if ends in line]
    # 01 means established. The kernel can list a socket twice while other sockets open and close.
    (inode,) = {fields[9] for fields in sockets if fields[3] == "01"}
    socket_name = f"socket:[{inode}]"
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
    for child in children:
        for descriptor in Path(f"/proc/{child}/fd").iterdir():
            try:
                if str(descriptor.readlink()) == socket_name:
                    return int(child)
            except FileNotFoundError:  # the process has closed this file
                continue
    raise AssertionError(f"no server process has {socket_name}")


def ask(served: Served, key: str) -> tuple[int, int]:
    """Send a request on a new connection. Return the process that answered, and the status."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {key}"}
        connection.request("GET", "/v1/integrations?end_user_id=user_123&logo=none", headers=headers)
        answer = connection.getresponse()
        process = answering_process(served, connection.sock.getsockname()[1])
        answer.read()
        return process, answer.status
    finally:
        connection.close()


async def ask_every_process(served: Served, key: str) -> list[int]:
    """Send requests until every process has answered. Return all statuses."""
    answers: list[tuple[int, int]] = []
    async for _ in async_attempts(20):
        answers += await asyncio.gather(*(asyncio.to_thread(ask, served, key) for _ in range(8)))
        if len({process for process, _ in answers}) == WORKERS:
            break
    return [status for _, status in answers]


async def test_a_key_revoked_by_the_command_line_is_refused_by_the_next_request_to_every_process(
    database_url: str, tmp_path: Path
) -> None:
    key, other = await make_key(database_url, "Southwind"), await make_key(database_url)
    async with serving(Serving(database_url, workers=WORKERS), tmp_path) as served:
        assert set(await ask_every_process(served, key)) == {200}
        prefix = key.rpartition("_")[0]
        assert await served.command("api-keys", "revoke", prefix) == f"Revoked {prefix}."
        assert set(await ask_every_process(served, key)) == {401}
        assert set(await ask_every_process(served, other)) == {200}
        listed = await served.command("api-keys", "list")
        assert prefix in listed
        assert secret_part(key) not in listed
