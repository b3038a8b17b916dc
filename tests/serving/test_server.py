"""`one-runtime serve` as a process: refused starts, its stop, and keys that are revoked meanwhile."""

import asyncio
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx2
import pytest

from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database, lock_path
from one_runtime.encryption.vault import new_key
from one_runtime.errors import ConfigurationError
from one_runtime.serving.http_protocol import IDLE
from one_runtime.serving.server import OPEN_FILES, bound_listeners
from one_runtime.tenancy import api_keys, organizations
from one_runtime.tenancy.events import Actor
from tests.fork_server import ForkedProcess, run
from tests.namespaces import mount_namespace
from tests.ports import free_port
from tests.promises import serving as processes
from tests.waiting import attempts, eventually

pytestmark = pytest.mark.slow

PATIENCE: Final = 20


def variables(database_url: str, port: int, keys: str, **more: str) -> dict[str, str]:
    settings = {"DATABASE_URL": database_url, "ENCRYPTION_KEYS": keys, "LISTEN": f"127.0.0.1:{port}", **more}
    named = {f"ONE_RUNTIME_{name}": value for name, value in settings.items()}
    return {"PATH": os.environ["PATH"], **named}


def command(environment: Mapping[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    whole = [sys.executable, "-m", "one_runtime", *words]
    return run(whole, environment, seconds=PATIENCE)


def refusal(environment: Mapping[str, str], *words: str) -> str:
    """Return the reason of a refused start: one sentence on standard error, and nothing else."""
    result = command(environment, "serve", *words)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    (sentence,) = result.stderr.splitlines()
    return sentence


def is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def serving(
    environment: Mapping[str, str],
    port: int,
    *words: str,
    start: "type[subprocess.Popen[bytes]]" = ForkedProcess,
    log: Path = Path(os.devnull),
) -> Iterator["subprocess.Popen[bytes]"]:
    """A ready server, stopped at the end. `log`: the file that gets its log."""
    whole = [sys.executable, "-m", "one_runtime", "serve", *words]
    with log.open("wb") as stderr, start(whole, env=environment, stderr=stderr) as process:
        try:
            for _ in attempts(PATIENCE):
                assert process.poll() is None, "it did not start"
                if is_ready(port):
                    break
            yield process
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


async def key_of_a_new_organization(database_url: str) -> str:
    """Create an API key outside of the server process, as the CLI does, without starting a process."""
    database, now = create_database(database_url, pool_size=1), system_clock()
    await database.open()
    async with database.write() as tx:
        organization = await organizations.create(tx, "Northwind", now)
        actor = Actor(organization.id, "system")
        _, token = await api_keys.create(tx, actor, "test", api_keys.DEFAULT_SCOPES, now)
    await database.close()
    return token.secret


def listed(port: int, key: str) -> httpx2.Response:
    address = f"http://127.0.0.1:{port}/v1/integrations?end_user_id=user_123&logo=none"
    return httpx2.get(address, headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def port() -> int:
    return free_port()


def test_sqlite_is_migrated_by_the_server_and_served_by_one_only(tmp_path: Path, port: int) -> None:
    url = f"sqlite:///{tmp_path / 'one.db'}"
    environment = variables(url, port, new_key())
    with serving(environment, port):
        key = asyncio.run(key_of_a_new_organization(url))
        assert listed(port, key).status_code == 200
        assert "Another server uses" in refusal(environment | {"ONE_RUNTIME_LISTEN": f"127.0.0.1:{free_port()}"})
        assert listed(port, key).status_code == 200
    with serving(environment, port):
        assert listed(port, key).status_code == 200, "the lock went with the first server"


@pytest.mark.parametrize("listener", ["API", "dashboard"])
def test_trailers_of_an_unauthenticated_caller_do_not_fill_the_memory(tmp_path: Path, port: int, listener: str) -> None:
    dashboard = free_port()
    addresses = {"DASHBOARD_LISTEN": f"127.0.0.1:{dashboard}", "DASHBOARD_URL": f"http://localhost:{dashboard}"}
    environment = variables(f"sqlite:///{tmp_path / 'one.db'}", port, new_key(), **addresses)
    with serving(environment, port) as process, ExitStack() as stack:
        before = resident_megabytes(process.pid)
        trailers = b"X-Name: %b\r\n" % (b"x" * 1_000) * 1_000
        for _ in range(3):
            address = ("127.0.0.1", port if listener == "API" else dashboard)
            connection = stack.enter_context(socket.create_connection(address, timeout=PATIENCE))
            sent = 0
            with suppress(ConnectionError):
                connection.sendall(
                    b"POST /v1/connections HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                )
                while sent < 100:
                    connection.sendall(trailers)
                    sent += 1
            assert sent < 100, "the server did not close the connection"
        assert resident_megabytes(process.pid) < before + 50
        assert is_ready(port)


def resident_megabytes(process_id: int) -> int:
    rows = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmRSS:")) // 1024


def test_links_to_a_sqlite_file_do_not_allow_a_second_server(tmp_path: Path, port: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "link.db").symlink_to(folder / "one.db")
    (tmp_path / "folder").symlink_to(folder)
    with serving(variables(f"sqlite:///{folder / 'one.db'}", port, new_key()), port):
        for path in ("link.db", "folder/one.db", "data/../data/one.db"):
            other = variables(f"sqlite:///{tmp_path / path}", free_port(), new_key())
            assert "Another server uses" in refusal(other), path
        (tmp_path / "hard.db").hardlink_to(folder / "one.db")
        for path in ("hard.db", "data/one.db"):  # security L4
            other = variables(f"sqlite:///{tmp_path / path}", free_port(), new_key())
            assert f"{path} has 2 names (hard links)" in refusal(other), path


def test_bind_mounts_of_a_sqlite_file_do_not_allow_a_second_server(tmp_path: Path, port: int) -> None:
    """Operations N10. A container that mounts only the database file has a write-ahead log of its own."""
    folder, file = tmp_path / "data", tmp_path / r"other \folder" / "one.db"
    folder.mkdir()
    file.parent.mkdir()
    file.touch()
    with serving(variables(f"sqlite:///{folder / 'one.db'}", port, new_key()), port):
        sentence = refusal_with_mount(folder / "one.db", file)
        assert sentence.startswith(f"{file} is mounted without its folder")
        assert "mount the folder of the database instead of the file" in sentence
        assert "Another server uses" in refusal_with_mount(folder, file.parent)
    assert file.stat().st_size == 0
    assert [path.name for path in file.parent.iterdir()] == ["one.db"]


def refusal_with_mount(source: Path, target: Path) -> str:
    """Mount a file or a folder a second time. Return the reason why a server refuses to start on the second path."""
    path = target if target.suffix else target / "one.db"
    script = 'mount --bind "$1" "$2" && exec "$3" -m one_runtime serve'
    result = subprocess.run(
        [*mount_namespace(), "sh", "-c", script, "sh", str(source), str(target), sys.executable],
        env=variables(f"sqlite:///{path}", free_port(), new_key()),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 1, result.stderr
    return result.stderr


def test_renamed_sqlite_file_does_not_allow_a_second_server(tmp_path: Path, port: int) -> None:
    path, renamed = tmp_path / "one.db", tmp_path / "renamed.db"
    with serving(variables(f"sqlite:///{path}", port, new_key()), port):
        path.rename(renamed)
        assert "Another server uses" in refusal(variables(f"sqlite:///{renamed}", free_port(), new_key()))
        renamed.rename(path)
        lock_path(path, "serving").unlink()
        assert "Another server uses" in refusal(variables(f"sqlite:///{path}", free_port(), new_key()))


def test_server_creates_no_folder_for_its_database(tmp_path: Path, port: int) -> None:
    wrong = variables(f"sqlite:///{tmp_path / 'typo' / 'deep' / 'one.db'}", port, new_key())
    for words in ((), ("migrate",)):
        sentence = refusal(wrong) if not words else command(wrong, *words).stderr
        assert f"he folder {tmp_path / 'typo' / 'deep'} does not exist" in sentence
    assert list(tmp_path.iterdir()) == []


def test_server_says_that_it_has_created_a_database(tmp_path: Path, port: int) -> None:
    """A server that starts in a wrong folder would otherwise look like a server that has lost its data."""
    environment = variables(f"sqlite:///{tmp_path / 'one.db'}", port, new_key(), LOG_LEVEL="warning")
    for created in (1, 0):
        with serving(environment, port, log=tmp_path / "log"):
            pass
        lines = [line for line in (tmp_path / "log").read_text().splitlines() if "database_created" in line]
        assert len(lines) == created
        assert all(str(tmp_path / "one.db") in line for line in lines)


def test_server_of_a_link_locks_the_real_file(tmp_path: Path, port: int) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "data" / "one.db")  # the first start creates the file
    with serving(variables(f"sqlite:///{tmp_path / 'link.db'}", port, new_key()), port):
        other = variables(f"sqlite:///{tmp_path / 'data' / 'one.db'}", free_port(), new_key())
        assert "Another server uses" in refusal(other)


def test_server_raises_its_limit_of_open_files(migrated_sqlite_url: str, port: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        environment = variables(migrated_sqlite_url, port, new_key())
        with serving(environment, port, start=subprocess.Popen) as process:  # inherits this process's limit
            assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (min(hard, OPEN_FILES), hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connection_of_a_caller_has_tcp_keepalive(migrated_sqlite_url: str, port: int) -> None:
    """Review L1. In /proc/net/tcp, the kind 02 of an idle connection's timer is keepalive."""
    with (
        serving(variables(migrated_sqlite_url, port, new_key()), port),
        socket.create_connection(("127.0.0.1", port)) as caller,
    ):
        ends = f":{port:04X}", f":{caller.getsockname()[1]:04X}"
        for _ in attempts(PATIENCE):
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            timers = [row[5] for row in rows if (row[1][8:], row[2][8:]) == ends]
            if timers and timers[0][:2] == "02":
                assert int(timers[0][3:], 16) / 100 <= IDLE  # the time until the first probe, in hundredths of a second
                break


def test_several_workers_require_postgresql(tmp_path: Path, port: int) -> None:
    environment = variables(f"sqlite:///{tmp_path / 'one.db'}", port, new_key())
    assert "SQLite allows only one server process" in refusal(environment, "--workers", "2")
    assert not (tmp_path / "one.db").exists()


@pytest.mark.promise("P3")
def test_server_without_a_key_ring_does_not_start(tmp_path: Path, port: int) -> None:
    url = f"sqlite:///{tmp_path / 'one.db'}"
    assert "one-runtime keys new" in refusal(variables(url, port, ""))
    assert "must be 32-byte keys in base64" in refusal(variables(url, port, "c2hvcnQ="))
    (tmp_path / "keys").write_text("c2hvcnQ=")
    from_file = variables(url, port, "", ENCRYPTION_KEYS_FILE=str(tmp_path / "keys"))
    assert "the file that ONE_RUNTIME_ENCRYPTION_KEYS_FILE names" in refusal(from_file)
    assert "must be 32-byte keys in base64" in refusal(variables(url, port, "@"))


@pytest.mark.promise("P3")
def test_server_without_a_used_key_does_not_start(migrated_sqlite_url: str, port: int) -> None:
    first, second = new_key(), new_key()
    with serving(variables(migrated_sqlite_url, port, first), port):
        pass
    sentence = refusal(variables(migrated_sqlite_url, port, second))
    assert "The key ring lacks keys that this database needs" in sentence
    assert first not in sentence
    assert second not in sentence
    with serving(variables(migrated_sqlite_url, port, f"{second},{first}"), port):
        pass


def test_postgresql_is_migrated_on_request_only(empty_postgres_url: str, port: int) -> None:
    environment = variables(empty_postgres_url, port, new_key())
    assert "one-runtime migrate" in refusal(environment, "--workers", "2")
    with serving(environment, port, "--migrate"):
        pass


def test_address_that_the_server_cannot_use_is_explained_before_a_migration(tmp_path: Path, port: int) -> None:
    def refused(listen: str) -> str:
        variables_ = variables(f"sqlite:///{tmp_path / 'one.db'}", port, new_key(), PUBLIC_URL="http://127.0.0.1")
        return refusal(variables_ | {"ONE_RUNTIME_LISTEN": listen})

    with socket.create_server(("127.0.0.1", port)):
        assert refused(f"127.0.0.1:{port}") == (
            f"Port {port} of 127.0.0.1 is in use. Stop the other program, or set ONE_RUNTIME_LISTEN to another port, "
            f"such as 127.0.0.1:{port + 1}."
        )
    assert refused(f"192.0.2.1:{port}").startswith("192.0.2.1 is not an address of this machine.")
    assert refused(f"nowhere.invalid:{port}") == "ONE_RUNTIME_LISTEN: the name nowhere.invalid cannot be resolved."
    assert not (tmp_path / "one.db").exists()


def test_workers_on_a_used_port_do_not_start(migrated_postgresql_url: str, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        environment = variables(migrated_postgresql_url, port, new_key())
        assert f"Port {port} of 127.0.0.1 is in use." in refusal(environment, "--workers", "2")


def test_each_address_of_a_name_has_a_listener(port: int) -> None:
    with bound_listeners(f"localhost:{port}") as listeners:
        names = {listener.getsockname()[:2] for listener in listeners}
        assert ("127.0.0.1", port) in names
        for listener in listeners:
            listener.listen()
        with (
            pytest.raises(ConfigurationError, match=f"Port {port} of localhost is in use"),
            bound_listeners(f"localhost:{port}"),
        ):
            pytest.fail("a second server uses the port")


def test_running_requests_finish_after_a_stop_signal(migrated_sqlite_url: str, port: int) -> None:
    environment = variables(migrated_sqlite_url, port, new_key())
    with serving(environment, port) as process:
        key = asyncio.run(key_of_a_new_organization(migrated_sqlite_url))
        body = json.dumps({"integration_slug": "slack", "end_user_id": "user_123"}).encode()
        head = (
            f"POST /v1/disconnect HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(head.encode() + body[:10])
            assert listed(port, key).status_code == 200
            process.send_signal(signal.SIGTERM)
            for _ in attempts():
                if not is_ready(port):
                    break
            assert process.poll() is None, "it waits for the request"
            connection.sendall(body[10:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b'"not_found"' in answer
        assert process.wait(timeout=PATIENCE) in {0, -signal.SIGTERM}


async def test_worker_that_dies_during_a_check_of_its_parent_is_replaced(
    migrated_postgresql_url: str, tmp_path: Path
) -> None:
    async with processes.serving(processes.Serving(migrated_postgresql_url, workers=2), tmp_path) as served:

        def workers() -> list[bytes]:
            return re.findall(rb'"event": "Started server process \[(\d+)\]"', served.log())

        await eventually(lambda: len(workers()) == 2, PATIENCE)
        os.kill(int(workers()[0]), signal.SIGSTOP)
        since = time.monotonic()
        await eventually(lambda: time.monotonic() > since + 2)  # it is asked twice a second whether it is there
        os.kill(int(workers()[0]), signal.SIGKILL)
        await eventually(lambda: len(workers()) == 3, 30)


@pytest.mark.promise("P2")
def test_every_worker_refuses_a_key_revoked_by_the_cli_at_once(migrated_postgresql_url: str, port: int) -> None:
    environment = variables(migrated_postgresql_url, port, new_key())
    with serving(environment, port, "--workers", "2"):
        key = asyncio.run(key_of_a_new_organization(migrated_postgresql_url))
        for _ in range(10):
            assert listed(port, key).status_code == 200
        assert command(environment, "api-keys", "revoke", key[:12]).returncode == 0
        for _ in range(10):
            assert listed(port, key).status_code == 401
